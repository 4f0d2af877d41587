from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from repeated_study import repeated_cohort

from babyseg_py.statistics.agescales import levelled
from babyseg_py.statistics.later import CHANGE, EARLIER, GIVEN, later_table
from babyseg_py.statistics.partial import partial_spearman


def row_of(table, model, structure="Left-Amygdala"):
    of = (table["model"] == model) & (table["brain_volume_adjustment"] == "none")
    return table[of & (table["structure"] == structure)].iloc[0]


def test_two_visits_each_give_the_partial_correlations_one_computes_by_hand(rng):
    gathered = repeated_cohort(rng, visits=(2,))
    cohort, matrix, table = gathered.cohort, gathered.matrix, later_table(gathered)
    ages = cohort.facts.pivot_table(index="participant_id", columns="session_id", values="age_days")
    days = cohort.facts["age_days"].to_numpy()
    level = levelled(cohort.answers[["score"]].to_numpy(float), days, at=np.median(days))
    score = cohort.answers.assign(score=level[:, 0])
    score = score.pivot_table(index="participant_id", columns="session_id", values="score")
    values = levelled(matrix[["Left-Amygdala"]].to_numpy(), days, at=np.median(days))
    matrix = matrix.assign(**{"Left-Amygdala": values[:, 0]})
    volume = matrix.pivot_table(index="participant_id", columns="session_id", values="Left-Amygdala")
    both = ages[["v1", "v2"]].to_numpy()
    expected = {
        EARLIER: partial_spearman(volume["v1"].to_numpy(), score["v2"].to_numpy(), both),
        GIVEN: partial_spearman(
            volume["v1"].to_numpy(), score["v2"].to_numpy(), np.column_stack([both, score["v1"]])
        ),
        CHANGE: partial_spearman(
            (volume["v2"] - volume["v1"]).to_numpy(),
            (score["v2"] - score["v1"]).to_numpy(),
            np.column_stack([ages["v1"], ages["v2"] - ages["v1"]]),
        ),
    }
    for model, truth in expected.items():
        row = row_of(table, model)
        assert (row["n"], row["estimate"], row["p"]) == (40, pytest.approx(truth.rho), pytest.approx(truth.p))
        assert row["p"] <= row["p_maxt"] + 0.02


def test_change_follows_change_where_the_effect_is_within_the_child():
    table = later_table(repeated_cohort(np.random.default_rng(2), 80, within=8.0, covariates=["epds", "sex"]))
    change = row_of(table, CHANGE)
    assert change["p_maxt"] < 0.01
    assert change["ci_low"] > 0
    assert "time between the visits (days); epds; sex" in change["covariates"]
    assert row_of(table, CHANGE, "Right-Amygdala")["p_maxt"] > 0.05
    adjusted = table[table["brain_volume_adjustment"] == "covariate"]
    assert adjusted["covariates"].str.endswith("that of total brain volume").all()


def test_a_later_score_needs_no_scan_at_its_own_visit(rng):
    gathered = repeated_cohort(rng, visits=(2,))
    first = gathered.matrix[gathered.matrix.index.get_level_values(1) == "v1"]
    cohort = replace(gathered.cohort, segmented=first.index)
    table = later_table(replace(gathered, cohort=cohort, matrix=first))
    assert row_of(table, EARLIER)["n"] == 40
    change = table[table["model"] == CHANGE].iloc[0]
    assert "0 children with two scored visits with volumes" in change["notes"]


def test_without_ages_nothing_is_later(rng):
    gathered = repeated_cohort(rng)
    blank = gathered.cohort.facts.assign(age_months=np.nan, age_weeks_pma=np.nan, age_days=np.nan)
    table = later_table(replace(gathered, cohort=replace(gathered.cohort, facts=blank)))
    assert table["notes"].str.contains("no ages in the sheet").all()
    assert len(table) == 3
    assert pd.isna(table["structure"]).all()
