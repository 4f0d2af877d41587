"""Every fault of a score table is a sentence in the results, and the other analyses go on."""

import numpy as np
import pandas as pd
import pytest
from repeated_study import repeated_study

from babyseg_py.statistics.analysis import analyse
from babyseg_py.statistics.inputs import Inputs
from babyseg_py.statistics.visits import VISIT

NOTHING = ["participant_id", "session_id", "scan", "structure", "metric", "flag"]


def results(facts, volumes, phenotype, *, covariates=(), n=None):
    if n:
        keep = sorted(set(facts["participant_id"]))[:n]
        facts, volumes, phenotype = (t[t["participant_id"].isin(keep)] for t in (facts, volumes, phenotype))
    qc = pd.DataFrame(columns=NOTHING, dtype=object)
    scans = volumes.assign(scan="T1w", suffix="T1w", run=np.nan, side="none").iloc[:0]
    inputs = Inputs(facts, volumes, scans, qc, phenotype, ["score", "other"], list(covariates), "labels")
    return analyse(inputs).tables


def misspelled(table):
    return table.assign(participant_id=table["participant_id"].replace({"003": "03"}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (misspelled, "not in the samplesheet: 03 (is 003 meant?)"),
        (lambda t: t.assign(score=t["score"].where(t.index % 9 != 0, "refused")), "'refused' are no numbers"),
        (
            lambda t: t.assign(score=t["score"].where(t.index % 9 != 0, "999")),
            "999 lie apart from all others",
        ),
        (lambda t: t.assign(score="4"), "the score is constant"),
        (lambda t: t.assign(score=None), "without score"),
    ],
)
def test_a_fault_of_one_score_is_said_and_the_other_score_is_analysed(rng, change, words):
    facts, volumes, phenotype = repeated_study(rng)
    phenotype = change(phenotype.assign(other=rng.normal(size=len(phenotype)).astype(str)))
    tables = results(facts, volumes, phenotype)
    associations, models = tables["associations"], tables["behaviour_models"]
    assert associations.loc[associations["score"] == "score", "notes"].str.contains(words, regex=False).all()
    assert associations.loc[associations["score"] == "other", "p"].notna().all()
    assert models.loc[models["score"] == "other", "p"].notna().all()
    assert tables["growth_models"]["volume_mm3"].notna().any()
    assert (tables["analyses"].set_index("table").loc["associations.tsv", "ran"]) == 1


def test_contradicting_rows_of_a_child_leave_it_out_of_that_score(rng):
    facts, volumes, phenotype = repeated_study(rng)
    phenotype = phenotype.assign(other="1")
    twice = np.r_[np.arange(len(phenotype)), 0]
    phenotype = phenotype.iloc[twice].reset_index(drop=True)
    phenotype.loc[len(phenotype) - 1, "score"] = "77"
    tables = results(facts, volumes, phenotype)
    of = tables["associations"].query("score == 'score'")
    assert of["notes"].str.contains("1 with contradicting rows in the score table").all()
    assert of["p"].notna().all()
    other = tables["association_visits"].query("score == 'other'")
    assert other["used"].sum() == tables["association_visits"].query("score == 'score'")["used"].sum() + 1


def test_five_children_are_refused_everywhere_in_words(rng):
    facts, volumes, phenotype = repeated_study(rng)
    tables = results(facts, volumes, phenotype.assign(other="1"), n=5)
    analyses = tables["analyses"].set_index("analysis")
    assert analyses.loc["change of each child", "ran"] == 1
    for name in ("associations", "between and within children", "centiles", "growth of the cohort", "groups"):
        assert analyses.loc[name, "ran"] == 0
        assert analyses.loc[name, "reason"].startswith("did not run: ")
    assert "below 10" in analyses.loc["associations", "reason"]


def test_a_covariate_that_is_the_score_is_said_in_every_model(rng):
    facts, volumes, phenotype = repeated_study(rng)
    phenotype = phenotype.assign(copy=phenotype["score"], other=rng.normal(size=len(phenotype)).astype(str))
    tables = results(facts, volumes, phenotype, covariates=["copy"])
    for name in ("associations", "specifications"):
        of = tables[name].query(
            "score == 'score' and (visits == 'one')" if name == "specifications" else "score == 'score'"
        )
        assert of["notes"].str.contains("covariates determine the ranks of the score").all()
    assert tables["associations"].query("score == 'other'")["p"].notna().all()


@pytest.mark.parametrize(
    ("values", "why"),
    [(None, "it has no value"), ("yes", "all 20 values are yes")],
)
def test_a_covariate_without_spread_is_left_out_and_the_analyses_go_on(values, why):
    facts, volumes, phenotype = repeated_study(np.random.default_rng(5), 20, visits=(2,))
    phenotype = phenotype.assign(other=phenotype["epds"], odd=values)
    plain = results(facts, volumes, phenotype)
    tables = results(facts, volumes, phenotype, covariates=["odd"])
    for name in ("associations", "behaviour_models", "specifications"):
        key = "estimate" if name == "behaviour_models" else "rho"
        np.testing.assert_array_equal(tables[name][key].astype(float), plain[name][key].astype(float))
        known = tables[name][tables[name][key].notna()]
        assert not known["covariates"].str.contains("odd").any()
        assert known["notes"].str.contains("not adjusted for odd: ").all()
    assert tables["associations"]["notes"].str.contains(f"not adjusted for odd: {why}").all()


def test_a_contradiction_in_a_covariate_costs_the_analyses_that_use_it(rng):
    facts, volumes, phenotype = repeated_study(rng)
    phenotype = phenotype.assign(other=rng.normal(size=len(phenotype)).astype(str))
    phenotype = pd.concat([phenotype, phenotype.iloc[[0]].assign(epds="77")], ignore_index=True)
    with_it = results(facts, volumes, phenotype, covariates=["epds"])["associations"]
    assert with_it["notes"].str.contains("1 with contradicting rows of epds in the score table").all()
    without = results(facts, volumes, phenotype)["associations"]
    assert without["n"].min() == with_it["n"].min() + 1


def test_one_visit_each_is_used_where_it_can_be(rng):
    facts, volumes, phenotype = repeated_study(rng, visits=(1,))
    analyses = results(facts, volumes, phenotype.assign(other="1"))["analyses"].set_index("analysis")
    assert analyses.loc["associations", "ran"] == 1
    assert "two scored visits or more are below 10" in analyses.loc["between and within children", "reason"]
    assert analyses.loc["change of each child", "reason"].startswith("did not run: one visit")
    assert len(facts.drop_duplicates(VISIT)) == 40
