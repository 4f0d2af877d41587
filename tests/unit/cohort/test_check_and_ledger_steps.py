"""The commands ``babyseg check`` and ``babyseg ledger``."""

import json

from babyseg_py.cli import main

COLUMNS = "participant_id,session_id,suffix,age_value,age_unit,age_reference"


def test_check_prints_a_summary_and_writes_records(sheet, capsys):
    path = sheet.rows(COLUMNS, "1,A,T1w,1,months,birth", "1,B,T2w,6,months,birth", "2,A,T1w,,,")
    scores = sheet.write("participant_id\tiq\n1\t90\n3\t95\n", "scores.tsv")
    output = sheet.folder / "out" / "records.json"
    assert (
        main(["check", "--phenotype", str(scores), "--scores", "iq", "-o", str(output), "--", str(path)]) == 0
    )
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: no errors",
        "2 children, 3 visits, 3 scans (T1w 2, T2w 1)",
        "age 1.0 to 6.0 months since birth at 2 visits",
        "no age at 1 visit: these take no part in growth and associations",
        "scores iq; covariates none",
        "children without scores: 2",
        "scores without children: 3",
    ]
    content = json.loads(output.read_text(encoding="utf-8"))
    assert [record["scan_id"] for record in content["records"]] == [
        "sub-1_ses-A_T1w", "sub-1_ses-B_T2w", "sub-2_ses-A_T1w",
    ]  # fmt: skip
    assert content["phenotype"]["without_scores"] == ["2"]


def test_without_any_age_the_summary_tells_what_goes_on_unadjusted(sheet, capsys):
    """Associations run then; where others have ages, a visit without takes no part in them."""
    assert main(["check", str(sheet.rows("participant_id,session_id,suffix", "1,A,T1w", "2,A,T1w"))]) == 0
    words = "no visit has an age: no growth, and associations and groups are not adjusted for age"
    assert capsys.readouterr().out.splitlines()[2:] == [words]


def test_check_lists_all_errors_of_all_tables(sheet, capsys):
    path = sheet.rows(COLUMNS, "1,A,T1w,-1,months,birth", "a b,A,T1w,,,")
    scores = sheet.write("participant_id\tiq\n1\t3\n", "scores.tsv")
    output = sheet.folder / "records.json"
    assert main(["check", str(path), "--phenotype", str(scores), "--scores", "iqq", "-o", str(output)]) == 65
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note:")]
    assert [line.split(":")[1].strip() for line in lines[:3]] == [
        "scores.tsv, row 1",
        "sheet.csv, row 2, column age_value",
        "sheet.csv, row 3, column participant_id",
    ]
    both = f"{path}, {scores}: 3 errors, listed above; correct all of them and start again"
    assert lines[-1] == f"babyseg check: {both}"
    assert not output.exists()


def test_the_last_line_blames_the_table_that_is_at_fault(sheet, capsys):
    path = sheet.rows(COLUMNS, "1,A,T1w,1,months,birth")
    scores = sheet.write("participant_id\tiq\n1\t3\n", "scores.tsv")
    assert main(["check", str(path), "--phenotype", str(scores), "--scores", "iqq"]) == 65
    assert f"{scores}: 1 error, listed above" in capsys.readouterr().err.splitlines()[-1]


def test_check_of_an_unreadable_sheet_still_looks_at_the_scores(sheet, capsys):
    scores = sheet.write("participant_id\tiq\n1\tx\n", "scores.tsv")
    assert main(["check", str(sheet.folder / "none.csv"), "--phenotype", str(scores), "--scores", "iq"]) == 65
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_a_faulty_score_table_is_told_and_does_not_stop_the_run(sheet, capsys):
    path = sheet.rows(COLUMNS, "1,A,T1w,1,months,birth", "2,A,T1w,2,months,birth")
    scores = sheet.write("participant_id\tiq\n1\tx\n1\t4\n2\t5\n", "scores.tsv")
    output = sheet.folder / "records.json"
    words = ["check", str(path), "--phenotype", str(scores), "--scores", "iq", "-o", str(output)]
    assert main(words) == 0
    told = [line.removeprefix("note: ") for line in capsys.readouterr().err.splitlines()]
    notes = json.loads(output.read_text(encoding="utf-8"))["phenotype"]["notes"]
    assert notes == told
    assert "scores.tsv, row 2, column iq: 'x' is not a number" in notes[2]
    assert "sub-1 is already in row 2 with other values of iq" in notes[3]


def test_an_age_in_another_unit_than_those_of_other_children_is_doubted(sheet, capsys):
    path = sheet.rows(
        COLUMNS, "1,A,T1w,6,months,birth", "2,A,T1w,12,months,birth", "3,A,T1w,190,months,birth"
    )
    assert main(["check", str(path)]) == 0
    assert "row 4, column age_unit: 190 months from birth is 16 years" in (words := capsys.readouterr().err)
    assert "are days meant?" in words


def test_check_of_a_bids_dataset(tmp_path, capsys):
    image = tmp_path / "sub-1" / "anat" / "sub-1_T1w.nii.gz"
    image.parent.mkdir(parents=True)
    image.touch()
    assert main(["check", "--bids", str(tmp_path), "-o", str(tmp_path / "r.json")]) == 0
    assert "1 child, 1 visit, 1 scan (T1w 1)" in capsys.readouterr().out


def test_check_called_in_a_way_that_means_nothing(sheet, capsys):
    path = str(sheet.rows(COLUMNS, "1,A,T1w,,,"))
    assert main(["check"]) == 2
    assert main(["check", path, "--bids", str(sheet.folder)]) == 2
    assert main(["check", path, "--scores", "iq"]) == 2


def test_ledger_of_a_run_that_left_nothing(sheet, capsys):
    records, ledger = sheet.folder / "records.json", sheet.folder / "ledger.tsv"
    assert main(["check", str(sheet.rows(COLUMNS, "1,A,T1w,,,")), "-o", str(records)]) == 0
    assert main(["ledger", "--records", str(records), "-o", str(ledger)]) == 0
    assert len(ledger.read_text().splitlines()) == 2
    described = json.loads(ledger.with_suffix(".json").read_text(encoding="utf-8"))
    assert list(described) == ledger.read_text().splitlines()[0].split("\t")
    assert capsys.readouterr().out.endswith("1 rows: 0 ok, 0 flagged, 1 failed\nfailed at step: segment 1\n")


def test_ledger_of_records_that_are_none(sheet, capsys):
    records = sheet.write("[]", "records.json")
    assert main(["ledger", "--records", str(records), "-o", str(sheet.folder / "ledger.tsv")]) == 65
    assert "babyseg check" in capsys.readouterr().err


def test_notes_on_the_samplesheet_are_kept_for_the_report(sheet, capsys):
    rows = [f"{child},A,T1w,{12 + child / 10},months,birth" for child in range(1, 9)]
    path = sheet.rows(COLUMNS, *rows, "9,A,T1w,52.5,months,birth")
    output = sheet.folder / "records.json"
    assert main(["check", str(path), "-o", str(output)]) == 0
    told = [line.removeprefix("note: ") for line in capsys.readouterr().err.splitlines()]
    assert json.loads(output.read_text(encoding="utf-8"))["notes"] == told
    assert "row 10, column age_unit: 52.5 months from birth at sub-9_ses-A" in told[0]
    assert "are weeks meant?" in told[0]
