"""Effects between children and within a child, apart: the model of one set of repeated visits."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from babyseg_py.statistics.mixed import fit_mixed
from babyseg_py.statistics.partial import FEWEST, basis_of, smallest_detectable
from babyseg_py.statistics.permutation import Battery

EFFECTS = ("between", "within")
LEAST_DF = 5
_NOTHING_LEFT = 1e-9  # share of a sum of squares below which rounding is all that there is


@dataclass(frozen=True)
class Split:
    """Variables split into the mean of each child and the deviations from it, both per observation."""

    mean: np.ndarray
    deviation: np.ndarray


@dataclass(frozen=True)
class Effect:
    """One fixed effect with its standard error, per standard deviation of its predictor."""

    estimate: float = np.nan
    error: float = np.nan
    df: int = 0
    sd: float = np.nan
    problem: str = ""


def split(values: np.ndarray, codes: np.ndarray) -> Split:
    """Split (N, k) values into child means and deviations, both (N, k); ``codes`` number the children."""
    count = np.bincount(codes)
    sums = np.zeros((len(count), values.shape[1]))
    np.add.at(sums, codes, values)
    mean = (sums / count[:, None])[codes]
    deviation = values - mean
    scale = np.abs(values).max(axis=0, initial=0.0)
    return Split(mean, np.where(np.abs(deviation) > 1e-12 * scale, deviation, 0.0))


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
    def of(cls, score: np.ndarray, children: np.ndarray, design: np.ndarray, /) -> "Levels":
        """Split the covariates of N observations, (N, k), by their children, (N,) names."""
        _, codes = np.unique(children.astype(str), return_inverse=True)
        parts = split(design, codes) if len(codes) else Split(design, design)
        intercept = np.ones((len(codes), 1))
        spread = parts.mean - parts.mean.mean(axis=0) if len(codes) else parts.mean
        between = np.column_stack([intercept, _independent(spread)])
        return cls(score, codes, between, _independent(parts.deviation))

    @property
    def n(self) -> int:
        """How many children there are."""
        return int(self.codes.max(initial=-1) + 1)

    @property
    def covariates(self) -> np.ndarray:
        """The columns of both levels."""
        return np.column_stack([self.between, self.within])

    @property
    def df(self) -> tuple[int, int]:
        """Degrees of freedom of a predictor on each level: children, and observations less children."""
        n = self.n
        return n - self.between.shape[1] - 1, len(self.y) - n - self.within.shape[1] - 1

    def effects(self, x: np.ndarray) -> dict[str, dict]:
        """Fit the mixed model with one structure; a row for each effect."""
        n = self.n
        single = n - int((np.bincount(self.codes) > 1).sum()) if n else 0
        rows = {}
        for name, effect in self._fit(x).items():
            t = effect.estimate / effect.error if effect.error > 0 else np.nan
            reach = stats.t.ppf(0.975, effect.df) * effect.error if np.isfinite(t) else np.nan
            notes = [
                effect.problem,
                f"{single} children with one visit count between children" * bool(single),
            ]
            rows[name] = {
                "n": n,
                "n_observations": len(self.y),
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

    def _fit(self, x: np.ndarray) -> dict[str, Effect]:
        if self.n < FEWEST:
            return dict.fromkeys(EFFECTS, Effect(problem=f"n = {self.n} is below {FEWEST}: not estimated"))
        columns, sds = self._predictors(x)
        problems = self._problems(columns)
        effects = {name: Effect(problem=words) for name, words in zip(EFFECTS, problems, strict=True)}
        used = [i for i in (0, 1) if not problems[i]]
        if not used:
            return effects
        design = np.column_stack([self.between, self.within, *(columns[i] / sds[i] for i in used)])
        model = fit_mixed(self.y, _scaled(design), np.ones((len(x), 1)), self.codes)
        errors, lengths = np.sqrt(np.diag(model.covariance)), np.sqrt((design**2).mean(axis=0))
        for place, i in enumerate(used, start=design.shape[1] - len(used)):
            estimate, error = (float(of[place] / lengths[place]) for of in (model.beta, errors))
            effects[EFFECTS[i]] = Effect(estimate, error, self.df[i], sds[i])
        return effects

    def _predictors(self, x: np.ndarray) -> tuple[list[np.ndarray], list[float]]:
        """Return child means and deviations of a structure, (N,) each, and their standard deviations."""
        parts = split(x[:, None], self.codes)
        first = np.unique(self.codes, return_index=True)[1]
        columns = [parts.mean[:, 0] - parts.mean[first, 0].mean(), parts.deviation[:, 0]]
        again = np.bincount(self.codes)[self.codes] > 1
        deviation = float(np.sqrt((columns[1] ** 2).sum() / max(again.sum(), 1)))
        return columns, [float(columns[0][first].std(ddof=1)), deviation]

    def _problems(self, columns: list[np.ndarray]) -> list[str]:
        """Say for each effect why it is not estimated; empty if it is."""
        basis, _ = basis_of(self.covariates)
        left, spread = self.y - basis @ (basis.T @ self.y), self.y - self.y.mean()
        if left @ left <= _NOTHING_LEFT * (spread @ spread):
            return ["the covariates determine the score: not estimated"] * 2
        of_each = zip(columns, (self.between, self.within), self.df, EFFECTS, strict=True)
        problems = [_problem(column, others, df, name) for column, others, df, name in of_each]
        if not split(self.y[:, None], self.codes).deviation.any():
            problems[1] = "the score does not change within any child: not estimated"
        return problems

    def tests(self, x: np.ndarray) -> dict[str, Battery]:
        """Return what max-T permutes: weighted child means, and deviations within each child."""
        if self.n < FEWEST:
            return {}
        counts, first = np.bincount(self.codes), np.unique(self.codes, return_index=True)[1]
        null = fit_mixed(self.y, _scaled(self.covariates), np.ones((len(self.y), 1)), self.codes)
        weights = np.sqrt(counts / (1 + counts * null.ratio[0, 0]))[:, None]
        response, parts = split(self.y[:, None], self.codes), split(x, self.codes)
        centred = parts.mean - parts.mean.mean(axis=0)
        between, _ = basis_of(self.between[first] * weights)
        repeated = counts[self.codes] > 1
        within, _ = basis_of(self.within[repeated])
        out = {}
        if self.df[0] >= LEAST_DF:
            means = (response.mean[first] * weights)[:, 0]
            out["between"] = Battery(means, centred[first] * weights, between, self.df[0])
        if self.df[1] >= LEAST_DF:
            out["within"] = Battery(
                response.deviation[repeated, 0],
                parts.deviation[repeated],
                within,
                self.df[1],
                self.codes[repeated],
            )
        return out


def _problem(column: np.ndarray, others: np.ndarray, df: int, name: str) -> str:
    if df < LEAST_DF:
        return f"{df} degrees of freedom {name} children are below {LEAST_DF}: not estimated"
    basis, _ = basis_of(others)
    left = column - basis @ (basis.T @ column)
    if left @ left <= _NOTHING_LEFT * (column @ column):
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
