"""Several ways of measuring the same: limits of agreement, and analysis of variance of repeated measures."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

FEWEST = 3
_CONFIDENCE = 0.975


@dataclass(frozen=True)
class Limits:
    """Bland and Altman's limits of agreement of the differences second less first; NaN where there are none.

    Parameters
    ----------
    n : int
        Pairs.
    bias, bias_ci_low, bias_ci_high : float
        Mean difference with its 95 % interval.
    sd : float
        Standard deviation of the differences (n - 1).
    low, low_ci_low, low_ci_high, high, high_ci_low, high_ci_high : float
        Lower and upper limit, each with its 95 % interval.
    slope, slope_p : float
        Difference by mean of both, least squares: is the bias proportional to the size.
    t, p : float
        Paired t test of a bias of zero.
    """

    n: int
    bias: float = np.nan
    bias_ci_low: float = np.nan
    bias_ci_high: float = np.nan
    sd: float = np.nan
    low: float = np.nan
    low_ci_low: float = np.nan
    low_ci_high: float = np.nan
    high: float = np.nan
    high_ci_low: float = np.nan
    high_ci_high: float = np.nan
    slope: float = np.nan
    slope_p: float = np.nan
    t: float = np.nan
    p: float = np.nan


def limits_of_agreement(first: np.ndarray, second: np.ndarray, /) -> Limits:
    r"""Bias and limits of agreement of two ways of measuring.

    :math:`\bar d \pm 1.96\,s` of the differences; the interval of the bias is
    :math:`\bar d \pm t\,s/\sqrt n`, that of a limit has the standard error
    :math:`s\sqrt{1/n + 1.96^2/(2(n-1))}` and :math:`t` with n - 1 degrees of freedom (Bland and Altman 1999,
    https://doi.org/10.1177/096228029900800204).

    Parameters
    ----------
    first, second : (n,) array of float
        Measurements of the same n children, in pairs; nothing missing.

    Returns
    -------
    Limits
        Only ``n`` for fewer than 3 pairs. Without any spread of the differences t, p and slope are NaN.
    """
    difference = np.asarray(second, float) - np.asarray(first, float)
    n = len(difference)
    if n < FEWEST:
        return Limits(n)
    bias, sd = float(difference.mean()), float(difference.std(ddof=1))
    quantile, reach = float(stats.t.ppf(_CONFIDENCE, n - 1)), float(stats.norm.ppf(_CONFIDENCE))
    of_bias, of_limit = quantile * sd / np.sqrt(n), quantile * sd * np.sqrt(1 / n + reach**2 / (2 * (n - 1)))
    low, high = bias - reach * sd, bias + reach * sd
    slope, slope_p, t, p = _tests(np.asarray(first, float), difference, sd)
    return Limits(
        n,
        bias=bias,
        bias_ci_low=bias - of_bias,
        bias_ci_high=bias + of_bias,
        sd=sd,
        low=low,
        low_ci_low=low - of_limit,
        low_ci_high=low + of_limit,
        high=high,
        high_ci_low=high - of_limit,
        high_ci_high=high + of_limit,
        slope=slope,
        slope_p=slope_p,
        t=t,
        p=p,
    )


def _tests(first: np.ndarray, difference: np.ndarray, sd: float) -> tuple[float, float, float, float]:
    if sd <= 1e-12 * max(float(np.abs(first).max()), 1e-300):
        return np.nan, np.nan, np.nan, np.nan
    n = len(difference)
    t = float(difference.mean() / (sd / np.sqrt(n)))
    p = float(2 * stats.t.sf(abs(t), n - 1))
    mean = first + difference / 2
    if np.ptp(mean) == 0:
        return np.nan, np.nan, t, p
    line = stats.linregress(mean, difference)
    return float(line.slope), float(line.pvalue), t, p


@dataclass(frozen=True)
class Repeated:
    """One-way analysis of variance of repeated measures; NaN where there is none.

    Parameters
    ----------
    n, k : int
        Children and methods.
    f, p : float
        F with k - 1 and (n - 1)(k - 1) degrees of freedom, and its p if the differences of all pairs of
        methods vary alike (sphericity).
    epsilon, p_corrected : float
        Epsilon of Greenhouse and Geisser, 1 / (k - 1) to 1, and p with both degrees of freedom times it.
    partial_eta2 : float
        Sum of squares of the methods, of that and the error's.
    """

    n: int
    k: int
    f: float = np.nan
    p: float = np.nan
    epsilon: float = np.nan
    p_corrected: float = np.nan
    partial_eta2: float = np.nan


def repeated_anova(values: np.ndarray, /) -> Repeated:
    r"""Test whether methods that measured the same children differ on average.

    Parameters
    ----------
    values : (n, k) array of float
        Children by methods, nothing missing.

    Returns
    -------
    Repeated
        Only ``n`` and ``k`` for fewer than 3 children or 2 methods, or where the error is zero.
    """
    n, k = values.shape
    if n < FEWEST or k < 2:
        return Repeated(n, k)
    centred = values - values.mean()
    rows, columns = centred.mean(axis=1), centred.mean(axis=0)
    error = float(((centred - rows[:, None] - columns) ** 2).sum())
    between = float(n * columns @ columns)
    if error <= 1e-24 * float((values**2).sum()):
        return Repeated(n, k)
    df = (k - 1, (n - 1) * (k - 1))
    f = (between / df[0]) / (error / df[1])
    epsilon = _greenhouse_geisser(values)
    corrected = float(stats.f.sf(f, epsilon * df[0], epsilon * df[1]))
    p = float(stats.f.sf(f, *df))
    return Repeated(n, k, f, p, epsilon, corrected, between / (between + error))


def _greenhouse_geisser(values: np.ndarray) -> float:
    k = values.shape[1]
    if k == 2:
        return 1.0
    covariance = np.cov(values, rowvar=False)
    doubly = (
        covariance
        - covariance.mean(axis=0)
        - covariance.mean(axis=1)[:, None]
        + covariance.mean()
    )  # fmt: skip
    return float(np.trace(doubly) ** 2 / ((k - 1) * (doubly**2).sum()))
