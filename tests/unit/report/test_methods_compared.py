"""Bland–Altman plots and the table of methods."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from simulated_cohort import simulate

from babyseg_py.report.figures import Shelf
from babyseg_py.report.methods_compared import bland_altman, method_table
from babyseg_py.report.parts import Absent
from babyseg_py.report.results import read_results
from babyseg_py.statistics.methods import method_tables
from babyseg_py.statistics.visits import visit_facts


@pytest.fixture
def results(tmp_path, rng):
    """Return results of 10 children: by hand the hippocampus is 100 mm³ larger than from all scans."""
    root = simulate(tmp_path / "cohort", children=2, snapshots=False).root
    key = pd.DataFrame({"participant_id": [f"{i:02d}" for i in range(10)], "session_id": "A"})
    volumes = key.assign(
        structure="Hippocampus", volume_mm3=rng.normal(3000, 200, 10), volume_posterior_mm3=np.nan
    )
    manual = volumes.assign(volume_mm3=volumes["volume_mm3"] + 100 + rng.normal(0, 9, 10))
    scans = manual.assign(scan="manual", suffix="manual", run=np.nan)
    facts = visit_facts(key.assign(age_days=40.0, age_reference="birth").to_dict("records"))
    agreement, used = method_tables(volumes, scans, facts)
    read = read_results(records=root / "records.json", ledger=root / "ledger.tsv", cohort=root / "cohort")
    return replace(read, more={"method_agreement": agreement, "method_volumes": used})


def test_plot_and_table_show_the_planted_difference(results, tmp_path):
    part = bland_altman(results, Shelf(tmp_path / "figures"))
    assert [picture.title for picture in part.pictures] == ["manual less all scans"]
    numbers = pd.read_csv(tmp_path / "figures" / "bland_altman_all_scans__manual.tsv", sep="\t")
    assert len(numbers) == 10
    assert numbers["difference_ml"].mean() == pytest.approx(0.1, abs=0.01)
    row = results.more["method_agreement"].iloc[0]
    for column in ("bias_mm3", "bias_ci_low", "limit_low", "limit_high", "limit_high_ci_high"):
        drawn = numbers[f"{column.removesuffix('_mm3')}_ml"]
        assert drawn.to_numpy() == pytest.approx(row[column] / 1000, rel=1e-5)
    (row,) = method_table(results, Shelf()).rows
    assert row[:4] == ("all scans, manual", "Hippocampus", "10", "0.10")


def test_a_structure_that_one_method_never_has_is_an_empty_panel(results, tmp_path):
    agreement, volumes = (results.more[name] for name in ("method_agreement", "method_volumes"))
    lacking = pd.concat([volumes, volumes[volumes["method"] == "manual"].assign(structure="Amygdala")])
    rows = pd.concat([agreement, agreement.assign(structure="Amygdala", n=0)])
    more = {"method_agreement": rows, "method_volumes": lacking}
    bland_altman(replace(results, more=more), Shelf(tmp_path / "figures"))
    numbers = pd.read_csv(tmp_path / "figures" / "bland_altman_all_scans__manual.tsv", sep="\t")
    assert set(numbers["structure"]) == {"Hippocampus"}


def test_without_two_methods_it_says_so(results):
    alone = replace(results, more={})
    assert isinstance(bland_altman(alone, Shelf()), Absent)
    assert "fewer than three children" in method_table(alone, Shelf()).reason
