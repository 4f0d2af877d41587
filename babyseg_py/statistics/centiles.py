r"""Centile curves of the cohort: location, scale and shape of a volume over age.

The model is the LMS method (Cole and Green 1992, https://doi.org/10.1002/sim.4780111005), a special case of
GAMLSS (Rigby and Stasinopoulos 2005): :math:`z = ((V/M)^L - 1)/(LS)` is standard normal, with the median M
and the coefficient of variation S as exponentials of functions of age, and a constant L (0: the logarithm is
normal).

A curve that is estimated lies now too far out, now too far in; as the tails are thin, more children fall
beyond it on average than its name says. With v the variance of the estimated z, the curve of centile p is
therefore drawn at :math:`z_p\sqrt{1 + v}`: then the expected share below it is p, to first order. With many
children v vanishes. The z of a child of the cohort is that of the fitted distribution: it helped to make it.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

from babyseg_py.statistics.agescales import AgeScale, separate_ages, spline_scale
from babyseg_py.statistics.growthmodels import Visits, structures_by_reference, visits_of
from babyseg_py.statistics.visits import DAYS_PER_MONTH

COLUMNS = [
    "structure", "side", "volume_source", "age_reference", "age_days", "centile", "volume_mm3", "ci_low",
    "ci_high", "n", "n_observations", "n_one_visit", "median_scale", "spread_scale", "skewness", "notes",
]  # fmt: skip
CHILD_COLUMNS = [
    "participant_id", "session_id", "structure", "side", "volume_source", "age_reference", "age_days",
    "volume_mm3", "z", "centile", "centile_ci_low", "centile_ci_high", "z_change", "crossing", "notes",
]  # fmt: skip
CENTILES = (3.0, 10.0, 25.0, 50.0, 75.0, 90.0, 97.0)
CROSSING = 2 * float(stats.norm.ppf(0.75))
FEWEST, FEWEST_SHAPE, _FEW = 15, 60, 50
SHAPE_OF_FEW = 0.5  # L with too few children to tell: midway between a normal volume and a normal logarithm
MEDIAN_DF, SPREAD_DF = (3, 4, 5, 6), (1, 2)
_POINTS = 25
_STEP = 1e-4


@dataclass(frozen=True)
class Curves:
    """A fitted model of one structure.

    Parameters
    ----------
    median, spread : AgeScale or None
        Functions of age for log M and log S, each beside an intercept; no function if None.
    shape : bool
        Whether L was estimated; otherwise it is `SHAPE_OF_FEW`.
    theta : (p,) array
        Coefficients of log M (of volume over ``unit``), of log S, and L.
    covariance : (p, p) array
        Their covariance, robust to several visits of a child.
    df : int
        Children less coefficients.
    unit : float
        Volumes are divided by it, mm³.
    aic : float
    """

    median: AgeScale | None
    spread: AgeScale | None
    shape: bool
    theta: np.ndarray
    covariance: np.ndarray
    df: int
    unit: float
    aic: float

    def parameters(
        self, days: np.ndarray, theta: np.ndarray | None = None
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Return L, M (mm³) and S at n ages in days."""
        median, spread = _columns(days, self.median), _columns(days, self.spread)
        return _lms(self.theta if theta is None else theta, median, spread, self.shape, self.unit)

    def volume(self, days: np.ndarray, z: float | np.ndarray, theta: np.ndarray | None = None) -> np.ndarray:
        """Return the volumes (mm³) with this z at n ages in days."""
        shape, median, spread = self.parameters(days, theta)
        if abs(shape) < 1e-6:
            return median * np.exp(spread * z)
        return median * np.maximum(1 + shape * spread * z, 1e-6) ** (1 / shape)

    def z(self, days: np.ndarray, volumes: np.ndarray, theta: np.ndarray | None = None) -> np.ndarray:
        """Return the z of n volumes (mm³) at n ages in days."""
        shape, median, spread = self.parameters(days, theta)
        return _z(volumes / median, shape, spread)

    def z_error(self, days: np.ndarray, volumes: np.ndarray) -> np.ndarray:
        """Return the standard errors of the z of n volumes (mm³) at n ages in days."""
        return self.errors(lambda theta: self.z(days, volumes, theta), len(days))

    def centile(self, days: np.ndarray, centile: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the volumes (mm³) of a centile (0 to 100) at n ages, and the errors of their logarithm."""
        z = float(stats.norm.ppf(centile / 100))
        out = z * np.sqrt(1 + self.z_error(days, self.volume(days, z)) ** 2)
        error = self.errors(lambda theta: np.log(self.volume(days, out, theta)), len(days))
        return self.volume(days, out), error

    def errors(self, function, n: int) -> np.ndarray:
        """Return the standard errors of n numbers that follow from the coefficients (delta method)."""
        slopes = np.empty((n, len(self.theta)))
        for i in range(len(self.theta)):
            step = np.zeros(len(self.theta))
            step[i] = _STEP
            slopes[:, i] = (function(self.theta + step) - function(self.theta - step)) / (2 * _STEP)
        return np.sqrt(np.maximum(np.einsum("ni,ij,nj->n", slopes, self.covariance, slopes), 0.0))


def centile_tables(
    volumes: pd.DataFrame, facts: pd.DataFrame, *, source: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Centile curves of every structure, and the centile of every child at every visit.

    The median is a natural spline of log age with 3 to 6 degrees of freedom (fewer than there are
    `separate_ages`, constant within a month), by least squares of the logarithm; the spread is such a spline
    with 1 or 2. Both are chosen by Akaike's information criterion for small samples (of n
    children); a choice among stiffer curves would make bands that are too narrow. All visits of all children
    are used. Bands are 95 %, from a covariance that is robust to several visits of a child, corrected for few
    children by (n/(n - p))², with t of n - p degrees of freedom; the spread has the correction of a variance,
    n/(n - k) for k coefficients of the median. Below 60 children the shape is fixed at `SHAPE_OF_FEW`, below
    15 there are no curves.

    Parameters
    ----------
    volumes, facts, source
        As of `babyseg_py.statistics.growthmodels.growth_models`.

    Returns
    -------
    curves, children : pandas.DataFrame
        Columns `COLUMNS` and `CHILD_COLUMNS`.
    """
    rows: list[pd.DataFrame] = []
    children: list[pd.DataFrame] = []
    for named, visits, volume in structures_by_reference(volumes, facts, source):
        data = visits_of(visits, volume)
        fitted = fit_curves(data)
        if isinstance(fitted, str):
            n = len(np.unique(data.children))
            row = named | {"n": n, "n_observations": len(data.days), "notes": fitted}
            rows.append(pd.DataFrame([row], dtype=object))
            continue
        rows.append(_curve_rows(fitted, data).assign(**named))
        children.append(_child_rows(fitted, visits, volume).assign(**named))
    return _stack(rows, COLUMNS), _stack(children, CHILD_COLUMNS)


def _stack(parts: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    if not parts:
        return pd.DataFrame(columns=columns)
    return pd.concat([part.reindex(columns=columns).astype(object) for part in parts], ignore_index=True)


def fit_curves(data: Visits) -> Curves | str:
    """Choose and fit the curves of one structure, or say why there are none."""
    names = np.unique(data.children)
    if len(names) < FEWEST:
        return f"n = {len(names)} children is below {FEWEST}: no centiles"
    if (data.volumes <= 0).any():
        return f"{int((data.volumes <= 0).sum())} volumes are 0: no centiles"
    if data.volumes.std() < 1e-6 * data.volumes.mean():
        return "the volume is constant: no centiles"
    shape = len(names) >= FEWEST_SHAPE
    if np.ptp(data.days) < DAYS_PER_MONTH:
        return _fit(data, None, None, shape)
    median = _best_median(data, len(names))
    spreads = _splines(data.days, SPREAD_DF)
    return min((_fit(data, median, spread, shape) for spread in spreads), key=lambda one: one.aic)


def _splines(days: np.ndarray, wanted: tuple[int, ...]) -> list[AgeScale]:
    """Natural splines, with fewer degrees of freedom than there are ages clearly apart: no bends in gaps."""
    most = max(separate_ages(days) - 1, 1)
    return list(dict.fromkeys(spline_scale(days, min(df, most)) for df in wanted))


def _best_median(data: Visits, n: int) -> AgeScale:
    """Choose the function of age by least squares of the logarithm of the volume."""
    logs = np.log(data.volumes)
    found: list[tuple[float, int, AgeScale]] = []
    for place, scale in enumerate(_splines(data.days, MEDIAN_DF)):
        x = _columns(data.days, scale)
        x = x / np.sqrt((x**2).mean(axis=0))
        p = x.shape[1] + 1
        if n > p + 1:
            left = logs - x @ np.linalg.lstsq(x, logs, rcond=None)[0]
            found.append((len(logs) * np.log(left @ left) + _penalty(p, n), place, scale))
    return min(found)[2]


def _penalty(p: int, n: int) -> float:
    """Twice the coefficients, more for few children (Hurvich and Tsai 1989)."""
    return 2 * p * n / (n - p - 1) if n > p + 1 else np.inf


def _fit(data: Visits, median: AgeScale | None, spread: AgeScale | None, shape: bool) -> Curves:
    unit = float(np.median(data.volumes))
    (x, x_size), (w, w_size) = _of_one_size(data.days, median), _of_one_size(data.days, spread)
    v = data.volumes / unit
    logs = np.log(v)
    start = np.linalg.lstsq(x, logs, rcond=None)[0]
    left = logs - x @ start
    theta = np.concatenate([start, [np.log(max(left.std(), 1e-3))], np.zeros(w.shape[1] - 1), [1.0] * shape])

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        each, gradient = _likelihood(values, v, x, w, shape)
        return -float(each.sum()), -gradient.sum(axis=0)

    def curvature(values: np.ndarray) -> np.ndarray:
        return -_hessian(values, lambda at: _likelihood(at, v, x, w, shape)[1])

    # Of thousands of visits the sum is too large for its own last digits: a smaller slope is never reached.
    flat = {"gtol": max(1e-4, 1e-6 * len(v))}
    found = optimize.minimize(loss, theta, jac=True, hess=curvature, method="trust-exact", options=flat)
    _, codes = np.unique(data.children, return_inverse=True)
    n, p = int(codes.max()) + 1, len(theta)
    size = np.concatenate([x_size, w_size, [1.0] * shape])
    covariance = _robust(found.x, lambda values: _likelihood(values, v, x, w, shape)[1], codes)
    covariance /= np.outer(size, size)
    aic = 2 * found.fun + 2 * len(v) * np.log(unit) + _penalty(p, n)
    theta = found.x / size
    theta[x.shape[1]] += 0.5 * np.log(n / (n - x.shape[1]))
    return Curves(median, spread, shape, theta, covariance, max(n - p, 1), unit, float(aic))


def _columns(days: np.ndarray, scale: AgeScale | None) -> np.ndarray:
    ones = np.ones((len(days), 1))
    return ones if scale is None else np.column_stack([ones, scale(days)])


def _of_one_size(days: np.ndarray, scale: AgeScale | None) -> tuple[np.ndarray, np.ndarray]:
    """Return columns of mean square 1 and their divisors: among unlike slopes a search gets lost."""
    columns = _columns(days, scale)
    size = np.sqrt((columns**2).mean(axis=0))
    return columns / size, size


def _lms(
    theta: np.ndarray, x: np.ndarray, w: np.ndarray, shape: bool, unit: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return L, M and S."""
    p = x.shape[1]
    with np.errstate(over="ignore"):
        median, spread = unit * np.exp(x @ theta[:p]), np.exp(w @ theta[p : p + w.shape[1]])
    return float(theta[-1]) if shape else SHAPE_OF_FEW, median, spread


def _z(ratio: np.ndarray, shape: float, spread: np.ndarray) -> np.ndarray:
    if abs(shape) < 1e-6:
        return np.log(ratio) / spread
    return np.expm1(shape * np.log(ratio)) / (shape * spread)


def _likelihood(
    theta: np.ndarray, v: np.ndarray, x: np.ndarray, w: np.ndarray, shape: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Log likelihood of every observation (N,) and its gradient (N, p).

    The density is that of the normal distribution, times dz/dV; its truncation at V = 0 is left out.
    """
    power, median, spread = _lms(theta, x, w, shape, 1.0)
    log_ratio = np.log(v / median)
    z = _z(v / median, power, spread)
    each = -0.5 * z**2 - np.log(spread) + power * log_ratio - np.log(v) - 0.5 * np.log(2 * np.pi)
    grown = np.exp(power * log_ratio)
    by_median = (z * grown / spread - power)[:, None] * x
    by_spread = (z**2 - 1)[:, None] * w
    parts = [by_median, by_spread]
    if shape:
        small = abs(power) < 1e-6
        change = (
            log_ratio**2 / 2 if small else (log_ratio * grown - np.expm1(power * log_ratio) / power) / power
        )
        parts.append((log_ratio - z * change / spread)[:, None])
    gradient = np.concatenate(parts, axis=1)
    bad = ~np.isfinite(each) | ~np.isfinite(gradient).all(axis=1)
    if bad.any():
        each, gradient = np.where(bad, -1e10, each), np.where(bad[:, None], 0.0, gradient)
    return each, gradient


def _hessian(theta: np.ndarray, scores) -> np.ndarray:
    """Second derivatives of the log likelihood from differences of its gradient."""
    hessian = np.empty((len(theta), len(theta)))
    for i in range(len(theta)):
        step = np.zeros(len(theta))
        step[i] = _STEP
        hessian[i] = (scores(theta + step).sum(axis=0) - scores(theta - step).sum(axis=0)) / (2 * _STEP)
    return (hessian + hessian.T) / 2


def _robust(theta: np.ndarray, scores, codes: np.ndarray) -> np.ndarray:
    """Sandwich covariance with children as clusters, about that of a jackknife: times (n/(n - p))²."""
    p, n = len(theta), int(codes.max()) + 1
    bread = np.linalg.pinv(-_hessian(theta, scores))
    each = scores(theta)
    by_child = np.stack([np.bincount(codes, column) for column in each.T], axis=1)
    return (n / max(n - p, 1)) ** 2 * bread @ (by_child.T @ by_child) @ bread


def _curve_rows(curves: Curves, data: Visits) -> pd.DataFrame:
    """Make a row for each centile at 25 ages, evenly spaced in log age."""
    low, high = np.log1p(np.quantile(data.days, [0, 1]) / DAYS_PER_MONTH)
    days = DAYS_PER_MONTH * np.expm1(np.linspace(low, high, _POINTS))
    reach = stats.t.ppf(0.975, curves.df)
    _, visits = np.unique(data.children, return_counts=True)
    parts = []
    for centile in CENTILES:
        volume, error = curves.centile(days, centile)
        parts.append(
            pd.DataFrame(
                {
                    "age_days": days,
                    "centile": centile,
                    "volume_mm3": volume,
                    "ci_low": volume * np.exp(-reach * error),
                    "ci_high": volume * np.exp(reach * error),
                }
            )
        )
    words = (
        f"{len(visits)} children: the outer centiles are uncertain, read the bands"
        if len(visits) < _FEW
        else None
    )
    return pd.concat(parts, ignore_index=True).assign(
        n=len(visits),
        n_observations=len(data.days),
        n_one_visit=int((visits == 1).sum()),
        median_scale=_words(curves.median),
        spread_scale=_words(curves.spread),
        skewness=curves.theta[-1] if curves.shape else np.nan,
        notes=words,
    )


def _words(scale: AgeScale | None) -> str:
    return "constant" if scale is None else scale.name


def _child_rows(curves: Curves, visits: pd.DataFrame, volumes: pd.Series) -> pd.DataFrame:
    """Make a row for each visit: z, centile with its interval, change since the visit before."""
    keys = ["participant_id", "session_id"]
    table = visits[keys].assign(
        age_days=visits["age"], volume_mm3=volumes.reindex(pd.MultiIndex.from_frame(visits[keys])).to_numpy()
    )
    table = table.dropna(subset=["volume_mm3"]).sort_values(["participant_id", "age_days"], ignore_index=True)
    days, values = table["age_days"].to_numpy(float), table["volume_mm3"].to_numpy(float)
    z = curves.z(days, values)
    reach = stats.t.ppf(0.975, curves.df) * curves.z_error(days, values)
    change = pd.Series(z).groupby(table["participant_id"].to_numpy()).diff().to_numpy()
    return table.assign(
        z=z,
        centile=100 * stats.norm.cdf(z),
        centile_ci_low=100 * stats.norm.cdf(z - reach),
        centile_ci_high=100 * stats.norm.cdf(z + reach),
        z_change=change,
        crossing=np.where(np.isfinite(change), (np.abs(change) >= CROSSING).astype(float), np.nan),
        notes=None,
    )
