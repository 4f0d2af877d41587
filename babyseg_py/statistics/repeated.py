"""Scores and volumes of several visits: effects between children and within a child, apart."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from babyseg_py.statistics.agescales import spline_scale
from babyseg_py.statistics.mixed import fit_mixed
from babyseg_py.statistics.partial import FEWEST, basis_of, false_discovery_rate, smallest_detectable
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
from babyseg_py.statistics.structures import BRAIN_VOLUME, side_of
from babyseg_py.statistics.study import Gathered
from babyseg_py.statistics.visits import REFERENCES, VISIT, age_on, common_reference

COLUMNS = [
    "score", "structure", "model", "effect", "n", "n_observations", "estimate", "ci_low", "ci_high", "p",
    "p_fdr", "p_maxt", "n_permutations", "measure", "r", "df", "predictor_sd", "covariates",
    "brain_volume_adjustment", "side", "volume_source", "family", "age_reference", "rho_detectable", "notes",
]  # fmt: skip
MODEL = "between and within children"
EFFECTS = ("between", "within")
ADJUSTMENTS = ("none", "covariate")
RANKED = "points of the ranked score per SD of the volume"
AGE_DF = 3
TIED = 0.2
_LEAST_DF = 5


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


@dataclass(frozen=True)
class Split:
    """Variables split into the mean of each child and the deviations from it, both per observation."""

    mean: np.ndarray
    deviation: np.ndarray


@dataclass(frozen=True)
class Effect:
    """One fixed effect with its t, per standard deviation of its predictor."""

    estimate: float = np.nan
    error: float = np.nan
    df: int = 0
    sd: float = np.nan
    problem: str = ""


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
        refused = of.cohort.apart.get(score)
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
    sheet = [name for name in SHEET_COLUMNS if name not in scored]
    visits = usable_visits(cohort).drop(columns=[name for name in SHEET_COLUMNS if name not in sheet])
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


def split(values: np.ndarray, codes: np.ndarray) -> Split:
    """Split (N, k) values into child means and deviations, both (N, k); ``codes`` number the children."""
    count = np.bincount(codes)
    sums = np.zeros((len(count), values.shape[1]))
    np.add.at(sums, codes, values)
    mean = (sums / count[:, None])[codes]
    deviation = values - mean
    scale = np.abs(values).max(axis=0, initial=0.0)
    return Split(mean, np.where(np.abs(deviation) > 1e-12 * scale, deviation, 0.0))


def _rows(observed: Observations, matrix: pd.DataFrame, adjustment: str) -> Iterator[dict]:
    """Yield both effects of every structure under one adjustment for brain volume."""
    volumes = matrix.reindex(pd.MultiIndex.from_frame(observed.visits))
    design, described = observed.covariates.design, [*observed.covariates.described]
    if adjustment == "covariate":
        if BRAIN_VOLUME not in volumes:
            return
        design = np.column_stack([design, volumes[BRAIN_VOLUME].to_numpy(float)])
        described.append("total brain volume (mm³)")
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
    groups: dict[bytes, list[str]] = {}
    for name in volumes.columns:
        there = complete & np.isfinite(volumes[name].to_numpy(float))
        groups.setdefault(there.tobytes(), []).append(name)
    found: dict[str, dict[str, dict]] = {effect: {} for effect in EFFECTS}
    tests: dict[str, list[Battery]] = {effect: [] for effect in EFFECTS}
    tested: dict[str, list[str]] = {effect: [] for effect in EFFECTS}
    for mask, names in groups.items():
        there = np.frombuffer(mask, bool)
        level = Levels.of(observed, design, there)
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


@dataclass(frozen=True)
class Levels:
    """Observations of one set of visits, with the covariates on both levels.

    Parameters
    ----------
    y : (N,) array
    codes : (N,) array of int
        Children, from 0.
    between, within : arrays of shape (N, k)
        Independent columns of each level; the intercept is the first of ``between``.
    """

    y: np.ndarray
    codes: np.ndarray
    between: np.ndarray
    within: np.ndarray

    @classmethod
    def of(cls, observed: Observations, design: np.ndarray, there: np.ndarray) -> "Levels":
        """Take the observations that are there."""
        children = observed.visits["participant_id"].to_numpy()[there]
        _, codes = np.unique(children.astype(str), return_inverse=True)
        parts = split(design[there], codes) if there.any() else Split(design[there], design[there])
        intercept = np.ones((len(codes), 1))
        spread = parts.mean - parts.mean.mean(axis=0) if len(codes) else parts.mean
        return cls(
            observed.score[there],
            codes,
            np.column_stack([intercept, _independent(spread)]),
            _independent(parts.deviation),
        )

    def effects(self, x: np.ndarray) -> dict[str, dict]:
        """Fit the mixed model with one structure; a row for each effect."""
        n, observations = int(self.codes.max(initial=-1) + 1), len(self.y)
        single = n - int((np.bincount(self.codes) > 1).sum()) if n else 0
        fitted = self._fit(x, n)
        rows = {}
        for name, effect in fitted.items():
            t = effect.estimate / effect.error if effect.error > 0 else np.nan
            reach = stats.t.ppf(0.975, effect.df) * effect.error if np.isfinite(t) else np.nan
            notes = [
                effect.problem,
                f"{single} children with one visit count between children" * bool(single),
            ]
            rows[name] = {
                "n": n,
                "n_observations": observations,
                "estimate": effect.estimate,
                "ci_low": effect.estimate - reach,
                "ci_high": effect.estimate + reach,
                "p": float(2 * stats.t.sf(abs(t), effect.df)) if np.isfinite(t) else np.nan,
                "r": t / np.sqrt(t**2 + effect.df) if np.isfinite(t) else np.nan,
                "df": effect.df if np.isfinite(t) else np.nan,
                "predictor_sd": effect.sd,
                "rho_detectable": smallest_detectable(effect.df + 2, 0) if np.isfinite(t) else np.nan,
                "notes": "; ".join(filter(None, notes)),
            }
        return rows

    def _fit(self, x: np.ndarray, n: int) -> dict[str, Effect]:
        if n < FEWEST:
            return dict.fromkeys(EFFECTS, Effect(problem=f"n = {n} is below {FEWEST}: not estimated"))
        parts = split(x[:, None], self.codes)
        first = np.unique(self.codes, return_index=True)[1]
        columns = [parts.mean[:, 0] - parts.mean[first, 0].mean(), parts.deviation[:, 0]]
        again = np.bincount(self.codes)[self.codes] > 1
        deviation = float(np.sqrt((columns[1] ** 2).sum() / max(again.sum(), 1)))
        sds = [float(columns[0][first].std(ddof=1)), deviation]
        free = (n - self.between.shape[1] - 1, len(x) - n - self.within.shape[1] - 1)
        problems = [
            _problem(column, others, df, name)
            for column, others, df, name in zip(
                columns, (self.between, self.within), free, EFFECTS, strict=True
            )
        ]
        if not split(self.y[:, None], self.codes).deviation.any():
            problems[1] = "the score does not change within any child: not estimated"
        basis, _ = basis_of(np.column_stack([self.between, self.within]))
        left, spread = self.y - basis @ (basis.T @ self.y), self.y - self.y.mean()
        if left @ left <= 1e-9 * (spread @ spread):
            problems = ["the covariates determine the score: not estimated"] * 2
        used = [i for i in (0, 1) if not problems[i]]
        if not used:
            return {e: Effect(problem=p) for e, p in zip(EFFECTS, problems, strict=True)}
        design = np.column_stack([self.between, self.within, *(columns[i] / sds[i] for i in used)])
        model = fit_mixed(self.y, _scaled(design), np.ones((len(x), 1)), self.codes)
        errors = np.sqrt(np.diag(model.covariance))
        effects = {e: Effect(problem=p) for e, p in zip(EFFECTS, problems, strict=True)}
        lengths = np.sqrt((design**2).mean(axis=0))
        for place, i in enumerate(used, start=design.shape[1] - len(used)):
            scale = lengths[place]
            effects[EFFECTS[i]] = Effect(
                float(model.beta[place] / scale), float(errors[place] / scale), free[i], sds[i]
            )
        return effects

    def tests(self, x: np.ndarray) -> dict[str, Battery]:
        """Return what max-T permutes: weighted child means, and deviations within each child."""
        n = int(self.codes.max(initial=-1) + 1)
        if n < FEWEST:
            return {}
        counts, first = np.bincount(self.codes), np.unique(self.codes, return_index=True)[1]
        null = fit_mixed(
            self.y,
            _scaled(np.column_stack([self.between, self.within])),
            np.ones((len(self.y), 1)),
            self.codes,
        )
        weights = np.sqrt(counts / (1 + counts * null.ratio[0, 0]))[:, None]
        response, parts = split(self.y[:, None], self.codes), split(x, self.codes)
        centred = parts.mean - parts.mean.mean(axis=0)
        between, _ = basis_of(self.between[first] * weights)
        repeated = counts[self.codes] > 1
        within, _ = basis_of(self.within[repeated])
        free = (n - self.between.shape[1] - 1, len(self.y) - n - self.within.shape[1] - 1)
        out = {}
        if free[0] >= _LEAST_DF:
            out["between"] = Battery(
                (response.mean[first] * weights)[:, 0], centred[first] * weights, between, free[0]
            )
        if free[1] >= _LEAST_DF:
            out["within"] = Battery(
                response.deviation[repeated, 0],
                parts.deviation[repeated],
                within,
                free[1],
                self.codes[repeated],
            )
        return out


def _problem(column: np.ndarray, others: np.ndarray, df: int, name: str) -> str:
    if df < _LEAST_DF:
        return f"{df} degrees of freedom {name} children are below {_LEAST_DF}: not estimated"
    basis, _ = basis_of(others)
    left = column - basis @ (basis.T @ column)
    if left @ left <= 1e-9 * (column @ column):
        return f"the volume has no variation of its own {name} children: not estimated"
    return ""


def _independent(columns: np.ndarray) -> np.ndarray:
    """Keep the columns that do not follow from the ones before them, at unit length."""
    if not columns.size:
        return np.zeros((len(columns), 0))
    lengths = np.sqrt((columns**2).mean(axis=0))
    scaled = columns[:, lengths > 0] / lengths[lengths > 0]
    _, redundant = basis_of(scaled)
    return np.delete(scaled, redundant, axis=1)


def _scaled(design: np.ndarray) -> np.ndarray:
    return design / np.sqrt((design**2).mean(axis=0))
