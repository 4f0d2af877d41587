"""Site effects on location and scale taken off volumes: ComBat, and its variant for repeated visits."""

from dataclasses import dataclass

import numpy as np

from babyseg_py.statistics.mixed import fit_mixed, random_effects
from babyseg_py.statistics.partial import basis_of

FEWEST_PER_SITE = 5
_ROUNDS, _CLOSE = 200, 1e-8


@dataclass(frozen=True)
class Harmonised:
    """Volumes without site effects.

    Parameters
    ----------
    volumes : (N, m) array
        Harmonised volumes, mm³.
    location, scale : (sites, m) arrays
        What was taken off, in residual standard deviations, and divided by.
    sites : (sites,) array of str
    """

    volumes: np.ndarray
    location: np.ndarray
    scale: np.ndarray
    sites: np.ndarray


def combat(
    volumes: np.ndarray, sites: np.ndarray, kept: np.ndarray, children: np.ndarray, /, *, repeated: bool
) -> Harmonised:
    r"""Take additive and multiplicative site effects off, with empirical Bayes over the structures.

    :math:`V_{ijv} = \alpha_v + x_{ij}^\top\beta_v + b_{iv} + \gamma_{s v} + \delta_{s v} e_{ijv}` (Johnson et
    al. 2007, https://doi.org/10.1093/biostatistics/kxj037; for volumes Fortin et al. 2018,
    https://doi.org/10.1016/j.neuroimage.2017.11.024). With repeated visits there is a random intercept
    :math:`b_i` of the child (Beer et al. 2020, https://doi.org/10.1016/j.neuroimage.2020.117129); without,
    :math:`b_i = 0`. Site effects of a structure are drawn to their mean over the structures of that site.

    Parameters
    ----------
    volumes : (N, m) array of float
        Rows are visits, columns structures, NaN where missing; no column constant, every site in each.
    sites : (N,) array of str
    kept : (N, k) array of float
        Covariates whose effects stay, without intercept; one that follows from those before is passed over.
    children : (N,) array
        Which child each row belongs to; used if ``repeated``.
    repeated : bool

    Returns
    -------
    Harmonised
    """
    names, codes = np.unique(sites, return_inverse=True)
    dummies = np.eye(len(names))[codes]
    standard, expected, spread = _standardised(volumes, dummies, kept, children, repeated)
    location, scale = np.empty((2, len(names), volumes.shape[1]))
    for site in range(len(names)):
        of = standard[codes == site]
        location[site], scale[site] = _shrunk(of)
    values = (standard - location[codes]) / np.sqrt(scale[codes]) * spread + expected
    return Harmonised(values, location, np.sqrt(scale), names)


def _standardised(
    volumes: np.ndarray, dummies: np.ndarray, kept: np.ndarray, children: np.ndarray, repeated: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Residuals but for the site, in residual standard deviations; what is expected without it; these."""
    k, share = dummies.shape[1], dummies.mean(axis=0)
    expected, spread = np.full(volumes.shape, np.nan), np.empty(volumes.shape[1])
    kept = kept[:, kept.std(axis=0) > 0]
    design = np.column_stack([dummies, (kept - kept.mean(axis=0)) / kept.std(axis=0)])
    for column, all_rows in enumerate(volumes.T):
        there = np.isfinite(all_rows)
        redundant = basis_of(design[there])[1]
        told = [place for place in range(design.shape[1]) if place not in redundant]
        y, x, of = all_rows[there], design[there][:, told], children[there]
        beta, own = _fitted(y, x, of) if repeated else (np.linalg.lstsq(x, y, rcond=None)[0], 0.0)
        left = y - x @ beta - own
        spread[column] = np.sqrt((left**2).mean())
        expected[there, column] = share @ beta[:k] + x[:, k:] @ beta[k:] + own
    return (volumes - expected) / spread, expected, spread


def _fitted(y: np.ndarray, x: np.ndarray, children: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the fixed effects, and the random intercept of the child of every row."""
    unit, z = y.std(), np.ones((len(y), 1))
    model = fit_mixed(y / unit, x, z, children)
    names, effects = random_effects(model, y / unit, x, z, children)
    return model.beta * unit, effects[np.searchsorted(names, children), 0] * unit


def _shrunk(standard: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Location and variance of one site, drawn to their means over the structures (parametric priors)."""
    n = np.isfinite(standard).sum(axis=0)
    mean, variance = np.nanmean(standard, axis=0), np.nanvar(standard, axis=0, ddof=1)
    if len(n) < 3:
        return mean, variance
    prior_mean, prior_variance = mean.mean(), mean.var(ddof=1)
    middle, width = variance.mean(), max(variance.var(ddof=1), 1e-12)
    shape, rate = (2 * width + middle**2) / width, (middle * width + middle**3) / width
    location, scale = mean.copy(), variance.copy()
    for _ in range(_ROUNDS):
        new = (n * prior_variance * mean + scale * prior_mean) / (n * prior_variance + scale)
        squares = np.nansum((standard - new) ** 2, axis=0)
        wider = (rate + squares / 2) / (n / 2 + shape - 1)
        moved = max(np.abs(new - location).max(), np.abs(wider - scale).max())
        location, scale = new, wider
        if moved < _CLOSE:
            break
    return location, scale
