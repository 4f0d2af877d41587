"""The table of raters: what is used, what is told, what is refused."""

import json

import pytest

from babyseg_py.cli import main
from babyseg_py.cohort.raters import check_raters
from babyseg_py.cohort.records import Record

HEAD = "participant_id\tsession_id\trater\tdseg\n"
SCANS = [Record(row, "01", session, "T1w", None, str(row)) for row, session in enumerate("ABC", 2)]


def check(sheet, text):
    for name in "abcd":
        sheet.image(f"{name}.nii.gz")
    found, problems = check_raters(sheet.write(text, "raters.tsv"), SCANS)
    return found, [p for p in problems if not p.doubt], [p for p in problems if p.doubt]


def test_maps_are_found_beside_the_table_and_sorted(sheet):
    found, errors, doubts = check(sheet, f"{HEAD}sub-01\tses-A\tBen\tb.nii.gz\n01\tA\tAnn\ta.nii.gz\n")
    assert errors == doubts == []
    maps = [(one["visit_id"], one["rater"], one["dseg"]) for one in found]
    assert maps == [
        ("sub-01_ses-A", "Ann", str(sheet.folder / "a.nii.gz")),
        ("sub-01_ses-A", "Ben", str(sheet.folder / "b.nii.gz")),
    ]


def test_unknown_sessions_and_single_raters_are_told_and_not_used(sheet):
    rows = "01\tA\tAnn\ta.nii.gz\n01\tZ\tAnn\tz.nii.gz\n"
    found, errors, doubts = check(sheet, HEAD + rows)
    assert found == errors == []
    assert [doubt.row for doubt in doubts] == [3, 2]
    assert "sub-01 ses-Z is not in the samplesheet" in doubts[0].message
    assert "Ann is the only rater of sub-01 ses-A" in doubts[1].message


@pytest.mark.parametrize(
    ("rows", "row", "words"),
    [
        ("01\tA\tAnn\tx.nii.gz\n", 2, "there is no such file"),
        ("01\tA\tAnn\ta.nii.gz\n01\tA\tAnn\tb.nii.gz\n", 3, "has a map of sub-01 ses-A in row 2 already"),
        ("01\tA\tAnn\ta.nii.gz\n01\tA\tBen\t./a.nii.gz\n", 3, "also the map of row 2, Ann sub-01 ses-A"),
        ("01\tA\tAnn\ta.nii.gz\n01\tB\tann\tb.nii.gz\n", 3, "differ in capital letters alone"),
        ("01\tA\t$(touch pwned)\ta.nii.gz\n", 2, "may hold only letters"),
        ("../01\tA\tAnn\ta.nii.gz\n", 2, "may hold only letters"),
        ("01\tA\t\ta.nii.gz\n", 2, "may hold only letters"),
        ("01\tA\tAutomatic\ta.nii.gz\n", 2, "stands for the segmentation itself"),
        ("01\tA\tAnn\ta.txt\n", 2, "a.txt"),
    ],
)
def test_rows_that_are_refused(sheet, rows, row, words):
    _, errors, _ = check(sheet, HEAD + rows)
    assert [error.row for error in errors] == [row]
    assert words in errors[0].message


def test_the_name_of_a_rater_has_no_prefix_to_tell_of(sheet):
    _, errors, _ = check(sheet, f"{HEAD}01\tA\tJürg\ta.nii.gz\n")
    assert errors[0].message == "'Jürg' may hold only letters (a to z) and digits"


def test_columns_that_lack_or_are_not_known_are_named(sheet):
    _, errors, _ = check(sheet, "participant_id\tsession_id\traters\tdseg\n01\tA\tAnn\ta.nii.gz\n")
    assert [(error.column, error.row) for error in errors] == [("raters", 1), ("rater", 1)]
    assert "did you mean 'rater'?" in errors[0].message


def test_check_hands_raters_on_and_stops_at_errors(sheet, capsys):
    path = sheet.rows("participant_id,session_id,suffix", "1,A,T1w")
    rows = [f"1\tA\t{rater}\t{sheet.image(f'{rater}.nii')}\n" for rater in ("Ben", "Ann")]
    table = sheet.write(HEAD + "".join(rows), "raters.tsv")
    records = sheet.folder / "records.json"
    assert main(["check", str(path), "--raters", str(table), "-o", str(records)]) == 0
    assert "raters Ann, Ben: 1 session with two or more" in capsys.readouterr().out
    assert [one["rater"] for one in json.loads(records.read_text())["raters"]] == ["Ann", "Ben"]
    sheet.write(f"{HEAD}1\tA\tAnn\tnot there.nii\n", "raters.tsv")
    assert main(["check", str(path), "--raters", str(table)]) == 65
    assert "raters.tsv, row 2, column dseg" in capsys.readouterr().err
    assert main(["check", str(path), "-o", str(records)]) == 0
    assert json.loads(records.read_text())["raters"] == []
