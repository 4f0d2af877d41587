"""Every reasonable way to adjust an association, beside the one that was chosen."""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd

from babyseg_py.labels.table import BRAIN_VOLUME
from babyseg_py.statistics.agescales import levelled
from babyseg_py.statistics.associations import ADJUSTMENTS, brain_of, estimate
from babyseg_py.statistics.repeated import AGE_DF
from babyseg_py.statistics.sample import Cohort, Sample, draw_sample, usable_visits
from babyseg_py.statistics.scores import as_numbers
from babyseg_py.statistics.structures import BRAIN_COVARIATE, SOURCES, side_of
from babyseg_py.statistics.study import Study, gather_cohort
from babyseg_py.statistics.visits import VISIT, age_on

COLUMNS = [
    "score", "structure", "side", "specification", "main", "brain_volume_adjustment", "outliers", "visits",
    "volume_source", "n", "n_outliers", "rho", "ci_low", "ci_high", "p", "rank", "covariates", "notes",
]  # fmt: skip
MAIN_ADJUSTMENT = "covariate"
OUTLYING = 3.0
_MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class View:
    """One sample of children with one number per structure each: from one visit, or from all."""

    visits: str
    source: str
    sample: Sample
    volumes: pd.DataFrame


def main_adjustment(structure: str) -> str:
    """Return the way of adjusting for brain volume that is main: none for brain volume itself."""
    return "none" if structure == BRAIN_VOLUME else MAIN_ADJUSTMENT


def specification_table(study: Study) -> pd.DataFrame:
    """Correlate every structure with every score in 32 ways (Simonsohn et al. 2020).

    They are all combinations of four adjustments for brain volume, outliers in or out, one visit per child or
    all of them, and volumes from labels or posteriors. The main one is stated before anything is seen: brain
    volume as a covariate, outliers in, one visit, the volumes that the run was asked for. An outlier is a
    child whose volume or score, given the covariates, lies more than 3 robust standard deviations (1.4826
    times the median absolute deviation) from the median. With all visits a child counts with the mean over
    its visits, once the cohort's curve over age (natural spline, 3 df) is taken off volumes and brain volume,
    and its scores are averaged in the same way (https://doi.org/10.1038/s41562-020-0912-z).

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`; rank orders the ways of one score and structure from the lowest rho.
    """
    rows: list[dict] = []
    for source in SOURCES:
        of = gather_cohort(replace(study, source=source))
        for score in of.scores:
            sample, _ = draw_sample(score, of.covariates, of.cohort)
            volumes = of.matrix.reindex(pd.MultiIndex.from_frame(sample.visits[VISIT]))
            one = View("one", source, sample, volumes)
            every = _all_visits(score, sample, of.cohort, of.matrix, source)
            for view in (one, _of_nobody(every) if score in of.cohort.unlike_scales else every):
                rows += [{"score": score} | row for row in _rows(view, of.matrix.columns, study.source)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["rank"] = table.groupby(["score", "structure"])["rho"].rank(method="first")
    return table.sort_values(["score", "structure", "specification"], kind="stable", ignore_index=True)


def _rows(view: View, structures: pd.Index, chosen: str) -> list[dict]:
    rows = []
    brain = brain_of(view.volumes)
    for adjustment, outliers in product(ADJUSTMENTS, ("in", "out")):
        main = (outliers, view.visits, view.source) == ("in", "one", chosen)
        words = [*view.sample.covariates.described]
        words += [BRAIN_COVARIATE] if adjustment == "covariate" else []
        for name in structures:
            if name == BRAIN_VOLUME and adjustment != "none":
                continue
            x = view.volumes[name].to_numpy(float)
            out = _outlying(x, view.sample) if outliers == "out" else np.zeros(len(x), bool)
            one = estimate(x[~out], brain[~out], _without(view.sample, out), adjustment)
            rows.append(
                {
                    "structure": name,
                    "side": side_of(name, structures),
                    "specification": f"{adjustment}, outliers {outliers}, {view.visits}, {view.source}",
                    "main": int(main and adjustment == main_adjustment(name)),
                    "brain_volume_adjustment": adjustment,
                    "outliers": outliers,
                    "visits": view.visits,
                    "volume_source": view.source,
                    "n_outliers": int(out.sum()),
                    "covariates": "; ".join(words) or "none",
                    "notes": "; ".join([*one.notes, *view.sample.covariates.notes]) or None,
                }
                | {key: getattr(one.result, key) for key in ("n", "rho", "ci_low", "ci_high", "p")}
            )
    return rows


def _of_nobody(view: View) -> View:
    """Return the view without children, where scores of several visits are of unlike scales."""
    sample = _without(view.sample, np.ones(len(view.sample.score), bool))
    return replace(view, sample=sample, volumes=view.volumes.iloc[:0])


def _without(sample: Sample, out: np.ndarray) -> Sample:
    if not out.any():
        return sample
    covariates = replace(sample.covariates, design=sample.covariates.design[~out])
    return replace(
        sample,
        visits=sample.visits[~out].reset_index(drop=True),
        score=sample.score[~out],
        covariates=covariates,
    )


def _outlying(x: np.ndarray, sample: Sample) -> np.ndarray:
    """Mark children whose volume or score lies far from what the covariates say."""
    out = np.zeros(len(x), bool)
    there = np.isfinite(x)
    design = np.column_stack([np.ones(len(x)), sample.covariates.design])[there]
    if there.sum() <= design.shape[1] + 2:
        return out
    for values in (x[there], sample.score[there]):
        left = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
        left = left - np.median(left)
        spread = _MAD_TO_SD * np.median(np.abs(left))
        if spread > 0:
            out[there] |= np.abs(left) > OUTLYING * spread
    return out


def _all_visits(score: str, sample: Sample, cohort: Cohort, matrix: pd.DataFrame, source: str) -> View:
    """Average volumes, brain volume and scores of a child over its visits, at the age of the sample."""
    children, reference = sample.visits["participant_id"], sample.rule.reference
    at = sample.visits["age"].to_numpy(float)
    visits = usable_visits(cohort)
    visits = visits[visits["participant_id"].isin(children)]
    if reference is None:
        values = matrix.reindex(pd.MultiIndex.from_frame(visits[VISIT])).to_numpy(float)
        means = _child_means(values, visits["participant_id"].to_numpy(), None, at)
        return View("all", source, sample, means.reindex(children).set_axis(matrix.columns, axis=1))
    visits = visits.assign(_age=age_on(visits, reference)).dropna(subset="_age")
    values = matrix.reindex(pd.MultiIndex.from_frame(visits[VISIT])).to_numpy(float)
    means = _child_means(values, visits["participant_id"].to_numpy(), visits["_age"].to_numpy(float), at)
    scores = _mean_scores(score, sample, cohort, reference)
    volumes = means.reindex(children).set_axis(matrix.columns, axis=1)
    return View("all", source, replace(sample, score=scores), volumes)


def _mean_scores(score: str, sample: Sample, cohort: Cohort, reference: str) -> np.ndarray:
    """Average the scores of several sessions; a score of the child as a whole stays."""
    children = sample.visits["participant_id"]
    numbers, _ = as_numbers(cohort.answers[score])
    ages = cohort.facts[VISIT].assign(_age=age_on(cohort.facts, reference)).dropna()
    scored = cohort.answers.assign(_score=numbers)[numbers.notna()].merge(ages, on=VISIT)
    scored = scored[scored["participant_id"].isin(children)]
    if scored.empty:
        return sample.score
    means = _child_means(
        scored[["_score"]].to_numpy(float),
        scored["participant_id"].to_numpy(),
        scored["_age"].to_numpy(float),
        sample.visits["age"].to_numpy(float),
    )
    own = pd.Series(sample.score, index=children)
    return means[0].reindex(children).fillna(own).to_numpy(float)


def _child_means(
    values: np.ndarray, children: np.ndarray, age: np.ndarray | None, at: np.ndarray
) -> pd.DataFrame:
    """Mean of each child after the curve over age, brought to the median age of the sample, is taken off."""
    if age is not None and len(age):
        values = levelled(values, age, at=float(np.nanmedian(at)), df=AGE_DF)
    return pd.DataFrame(values).groupby(children).mean()
