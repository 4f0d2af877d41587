"""Scores and volumes of several visits: effects between children and within a child, apart."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from babyseg_py.labels.table import BRAIN_VOLUME
from babyseg_py.statistics.agescales import spline_scale
from babyseg_py.statistics.levels import EFFECTS, Levels
from babyseg_py.statistics.partial import FEWEST, false_discovery_rate
from babyseg_py.statistics.permutation import DRAWS, Battery, max_t
from babyseg_py.statistics.sample import Cohort, usable_visits
from babyseg_py.statistics.scores import (
    SHEET_COLUMNS,
    Covariates,
    as_numbers,
    code_covariates,
    normal_scores,
    share_of_equal,
)
from babyseg_py.statistics.structures import BRAIN_COVARIATE, side_of
from babyseg_py.statistics.study import Gathered
from babyseg_py.statistics.visits import REFERENCES, VISIT, age_on, common_reference

COLUMNS = [
    "score", "structure", "model", "effect", "n", "n_observations", "estimate", "ci_low", "ci_high", "p",
    "p_fdr", "p_maxt", "n_permutations", "measure", "r", "df", "predictor_sd", "covariates",
    "brain_volume_adjustment", "side", "volume_source", "family", "age_reference", "rho_detectable", "notes",
]  # fmt: skip
MODEL = "between and within children"
ADJUSTMENTS = ("none", "covariate")
RANKED = "points of the ranked score per SD of the volume"
AGE_DF = 3
TIED = 0.2


@dataclass(frozen=True)
class Observations:
    """Scores with the volumes of the same visit, several per child.

    Parameters
    ----------
    visits : pandas.DataFrame
        participant_id, session_id of N observations, sorted.
    score : (N,) array of float
    covariates : Covariates
        Age first, as `AGE_DF` functions of it, if the sheet has ages.
    reference : str or None
        What ages count from.
    notes : tuple of str
    ranked : bool
        Whether the scores are normal scores of their ranks.
    """

    visits: pd.DataFrame
    score: np.ndarray
    covariates: Covariates
    reference: str | None
    notes: tuple[str, ...]
    ranked: bool = False


def repeated_table(of: Gathered) -> pd.DataFrame:
    r"""Regress every score on the volume of the same visit, with all visits of all children.

    :math:`y_{ij} = \beta_B \bar x_i + \beta_W (x_{ij} - \bar x_i) + \gamma_B \bar z_i + \gamma_W
    (z_{ij} - \bar z_i) + u_i + e_{ij}` with a random intercept :math:`u_i` of the child, fitted by restricted
    maximum likelihood. A score of which a fifth or more are equal, as with a floor, enters by its ranks
    (`normal_scores`). Age and all covariates z are split as volumes are (Mundlak 1978,
    https://doi.org/10.2307/1913646; Curran and Bauer 2011,
    https://doi.org/10.1146/annurev.psych.093008.100356); age enters as a natural spline of its
    logarithm, as a straight line would leave curvature that volume and score share. t has the between–within
    degrees of freedom: children, or observations less children, less the coefficients of that level.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`; a score that cannot be modelled has one row with the reason.
    """
    rows: list[dict] = []
    for score in of.scores:
        common = {"score": score, "model": MODEL, "volume_source": of.source}
        observed = observations(score, of.covariates, of.cohort)
        refused = of.cohort.unlike_scales.get(score)
        problem = f"{refused.words}: not estimated" if refused else why_not(observed)
        if problem:
            rows.append(common | {"n": 0, "notes": "; ".join([problem, *observed.notes])})
            continue
        for adjustment in ADJUSTMENTS:
            for row in _rows(observed, of.matrix, adjustment):
                rows.append(common | row)
    return pd.DataFrame(rows, columns=COLUMNS)


def observations(score: str, covariates: list[str], cohort: Cohort) -> Observations:
    """Pair every score with the usable visit of its own session; drop what lacks an age or a covariate."""
    numbers, odd = as_numbers(cohort.answers[score])
    scored = cohort.answers.assign(_score=numbers)[numbers.notna() & cohort.answers["session_id"].notna()]
    visits = usable_visits(cohort).drop(columns=[name for name in SHEET_COLUMNS if name in scored])
    pairs = visits.merge(scored, on=VISIT).sort_values(VISIT, ignore_index=True)
    reference = common_reference(pairs) if len(pairs) else None
    coded = code_covariates(pairs[covariates], cohort.categories)
    notes = [odd, *coded.notes]
    if reference is None and len(pairs):
        notes.append("no ages in the sheet: not adjusted for age")
    elif reference is not None:
        coded = _with_age(coded, age_on(pairs, reference).to_numpy(float), reference)
    complete = np.isfinite(coded.design).all(axis=1)
    if not complete.all():
        notes.append(f"{int((~complete).sum())} observations without age or a covariate are not used")
    values = pairs.loc[complete, "_score"].to_numpy(float)
    tied = share_of_equal(values) >= TIED and np.ptp(values) > 0
    if tied:
        notes.append(f"{100 * share_of_equal(values):.0f} % of the scores are equal: ranked")
    return Observations(
        pairs.loc[complete, VISIT].reset_index(drop=True),
        normal_scores(values) if tied else values,
        replace(coded, design=coded.design[complete]),
        reference,
        tuple(filter(None, notes)),
        ranked=tied,
    )


def _with_age(coded: Covariates, days: np.ndarray, reference: str) -> Covariates:
    known = np.isfinite(days)
    functions = np.full((len(days), 1), np.nan)
    name = "no age"
    if known.any():
        scale = spline_scale(days[known], AGE_DF)
        functions, name = scale(days), scale.name
    words = f"age (days {REFERENCES[reference]}, {name})"
    names = tuple(f"age {i + 1}" for i in range(functions.shape[1]))
    design = np.column_stack([functions, coded.design])
    return Covariates(design, (*names, *coded.names), (words, *coded.described), coded.notes)


def why_not(observed: Observations) -> str:
    """Say why there is no model of repeated visits; empty if there is one."""
    visits = observed.visits["participant_id"].value_counts()
    repeated = int((visits > 1).sum())
    if visits.empty:
        return "no score belongs to a visit with volumes (is there a column session_id?): not estimated"
    if repeated < FEWEST:
        return f"{repeated} children with two scored visits or more are below {FEWEST}: not estimated"
    if np.ptp(observed.score) == 0:
        return "the score is constant: not estimated"
    return ""


def _rows(observed: Observations, matrix: pd.DataFrame, adjustment: str) -> Iterator[dict]:
    """Yield both effects of every structure under one adjustment for brain volume."""
    volumes = matrix.reindex(pd.MultiIndex.from_frame(observed.visits))
    design, described = observed.covariates.design, [*observed.covariates.described]
    if adjustment == "covariate":
        if BRAIN_VOLUME not in volumes:
            return
        design = np.column_stack([design, volumes[BRAIN_VOLUME].to_numpy(float)])
        described.append(BRAIN_COVARIATE)
        volumes = volumes.drop(columns=BRAIN_VOLUME)
    common = {
        "measure": RANKED if observed.ranked else "points of the score per SD of the volume",
        "covariates": "; ".join(described) or "none",
        "brain_volume_adjustment": adjustment,
        "age_reference": observed.reference,
    }
    for row in _fitted(observed, design, volumes):
        notes = "; ".join(filter(None, [row["notes"], *observed.notes])) or None
        yield common | row | {"notes": notes, "side": side_of(row["structure"], matrix.columns)}


def _fitted(observed: Observations, design: np.ndarray, volumes: pd.DataFrame) -> Iterator[dict]:
    """Fit all structures; those that were measured at the same visits are permuted together."""
    complete = np.isfinite(design).all(axis=1)
    children = observed.visits["participant_id"].to_numpy()
    groups: dict[bytes, list[str]] = {}
    for name in volumes.columns:
        there = complete & np.isfinite(volumes[name].to_numpy(float))
        groups.setdefault(there.tobytes(), []).append(name)
    found: dict[str, dict[str, dict]] = {effect: {} for effect in EFFECTS}
    tests: dict[str, list[Battery]] = {effect: [] for effect in EFFECTS}
    tested: dict[str, list[str]] = {effect: [] for effect in EFFECTS}
    for mask, names in groups.items():
        there = np.frombuffer(mask, bool)
        level = Levels.of(observed.score[there], children[there], design[there])
        for name in names:
            for effect, row in level.effects(volumes.loc[there, name].to_numpy(float)).items():
                found[effect][name] = row | {"structure": name, "effect": effect}
        for effect, of in level.tests(volumes.loc[there, names].to_numpy(float)).items():
            tests[effect].append(of)
            tested[effect] += names
    for effect in EFFECTS:
        p_maxt = dict(zip(tested[effect], np.concatenate([[], *max_t(tests[effect])]), strict=True))
        yield from _with_family([found[effect][name] for name in volumes.columns], p_maxt)


def _with_family(rows: list[dict], p_maxt: dict[str, float]) -> Iterator[dict]:
    """Adjust for all structures of one score, effect and adjustment for brain volume."""
    p = np.array([row["p"] for row in rows], dtype=float)
    family = f"{int(np.isfinite(p).sum())} structures of one score, model, effect and adjustment"
    for row, fdr in zip(rows, false_discovery_rate(p), strict=True):
        fwe = p_maxt.get(row["structure"], np.nan) if np.isfinite(row["p"]) else np.nan
        draws = DRAWS if np.isfinite(fwe) else np.nan
        yield row | {"p_fdr": fdr, "p_maxt": fwe, "n_permutations": draws, "family": family}
