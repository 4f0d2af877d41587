from contextlib import contextmanager

import numpy as np
import pandas as pd
import pingouin
import pytest
from usable_study import usable

from babyseg_py.statistics.analysis import reliability_of
from babyseg_py.statistics.reliability import intraclass, reliability_table, within_child_variation

SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
)


def scan_table(volumes, ages=None):
    """Long table from {(participant, session, scan): volume} of one structure."""
    rows = []
    for (participant, session, scan), volume in volumes.items():
        age = (ages or {}).get((participant, session), 30.0)
        rows.append({
            "participant_id": participant, "session_id": session, "age_months": age / 30.4375, "scan": scan,
            "age_weeks_pma": np.nan, "run": float(scan[4]) if scan.startswith("run") else np.nan,
            "suffix": scan[-3:], "volume_mm3": volume, "volume_posterior_mm3": volume,
        })  # fmt: skip
    columns = ["participant_id", "session_id", "scan", "suffix", "volume_mm3", "volume_posterior_mm3"]
    table = pd.DataFrame(rows, columns=None if rows else columns)
    return table.assign(structure="Brain-Stem")


def test_example_of_shrout_and_fleiss():
    absolute, consistent = intraclass(SHROUT_FLEISS)
    assert round(absolute.icc, 2) == 0.29
    assert round(consistent.icc, 2) == 0.71
    assert (round(absolute.ci_low, 2), round(absolute.ci_high, 2)) == (0.02, 0.76)
    assert (round(consistent.ci_low, 2), round(consistent.ci_high, 2)) == (0.34, 0.95)


@pytest.mark.parametrize(("n", "k", "noise"), [(6, 2, 0.3), (30, 2, 2.0), (12, 4, 1.0), (8, 3, 30.0)])
def test_equals_pingouin(rng, n, k, noise):
    ratings = 1000 + rng.normal(0, 1, (n, 1)) + rng.normal(0, 0.5, k) + rng.normal(0, noise, (n, k))
    long = pd.DataFrame(ratings).melt(ignore_index=False, var_name="scan").reset_index()
    with pingouin_unrounded():
        theirs = pingouin.intraclass_corr(long, "index", "scan", "value").set_index("Type")
    for ours, name in zip(intraclass(ratings), ("ICC(A,1)", "ICC(C,1)"), strict=True):
        assert ours.icc == pytest.approx(theirs.loc[name, "ICC"], abs=1e-8)
        assert (ours.ci_low, ours.ci_high) == pytest.approx(tuple(theirs.loc[name, "CI95"]), abs=1e-8)


@contextmanager
def pingouin_unrounded():
    before = dict(pingouin.options)
    pingouin.options.update(dict.fromkeys([name for name in before if name.startswith("round")], None))
    try:
        yield
    finally:
        pingouin.options.update(before)


def test_a_shift_lowers_agreement_but_not_consistency(rng):
    first = rng.normal(1000, 50, 20)
    absolute, consistent = intraclass(np.column_stack([first, first + 40]))
    assert consistent.icc == pytest.approx(1)
    assert absolute.icc < 0.8
    absolute, consistent = intraclass(np.column_stack([first, first]))
    assert absolute.icc == absolute.ci_low == consistent.icc == consistent.ci_high == pytest.approx(1)


def test_what_is_not_defined_is_nan():
    for ratings in (np.ones((5, 2)), np.arange(4.0).reshape(2, 2), np.zeros((0, 2)), np.arange(5.0)[:, None]):
        assert np.isnan([a.icc for a in intraclass(ratings)]).all()


def test_variation_within_a_child_by_hand():
    # 98, 102: sd 2.828, mean 100; every child counts once, however many visits it has
    visits = np.array([[98.0, 102, np.nan], [np.nan, 100, 100], [98, 102, np.nan], [5, np.nan, np.nan]])
    percent, n = within_child_variation(visits[:, :, None], np.array(["01", "02", "02", "03"]))
    assert percent == pytest.approx(100 * np.sqrt((8e-4 + 4e-4) / 2))
    assert n == 3
    percent, n = within_child_variation(np.array([[3.0, np.nan], [0, 0]])[:, :, None], np.array(["01", "02"]))
    assert np.isnan(percent).all()
    assert n == 0


def test_table_finds_repeats_and_contrasts(rng):
    size = {f"{c:02d}": rng.normal(1000, 50) for c in range(12)}
    volumes = {}
    for child, truth in size.items():
        volumes[child, "A", "run-1_T1w"] = truth + rng.normal(0, 5)
        volumes[child, "A", "run-2_T1w"] = truth + rng.normal(0, 5)
        volumes[child, "A", "T2w"] = 1.1 * truth + rng.normal(0, 5)
    table = reliability_table(scan_table(volumes))
    table = table[table["volume_source"] == "labels"].set_index("kind")
    assert list(table["contrasts"]) == ["T1w", "T1w, T2w"]
    ratings = np.array([[volumes[c, "A", "run-1_T1w"], volumes[c, "A", "run-2_T1w"]] for c in size])
    assert table.loc["repeat", "icc_2_1"] == pytest.approx(intraclass(ratings)[0].icc)
    assert table.loc["repeat", "cv_within_percent"] == pytest.approx(0.5, abs=0.25)
    assert table.loc["across contrasts", "difference_percent"] == pytest.approx(100 * 0.1 / 1.05, abs=0.3)
    assert table.loc["across contrasts", "icc_3_1"] > 0.9 > table.loc["across contrasts", "icc_2_1"]


def test_a_child_counts_once_with_the_visit_that_is_alike_in_age():
    volumes, ages = {}, {}
    for c in range(4):
        for session, age in (("A", 30 + c), ("B", 365 + 9 * c)):
            ages[f"{c}", session] = float(age)
            for run in (1, 2):
                volumes[f"{c}", session, f"run-{run}_T1w"] = 100.0 + 10 * c + age + run
    row = reliability_table(scan_table(volumes, ages)).iloc[0]
    assert row["n"] == 4
    assert row["n_visits_cv"] == 8
    assert "31 days after birth" in row["visit_rule"]
    assert "n = 4 is below 10" in row["notes"]


def test_a_structure_that_is_missing_in_one_scan_is_left_out_and_said():
    volumes = {(f"{c}", "A", f"run-{r}_T1w"): 100.0 + c + 0.1 * r for c in range(5) for r in (1, 2)}
    volumes["0", "A", "run-1_T1w"] = np.nan
    row = reliability_table(scan_table(volumes)).iloc[0]
    assert row["n"] == 4
    assert "1 without this structure in both scans, or flagged" in row["notes"]


def test_wide_ages_are_said():
    volumes = {(f"{c}", "A", f"run-{r}_T1w"): 100.0 + c for c in range(5) for r in (1, 2)}
    ages = {(f"{c}", "A"): 100.0 * c for c in range(5)}
    assert "differences in age raise an ICC" in reliability_table(scan_table(volumes, ages)).iloc[0]["notes"]


def test_flagged_scans_and_visits_are_left_out_and_counted():
    volumes = {(f"{c}", "A", f"run-{r}_T1w"): 100.0 + c + 0.1 * r for c in range(6) for r in (1, 2)}
    out = {"visits_out": {("0", "A")}, "scans_out": {("1", "A", "run-2_T1w")}}
    row = reliability_of(usable(scans=scan_table(volumes), **out))["reliability"].iloc[0]
    assert row["n"] == 4
    assert "3 flagged scans" in row["notes"]


def test_nothing_to_compare_gives_an_empty_table():
    volumes = {("0", "A", "T1w"): 100.0}
    assert reliability_table(scan_table(volumes)).empty
    assert reliability_table(scan_table({})).empty
