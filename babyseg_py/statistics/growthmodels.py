"""Growth of the cohort: a mixed model per structure, on the scale of age that fits best."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from babyseg_py.statistics.agescales import AgeScale, candidate_scales
from babyseg_py.statistics.mixed import Mixed, fit_fixed, fit_mixed, likelihood_at
from babyseg_py.statistics.partial import FEWEST, basis_of
from babyseg_py.statistics.structures import side_of, volume_matrix
from babyseg_py.statistics.visits import DAYS_PER_MONTH, FACTS, REFERENCES, VISIT, age_on

COLUMNS = [
    "structure", "side", "volume_source", "age_reference", "age_scale", "chosen", "n", "n_observations",
    "n_one_visit", "random_effects", "bic", "bic_difference", "age_min_days", "age_median_days",
    "age_max_days", "age_days", "volume_mm3", "volume_ci_low", "volume_ci_high", "change_mm3_per_month",
    "change_ci_low", "change_ci_high", "percent_per_month", "sd_between_mm3", "sd_slope_mm3_per_month",
    "sd_residual_mm3", "notes",
]  # fmt: skip
SLOPES, INTERCEPTS, NONE = "intercept and slope", "intercept", "none"
FEWEST_SLOPES = 10
_FEW = 30
_AGES = (0.1, 0.5, 0.9)
_STEP_DAYS = 0.5


@dataclass(frozen=True)
class Visits:
    """Volumes of one structure with the ages on one reference.

    Parameters
    ----------
    days, volumes : (N,) arrays
        Ages in days and volumes in mm³, nothing missing.
    children : (N,) array of str
    """

    days: np.ndarray
    volumes: np.ndarray
    children: np.ndarray


@dataclass(frozen=True)
class Growth:
    """A growth model on one scale of age."""

    scale: AgeScale
    model: Mixed
    random: str
    bic: float


def growth_models(volumes: pd.DataFrame, facts: pd.DataFrame, *, source: str) -> pd.DataFrame:
    r"""Model the growth of every structure from all visits of all children.

    :math:`V_{ij} = f(t_{ij})^\top\beta + b_{0i} + b_{1i} f_1(t_{ij}) + e_{ij}`, with functions f of age from
    `babyseg_py.statistics.agescales.candidate_scales`. The best scale of every kind (by the likelihood of a
    random-intercept model) is fitted, and the one with the smallest Bayesian information criterion is chosen
    (full likelihood, log of the number of children; Schwarz 1978, https://doi.org/10.1214/aos/1176344136);
    estimates are of restricted likelihood. A random slope takes 10 children with three visits or more, or 20
    with two; a random intercept 5 with two. Children with one visit are used. Ages since birth and since
    conception are modelled apart.

    Parameters
    ----------
    volumes : pandas.DataFrame
        Long table of the visits to be used.
    facts : pandas.DataFrame
        All visits of the samplesheet.
    source : str
        ``labels`` or ``posteriors``.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`: for the chosen scale (chosen = 1) a row at the 10th, 50th and 90th percentile of
        the ages; for the best scale of every other kind (chosen = 0) a row with its criterion.
    """
    rows: list[dict] = []
    for named, visits, volume in structures_by_reference(volumes, facts, source):
        data = visits_of(visits, volume)
        rows += [named | _counts(data) | row for row in _structure(data)]
    return pd.DataFrame(rows, columns=COLUMNS)


def structures_by_reference(
    volumes: pd.DataFrame, facts: pd.DataFrame, source: str
) -> Iterator[tuple[dict[str, str], pd.DataFrame, pd.Series]]:
    """Yield the columns that name a structure and an age reference, its visits, and its volume by visit."""
    matrix = volume_matrix(volumes, source)
    for reference, visits in by_reference(facts, matrix):
        for structure in matrix.columns:
            named = {
                "structure": structure,
                "side": side_of(structure, matrix.columns),
                "volume_source": source,
                "age_reference": reference,
            }
            yield named, visits, matrix[structure]


def by_reference(facts: pd.DataFrame, matrix: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the visits that state each age reference and have volumes, with ``age`` in days, if any do."""
    known = facts[pd.MultiIndex.from_frame(facts[VISIT]).isin(matrix.index)]
    found = []
    for reference in REFERENCES:
        visits = known[[*VISIT, *(c for c in FACTS if c in known)]].assign(age=age_on(known, reference))
        if visits["age"].notna().any():
            found.append((reference, visits.dropna(subset=["age"])))
    return found


def visits_of(visits: pd.DataFrame, volumes: pd.Series) -> Visits:
    """Pair the ages with the volumes of one structure."""
    values = volumes.reindex(pd.MultiIndex.from_frame(visits[VISIT])).to_numpy(float)
    there = np.isfinite(values)
    return Visits(
        visits["age"].to_numpy(float)[there],
        values[there],
        visits["participant_id"].to_numpy()[there].astype(str),
    )


def _counts(data: Visits) -> dict:
    _, visits = np.unique(data.children, return_counts=True)
    low, middle, high = np.quantile(data.days, [0, 0.5, 1]) if len(data.days) else [np.nan] * 3
    return {
        "n": len(visits),
        "n_observations": len(data.days),
        "n_one_visit": int((visits == 1).sum()),
        "age_min_days": low,
        "age_median_days": middle,
        "age_max_days": high,
    }


def _structure(data: Visits) -> list[dict]:
    n = len(np.unique(data.children))
    problem = ""
    if n < FEWEST:
        problem = f"n = {n} children is below {FEWEST}: not estimated"
    elif np.ptp(data.volumes) == 0:
        problem = "the volume is constant: not estimated"
    elif np.ptp(data.days) < DAYS_PER_MONTH:
        problem = "all ages lie within a month: not estimated"
    if problem:
        return [{"chosen": 0, "notes": problem}]
    scales = best_of_each_kind(data)
    candidates = [fit for scale in scales if (fit := fit_growth(data, scale))]
    if not candidates:
        return [{"chosen": 0, "notes": "too few visits for any scale of age: not estimated"}]
    best = min(candidates, key=lambda one: one.bic)
    rows = [
        {
            "age_scale": one.scale.name,
            "chosen": 0,
            "random_effects": one.random,
            "bic": one.bic,
            "bic_difference": one.bic - best.bic,
        }
        for one in sorted(candidates, key=lambda one: one.bic)
        if one is not best
    ]
    return [*_chosen(data, best), *rows]


def best_of_each_kind(data: Visits) -> list[AgeScale]:
    """Return the best scale among linear, log, fractional polynomials and natural splines each.

    Compared at the ratio of variances that a random-intercept model on the logarithm has, as fitting all of
    them in full would take fifty times as long.
    """
    y, n = data.volumes / data.volumes.std(), len(np.unique(data.children))
    ratio = None
    kinds: dict[str, tuple[float, AgeScale]] = {}
    for scale in sorted(candidate_scales(data.days), key=lambda scale: scale.name != "log"):
        design = _design(data, scale)
        if design is None:
            continue
        x, _ = design
        if ratio is None:
            lone = random_effects_for(data.children) == NONE
            ratio = 0.0 if lone else fit_mixed(y, x, x[:, :1], data.children, exact=False).ratio[0, 0]
        bic = -2 * likelihood_at(ratio, y, x, data.children) + x.shape[1] * np.log(n)
        kind = scale.name.split(" (")[0]
        if kind not in kinds or bic < kinds[kind][0]:
            kinds[kind] = (bic, scale)
    return [scale for _, scale in kinds.values()]


def _design(data: Visits, scale: AgeScale) -> tuple[np.ndarray, np.ndarray] | None:
    """Return columns of like size and their lengths; None if they are not independent, or too many."""
    design = np.column_stack([np.ones(len(data.days)), scale(data.days)])
    lengths = np.sqrt((design**2).mean(axis=0))
    n = len(np.unique(data.children))
    if not (lengths > 0).all() or n < design.shape[1] + 5 or basis_of(design / lengths)[1]:
        return None
    return design / lengths, lengths


def fit_growth(data: Visits, scale: AgeScale, *, restricted: bool = False) -> Growth | None:
    """Fit one scale of age; None if its functions are not independent at these ages, or too many."""
    design = _design(data, scale)
    if design is None:
        return None
    (x, lengths), y = design, data.volumes / data.volumes.std()
    n, random = len(np.unique(data.children)), random_effects_for(data.children)
    if random == NONE:
        model = fit_fixed(y, x, restricted=restricted)
    else:
        z = x[:, : 2 if random == SLOPES else 1]
        model = fit_mixed(y, x, z, data.children, restricted=restricted, exact=restricted)
    q = {SLOPES: 3, INTERCEPTS: 1, NONE: 0}[random]
    likelihood = model.log_likelihood - len(y) * np.log(data.volumes.std())
    bic = -2 * likelihood + (x.shape[1] + q + 1) * np.log(n)
    return Growth(scale, _unscaled(model, lengths, data.volumes.std()), random, float(bic))


def random_effects_for(children: np.ndarray) -> str:
    """Say which random effects so many children with so many visits can tell."""
    _, visits = np.unique(children, return_counts=True)
    if (visits >= 3).sum() >= FEWEST_SLOPES or (visits >= 2).sum() >= 2 * FEWEST_SLOPES:
        return SLOPES
    return INTERCEPTS if (visits >= 2).sum() >= FEWEST_SLOPES // 2 else NONE


def _unscaled(model: Mixed, lengths: np.ndarray, unit: float) -> Mixed:
    """Bring a model of scaled columns and volumes back to mm³."""
    by = unit / lengths
    q = by[: len(model.random)]
    return Mixed(
        model.beta * by,
        model.covariance * np.outer(by, by),
        model.random * np.outer(q, q),
        model.residual * unit**2,
        model.ratio * np.outer(q, q) / unit**2,
        model.log_likelihood,
    )


def _chosen(data: Visits, best: Growth) -> list[dict]:
    """Describe the curve at three ages, from the restricted likelihood."""
    final = fit_growth(data, best.scale, restricted=True) or best
    n = len(np.unique(data.children))
    ages = np.quantile(data.days, _AGES)
    level = np.column_stack([np.ones(len(ages)), best.scale(ages)])
    steps = np.array([[_STEP_DAYS], [-_STEP_DAYS]])
    up, down = (np.column_stack([np.zeros(len(ages)), best.scale(ages + step)]) for step in steps[:, 0])
    slope = (up - down) / (2 * _STEP_DAYS) * DAYS_PER_MONTH
    reach = stats.t.ppf(0.975, max(n - level.shape[1], 1))
    rows = []
    for age, at, rate in zip(ages, level, slope, strict=True):
        volume, change = float(at @ final.model.beta), float(rate @ final.model.beta)
        volume_error, change_error = (
            reach * np.sqrt(v) if (v := float(a @ final.model.covariance @ a)) > 0 else np.nan
            for a in (at, rate)
        )
        rows.append(
            {
                "age_scale": best.scale.name,
                "chosen": 1,
                "random_effects": best.random,
                "bic": best.bic,
                "bic_difference": 0.0,
                "age_days": age,
                "volume_mm3": volume,
                "volume_ci_low": volume - volume_error,
                "volume_ci_high": volume + volume_error,
                "change_mm3_per_month": change,
                "change_ci_low": change - change_error,
                "change_ci_high": change + change_error,
                "percent_per_month": 100 * change / volume if volume > 0 else np.nan,
                "notes": _notes(n, best.random),
            }
            | _spread(final, best.scale(np.array([age]))[0, 0], rate[1])
        )
    return rows


def _spread(final: Growth, first: float, rate: float) -> dict:
    """Return the standard deviations of volume and slope between children at one age, and of residuals."""
    random = final.model.random
    at = np.array([1.0, first])[: len(random)]
    between = np.sqrt(max(at @ random @ at, 0.0)) if final.random != NONE else np.nan
    slope = np.sqrt(random[1, 1]) * abs(rate) if final.random == SLOPES else np.nan
    return {
        "sd_between_mm3": between,
        "sd_slope_mm3_per_month": slope,
        "sd_residual_mm3": np.sqrt(final.model.residual),
    }


def _notes(n: int, random: str) -> str | None:
    notes = []
    if random == NONE:
        notes.append("hardly any child has two visits: children are compared with each other only")
    elif random == INTERCEPTS:
        notes.append("too few children with several visits for slopes of their own")
    if n < _FEW:
        notes.append(f"{n} children: read the intervals")
    return "; ".join(notes) or None
