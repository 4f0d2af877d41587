"""Limits of agreement and paired analysis of variance across methods."""

import numpy as np
import pandas as pd
import pingouin as pg
import pytest
from scipy import stats
from statsmodels.stats.anova import AnovaRM

from babyseg_py.statistics.limits import limits_of_agreement, repeated_anova
from babyseg_py.statistics.methods import method_tables
from babyseg_py.statistics.visits import visit_facts


def test_limits_of_four_pairs_by_hand():
    found = limits_of_agreement(np.array([10.0, 20, 30, 40]), np.array([11.0, 23, 31, 43]))
    sd = 2 / np.sqrt(3)
    assert (found.bias, found.sd) == (2, pytest.approx(sd))
    assert found.high == pytest.approx(2 + 1.959963984540054 * sd)
    t = stats.t.ppf(0.975, 3)
    assert found.bias_ci_low == pytest.approx(2 - t * sd / 2)
    half = t * sd * np.sqrt(1 / 4 + 1.959963984540054**2 / 6)
    assert (found.low_ci_low, found.low_ci_high) == pytest.approx((found.low - half, found.low + half))


def test_limits_agree_with_the_paired_t_test_and_swap_with_the_methods(rng):
    x = rng.normal(1000, 100, 25)
    y = x + rng.normal(15, 20, 25)
    found, swapped = limits_of_agreement(x, y), limits_of_agreement(y, x)
    assert (found.t, found.p) == pytest.approx(tuple(stats.ttest_rel(y, x)), rel=1e-10)
    assert (swapped.low, swapped.high_ci_high) == pytest.approx((-found.high, -found.low_ci_low))


def test_intervals_of_the_limits_hold_the_true_limits(rng):
    """95 % of 2,000 samples of 30, within the error of so many."""
    samples = rng.normal(3, 5, (2000, 30))
    true = 3 + 1.959963984540054 * 5
    found = [limits_of_agreement(np.zeros(30) + 100, 100 + sample) for sample in samples]
    assert np.mean([one.high_ci_low < true < one.high_ci_high for one in found]) == pytest.approx(
        0.95, abs=0.02
    )


@pytest.mark.parametrize("k", [2, 3, 4])
def test_repeated_anova_agrees_with_pingouin_and_statsmodels(rng, k):
    values = (
        rng.normal(1000, 100, (18, 1)) + rng.normal(0, 20, (18, k)) * np.arange(1, k + 1) + 8 * np.arange(k)
    )
    found = repeated_anova(values)
    long = pd.DataFrame(values).rename_axis("child").reset_index().melt("child", var_name="method")
    trusted = pg.rm_anova(long, dv="value", within="method", subject="child", correction=True, effsize="np2")
    assert found.f == pytest.approx(trusted["F"][0], rel=1e-9)
    assert found.epsilon == pytest.approx(pg.epsilon(pd.DataFrame(values), correction="gg"), rel=1e-9)
    assert found.partial_eta2 == pytest.approx(trusted["np2"][0], rel=1e-9)
    other = AnovaRM(long, "value", "child", within=["method"]).fit().anova_table
    assert (found.f, found.p) == pytest.approx((other["F Value"].iloc[0], other["Pr > F"].iloc[0]), rel=1e-8)
    column = next((name for name in trusted if name.lower() in {"p-gg-corr", "p_gg_corr"}), None)
    if k > 2:
        assert found.p_corrected == pytest.approx(trusted[column][0], rel=1e-8)


def test_what_cannot_be_compared_is_not(rng):
    assert np.isnan(limits_of_agreement(np.ones(2), np.ones(2)).bias)
    assert np.isnan(repeated_anova(np.tile(np.arange(5.0)[:, None], 3) + np.arange(3)).f)
    constant = limits_of_agreement(np.arange(5.0), np.arange(5.0) + 1)
    assert (constant.bias, constant.sd) == (1, 0)
    assert np.isnan(constant.p)


@pytest.fixture
def measured(rng):
    """Return volumes, scans and facts: T2w measures 50 mm³ more than all scans, by hand 100 more."""
    rows, records = [], []
    for child in range(12):
        for session in "AB":
            size = 2000 + 100 * rng.normal()
            key = {"participant_id": f"{child:02d}", "session_id": session}
            records.append(key | {"age_days": 30 + 150 * (session == "B"), "age_reference": "birth"})
            for scan, more in (("all", 0), ("T1w", 0), ("T2w", 50), ("run-2_T2w", 900), ("manual", 100)):
                for structure in ("Left-Amygdala", "Right-Amygdala"):
                    rows.append(key | {"scan": scan, "structure": structure,
                                       "volume_mm3": size + more + rng.normal()})  # fmt: skip
    table = pd.DataFrame(rows).assign(volume_posterior_mm3=np.nan)
    table["suffix"] = table["scan"].str.split("_").str[-1]
    table["run"] = np.where(table["scan"].str.startswith("run-2"), 2.0, np.nan)
    is_all = table["scan"] == "all"
    return table[is_all], table[~is_all], visit_facts(records)


def test_planted_differences_are_found_for_every_pair_of_methods(measured):
    agreement, used = method_tables(*measured)
    bias = agreement[agreement["structure"] == "Left-Amygdala"].set_index("methods")["bias_mm3"]
    planted = {"all scans, T1w": 0, "all scans, T2w": 50, "T1w, T2w": 50, "all scans, manual": 100,
               "T1w, manual": 100, "T2w, manual": 50}  # fmt: skip
    for methods, size in planted.items():
        assert bias[methods] == pytest.approx(size, abs=2)
    both = agreement[(agreement["structure"] == "Amygdala") & (agreement["methods"] == "T1w, T2w")].iloc[0]
    assert both["bias_mm3"] == pytest.approx(100, abs=3)
    assert both["n"] == 12
    every = agreement[agreement["comparison"] == "all"]
    assert every["methods"].unique().tolist() == ["all scans, T1w, T2w, manual"]
    assert (every["p_corrected"] < 1e-6).all()
    assert every["df_error"].tolist() == [33, 33, 33]
    assert (
        used[used["structure"] == "Amygdala"]
        .groupby(["structure", "method"])["participant_id"]
        .nunique()
        .eq(12)
        .all()
    )


def test_one_way_of_measuring_makes_empty_tables(measured):
    volumes, scans, facts = measured
    for table in method_tables(volumes, scans.iloc[:0], facts):
        assert table.empty
