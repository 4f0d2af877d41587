import numpy as np
import pandas as pd
import pingouin
import pytest
from scipy import stats
from statsmodels.api import OLS

from babyseg_py.statistics.partial import (
    ALPHA,
    detectable_among,
    false_discovery_rate,
    inflation,
    partial_spearman,
    smallest_detectable,
    take_off,
)

NOTHING = np.zeros((30, 0))


def columns(rng, n, k):
    z = rng.normal(size=(n, k))
    weights = rng.normal(size=(2, k)) * 0.2
    x = z @ weights[0] + rng.normal(size=n)
    return x, 0.5 * x + z @ weights[1] + rng.normal(size=n), z


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("ties", [False, True])
def test_equals_pingouin(rng, k, ties):
    x, y, z = columns(rng, 40, k)
    if ties:
        y, z = np.round(y), np.round(z)
    data = pd.DataFrame(np.column_stack([x, y, z])).add_prefix("c")
    theirs = pingouin.partial_corr(data, "c0", "c1", list(data.columns[2:]), method="spearman")
    ours = partial_spearman(x, y, z)
    assert ours.rho == pytest.approx(theirs["r"].iloc[0], abs=1e-10)
    assert ours.p == pytest.approx(theirs["p_val"].iloc[0], rel=1e-8)
    assert (ours.n, ours.k) == (40, k)


def test_equals_pingouin_with_dummies(rng):
    x, y, z = columns(rng, 60, 1)
    level = rng.integers(0, 3, 60)
    design = np.column_stack([z, level == 1, level == 2]).astype(float)
    data = pd.DataFrame(np.column_stack([x, y, design])).add_prefix("c")
    theirs = pingouin.partial_corr(data, "c0", "c1", ["c2", "c3", "c4"], method="spearman")
    assert partial_spearman(x, y, design).rho == pytest.approx(theirs["r"].iloc[0], abs=1e-10)


def test_without_covariates_is_spearman(rng):
    x, y = rng.normal(size=30), rng.integers(0, 4, 30).astype(float)
    theirs = stats.spearmanr(x, y)
    ours = partial_spearman(x, y, NOTHING)
    assert (ours.rho, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue), abs=1e-12)


def test_one_covariate_has_the_closed_form(rng):
    x, y, z = columns(rng, 25, 1)
    xy, xz, yz = (stats.spearmanr(a, b).statistic for a, b in ((x, y), (x, z[:, 0]), (y, z[:, 0])))
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert partial_spearman(x, y, z).rho == pytest.approx(expected, abs=1e-12)


def test_interval_is_bonett_and_wright(rng):
    x, y, z = columns(rng, 28, 2)
    result = partial_spearman(x, y, z)
    reach = 1.959963984540054 * np.sqrt((1 + result.rho**2 / 2) / (28 - 2 - 3))
    assert np.arctanh(result.ci_high) - np.arctanh(result.rho) == pytest.approx(reach, rel=1e-12)
    assert np.arctanh(result.rho) - np.arctanh(result.ci_low) == pytest.approx(reach, rel=1e-12)


def test_only_ranks_count(rng):
    x, y, z = columns(rng, 30, 2)
    assert partial_spearman(np.exp(x), y**3, np.exp(z)) == partial_spearman(x, y, z)


def test_a_redundant_covariate_changes_nothing_and_is_named(rng):
    x, y, z = columns(rng, 30, 2)
    with_copy = partial_spearman(x, y, np.column_stack([z, 2 * z[:, 0] + 1, np.ones(30)]))
    alone = partial_spearman(x, y, z)
    assert with_copy.redundant == (2, 3)
    assert (with_copy.rho, with_copy.p, with_copy.k) == pytest.approx((alone.rho, alone.p, 2), abs=1e-10)


@pytest.mark.parametrize(
    ("x", "y", "z", "words"),
    [
        (np.arange(9.0), np.arange(9.0), np.zeros((9, 0)), "n = 9 is below 10"),
        (np.zeros(0), np.zeros(0), np.zeros((0, 2)), "n = 0 is below 10"),
        (np.arange(12.0), np.ones(12), np.zeros((12, 0)), "the score is constant"),
        (np.ones(12), np.arange(12.0), np.zeros((12, 0)), "the volume is constant"),
        (
            np.sin(np.arange(12)),
            np.arange(12.0),
            np.arange(12.0)[:, None] ** 2,
            "determine the ranks of the score",
        ),
        (
            np.arange(12.0),
            np.sin(np.arange(12)),
            np.arange(12.0)[:, None],
            "determine the ranks of the volume",
        ),
        (np.sin(np.arange(10)), np.cos(np.arange(10)), np.eye(10)[:, :7], "too few for 7 covariates"),
    ],
)
def test_what_cannot_be_estimated_is_nan_with_a_reason(x, y, z, words):
    result = partial_spearman(x, y, z)
    assert words in result.problem
    assert np.isnan([result.rho, result.p, result.ci_low, result.ci_high]).all()


def test_perfect_agreement_has_no_interval():
    result = partial_spearman(np.arange(12.0), -(np.arange(12.0) ** 3), np.zeros((12, 0)))
    assert (result.rho, result.p) == (-1, 0)
    assert np.isnan(result.ci_low)
    assert "perfectly" in result.problem


def test_null_rejects_and_covers_as_often_as_it_says(rng):
    runs, n = 400, 25
    results = []
    for _ in range(runs):
        z = rng.normal(size=(n, 2))
        shared = 0.5 * z.sum(axis=1)  # a third of the variance of both
        x, y = shared + rng.normal(size=n), shared + rng.normal(size=n)
        results.append(partial_spearman(x, y, z))
    rejected = np.mean([r.p < 0.05 for r in results])
    covered = np.mean([r.ci_low < 0 < r.ci_high for r in results])
    assert 0.02 < rejected < 0.09
    assert covered > 0.91


def confounded(rng, n, effect=0.0):
    """Raw score and volume that follow age along curves, and age; what is left correlates by ``effect``."""
    months = rng.uniform(0.5, 24, n)
    along = np.log1p(months)
    left, other = rng.normal(size=(2, n))
    x = 1 + 0.5 * along + 0.25 * left
    return x, 20 + 6 * along**1.3 + effect * left + np.sqrt(1 - effect**2) * other, months[:, None]


@pytest.mark.parametrize("n", [25, 120])
def test_strong_confounding_by_age_neither_rejects_too_often_nor_hides_an_effect(rng, n):
    """As straight lines in ranks, age leaves 9 % of null samples with p < .05."""
    null = [partial_spearman(*confounded(rng, n)) for _ in range(600)]
    assert np.mean([r.curved for r in null]) > 0.97
    assert 0.025 < np.mean([r.p < 0.05 for r in null]) < 0.075
    planted = [partial_spearman(*confounded(rng, n, effect=0.5)) for _ in range(300)]
    truth = partial_spearman(*confounded(rng, 20_000, effect=0.5)).rho
    assert truth == pytest.approx(6 / np.pi * np.arcsin(0.5 / 2), abs=0.03)
    assert np.mean([r.ci_low < truth < r.ci_high for r in planted]) > 0.91


def test_curves_are_partial_correlation_given_the_curves(rng):
    """What is taken off, given to pingouin as covariates of ranks; the standard error may be wider."""
    x, y, z = confounded(rng, 60, effect=0.4)
    basis = take_off(x, y, z).basis
    data = pd.DataFrame(np.column_stack([*map(stats.rankdata, (x, y)), basis])).add_prefix("c")
    theirs = pingouin.partial_corr(data, "c0", "c1", list(data.columns[2:]))
    ours = partial_spearman(x, y, z)
    assert (ours.curved, ours.k) == (True, basis.shape[1])
    assert ours.k > 3
    assert ours.rho == pytest.approx(theirs["r"].iloc[0], abs=1e-10)
    assert ours.widened >= 1
    assert ours.p >= theirs["p_val"].iloc[0] - 1e-12


def test_unequal_spread_widens_as_statsmodels_hc2(rng):
    """Ratio of both standard errors of the slope, with all terms in one regression."""
    x, y, z = confounded(rng, 80, effect=0.2)
    basis = take_off(x, y, z).basis
    design = np.column_stack([stats.rankdata(x), np.ones(80), basis])
    fit = OLS(stats.rankdata(y), design).fit()
    ratio = fit.HC2_se[0] / fit.bse[0]
    assert partial_spearman(x, y, z).widened == pytest.approx(max(1, ratio), rel=1e-8)


def test_says_how_much_the_covariates_explain(rng):
    z = rng.normal(size=(2000, 1))
    x, y = 2 * z[:, 0] + rng.normal(size=2000), z[:, 0] + rng.normal(size=2000)
    rank_correlation = 6 / np.pi * np.arcsin(np.sqrt(0.5) / 2)
    assert partial_spearman(x, y, z).explained == pytest.approx(rank_correlation**2, abs=0.03)


def test_inflation_is_that_of_the_ranks(rng):
    z = rng.normal(size=(50, 3))
    z[:, 2] = z[:, 0] + 0.05 * rng.normal(size=50)
    correlation = np.corrcoef(stats.rankdata(z, axis=0).T)
    np.testing.assert_allclose(inflation(z), np.diag(np.linalg.inv(correlation)), rtol=1e-9)
    assert np.isinf(inflation(np.column_stack([z[:, 0], z[:, 0] ** 3]))).all()


def test_false_discovery_rate_equals_pingouin_and_passes_nan_by(rng):
    p = rng.uniform(size=20) ** 2
    np.testing.assert_allclose(false_discovery_rate(p), pingouin.multicomp(p, method="fdr_bh")[1], rtol=1e-12)
    holes = np.insert(p, [3, 7], np.nan)
    adjusted = false_discovery_rate(holes)
    assert np.isnan(adjusted).sum() == 2
    np.testing.assert_allclose(adjusted[np.isfinite(adjusted)], false_discovery_rate(p))
    assert np.isnan(false_discovery_rate(np.array([np.nan]))).all()


@pytest.mark.parametrize(("n", "k"), [(12, 0), (40, 3), (200, 5)])
def test_what_many_tests_could_have_seen_follows_from_one(n, k):
    expected = smallest_detectable(n, k, alpha=ALPHA / 96)
    assert detectable_among(smallest_detectable(n, k), 96) == pytest.approx(expected, rel=1e-9)
    assert np.isnan(detectable_among(np.nan, 96))
