"""Partial rank correlation with its interval, and the false discovery rate over a family of tests."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize, stats

FEWEST = 10
_ZERO = 1e-9
_CONFIDENCE = 0.95
ALPHA, POWER = 0.05, 0.8
CURVED_FROM = 0.2
_POWERS, _CHILDREN_PER_TERM, _FEWEST_LEFT, _LARGEST_LEVERAGE = (2, 3), 4, 5, 0.95


@dataclass(frozen=True)
class Partial:
    """A partial rank correlation.

    Parameters
    ----------
    n : int
        Children that it is computed from.
    k : int
        Covariates that carry information of their own (rank of their design).
    rho, p, ci_low, ci_high : float
        Correlation, two-sided p and 95 % interval; NaN where they cannot be had.
    explained : float
        Share of the ranks' variance that the ranks of the covariates explain, in x or in y, whichever is
        smaller.
    curved : bool
        Whether the covariates were taken off as curves.
    widened : float
        The standard error is that of equal spread times this; 1 where covariates are taken off as lines.
    redundant : tuple of int
        Columns of the covariates that follow from the ones before them.
    problem : str
        Why there is no correlation, or no interval; empty if nothing is wrong.
    """

    n: int
    k: int = 0
    rho: float = np.nan
    p: float = np.nan
    ci_low: float = np.nan
    ci_high: float = np.nan
    explained: float = 0.0
    curved: bool = False
    widened: float = 1.0
    redundant: tuple[int, ...] = ()
    problem: str = ""


def partial_spearman(x: np.ndarray, y: np.ndarray, covariates: np.ndarray, /) -> Partial:
    r"""Partial Spearman correlation of two variables, given covariates.

    All variables are replaced by their ranks (mean ranks for ties); :math:`\rho` is the Pearson correlation
    of what is left of the ranks of x and y after least squares on the ranks of the covariates.
    :math:`t = \rho \sqrt{(n-k-2)/(1-\rho^2)}` has n - k - 2 degrees of freedom. The interval is Fisher's
    with the standard error of Bonett and Wright (2000, https://doi.org/10.1007/BF02294183) and the covariates
    taken off: :math:`\tanh(\operatorname{artanh}\rho \pm 1.96 \sqrt{(1+\rho^2/2)/(n-k-3)})`.

    Covariates that explain a fifth or more of the ranks of both x and y (adjusted R²) are taken off as
    curves, see `take_off`, and the standard error is the larger one of the usual and of HC2, which lets the
    spread differ from child to child (MacKinnon and White 1985,
    https://doi.org/10.1016/0304-4076(85)90158-7). As straight lines they leave some of their effect: p < .05
    came in 8 to 11 % of null samples where one covariate explained most of both, and in 12 to 62 % where two
    or three did; as curves in 4 to 7 %, and in 6 to 13 %.

    Parameters
    ----------
    x, y : (n,) array of float
        The two variables, nothing missing.
    covariates : (n, k) array of float
        Covariates, categories as columns of 0 and 1; k may be 0.

    Returns
    -------
    Partial
        With NaN and a reason, if there are fewer than 10 children or too few for the covariates, if x or y is
        constant, or if the covariates determine x or y.
    """
    n = len(x)
    if n < FEWEST:
        return Partial(n, problem=f"n = {n} is below {FEWEST}: not estimated")
    taken = take_off(x, y, covariates)
    k = taken.basis.shape[1]
    if n - k - 3 < 1:
        problem = f"n = {n} is too few for {k} covariates: not estimated"
        return Partial(n, k, redundant=taken.redundant, problem=problem)
    residuals = []
    for name, variable in (("the volume", x), ("the score", y)):
        ranks = centred_ranks(variable[:, None])[:, 0]
        total = float(ranks @ ranks)
        if total == 0:
            return Partial(n, k, redundant=taken.redundant, problem=f"{name} is constant: not estimated")
        left = ranks - taken.basis @ (taken.basis.T @ ranks)
        if float(left @ left) < _ZERO * total:
            problem = f"the covariates determine the ranks of {name}: not estimated"
            return Partial(n, k, redundant=taken.redundant, problem=problem)
        residuals.append(left / np.linalg.norm(left))
    rho = float(np.clip(residuals[0] @ residuals[1], -1, 1))
    widened = _widened(residuals[0], residuals[1], taken.basis) if taken.curved else 1.0
    return replace(
        _with_interval(n, k, rho, widened),
        explained=taken.explained,
        curved=taken.curved,
        redundant=taken.redundant,
    )


@dataclass(frozen=True)
class TakenOff:
    """What the ranks of two variables are cleared of.

    Parameters
    ----------
    basis : (n, k) array
        Orthonormal; least squares on it takes the covariates off.
    redundant : tuple of int
        Covariates that follow from the ones before them.
    explained : float
        Share of the ranks of either variable that the ranks of the covariates explain, the smaller one.
    curved : bool
        Whether there is more in the basis than the ranks of the covariates.
    """

    basis: np.ndarray
    redundant: tuple[int, ...]
    explained: float
    curved: bool


def take_off(x: np.ndarray, y: np.ndarray, covariates: np.ndarray, /) -> TakenOff:
    """Find what to take off the ranks of two variables so that nothing of the covariates is left in both.

    That is the ranks of the covariates; and where they explain a fifth or more of both (adjusted R²), the
    square and cube of what they explain of x, and of y (Ramsey 1969,
    https://doi.org/10.1111/j.2517-6161.1969.tb00796.x), because ranks bend what is straight; and if there are
    four children or more for each term, also the square and cube of every covariate of more than two values.

    Parameters
    ----------
    x, y, covariates
        As of `partial_spearman`.
    """
    ranks, n = centred_ranks(covariates), len(x)
    basis, redundant = basis_of(ranks)
    variables = centred_ranks(np.column_stack([x, y]))
    explained, fitted = _fit(variables, basis)
    left = n - basis.shape[1] - 1
    without_chance = 1 - (1 - explained) * (n - 1) / max(left, 1)
    if without_chance < CURVED_FROM or left - 2 * len(_POWERS) < _FEWEST_LEFT:
        return TakenOff(basis, redundant, explained, curved=False)
    bent = [_bend(column) for column in ranks.T if len(np.unique(column)) > 2]
    terms = basis.shape[1] + len(_POWERS) * (len(bent) + 2)
    if n >= _CHILDREN_PER_TERM * terms:
        basis = _extended(basis, bent)
        fitted = _fit(variables, basis)[1]
    basis = _extended(basis, [_bend(column) for column in fitted.T])
    return TakenOff(basis, redundant, explained, curved=True)


def _fit(variables: np.ndarray, basis: np.ndarray) -> tuple[float, np.ndarray]:
    fitted = basis @ (basis.T @ variables)
    total = np.maximum((variables**2).sum(axis=0), 1e-300)
    return float(((fitted**2).sum(axis=0) / total).min()), fitted


def _extended(basis: np.ndarray, more: list[np.ndarray]) -> np.ndarray:
    """Orthonormal basis of a basis and more columns; what follows from the others is passed over."""
    left = np.column_stack(more)
    left = left / np.maximum(np.linalg.norm(left, axis=0), 1e-300)
    for _ in range(2):  # twice, so that rounding does not let a dependent column through
        left = left - basis @ (basis.T @ left)
    own = np.abs(np.diag(np.linalg.qr(left)[1])) > np.sqrt(_ZERO)
    return np.column_stack([basis, np.linalg.qr(left[:, own])[0]])


def _bend(column: np.ndarray) -> np.ndarray:
    """Square and cube of a column, centred, (n, 2)."""
    unit = column / max(np.abs(column).max(), 1e-300)
    powers = np.column_stack([unit**power for power in _POWERS])
    return powers - powers.mean(axis=0)


def _widened(x: np.ndarray, y: np.ndarray, basis: np.ndarray) -> float:
    """Ratio of the standard error that allows for unequal spread to the usual one; 1 if that is larger."""
    n, k = len(x), basis.shape[1]
    left = y - (x @ y) * x
    usual = float(left @ left) / (n - k - 2)
    leverage = np.minimum((basis**2).sum(axis=1) + 1 / n + x**2, _LARGEST_LEVERAGE)
    unequal = float((x**2 * left**2 / (1 - leverage)).sum())
    return max(1.0, float(np.sqrt(unequal / usual))) if usual > 0 else 1.0


def _with_interval(n: int, k: int, rho: float, widened: float) -> Partial:
    if 1 - abs(rho) < _ZERO:
        problem = "the ranks agree perfectly: no interval"
        return Partial(n, k, round(rho), 0.0, problem=problem)
    df = n - k - 2
    p = float(2 * stats.t.sf(abs(rho) * np.sqrt(df / (1 - rho**2)) / widened, df))
    reach = widened * stats.norm.ppf(0.5 + _CONFIDENCE / 2) * np.sqrt((1 + rho**2 / 2) / (n - k - 3))
    low, high = np.tanh(np.arctanh(rho) + np.array([-reach, reach]))
    return Partial(n, k, rho, p, float(low), float(high), widened=widened)


def smallest_detectable(n: int, k: int, /, *, alpha: float = ALPHA, power: float = POWER) -> float:
    r"""Return the smallest true correlation that a sample would have found significant with this power.

    Solves :math:`\operatorname{artanh}\rho = z_{1-\alpha/2}\,s(0) + z_{power}\,s(\rho)` with the standard
    error :math:`s(\rho)^2 = (1+\rho^2/2)/(n-k-3)` of the interval. NaN for a sample that is too small.

    Parameters
    ----------
    n, k : int
        Children and covariates.
    alpha : float
        Level of the two-sided test.
    power : float
        Probability that it finds the correlation.
    """
    df = n - k - 3
    if n < FEWEST or df < 1 or not 0 < alpha < 1:
        return np.nan
    return _detectable(df, alpha, power)


def detectable_among(rho: float, tests: int, /) -> float:
    """Return what `smallest_detectable` gives at the level of one among many tests, from its value for one.

    Parameters
    ----------
    rho : float
        What it gives at the level of a single test.
    tests : int
        How many tests the level is divided by.
    """
    if not 0 < rho < 1:
        return np.nan
    reject, find = stats.norm.ppf(1 - ALPHA / 2), stats.norm.ppf(POWER)
    df = ((reject + find * np.sqrt(1 + rho**2 / 2)) / np.arctanh(rho)) ** 2
    return _detectable(df, ALPHA / tests, POWER)


def _detectable(df: float, alpha: float, power: float) -> float:
    reject, find = stats.norm.ppf(1 - alpha / 2), stats.norm.ppf(power)

    def short_of(rho: float) -> float:
        return float(np.arctanh(rho) - (reject + find * np.sqrt(1 + rho**2 / 2)) / np.sqrt(df))

    return float(optimize.brentq(short_of, 0.0, 1 - 1e-12)) if short_of(1 - 1e-12) > 0 else np.nan


def centred_ranks(columns: np.ndarray) -> np.ndarray:
    if columns.shape[1] == 0:
        return columns.astype(float)
    return stats.rankdata(columns, axis=0) - (len(columns) + 1) / 2


def basis_of(columns: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """Orthonormal basis of the columns, in their order, and which columns add nothing to those before."""
    kept: list[np.ndarray] = []
    redundant = []
    for index, column in enumerate(columns.T):
        left = column.copy()
        for _ in range(2):  # twice, so that rounding does not let a dependent column through
            for unit in kept:
                left -= unit * (unit @ left)
        if left @ left <= _ZERO * (column @ column):
            redundant.append(index)
        else:
            kept.append(left / np.linalg.norm(left))
    basis = np.stack(kept, axis=1) if kept else np.zeros((len(columns), 0))
    return basis, tuple(redundant)


def inflation(covariates: np.ndarray, /) -> np.ndarray:
    """Variance inflation of every covariate by the others, from their ranks.

    Parameters
    ----------
    covariates : (n, k) array of float

    Returns
    -------
    (k,) array of float
        1 for a covariate that is unrelated to the others; infinite if it follows from them.
    """
    ranks = centred_ranks(covariates)
    factors = []
    for index in range(ranks.shape[1]):
        basis, _ = basis_of(np.delete(ranks, index, axis=1))
        total = ranks[:, index] @ ranks[:, index]
        left = ranks[:, index] - basis @ (basis.T @ ranks[:, index])
        factors.append(total / (left @ left) if left @ left > _ZERO * total else np.inf)
    return np.array(factors)


def false_discovery_rate(p: np.ndarray, /) -> np.ndarray:
    """Adjust p over a family as Benjamini and Hochberg (1995) do; NaN stays NaN and is not counted.

    Parameters
    ----------
    p : (m,) array of float

    Returns
    -------
    (m,) array of float
    """
    adjusted = np.full(len(p), np.nan)
    known = np.isfinite(p)
    if known.any():
        adjusted[known] = stats.false_discovery_control(p[known])
    return adjusted
