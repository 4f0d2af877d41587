import numpy as np
import pandas as pd
import pytest
from repeated_study import repeated_study

from babyseg_py.statistics.analysis import analyse
from babyseg_py.statistics.inputs import Inputs
from babyseg_py.statistics.later import later_table
from babyseg_py.statistics.repeated import repeated_table
from babyseg_py.statistics.sample import draw_sample
from babyseg_py.statistics.scales import mixed_children, two_scales, unlike_scales
from babyseg_py.statistics.scores import Declared
from babyseg_py.statistics.study import Study, gather_cohort


def answers(first, second=None):
    """Return answers of one session, or of two."""
    values = [*first, *([] if second is None else second)]
    sessions = ["A"] * len(first) + ["B"] * (len(values) - len(first))
    children = [*range(len(first)), *range(len(values) - len(first))]
    table = pd.DataFrame({"participant_id": children, "session_id": sessions, "cbcl": values})
    return table.astype(str)


def test_raw_scores_at_one_session_and_t_scores_at_the_other_are_apart(rng):
    raw = rng.integers(0, 30, 24)
    found = unlike_scales(answers([*raw, 2, 5], [*(50 + raw), 999]), "cbcl")
    assert found.left_out == {"B"}
    assert "session A has values of" in found.why
    assert "only those of B look like T scores (mean 50, SD 10)" in found.words
    assert "--one_scale" in found.words


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([45, 50, 55, 60, 40, 52], [44, 51, 58, 66, 39, 47]),
        ([100, 85, 120, 92, 104], [110, 88, 99, 130, 105]),
        ([0, 1, 3, 0, 4, 5], [120, 180, 60, 240, 300, 90]),
        ([5, 9, 12, 20], [50, 60, 55, 45]),
    ],
)
def test_sessions_of_one_scale_or_of_few_children_are_not(first, second):
    assert unlike_scales(answers(first, second), "cbcl") is None


def test_raw_scores_of_some_children_among_t_scores_of_others_are_suspected(rng):
    raw, scaled = rng.integers(0, 15, 12), rng.integers(40, 70, 12)
    table = answers([*raw, *scaled])
    words = mixed_children(table, "cbcl")
    assert words.startswith("session A: 12 values of")
    assert "only the latter look like T scores" in words
    groups = {str(i): "control" if i < 12 else "case" for i in range(24)}
    assert mixed_children(table, "cbcl", groups) == ""
    assert mixed_children(table, "cbcl", groups | {"0": "case", "1": "case"}) == words


ORDINARY = {
    "T": lambda rng, n: rng.normal(50, 10, n),
    "standard": lambda rng, n: rng.normal(100, 15, n),
    "raw": lambda rng, n: rng.normal(30, 12, n).clip(0),
    "counts": lambda rng, n: rng.negative_binomial(1.5, 1.5 / 41.5, n),
    "half at the floor": lambda rng, n: rng.normal(0, 20, n).clip(0),
    "zero or not": lambda rng, n: np.where(rng.random(n) < 0.4, 0, rng.normal(55, 10, n)),
    "ceiling": lambda rng, n: np.minimum(60, rng.normal(60, 12, n)),
    "cases and controls in T": lambda rng, n: np.where(rng.random(n) < 0.5, 45, 75) + rng.normal(0, 8, n),
    "cases and controls, raw": lambda rng, n: np.where(rng.random(n) < 0.5, 3, 18) + rng.normal(0, 3, n),
}


@pytest.mark.parametrize("kind", ORDINARY)
@pytest.mark.parametrize("n", [20, 60])
def test_ordinary_scores_are_hardly_ever_suspected(kind, n, rng):
    found = [two_scales(np.sort(ORDINARY[kind](rng, n).round())) is not None for _ in range(300)]
    assert np.mean(found) <= 0.02


def mixed_study(rng):
    """Return a study whose score is raw at the first visit and T at the second, and another score."""
    facts, volumes, phenotype = repeated_study(rng, 30, visits=(2,))
    first = phenotype["session_id"] == "v1"
    scaled = rng.integers(0, 30, len(phenotype)) + np.where(first, 0, 45)
    phenotype = phenotype.assign(other=phenotype["score"], score=scaled.astype(str))
    return facts, volumes, phenotype


def test_analyses_across_sessions_of_unlike_scales_do_not_run(rng):
    facts, volumes, phenotype = mixed_study(rng)
    inputs = Inputs(
        facts,
        volumes,
        volumes.assign(scan="T1w", suffix="T1w", run=np.nan, side="none").iloc[:0],
        pd.DataFrame(columns=["participant_id", "session_id", "scan", "structure", "metric", "flag"]),
        phenotype,
        ["score", "other"],
        [],
        "labels",
    )
    results = analyse(inputs)
    models = results.tables["behaviour_models"]
    of = models[models["score"] == "score"]
    assert len(of) == 4
    assert of["estimate"].isna().all()
    assert of["notes"].str.contains("not analysed across sessions").all()
    assert models.loc[models["score"] == "other", "p"].notna().any()
    every = results.tables["specifications"].query("score == 'score' and visits == 'all'")
    assert len(every)
    assert every["rho"].isna().all()
    assert any(note.startswith("score: session v1 has values") for note in results.notes)


def test_one_visit_each_is_of_one_scale_and_a_declared_scale_is_analysed(rng):
    facts, volumes, phenotype = mixed_study(rng)
    chosen = {"scores": ["score"], "covariates": [], "flagged": set(), "source": "labels"}
    gathered = gather_cohort(Study(volumes, facts, phenotype, **chosen))
    sample, visits = draw_sample("score", [], gathered.cohort)
    assert set(visits["score_session_id"].dropna()) == {"v1"}
    assert any("session v2 left out" in note for note in sample.notes)
    declared = Declared(one_scale=("score",))
    gathered = gather_cohort(Study(volumes, facts, phenotype, **chosen, declared=declared))
    assert gathered.cohort.unlike_scales == {}
    for make in (repeated_table, later_table):
        assert make(gathered)["p"].notna().any()
