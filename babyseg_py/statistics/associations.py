"""Association of volumes with behavioural scores: partial rank correlations, one visit per child."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from babyseg_py.labels.table import BRAIN_VOLUME
from babyseg_py.statistics.partial import (
    ALPHA,
    Partial,
    basis_of,
    centred_ranks,
    false_discovery_rate,
    inflation,
    partial_spearman,
    smallest_detectable,
)
from babyseg_py.statistics.permutation import DRAWS, Battery, max_t
from babyseg_py.statistics.sample import VISIT_COLUMNS, Sample, draw_sample
from babyseg_py.statistics.scorechecks import score_notes, with_notes
from babyseg_py.statistics.scores import share_of_equal
from babyseg_py.statistics.structures import BRAIN_COVARIATE, side_of
from babyseg_py.statistics.study import Gathered
from babyseg_py.statistics.visits import VISIT

ADJUSTMENTS = ("none", "covariate", "proportion", "residual")
COLUMNS = [
    "score", "structure", "n", "rho", "ci_low", "ci_high", "p", "p_fdr", "covariates",
    "brain_volume_adjustment", "notes", "side", "volume_source", "ci_method", "family", "visit_rule",
    "age_reference", "age_min_days", "age_median_days", "age_max_days", "p_maxt", "n_permutations",
    "rho_detectable", "rho_detectable_family",
]  # fmt: skip
CI_METHOD = "analytic: Fisher z, Bonett-Wright standard error, covariates taken off n"
_INFLATED, _TIED, _EXPLAINED = 10.0, 0.5, 0.5


@dataclass(frozen=True)
class Estimate:
    """One correlation with what went into it.

    Parameters
    ----------
    result : Partial
    notes : tuple of str
        What is odd about it.
    there : (n,) array of bool
        Children of the sample that have the volume (and brain volume, where it is adjusted for).
    x, y, design : arrays
        Adjusted volumes, scores and covariates of these children.
    """

    result: Partial
    notes: tuple[str, ...]
    there: np.ndarray
    x: np.ndarray
    y: np.ndarray
    design: np.ndarray


def association_tables(of: Gathered) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Partial rank correlation of every structure with every score, under four adjustments for brain volume.

    Returns
    -------
    associations : pandas.DataFrame
        Columns `COLUMNS`; p_fdr by Benjamini and Hochberg over the structures of one score and adjustment.
    visits : pandas.DataFrame
        Columns `VISIT_COLUMNS`: which visit was used for every child and score, or why none.
    """
    rows: list[dict] = []
    used = [pd.DataFrame(columns=VISIT_COLUMNS)]
    for score in of.scores:
        sample, visits = draw_sample(score, of.covariates, of.cohort)
        rows += _rows(score, sample, of.matrix, of.source)
        used.append(visits.astype(object))
    notes = score_notes(of.scores, of.covariates, of.cohort)
    table = with_notes(pd.DataFrame(rows, columns=COLUMNS), notes)
    return table, pd.concat(used, ignore_index=True)


def _rows(score: str, sample: Sample, matrix: pd.DataFrame, source: str) -> list[dict]:
    """Make a row for every structure and adjustment of one score."""
    volumes = matrix.reindex(pd.MultiIndex.from_frame(sample.visits[VISIT]))
    brain = brain_of(volumes)
    common = {"score": score, "volume_source": source, "ci_method": CI_METHOD} | _ages(sample)
    rows: list[dict] = []
    for adjustment in ADJUSTMENTS:
        shared = [*_design_notes(sample, brain, adjustment), *sample.notes]
        described = [*sample.covariates.described]
        described += [BRAIN_COVARIATE] if adjustment == "covariate" else []
        common |= {"brain_volume_adjustment": adjustment, "covariates": "; ".join(described) or "none"}
        structures = [name for name in matrix.columns if adjustment == "none" or name != BRAIN_VOLUME]
        estimates = [estimate(volumes[s].to_numpy(float), brain, sample, adjustment) for s in structures]
        family = family_of(estimates)
        for structure, one, adjusted in zip(structures, estimates, family, strict=True):
            rows.append(
                common
                | _numbers(one.result)
                | {
                    "structure": structure,
                    "side": side_of(structure, matrix.columns),
                    "notes": "; ".join([*one.notes, *shared]) or None,
                }
                | adjusted
            )
        if matrix.columns.empty:
            rows.append(common | {"n": 0, "notes": "; ".join(["no volumes: not estimated", *shared])})
    return rows


def brain_of(volumes: pd.DataFrame) -> np.ndarray:
    """Return the total brain volumes (mm³) of a matrix of volumes, NaN where it has none."""
    nothing = np.full(len(volumes), np.nan)
    return volumes[BRAIN_VOLUME].to_numpy(float) if BRAIN_VOLUME in volumes else nothing


def _ages(sample: Sample) -> dict:
    ages = sample.visits["age"].to_numpy(float)
    ages = ages[np.isfinite(ages)]
    low, middle, high = np.quantile(ages, [0, 0.5, 1]) if ages.size else (np.nan, np.nan, np.nan)
    return {
        "visit_rule": sample.rule.words,
        "age_reference": sample.rule.reference,
        "age_min_days": low,
        "age_median_days": middle,
        "age_max_days": high,
    }


def _numbers(result: Partial) -> dict:
    return {name: getattr(result, name) for name in ("n", "rho", "ci_low", "ci_high", "p")}


def estimate(x: np.ndarray, brain: np.ndarray, sample: Sample, adjustment: str) -> Estimate:
    """Correlate one structure with the score under one of `ADJUSTMENTS`, and note what is odd about it."""
    there = np.isfinite(x) if adjustment == "none" else np.isfinite(x) & (brain > 0)
    x, y, design = x[there], sample.score[there], sample.covariates.design[there]
    names = [*sample.covariates.names]
    notes = []
    if (x == 0).any():
        notes.append(f"{int((x == 0).sum())} volumes are 0")
    if adjustment == "covariate":
        design, names = np.column_stack([design, brain[there]]), [*names, "total brain volume"]
    elif adjustment == "proportion":
        x = x / brain[there]
    elif adjustment == "residual" and len(x):
        x = _residual(x, brain[there])
    result = partial_spearman(x, y, design)
    if result.problem:
        notes.insert(0, result.problem)
    if result.curved or result.explained > _EXPLAINED:
        share = f"the covariates explain {100 * result.explained:.0f} % or more of volume and score"
        taken = "they are taken off as curves, and spread may differ among children"
        notes.append(f"{share}: {taken if result.curved else 'some of their effect may stay'}")
    if result.redundant:
        which = ", ".join(names[i] for i in result.redundant)
        notes.append(f"collinear: {which} follows from the covariates before it and does not count")
    if there.sum() < len(there):
        lacking = "volume" if adjustment == "none" else "volume or brain volume"
        notes.append(f"{int((~there).sum())} children without {lacking}, or flagged")
    return Estimate(result, tuple(notes), there, x, y, design)


def _residual(x: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Take a straight line on brain volume off a volume, both in mm³; rounding noise becomes 0."""
    centred, total = x - x.mean(), brain - brain.mean()
    square = total @ total
    left = centred - (centred @ total / square) * total if square > 0 else centred
    return left if left @ left > 1e-18 * max(float(x @ x), 1.0) else np.zeros_like(left)


def _design_notes(sample: Sample, brain: np.ndarray, adjustment: str) -> list[str]:
    """Note what all structures share: strong collinearity among the covariates, many equal scores."""
    design, names = sample.covariates.design, [*sample.covariates.names]
    notes = []
    if adjustment == "covariate":
        design, names = np.column_stack([design, brain])[brain > 0], [*names, "total brain volume"]
    if len(design) > design.shape[1] + 2:
        factors = zip(names, inflation(design), strict=True)
        strong = [f"{name} ({factor:.0f})" for name, factor in factors if _INFLATED < factor < np.inf]
        if strong:
            notes.append(f"covariates nearly collinear (variance inflation): {', '.join(strong)}")
    share = share_of_equal(sample.score)
    if _TIED < share < 1:
        notes.append(f"{100 * share:.0f} % of the scores are equal")
    return notes


def family_of(estimates: list[Estimate]) -> list[dict]:
    """Adjust for a family: all structures of one score and adjustment for brain volume."""
    p = np.array([one.result.p for one in estimates], dtype=float)
    m = int(np.isfinite(p).sum())
    words = f"{m} structures (left, right, both sides, midline, totals) of one score and adjustment"
    largest = _max_t(estimates)
    rows = []
    for one, fdr, fwe in zip(estimates, false_discovery_rate(p), largest, strict=True):
        n, k = one.result.n, one.result.k
        rows.append(
            {
                "p_fdr": fdr,
                "family": words,
                "p_maxt": fwe,
                "n_permutations": DRAWS if np.isfinite(fwe) else np.nan,
                "rho_detectable": smallest_detectable(n, k),
                "rho_detectable_family": smallest_detectable(n, k, alpha=ALPHA / max(m, 1)),
            }
        )
    return rows


def _max_t(estimates: list[Estimate]) -> np.ndarray:
    """Permute structures that were measured in the same children together."""
    groups: dict[bytes, list[int]] = {}
    for place, one in enumerate(estimates):
        if np.isfinite(one.result.p):
            groups.setdefault(one.there.tobytes(), []).append(place)
    family = []
    for places in groups.values():
        first = estimates[places[0]]
        basis, _ = basis_of(centred_ranks(first.design))
        ranks = centred_ranks(np.column_stack([estimates[place].x for place in places]))
        response = centred_ranks(first.y[:, None])[:, 0]
        df = len(response) - basis.shape[1] - 2
        results = [estimates[place].result for place in places]
        observed = None
        if any(result.curved for result in results):  # the t of the usual basis with the same p
            observed = np.array([stats.t.isf(result.p / 2, df) for result in results])
        family.append(Battery(response, ranks, basis, df, observed=observed))
    adjusted = np.full(len(estimates), np.nan)
    for places, p in zip(groups.values(), max_t(family), strict=True):
        adjusted[places] = p
    return adjusted
