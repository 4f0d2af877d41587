"""What the report says of verdicts by eye and of the score table."""

import json
from dataclasses import replace

import pytest
from simulated_cohort import simulate

from babyseg_py.report import brief, inputs
from babyseg_py.report.figures import Shelf
from babyseg_py.report.parts import Absent
from babyseg_py.report.results import read_results


@pytest.fixture
def results(tmp_path):
    root = simulate(tmp_path / "cohort", children=2, snapshots=False).root
    records = root / "records.json"
    content = json.loads(records.read_text(encoding="utf-8"))
    content["verdicts"] = [
        {"participant_id": "02", "session_id": "A", "verdict": "pass", "note": ""},
        {"participant_id": "01", "session_id": "B", "verdict": "fail", "note": "ghosts"},
    ]
    records.write_text(json.dumps(content), encoding="utf-8")
    return read_results(records=records, ledger=root / "ledger.tsv", cohort=root / "cohort")


def test_verdicts_are_listed_with_what_they_did(results):
    rows = inputs.verdicts(results, Shelf()).rows
    assert rows[0] == ("01", "B", "fail", "ghosts", "left out of the statistics")
    assert rows[1][2:] == ("pass", "n/a", "used, whatever quality control flagged")
    points = " ".join(brief.worries(results, Shelf()).points)
    assert "1 session left out by a verdict and 1 session passed by eye" in points
    assert isinstance(inputs.verdicts(replace(results, verdicts=[]), Shelf()), Absent)


def test_many_notes_on_the_score_table_are_cut_short(results):
    notes = [f"note {n}" for n in range(70)]
    said = replace(results, phenotype=results.phenotype | {"notes": notes})
    points = inputs.score_faults(said, Shelf()).points
    assert len(points) == 61
    assert points[-1] == "10 sentences more in the output of the run (babyseg check)."
    assert "70 notes, listed below; the first: note 0." in " ".join(brief.worries(said, Shelf()).points)
