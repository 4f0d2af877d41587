"""The table of scores against the children who were scanned."""

import pytest

from babyseg_py.cohort.phenotype import check_phenotype
from babyseg_py.cohort.records import Record

SCANS = [Record(2, "01", "A", "T1w", None, "a"), Record(3, "01", "B", "T1w", None, "b"),
         Record(4, "02", "A", "T1w", None, "c")]  # fmt: skip


def check(sheet, text, **names):
    found, problems = check_phenotype(sheet.write(text, "scores.tsv"), SCANS, **names)
    return found, [p for p in problems if not p.doubt], [p for p in problems if p.doubt]


def test_with_prefix_and_without_session(sheet):
    found, errors, doubts = check(sheet, "participant_id\tiq\tses_income\nsub-01\t100\tlow\n03\tn/a\thigh\n")
    assert errors == doubts == []
    assert found == {
        "file": str(sheet.folder / "scores.tsv"), "scores": ["iq"], "covariates": [],
        "without_scores": ["02"], "without_scans": ["03"], "visits_without_scores": [],
        "visits_without_scans": [],
    }  # fmt: skip


def test_by_session(sheet):
    text = "participant_id,session_id,iq\n01,ses-A,1\n01,C,2\n02,n/a,3\n"
    found, errors, _ = check(sheet, text)
    assert errors == []
    assert found["without_scores"] == found["without_scans"] == []
    assert found["visits_without_scores"] == ["sub-01_ses-B"]
    assert found["visits_without_scans"] == ["sub-01_ses-C"]


def test_named_columns(sheet):
    text = "participant_id,iq,motor,education\n01,1,2,high\n02,2,3,low\n"
    found, errors, _ = check(sheet, text, scores=["motor", "motor"], covariates=["education", "sex"])
    assert errors == []
    assert (found["scores"], found["covariates"]) == (["motor"], ["education", "sex"])
    assert check(sheet, text, covariates=["iq"])[0]["scores"] == ["motor"]


def test_names_that_are_not_there(sheet):
    _, errors, _ = check(sheet, "participant_id,cbcl_total\n01,1\n", scores=["cbcl_totl"], covariates=["sx"])
    assert "did you mean 'cbcl_total'?" in errors[0].message
    assert "--covariates names 'sx'" in errors[1].message
    assert "did you mean 'sex'?" in errors[1].message


@pytest.mark.parametrize(
    ("text", "row", "column", "words"),
    [
        ("participant_id,iq\n01,1\n02,low\n", 3, "iq", "'low' is not a number"),
        ('participant_id,iq\n01,1\n02,"2,5"\n', 3, "iq", "decimal point"),
        ("participant_id,iq\n01,1\n02,inf\n", 3, "iq", "'inf'"),
        ("participant_id,iq\n01,1\nsub-01,2\n", 3, "participant_id", "already in row 2"),
        ("participant_id,session_id,iq\n01,A,1\n01,ses-A,2\n", 3, "participant_id", "ses-A is already"),
        ("participant_id,iq\n01,1\n,2\n", 3, "participant_id", "empty"),
        ("participant_id,iq\n01,1\n$(rm),2\n", 3, "participant_id", "'$(rm)'"),
        ("subject,iq\n01,1\n", 1, "participant_id", "missing"),
        ("participant_id,iq\n7,1\n8,2\n", None, "participant_id", "7, 8, the scans are of 01, 02"),
        ("participant_id,iq,iq\n01,1,1\n", 1, "'iq'", "twice"),
    ],
)
def test_faults(sheet, text, row, column, words):
    errors = check(sheet, text, scores=["iq"])[1]
    assert [(error.row, error.column) for error in errors] == [(row, column)]
    assert words in errors[0].message


def test_a_column_of_text_is_one_fault(sheet):
    text = "participant_id,iq\n01,a\n02,b\n"
    assert [error.row for error in check(sheet, text, scores=["iq"])[1]] == [1]
    assert "no column holds numbers" in check(sheet, text)[1][0].message


def test_table_that_cannot_be_read(tmp_path):
    found, problems = check_phenotype(tmp_path / "none.tsv", SCANS)
    assert found["file"] is None
    assert "no such file" in problems[0].message


def test_doubts(sheet):
    text = "participant_id,visit,iq\n1,A,100\n02,A,-999\n03,B,2\n"
    _, errors, doubts = check(sheet, text, scores=["iq"])
    assert errors == []
    words = " ".join(str(doubt) for doubt in doubts)
    assert "call it session_id" in words
    assert "-999 is taken as a value" in words
    assert "is '01' meant?" in words


def test_scores_that_mean_nothing_are_doubted(sheet):
    rows = "".join(f"{i:02d},{i},99,{i},7\n" if i == 5 else f"{i:02d},{i},{i},{i},7\n" for i in range(1, 9))
    text = "participant_id,iq,epds,copy,same\n" + rows
    _, errors, doubts = check(sheet, text, scores=["iq", "epds", "same"], covariates=["copy"])
    assert errors == []
    words = {doubt.column: doubt.message for doubt in doubts}
    assert "99 is taken as a value" in words["epds"]
    assert "all 8 values are 7" in words["same"]
    assert "same values as the score iq" in words["copy"]


def test_the_nearest_child_without_a_score_is_named(sheet):
    scans = [Record(2, name, "A", "T1w", None, name) for name in ("kid01", "kid02")]
    path = sheet.write("participant_id,iq\nkid01,1\nkd02,2\n", "scores.tsv")
    _, problems = check_phenotype(path, scans)
    assert ["is 'kid02' meant?" in problem.message for problem in problems] == [True]
