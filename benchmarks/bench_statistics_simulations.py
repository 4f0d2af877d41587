"""How often the cohort statistics reject without an effect, hold the truth, and find known centiles.

Prints Markdown tables: ``python benchmarks/bench_statistics_simulations.py [RUNS] [PART …]`` (1,000 runs by
default; parts: behaviour, maxt, centiles, finding). Cohorts are those of the unit tests.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "unit" / "statistics"))

from growing_study import growing_visits, true_volume, true_z
from repeated_study import repeated_cohort

from babyseg_py.labels.table import BRAIN_VOLUME, STRUCTURES
from babyseg_py.statistics.associations import association_tables, estimate
from babyseg_py.statistics.centiles import CENTILES, fit_curves
from babyseg_py.statistics.finding import main_family
from babyseg_py.statistics.later import later_table
from babyseg_py.statistics.levels import EFFECTS, Levels
from babyseg_py.statistics.permutation import max_t
from babyseg_py.statistics.repeated import observations
from babyseg_py.statistics.sample import draw_sample
from babyseg_py.statistics.study import Study, gather_cohort
from babyseg_py.statistics.visits import VISIT, visit_facts

AGES = 30.4375 * np.array([3.0, 6.0, 12.0, 24.0])


def table(title: str, head: list[str], rows: Iterable[list]) -> None:
    """Print a Markdown table, a row as soon as it is known."""
    print(f"\n**{title}**\n\n| {' | '.join(head)} |\n|{' --- |' * len(head)}", flush=True)
    for row in rows:
        cells = (f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row)
        print(f"| {' | '.join(cells)} |", flush=True)


def behaviour(runs: int) -> None:
    """Null and coverage of the mixed model, null of one-visit associations and of the paired models."""
    head = [
        "children",
        "null between",
        "null within",
        "coverage between",
        "coverage within",
        "null one visit",
    ]
    head += ["null earlier brain", "given the earlier score", "null change"]
    table("p < .05 without an effect, and intervals that hold the planted effect", head, _behaviour(runs))


def _behaviour(runs: int) -> Iterator[list]:
    for n in (20, 40, 80):
        rng = np.random.default_rng(n)
        null, covered = (np.zeros((runs, 2)) for _ in range(2))
        one, later = np.zeros(runs), np.full((runs, 3), np.nan)
        for run in range(runs):
            of = repeated_cohort(rng, n, between=1.0, within=1.0)
            observed = observations("score", of.covariates, of.cohort)
            children = observed.visits["participant_id"].to_numpy()
            level = Levels.of(observed.score, children, observed.covariates.design)
            planted, free = (
                level.effects(of.matrix[f"{side}-Amygdala"].to_numpy()) for side in ("Left", "Right")
            )
            for place, effect in enumerate(EFFECTS):
                truth = 1e-3 * planted[effect]["predictor_sd"]
                null[run, place] = free[effect]["p"] < 0.05
                covered[run, place] = planted[effect]["ci_low"] <= truth <= planted[effect]["ci_high"]
            sample, _ = draw_sample("score", of.covariates, of.cohort)
            keys = list(map(tuple, sample.visits[VISIT].to_numpy()))
            x = of.matrix.loc[keys, "Right-Amygdala"].to_numpy()
            one[run] = estimate(x, x, sample, "none").result.p < 0.05
            paired = later_table(replace(of, matrix=of.matrix[["Right-Amygdala"]]))
            p = paired.groupby("model", sort=False)["p"].first().to_numpy(float)
            later[run] = np.where(np.isfinite(p), p < 0.05, np.nan)
        yield [n, *null.mean(axis=0), *covered.mean(axis=0), one.mean(), *np.nanmean(later, axis=0)]


def maxt(runs: int) -> None:
    """Family-wise error of max-T on both levels of the mixed model, six volumes without an effect."""
    table(
        "Any of six volumes with p_maxt ≤ .05 without an effect",
        ["children", "between", "within"],
        _maxt(runs),
    )


def _maxt(runs: int) -> Iterator[list]:
    for n in (20, 40):
        rng = np.random.default_rng(100 + n)
        found = np.zeros((runs, 2))
        for run in range(runs):
            of = repeated_cohort(rng, n)
            observed = observations("score", of.covariates, of.cohort)
            children = observed.visits["participant_id"].to_numpy()
            level = Levels.of(observed.score, children, observed.covariates.design)
            more = rng.normal(size=(len(of.matrix), 4)) + of.matrix[["Left-Amygdala"]].to_numpy() / 1000
            tests = level.tests(np.column_stack([of.matrix.to_numpy()[:, :2], more]))
            for place, effect in enumerate(EFFECTS):
                found[run, place] = max_t([tests[effect]], draws=299, seed=run)[0].min() <= 0.05
        yield [n, *found.mean(axis=0)]


def centiles(runs: int) -> None:
    """Error of the curves in centile points, and how often their bands hold the truth."""
    head = [
        "children",
        "centile",
        "mean error (points)",
        "largest mean error at an age",
        "sd",
        "bands hold the truth",
    ]
    table(
        "Centile curves of simulated cohorts, 1 to 4 visits each, at 3, 6, 12 and 24 months",
        head,
        _centiles(runs),
    )


def _centiles(runs: int) -> Iterator[list]:
    for n in (20, 50, 200, 1000):
        rng = np.random.default_rng(n)
        shape = (runs // 5, len(CENTILES), len(AGES))
        off, covered = np.empty(shape), np.empty(shape)
        for run in range(shape[0]):
            curves = fit_curves(growing_visits(rng, n))
            assert not isinstance(curves, str), curves
            reach = stats.t.ppf(0.975, curves.df)
            for place, centile in enumerate(CENTILES):
                z = stats.norm.ppf(centile / 100)
                volume, error = curves.centile(AGES, centile)
                off[run, place] = 100 * stats.norm.cdf(true_z(AGES, volume)) - centile
                covered[run, place] = np.abs(np.log(volume / true_volume(AGES, z))) <= reach * error
        for place, centile in enumerate(CENTILES):
            of = off[:, place]
            largest = float(np.abs(of.mean(axis=0)).max())
            yield [
                n,
                int(centile),
                float(of.mean()),
                largest,
                float(of.std()),
                float(covered[:, place].mean()),
            ]


def finding(runs: int) -> None:
    """How often the main finding of the report holds where volumes and scores have nothing to do."""
    head = ["children", "scores", "tests", "main finding holds", "smallest p_fdr of all ways < .05"]
    table("A finding without any effect", head, _finding(runs))


def _finding(runs: int) -> Iterator[list]:
    scores = ["a", "b", "c"]
    rng = np.random.default_rng(0)
    held, picked, tests = np.zeros(runs), np.zeros(runs), 0
    for run in range(runs):
        volumes, facts, answers = _unrelated(rng, 40, scores)
        study = Study(volumes, facts, answers, scores, [], set(), "labels")
        found, _ = association_tables(gather_cohort(study))
        family = main_family(found).tests
        tests = len(family)
        held[run] = family["p_all"].iloc[0] < 0.05
        picked[run] = found["p_fdr"].astype(float).min() < 0.05
    yield [40, len(scores), tests, float(held.mean()), float(picked.mean())]


def _unrelated(
    rng: np.random.Generator, n: int, scores: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Draw one visit each of children whose structures share their brain's size, and scores of chance."""
    children = [f"{child:03d}" for child in range(n)]
    visits = pd.DataFrame({"participant_id": children, "session_id": "A", "age_reference": "birth"})
    visits = visits.assign(age_days=rng.uniform(150, 210, n), sex=None, site=None, group=None)
    size = 1 + rng.normal(0, 0.08, n)
    sizes = {s.name: 1000 * (size + rng.normal(0, 0.06, n)) for s in STRUCTURES if s.id}
    sizes |= {BRAIN_VOLUME: 4e5 * size}
    volumes = [
        visits[VISIT].assign(structure=name, volume_mm3=of, volume_posterior_mm3=of)
        for name, of in sizes.items()
    ]
    facts = visit_facts(visits.to_dict("records"))
    answers = facts[["participant_id"]].assign(session_id=None)
    answers = answers.assign(**{name: rng.normal(size=n).astype(str) for name in scores}).astype(object)
    return pd.concat(volumes).merge(facts), facts, answers


PARTS = {"behaviour": behaviour, "maxt": maxt, "centiles": centiles, "finding": finding}


def main() -> None:
    """Run the parts that are named, or all."""
    words = sys.argv[1:]
    runs = int(words.pop(0)) if words and words[0].isdigit() else 1000
    for name in words or PARTS:
        PARTS[name](runs)


if __name__ == "__main__":
    main()
