"""Scales of age on which growth is a line or a smooth curve."""

from dataclasses import dataclass

import numpy as np

from babyseg_py.statistics.visits import DAYS_PER_MONTH

POWERS = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0)
_SHIFT_MONTHS = 1.0
_APART = 0.5


@dataclass(frozen=True)
class AgeScale:
    """Functions of age that a model is linear in.

    Parameters
    ----------
    name : str
        ``linear``, ``log``, ``fractional polynomial (…)`` or ``natural spline (… df)``.
    powers : tuple of float
        Powers of (age in months + 1), 0 being the logarithm, a repeated power being multiplied by it.
    knots : tuple of float
        Knots on log(age in months + 1) for a natural spline, outer ones included; empty for powers.
    centre : float
        Age in months at which the first function is 0.
    """

    name: str
    powers: tuple[float, ...] = (0.0,)
    knots: tuple[float, ...] = ()
    centre: float = 0.0

    def __call__(self, days: np.ndarray) -> np.ndarray:
        """Return the (n, k) functions of n ages in days; the first one carries the random slope."""
        months = np.asarray(days, float) / DAYS_PER_MONTH
        return self._functions(months) - self._functions(np.array([self.centre]))

    def _functions(self, months: np.ndarray) -> np.ndarray:
        shifted = np.maximum(months + _SHIFT_MONTHS, 1e-3)
        if self.knots:
            return natural_spline(np.log(shifted), np.array(self.knots))
        if self.name == "linear":
            return months[:, None]
        columns = []
        for place, power in enumerate(self.powers):
            column = np.log(shifted) if power == 0 else shifted**power
            again = self.powers[:place].count(power)
            columns.append(column * np.log(shifted) ** again)
        return np.stack(columns, axis=1)


def natural_spline(x: np.ndarray, knots: np.ndarray, /) -> np.ndarray:
    """Natural cubic spline without intercept: linear beyond the outer knots.

    Parameters
    ----------
    x : (n,) array of float
    knots : (k,) array of float
        In ascending order, k >= 2.

    Returns
    -------
    (n, k - 1) array
        x itself first, then the truncated cubes of Harrell (2015), scaled to the range of the knots.
    """

    def cube(at: float) -> np.ndarray:
        return np.maximum(x - at, 0.0) ** 3

    first, last, inner = knots[0], knots[-1], knots[-2]
    columns = [x]
    for knot in knots[:-2]:
        tail = (cube(inner) * (last - knot) - cube(last) * (inner - knot)) / (last - inner)
        columns.append((cube(knot) - tail) / (last - first) ** 2)
    return np.stack(columns, axis=1)


def spline_scale(days: np.ndarray, df: int) -> AgeScale:
    """Natural spline of log age with knots at even quantiles of the different ages, fewer if they are few.

    Parameters
    ----------
    days : (n,) array of float
        Ages that the knots are laid by.
    df : int
        Functions wanted; one per two clearly different ages at most.
    """
    months = np.asarray(days, float) / DAYS_PER_MONTH
    x = np.log(np.maximum(months + _SHIFT_MONTHS, 1e-3))
    clear = np.unique(np.round(x, 1))
    df = max(1, min(df, len(clear) - 1))
    centre = float(np.median(months))
    if df == 1:
        return AgeScale("log", centre=centre)
    inside = np.quantile(clear, np.linspace(0, 1, df + 1)[1:-1])
    knots = np.unique([x.min(), *inside, x.max()])
    return AgeScale(f"natural spline ({len(knots) - 1} df)", (), tuple(map(float, knots)), centre)


def separate_ages(days: np.ndarray) -> int:
    """Count ages that are clearly apart: by 0.5 of log(age in months + 1), as 1, 2.3, 4.4, 8 and 14 months.

    Visits in waves are few such ages however much they scatter within each wave.
    """
    x = np.sort(np.log(np.maximum(np.asarray(days, float) / DAYS_PER_MONTH + _SHIFT_MONTHS, 1e-3)))
    count, last = 0, -np.inf
    for value in x:
        if value >= last + _APART:
            count, last = count + 1, value
    return count


def levelled(values: np.ndarray, days: np.ndarray, /, *, at: float, df: int = 3) -> np.ndarray:
    """Take the cohort's curve over age off, and bring all to one age.

    Parameters
    ----------
    values : (n, m) array of float
        Volumes or scores of n visits; missing ones as NaN.
    days : (n,) array of float
        Ages, nothing missing.
    at : float
        Age in days at which the level stays.
    df : int
        Degrees of freedom of the natural spline of log age.

    Returns
    -------
    (n, m) array
        Where there are too few values for a curve they stay as they are.
    """
    out = np.array(values, dtype=float)
    if len(days) == 0:
        return out
    scale = spline_scale(days, df)
    design = np.column_stack([np.ones(len(days)), scale(days)])
    away = scale(days) - scale(np.array([at]))
    for column in range(out.shape[1]):
        there = np.isfinite(out[:, column])
        if there.sum() > design.shape[1]:
            beta = np.linalg.lstsq(design[there], out[there, column], rcond=None)[0]
            out[:, column] -= away @ beta[1:]
    return out


def candidate_scales(days: np.ndarray) -> list[AgeScale]:
    """Return the scales that a growth model is chosen from: line, logarithm, fractional polynomials, splines.

    Fractional polynomials are those of Royston and Altman (1994, https://doi.org/10.2307/2986270) of one and
    of two powers. A scale with more functions than there are different ages (in 0.1 of the logarithm) less
    one is left out.
    """
    months = np.asarray(days, float) / DAYS_PER_MONTH
    centre = float(np.median(months))
    clear = len(np.unique(np.round(np.log(np.maximum(months + _SHIFT_MONTHS, 1e-3)), 1)))
    pairs = [(p, q) for i, p in enumerate(POWERS) for q in POWERS[i:]]
    scales = [AgeScale("linear", (1.0,), centre=centre), AgeScale("log", centre=centre)]
    single = [(p,) for p in POWERS if p not in (0.0, 1.0)]
    for powers in [*single, *pairs]:
        words = ", ".join(f"{p:g}" for p in powers)
        scales.append(AgeScale(f"fractional polynomial ({words})", powers, centre=centre))
    scales += [spline for df in (2, 3, 4) if len((spline := spline_scale(days, df)).knots) == df + 1]
    return [s for s in scales if (len(s.knots) - 1 if s.knots else len(s.powers)) < max(clear, 2)]
