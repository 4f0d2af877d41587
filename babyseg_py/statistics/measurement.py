"""Associations with the error of the volumes carried into the interval, by multiple imputation."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from babyseg_py.labels.table import BRAIN_VOLUME
from babyseg_py.statistics.associations import ADJUSTMENTS, Estimate, brain_of, estimate
from babyseg_py.statistics.partial import basis_of, centred_ranks, take_off
from babyseg_py.statistics.sample import Sample, draw_sample
from babyseg_py.statistics.scores import normal_quantiles
from babyseg_py.statistics.structures import side_of, volume_matrix
from babyseg_py.statistics.study import Gathered
from babyseg_py.statistics.visits import VISIT

ENDS = ("volume_ci_low", "volume_ci_high")
IMPUTATIONS = 40
_APART, _FIRST = 5, 50
_SEED = 20_251
_REACH = stats.norm.ppf(0.95)
COLUMNS = [
    "score", "structure", "side", "brain_volume_adjustment", "n", "reliability", "rho", "ci_low", "ci_high",
    "p", "rho_corrected", "corrected_ci_low", "corrected_ci_high", "p_corrected", "missing_information",
    "n_imputations", "volume_source", "notes",
]  # fmt: skip


@dataclass(frozen=True)
class Pooled:
    """A correlation with the true volumes, pooled over imputations; NaN where it cannot be had.

    Parameters
    ----------
    reliability : float
        Share of the variance of the measured volumes, beside covariates, that is not measurement error.
    rho, ci_low, ci_high, p : float
        Partial Spearman correlation with its 95 % interval and two-sided p.
    missing : float
        Share of the variance of the estimate that comes from not knowing the true volumes.
    problem : str
        Why there is none; empty if nothing is wrong.
    """

    reliability: float = np.nan
    rho: float = np.nan
    ci_low: float = np.nan
    ci_high: float = np.nan
    p: float = np.nan
    missing: float = np.nan
    problem: str = ""


def error_matrix(volumes: pd.DataFrame) -> pd.DataFrame | None:
    """Return the standard errors of the volumes in mm³, by visit and structure; None without intervals.

    They are half the width of the 90 % interval over 1.645. The error of a sum over both sides takes those of
    the sides as independent.
    """
    if not set(ENDS) <= set(volumes.columns):
        return None
    low, high = (pd.to_numeric(volumes[end], errors="coerce") for end in ENDS)
    squares = volumes.assign(volume_mm3=((high - low) / (2 * _REACH)) ** 2)
    return volume_matrix(squares, "labels") ** 0.5 if squares["volume_mm3"].notna().any() else None


def measurement_table(volumes: pd.DataFrame, of: Gathered) -> pd.DataFrame:
    """Estimate every association of one visit per child again, with the error of the volumes in its interval.

    Parameters
    ----------
    volumes : pandas.DataFrame
        Long table of volumes; without the columns of `ENDS` the result has no row.
    of : Gathered
        The same volumes with scores and covariates.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`.
    """
    errors = error_matrix(volumes)
    rows: list[dict] = []
    if errors is None:
        return pd.DataFrame(columns=COLUMNS)
    for score in of.scores:
        sample, _ = draw_sample(score, of.covariates, of.cohort)
        keys = pd.MultiIndex.from_frame(sample.visits[VISIT])
        measured, se = of.matrix.reindex(keys), errors.reindex(keys)
        brain = brain_of(measured)
        for adjustment in ADJUSTMENTS:
            for name in measured.columns:
                if name == BRAIN_VOLUME and adjustment != "none":
                    continue
                known = se[name].to_numpy(float) if name in se else None
                plain, pooled = _estimates(measured[name].to_numpy(float), known, brain, sample, adjustment)
                rows.append(
                    {"score": score, "structure": name, "side": side_of(name, measured.columns)}
                    | {"brain_volume_adjustment": adjustment, "volume_source": of.source}
                    | _row(plain, pooled, sample.covariates.notes)
                )
    return pd.DataFrame(rows, columns=COLUMNS)


def _estimates(
    x: np.ndarray, known: np.ndarray | None, brain: np.ndarray, sample: Sample, adjustment: str
) -> tuple[Estimate, Pooled]:
    """Return the plain correlation and, where there are errors, that with the true volumes."""
    if known is None or not np.isfinite(known).any():
        return estimate(x, brain, sample, adjustment), Pooled(problem="there is no interval of this volume")
    # Without its error a volume cannot be drawn.
    plain = estimate(np.where(np.isfinite(known), x, np.nan), brain, sample, adjustment)
    scale = brain[plain.there] if adjustment == "proportion" else 1.0
    return plain, pool(plain, known[plain.there] / scale)


def _row(plain: Estimate, pooled: Pooled, notes: tuple[str, ...]) -> dict:
    done = np.isfinite(pooled.rho)
    return {key: getattr(plain.result, key) for key in ("n", "rho", "ci_low", "ci_high", "p")} | {
        "reliability": pooled.reliability,
        "rho_corrected": pooled.rho,
        "corrected_ci_low": pooled.ci_low,
        "corrected_ci_high": pooled.ci_high,
        "p_corrected": pooled.p,
        "missing_information": pooled.missing,
        "n_imputations": IMPUTATIONS if done else np.nan,
        "notes": "; ".join(filter(None, [pooled.problem, *notes])) or None,
    }


def pool(plain: Estimate, errors: np.ndarray, /) -> Pooled:
    r"""Draw the true volumes from what is known of them, and pool the correlations by Rubin's rules.

    Measured volumes are :math:`w_i = x_i + e_i` with known errors :math:`e_i \sim N(0, s_i^2)`, true ones
    :math:`x_i \sim N(\beta^\top z_i, \tau^2)` with the covariates and the normal scores of the outcome in
    :math:`z` (an imputation without the outcome would draw the correlation to zero). A Gibbs sampler with
    flat priors on :math:`\beta` and :math:`\tau` draws 40 sets of true volumes, five rounds apart. Fisher's z
    of the 40 partial Spearman correlations is pooled (Rubin 1987): the interval has his degrees of freedom,
    because that of the plain correlation is normal too, p those of Barnard and Rubin (1999,
    https://doi.org/10.1093/biomet/86.4.948).

    Parameters
    ----------
    plain : Estimate
        The correlation that takes volumes as known, with its volumes, scores and covariates.
    errors : (n,) array of float
        Standard errors of these volumes.

    Returns
    -------
    Pooled
    """
    result, n = plain.result, len(plain.x)
    if result.problem:
        return Pooled(problem=result.problem)
    basis = take_off(plain.x, plain.y, plain.design).basis
    df = n - basis.shape[1] - 2
    if df < 5:
        return Pooled(problem=f"n = {n} is too few to draw true volumes")
    mean, spread = plain.x.mean(), plain.x.std()
    w, s = (plain.x - mean) / spread, errors / spread
    design = _design(plain)
    left = w - design[:, :-1] @ np.linalg.lstsq(design[:, :-1], w, rcond=None)[0]
    variance = float(left @ left) / max(n - design.shape[1] + 1, 1)
    reliability = 1 - float((s**2).mean()) / variance
    if reliability <= 0:
        words = "the error of the volumes is as large as their differences: not estimated"
        return Pooled(reliability=reliability, problem=words)
    draws = _true_volumes(w, s, design)
    return _pooled(draws, plain.y, basis, reliability, result.widened)


def _design(plain: Estimate) -> np.ndarray:
    """Intercept, covariates on a unit scale, and the normal scores of the outcome, last."""
    n = len(plain.x)
    scores = normal_quantiles(plain.y)
    covariates = plain.design - plain.design.mean(axis=0)
    basis, _ = basis_of(covariates)
    return np.column_stack([np.ones(n), basis * np.sqrt(n), scores])


def _true_volumes(w: np.ndarray, s: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Draw `IMPUTATIONS` sets of true volumes, (n, m)."""
    rng = np.random.default_rng(_SEED)
    n, k = design.shape
    q, r = np.linalg.qr(design)
    shrunk = np.linalg.solve(r, np.eye(k))
    x, kept = w.copy(), []
    for round_ in range(_FIRST + _APART * IMPUTATIONS):
        projected = q.T @ x
        rest = max(float(x @ x - projected @ projected), 1e-12)
        tau2 = rest / rng.chisquare(n - k - 1)
        beta = shrunk @ (projected + np.sqrt(tau2) * rng.normal(size=k))
        weight = tau2 / (tau2 + s**2)
        centre = design @ beta
        x = centre + weight * (w - centre) + np.sqrt(weight) * s * rng.normal(size=n)
        if round_ >= _FIRST and (round_ - _FIRST) % _APART == 0:
            kept.append(x)
    return np.stack(kept, axis=1)


def _pooled(
    draws: np.ndarray, y: np.ndarray, basis: np.ndarray, reliability: float, widened: float
) -> Pooled:
    n, m = draws.shape
    k = basis.shape[1]
    ranks = centred_ranks(np.column_stack([draws, y]))
    left = ranks - basis @ (basis.T @ ranks)
    lengths = np.linalg.norm(left, axis=0)
    if lengths.min() < 1e-9 * n:
        words = "true volumes may follow the covariates exactly: not estimated"
        return Pooled(reliability=reliability, problem=words)
    left /= lengths
    z = np.arctanh(np.clip(left[:, :-1].T @ left[:, -1], -1 + 1e-9, 1 - 1e-9))
    centre, between = float(z.mean()), float(z.var(ddof=1))
    within = widened**2 * (1 + np.tanh(centre) ** 2 / 2) / (n - k - 3)
    total = within + (1 + 1 / m) * between
    share = (1 + 1 / m) * between / total
    rubin = (m - 1) / max(share, 1e-9) ** 2
    reach = stats.t.ppf(0.975, rubin) * np.sqrt(total)
    complete = n - k - 2
    observed = (complete + 1) / (complete + 3) * complete * (1 - share)
    pooled_df = 1 / (1 / rubin + 1 / observed)
    # Under no correlation the variance within is that of rho = 0, as in the test of the plain correlation.
    null = widened**2 / (n - k - 3) + (1 + 1 / m) * between
    p = float(2 * stats.t.sf(abs(centre) / np.sqrt(null), pooled_df))
    low, high = np.tanh([centre - reach, centre + reach])
    return Pooled(reliability, float(np.tanh(centre)), float(low), float(high), p, share)
