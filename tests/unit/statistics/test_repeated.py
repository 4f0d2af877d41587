import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from repeated_study import repeated_cohort

from babyseg_py.statistics.agescales import spline_scale
from babyseg_py.statistics.levels import EFFECTS, Levels, split
from babyseg_py.statistics.repeated import COLUMNS, observations, repeated_table
from babyseg_py.statistics.scores import normal_scores

SIDES = ("Left-Amygdala", "Right-Amygdala")


def fit(rng, n=40, *, covariates=(), **options):
    gathered = repeated_cohort(rng, n, covariates=covariates, **options)
    return repeated_table(gathered), gathered.cohort, gathered.matrix


def answered(gathered, **columns):
    """Change columns of the score table."""
    cohort = gathered.cohort
    return replace(gathered, cohort=replace(cohort, answers=cohort.answers.assign(**columns)))


def row_of(table, effect, structure="Left-Amygdala", adjustment="none"):
    of = (table["structure"] == structure) & (table["brain_volume_adjustment"] == adjustment)
    return table[of & (table["effect"] == effect)].iloc[0]


def test_both_effects_are_those_of_statsmodels(rng):
    table, cohort, matrix = fit(rng, covariates=["sex"])
    data = cohort.facts.merge(cohort.answers, on=["participant_id", "session_id"])
    x = matrix.reindex(pd.MultiIndex.from_frame(data[["participant_id", "session_id"]]))["Left-Amygdala"]
    codes = pd.factorize(data["participant_id"])[0]
    days = data["age_days"].to_numpy()
    wanted = np.column_stack([spline_scale(days, 3)(days), x])
    parts = split(wanted, codes)
    rarer = data["sex"].value_counts().index[-1]
    design = np.column_stack(
        [
            np.ones(len(x)),
            parts.mean[:, :3],
            data["sex"] == rarer,
            parts.deviation[:, :3],
            parts.mean[:, 3],
            parts.deviation[:, 3],
        ]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = sm.MixedLM(data["score"].astype(float), design.astype(float), groups=codes)
        theirs = model.fit(method=["bfgs", "cg"], gtol=1e-10).fe_params
    for effect, beta in zip(("between", "within"), theirs[-2:], strict=True):
        row = row_of(table, effect)
        assert row["estimate"] / row["predictor_sd"] == pytest.approx(beta, abs=1e-8)
    assert row_of(table, "between")["n"] == 40
    assert row_of(table, "between")["n_observations"] == len(data)
    assert f"sex ({rarer}; reference" in row_of(table, "between")["covariates"]
    assert "natural spline (3 df)" in row_of(table, "between")["covariates"]


def test_children_with_one_visit_do_not_shrink_the_unit_of_the_effect_within(rng):
    """The deviations of a child with one visit are 0 and tell nothing of how far children deviate."""
    table, _, matrix = fit(rng, 30, visits=(1, 3))
    found = row_of(table, "within")["predictor_sd"]
    x = matrix["Left-Amygdala"].dropna()
    child = x.index.get_level_values("participant_id")
    again = x.groupby(child).transform("size") > 1
    deviation = (x - x.groupby(child).transform("mean"))[again]
    assert 0 < again.sum() < len(x)
    assert found == pytest.approx(np.sqrt((deviation**2).mean()))


def test_a_score_with_a_floor_enters_by_its_ranks(rng):
    """What is above the floor may be stretched at will: t and p stay; without a floor they do not."""
    gathered = repeated_cohort(rng, 40)
    number = gathered.cohort.answers["score"].astype(float)
    floor = number.quantile(0.3)
    found = {}
    for kind, raw in (("floor", number.clip(lower=floor)), ("free", number)):
        for stretched in (False, True):
            score = np.exp((raw - floor) / raw.std()) if stretched else raw
            table = repeated_table(answered(gathered, score=score.astype(str)))
            found[kind, stretched] = row_of(table, "between")
    assert "% of the scores are equal: ranked" in found["floor", False]["notes"]
    assert found["floor", False]["measure"] == "points of the ranked score per SD of the volume"
    assert found["floor", True]["p"] == pytest.approx(found["floor", False]["p"], rel=1e-6)
    assert found["free", True]["p"] != pytest.approx(found["free", False]["p"], rel=1e-2)
    assert found["free", False]["measure"] == "points of the score per SD of the volume"


def test_normal_scores_keep_order_ties_mean_and_spread(rng):
    values = np.concatenate([np.full(20, 3.0), rng.exponential(size=30) + 3])
    scores = normal_scores(values)
    np.testing.assert_array_equal(np.argsort(scores[20:]), np.argsort(values[20:]))
    assert np.ptp(scores[:20]) == 0
    assert (scores.mean(), scores.std()) == pytest.approx((values.mean(), values.std()))


def test_each_effect_is_found_on_its_own_level():
    for options, here, other in (
        ({"within": 4.0}, "within", "between"),
        ({"between": 4.0}, "between", "within"),
    ):
        table, _, _ = fit(np.random.default_rng(5), 80, **options)
        row = row_of(table, here)
        assert row["p_maxt"] < 0.01
        assert row["p_fdr"] < 0.01
        assert row["ci_low"] < 4e-3 * row["predictor_sd"] < row["ci_high"]
        assert row_of(table, other)["p_maxt"] > 0.05
        assert row_of(table, here, "Right-Amygdala")["p_maxt"] > 0.05
        assert list(table.columns) == COLUMNS


def test_null_and_coverage_with_repeated_visits_confounded_by_age():
    rng = np.random.default_rng(11)
    found = []
    for _ in range(100):
        of = repeated_cohort(rng, 24, between=1.0, within=1.0)
        observed = observations("score", of.covariates, of.cohort)
        children = observed.visits["participant_id"].to_numpy()
        level = Levels.of(observed.score, children, observed.covariates.design)
        planted, null = (level.effects(of.matrix[name].to_numpy()) for name in SIDES)
        for effect in EFFECTS:
            truth = 1e-3 * planted[effect]["predictor_sd"]
            covered = planted[effect]["ci_low"] <= truth <= planted[effect]["ci_high"]
            found.append([covered, null[effect]["p"] < 0.05])
    covered, rejected = np.mean(found, axis=0)
    assert covered == pytest.approx(0.95, abs=0.045)
    assert rejected == pytest.approx(0.05, abs=0.045)


def test_missing_volumes_leave_the_others_alone_and_are_permuted_apart(rng):
    gathered = repeated_cohort(rng)
    before = repeated_table(gathered)
    matrix = gathered.matrix.copy()
    matrix.loc[matrix.index[:5], "Right-Amygdala"] = np.nan
    after = repeated_table(replace(gathered, matrix=matrix))
    assert row_of(after, "within")["p"] == row_of(before, "within")["p"]
    right = row_of(after, "within", "Right-Amygdala")
    assert right["n_observations"] == row_of(before, "within")["n_observations"] - 5
    assert 0 < right["p_maxt"] <= 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n": 40, "visits": (1,)}, "0 children with two scored visits or more are below 10"),
        ({"n": 5, "visits": (3,)}, "5 children with two scored visits or more are below 10"),
    ],
)
def test_too_few_repeats_are_a_row_with_the_reason(rng, options, words):
    table, _, _ = fit(rng, **options)
    assert len(table) == 1
    assert words in table["notes"].iloc[0]
    assert np.isnan(table["p"].astype(float)).all()


def test_scores_of_the_child_as_a_whole_have_no_level_within(rng):
    gathered = repeated_cohort(rng)
    table = repeated_table(answered(gathered, session_id=None))
    assert "is there a column session_id?" in table["notes"].iloc[0]
    fixed = gathered.cohort.answers.groupby("participant_id")["score"].transform("first")
    table = repeated_table(answered(gathered, score=fixed))
    assert "does not change within any child" in row_of(table, "within")["notes"]
    assert np.isfinite(row_of(table, "between")["p"])


def test_a_covariate_that_is_the_score_leaves_no_estimate_of_noise(rng):
    gathered = repeated_cohort(rng)
    same = answered(gathered, copy=gathered.cohort.answers["score"])
    table = repeated_table(replace(same, covariates=["copy"]))
    assert table["notes"].str.contains("the covariates determine the score").all()
    assert table["p"].isna().all()


def test_without_ages_and_covariates_volumes_alone_are_related(rng):
    gathered = repeated_cohort(rng, 40, within=4.0)
    ages = dict.fromkeys(["age_days", "age_months", "age_weeks_pma"], np.nan)
    facts = gathered.cohort.facts.assign(**ages, age_reference=None)
    table = repeated_table(replace(gathered, cohort=replace(gathered.cohort, facts=facts)))
    assert row_of(table, "within")["p"] < 0.05
    assert table["notes"].str.contains("no ages in the sheet").all()
