"""The error of the volumes in the interval of an association."""

import numpy as np
import pandas as pd
import pytest
from measured_study import coverage, measured_sample, true_rho
from repeated_study import repeated_study

from babyseg_py.statistics.measurement import COLUMNS, _pooled, error_matrix, measurement_table, pool
from babyseg_py.statistics.partial import basis_of, centred_ranks
from babyseg_py.statistics.study import Study, gather_cohort


def test_volumes_without_error_change_nothing(rng):
    one, errors = measured_sample(rng, 40, 0.5, 0.999999)
    pooled = pool(one, errors)
    assert pooled.rho == pytest.approx(one.result.rho, abs=0.01)
    assert pooled.ci_high - pooled.ci_low == pytest.approx(one.result.ci_high - one.result.ci_low, rel=0.06)
    assert pooled.missing < 0.01


def test_intervals_widen_and_hold_the_true_correlation(rng):
    """200 samples of 60 children, reliability 0.6: the plain interval misses, the pooled one holds."""
    plain, pooled = coverage(rng, 200, 60, 0.6, 0.6)
    assert plain[0] < 0.85
    assert 0.90 < pooled[0] <= 1
    assert pooled[1] > 1.15 * plain[1]
    assert pooled[2] == pytest.approx(true_rho(0.6), abs=0.05)
    assert plain[2] < true_rho(0.6) - 0.1


def test_no_association_is_not_made_one(rng):
    _, pooled = coverage(rng, 200, 40, 0.0, 0.7)
    assert pooled[3] < 0.09
    assert pooled[2] == pytest.approx(0, abs=0.05)


def test_errors_as_large_as_the_differences_are_refused(rng):
    one, errors = measured_sample(rng, 40, 0.5, 0.7)
    pooled = pool(one, 10 * errors)
    assert np.isnan(pooled.rho)
    assert "as large as their differences" in pooled.problem


def test_draws_in_the_order_of_a_covariate_are_no_correlation(rng):
    """With few children and large errors one can come out so; nothing is left of its ranks."""
    covariate, score = rng.normal(size=12), rng.normal(size=12)
    basis = basis_of(centred_ranks(covariate[:, None]))[0]
    draws = np.column_stack([rng.normal(size=12), 2 * covariate + 1])
    pooled = _pooled(draws, score, basis, 0.1, 1.0)
    assert np.isnan(pooled.rho)
    assert pooled.reliability == 0.1
    assert "follow the covariates exactly" in pooled.problem


def with_intervals(volumes, share):
    reach = 1.6448536269514722 * share * volumes["volume_mm3"]
    return volumes.assign(
        volume_ci_low=volumes["volume_mm3"] - reach, volume_ci_high=volumes["volume_mm3"] + reach
    )


def test_standard_errors_of_sides_add_in_squares(rng):
    _, volumes, _ = repeated_study(rng, 5)
    errors = error_matrix(with_intervals(volumes, 0.1))
    visit = volumes.pivot_table("volume_mm3", ["participant_id", "session_id"], "structure")
    expected = 0.1 * np.hypot(visit["Left-Amygdala"], visit["Right-Amygdala"])
    assert errors["Amygdala"].to_numpy() == pytest.approx(expected.loc[errors.index].to_numpy())
    assert error_matrix(volumes) is None


def test_the_table_is_filled_only_where_volumes_have_intervals(rng):
    facts, volumes, phenotype = repeated_study(rng)
    known = with_intervals(volumes, 0.05)
    known.loc[known["structure"] == "Total-Brain-Volume", ["volume_ci_low", "volume_ci_high"]] = np.nan
    for given, filled in ((volumes, False), (known, True)):
        chosen = {"scores": ["score"], "covariates": ["epds"], "flagged": set(), "source": "labels"}
        gathered = gather_cohort(Study(given, facts, phenotype, **chosen))
        table = measurement_table(given, gathered)
        assert list(table.columns) == COLUMNS
        assert len(table) == (13 if filled else 0)
    row = table[(table["structure"] == "Left-Amygdala") & (table["brain_volume_adjustment"] == "none")].iloc[
        0
    ]
    assert 0 < row["reliability"] < 1
    assert row["corrected_ci_high"] - row["corrected_ci_low"] > row["ci_high"] - row["ci_low"]
    whole = table[table["structure"] == "Total-Brain-Volume"].iloc[0]
    assert whole["n"] == row["n"]
    assert np.isfinite(whole["rho"])
    assert whole["notes"] == "there is no interval of this volume"
    again = measurement_table(given, gathered)
    pd.testing.assert_frame_equal(table, again)
