"""Verdicts by eye: read, and obeyed by the ledger and the tables."""

import json

import numpy as np
import pandas as pd
import pytest

from babyseg_py.cli import main
from babyseg_py.cohort.ledger import Outcomes, make_ledger
from babyseg_py.cohort.records import Record
from babyseg_py.cohort.verdicts import check_verdicts
from babyseg_py.statistics.flags import flagged_visits, without_flagged_structures
from babyseg_py.statistics.verdicts import with_verdicts
from babyseg_py.statistics.visits import visit_facts

VISITS = (("01", "A"), ("01", "B"), ("02", "A"))
SCANS = [Record(row, child, session, "T1w", None, str(row)) for row, (child, session) in enumerate(VISITS, 2)]
HEAD = "participant_id\tsession_id\tverdict\tnote\n"


def check(sheet, text):
    found, problems = check_verdicts(sheet.write(text, "qc_verdicts.tsv"), SCANS)
    return found, [p for p in problems if not p.doubt], [p for p in problems if p.doubt]


def test_verdicts_with_and_without_prefix_and_note(sheet):
    found, errors, doubts = check(
        sheet, f"{HEAD}sub-01\tses-A\tFail\tmotion, see slice 40\n02\tA\tpass\tn/a\n"
    )
    assert errors == doubts == []
    assert found == [
        {"participant_id": "01", "session_id": "A", "verdict": "fail", "note": "motion, see slice 40"},
        {"participant_id": "02", "session_id": "A", "verdict": "pass", "note": ""},
    ]


def test_the_last_verdict_on_a_session_counts_and_others_are_told(sheet):
    found, errors, doubts = check(sheet, f"{HEAD}01\tA\tfail\t\n01\tA\tpass\t\n09\tA\tpass\t\n")
    assert errors == []
    assert [one["verdict"] for one in found] == ["pass"]
    assert [doubt.row for doubt in doubts] == [3, 4]
    assert "replaces that of row 2" in doubts[0].message
    assert "not in the samplesheet" in doubts[1].message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{HEAD}01\tA\tfial\t\n", "did you mean 'fail'?"),
        (f"{HEAD}01\t\tpass\t\n", "session_id"),
        ("participant_id\tverdict\n01\tpass\n", "session_id: the column is missing"),
    ],
)
def test_a_verdict_that_cannot_be_read_is_an_error(sheet, text, words):
    found, errors, _ = check(sheet, text)
    assert found == []
    assert words in str(errors[0])


def test_verdicts_that_excel_saved_as_windows_1252_are_obeyed(sheet):
    text = f"{HEAD}01\tA\tfail\tGhost über der Stirn\n".encode("cp1252")
    found, errors, doubts = check(sheet, text)
    assert errors == []
    assert [(one["verdict"], one["note"]) for one in found] == [("fail", "Ghost über der Stirn")]
    assert "Windows-1252" in doubts[0].message


def verdict(child, session, word, note=""):
    return {"participant_id": child, "session_id": session, "verdict": word, "note": note}


@pytest.fixture
def qc():
    """Return a flag on all of 01 A, one on a structure of 01 B, and none on 02 A."""
    rows = [("01", "A", np.nan, 1.0, "half a brain?"), ("01", "B", "Left-Amygdala", 1.0, "small"),
            ("02", "A", np.nan, 0.0, None)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["participant_id", "session_id", "structure", "flag", "message"])
    return table.assign(scan=np.nan, metric="m", value=1.0, low=0.0, high=2.0)


def test_pass_takes_flags_off_and_fail_and_correct_put_one_on(qc):
    facts = visit_facts([record.as_json() for record in SCANS])
    said = [
        verdict("01", "A", "pass", "looks well"),
        verdict("01", "B", "pass"),
        verdict("02", "A", "correct"),
    ]
    judged = with_verdicts(qc, said, facts)
    assert flagged_visits(qc) == {("01", "A")}
    assert flagged_visits(judged) == {("02", "A")}
    volumes = pd.DataFrame({"participant_id": ["01"], "session_id": ["B"], "structure": ["Left-Amygdala"],
                            "volume_mm3": [1.0], "volume_posterior_mm3": [1.0]})  # fmt: skip
    assert np.isnan(without_flagged_structures(volumes, qc)[0]["volume_mm3"].iloc[0])
    assert without_flagged_structures(volumes, judged)[0]["volume_mm3"].iloc[0] == 1
    assert "passed by eye: looks well; was flagged: half a brain?" in judged["message"].tolist()
    assert with_verdicts(qc, [], facts).equals(qc)


def test_the_ledger_says_what_the_verdict_did():
    records = [record.as_json() for record in SCANS]
    labelled = {(record["visit_id"], scan) for record in records for scan in ("n/a", "T1w")}
    outcomes = Outcomes({}, {("sub-01_ses-A", "n/a"): [("segment", "half a brain?")]}, labelled)
    said = [verdict("01", "A", "pass"), verdict("01", "B", "fail", "ghosts")]
    entries = make_ledger(records, outcomes, said)
    assert [(entry.status, entry.step, entry.reason) for entry in entries] == [
        ("ok", "verdict", "passed by eye; was flagged: half a brain?"),
        ("flagged", "verdict", "failed by eye: ghosts"),
        ("ok", "n/a", "n/a"),
    ]


def test_check_hands_verdicts_on_and_tables_obeys_them(sheet, capsys):
    path = sheet.rows("participant_id,session_id,suffix", "1,A,T1w", "2,A,T1w")
    verdicts = sheet.write(f"{HEAD}1\tA\tfail\tmotion\n", "qc_verdicts.tsv")
    records, out = sheet.folder / "records.json", sheet.folder / "cohort"
    assert main(["check", str(path), "--verdicts", str(verdicts), "-o", str(records)]) == 0
    assert "verdicts on sessions: 0 pass, 1 fail, 0 correct" in capsys.readouterr().out
    assert json.loads(records.read_text())["verdicts"] == [verdict("1", "A", "fail", "motion")]
    assert main(["tables", "--records", str(records), "--out-dir", str(out)]) == 0
    table = pd.read_csv(out / "qc.tsv", sep="\t", dtype=str)
    assert table[["metric", "flag", "message"]].to_numpy().tolist() == [
        ["verdict", "1", "failed by eye: motion"]
    ]
    sheet.write(f"{HEAD}1\tA\tmaybe\t\n", "qc_verdicts.tsv")
    assert main(["check", str(path), "--verdicts", str(verdicts), "-o", str(records)]) == 65
