"""Raters in the tables of the cohort: gathered, and compared with each other and with the segmentation."""

import json

import numpy as np
import pandas as pd
import pytest

from babyseg_py.cli import main
from babyseg_py.report.figures import Shelf
from babyseg_py.report.methods import bibtex
from babyseg_py.report.parts import Absent
from babyseg_py.report.raters import rater_agreement, rater_bland_altman, rater_structures, rater_summary
from babyseg_py.report.results import read_results
from babyseg_py.statistics.files import read_table

BIAS = {"Ann": 0.0, "Ben": 40.0, "Cid": -30.0}
RATED = ("000", "001", "002", "003", "004", "005")


def _rate(files, rng, *, children=RATED, lost=()) -> None:
    """Write what the step raters writes of session A: labels of the left hippocampus alone."""
    ratings = []
    for child in children:
        visit = f"sub-{child}_ses-A"
        ratings += [{"participant_id": child, "session_id": "A", "rater": rater, "visit_id": visit}
                    for rater in BIAS]  # fmt: skip
        if child in lost:
            continue
        truth = read_table(files.folder / "anat" / f"{visit}_desc-volumes_morph.tsv").set_index("structure")
        true = float(truth.loc["Left-Hippocampus", "volume_mm3"])
        rows = [
            (child, "A", rater, 17, "Left-Hippocampus", "left", true + bias + rng.normal(0, 3))
            for rater, bias in BIAS.items()
        ] + [(child, "A", rater, 53, "Right-Hippocampus", "right", "n/a") for rater in BIAS]
        columns = ["participant_id", "session_id", "rater", "label", "structure", "side", "volume_mm3"]
        volumes = pd.DataFrame(rows, columns=columns)
        volumes.to_csv(files.folder / "anat" / f"{visit}_desc-raters_morph.tsv", sep="\t", index=False)
        shares = dict.fromkeys(["sensitivity", "specificity", "predictive_value"], 0.9)
        of = volumes[volumes["label"] == 17].drop(columns="side").assign(consensus_volume_mm3=true, **shares)
        of = of.assign(dice=[0.9, 0.8, 0.7], assd_mm=0.4, hd95_mm=1.1)
        both = pd.concat([of.assign(consensus=name) for name in ("staple", "majority")])
        both.to_csv(files.folder / "anat" / f"{visit}_desc-raters_qc.tsv", sep="\t", index=False)
    content = json.loads(files.records.read_text())
    files.records.write_text(json.dumps(content | {"raters": ratings}))


def _analysed(files, *, failed=()) -> None:
    anat = str(files.folder / "anat")
    if failed:
        said = [
            {"participant_id": child, "session_id": "A", "verdict": "fail", "note": ""} for child in failed
        ]
        files.records.write_text(json.dumps(json.loads(files.records.read_text()) | {"verdicts": said}))
    assert main(files.tables("--rater-performance", anat, "--rater-volumes", anat)) == 0
    assert main(files.statistics()) == 0


@pytest.fixture(scope="module")
def rated(tmp_path_factory, simulated):
    """Return a cohort of eight children of whom six were labelled by three raters; one session was lost."""
    files = simulated(tmp_path_factory.mktemp("rated"), children=8)
    _rate(files, np.random.default_rng(3), lost=("005",))
    _analysed(files)
    return files


def _read(files, name):
    return read_table(files.folder / "cohort" / f"{name}.tsv")


def test_planted_differences_between_raters_are_found(rated):
    table = _read(rated, "rater_agreement")
    assert set(table["structure"]) == {"Left-Hippocampus"}
    assert set(table["n"]) == {"5"}
    found = table.set_index("methods")
    for rater, bias in BIAS.items():
        assert float(found.loc[f"automatic, {rater}", "bias_mm3"]) == pytest.approx(bias, abs=6)
    assert float(found.loc["Ben, Cid", "bias_mm3"]) == pytest.approx(-70, abs=6)
    assert found["comparison"].to_dict() == {
        **dict.fromkeys([f"automatic, {rater}" for rater in BIAS], "pair"),
        **dict.fromkeys(["Ann, Ben", "Ann, Cid", "Ben, Cid"], "pair"),
        **dict.fromkeys(["Ann, Ben, Cid", "automatic, Ann, Ben, Cid"], "all"),
    }
    assert float(found.loc["Ann, Ben, Cid", "p_corrected"]) < 1e-3
    used = _read(rated, "rater_agreement_volumes")
    assert len(used) == 5 * 4
    assert set(used["method"]) == {"automatic", *BIAS}


def test_the_analyses_say_why_on_and_why_off(rated, simulated, tmp_path):
    row = _read(rated, "analyses").set_index("analysis").loc["raters"]
    assert (row["ran"], row["n_children"]) == ("1", "5")
    without = simulated(tmp_path, children=2)
    assert main(without.tables()) == main(without.statistics()) == 0
    assert not list((tmp_path / "cohort").glob("rater*"))
    row = _read(without, "analyses").set_index("analysis").loc["raters"]
    assert row["ran"] == "0"
    assert row["reason"] == "did not run: no session has label maps of two raters (--raters)"


def test_too_few_children_and_verdicts(simulated, tmp_path):
    files = simulated(tmp_path, children=6)
    _rate(files, np.random.default_rng(3), children=RATED[:3])
    _analysed(files)
    assert set(_read(files, "rater_agreement")["n"]) == {"3"}
    _analysed(files, failed=("000",))
    assert _read(files, "rater_agreement").empty
    assert len(_read(files, "rater_performance")) == 3 * 6
    row = _read(files, "analyses").set_index("analysis").loc["raters"]
    assert "it needs label maps of two raters at 3 children" in row["reason"]


def test_every_column_is_described(rated):
    for name in ("rater_performance", "rater_volumes", "rater_agreement", "rater_agreement_volumes"):
        words = json.loads((rated.folder / "cohort" / f"{name}.json").read_text())
        assert list(words) == list(_read(rated, name).columns)
        assert all(column["Description"] for column in words.values())


@pytest.fixture
def results(rated, tmp_path):
    """Read the results as the report does, with a ledger of nothing."""
    ledger = tmp_path / "ledger.tsv"
    ledger.write_text("row\tparticipant_id\tsession_id\trun\tsuffix\timage\tstatus\tstep\treason\n")
    records = json.loads(rated.records.read_text())
    for record in records["records"]:
        record["visit_id"] = f"sub-{record['participant_id']}_ses-{record['session_id']}"
        record["run"] = None
    path = tmp_path / "records.json"
    path.write_text(json.dumps(records))
    return read_results(records=path, ledger=ledger, cohort=rated.folder / "cohort")


def test_the_report_shows_performance_agreement_and_what_was_lost(results, tmp_path):
    summary = rater_summary(results, Shelf())
    assert summary.rows[0][:2] == ("Ann", "majority")
    assert summary.rows[1] == ("Ann", "STAPLE", "5", "0.90", "0.90", "0.90", "0.40", "1.10")
    assert "sub-005_ses-A" in summary.note
    assert rater_structures(results, Shelf()).rows[2][:2] == ("Hippocampus", "Cid")
    plot = rater_bland_altman(results, Shelf(tmp_path / "figures"))
    assert [picture.title for picture in plot.pictures][:3] == [f"{rater} less automatic" for rater in BIAS]
    assert len(plot.pictures) == 6
    numbers = pd.read_csv(tmp_path / "figures" / "bland_altman_raters_automatic__Ben.tsv", sep="\t")
    assert numbers["difference_ml"].mean() == pytest.approx(0.04, abs=0.006)
    assert len(rater_agreement(results, Shelf()).rows) == 8
    assert "warfield2004" in bibtex(results)


def test_a_report_without_raters_says_so(results):
    results.more.clear()
    results.raters.clear()
    for make in (rater_summary, rater_structures, rater_bland_altman, rater_agreement):
        part = make(results, Shelf())
        assert isinstance(part, Absent)
        assert "--raters" in part.reason
