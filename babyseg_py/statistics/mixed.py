"""Linear mixed models with a random intercept, or intercept and slope, of every child.

The estimates are those of statsmodels' ``MixedLM``. That loops over children, which takes seconds for a model
of 2,000 of them, and a cohort has hundreds of models. Here all children are computed at once, with the
gradient in closed form.
"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize

_LARGEST = 1e6
_FLAT = 1e-12


@dataclass(frozen=True)
class Mixed:
    """A fitted mixed model.

    Parameters
    ----------
    beta : (p,) array
        Fixed effects.
    covariance : (p, p) array
        Their covariance, the variances of the random effects taken as known.
    random : (q, q) array
        Covariance of the random effects, in squared units of the response.
    residual : float
        Residual variance.
    ratio : (q, q) array
        ``random`` over ``residual``.
    log_likelihood : float
        Restricted, if the model was fitted so.
    """

    beta: np.ndarray
    covariance: np.ndarray
    random: np.ndarray
    residual: float
    ratio: np.ndarray
    log_likelihood: float


@dataclass(frozen=True)
class _Sums:
    """Cross-products over all rows, and of every child with its random design."""

    n: int
    xx: np.ndarray
    xy: np.ndarray
    yy: float
    zz: np.ndarray
    zx: np.ndarray
    zy: np.ndarray


def fit_mixed(
    y: np.ndarray,
    x: np.ndarray,
    z: np.ndarray,
    children: np.ndarray,
    /,
    *,
    restricted: bool = True,
    exact: bool = True,
) -> Mixed:
    r"""Fit :math:`y_i = X_i\beta + Z_i b_i + e_i`, by restricted or full maximum likelihood.

    The variance of the residuals and the fixed effects are profiled out, the Cholesky factor of the random
    effects' covariance relative to the residual one is searched for (Bates et al. 2015,
    https://doi.org/10.18637/jss.v067.i01). A variance of 0 is a possible result.

    Parameters
    ----------
    y : (n,) array of float
        Response.
    x : (n, p) array of float
        Fixed design of full rank, with its intercept.
    z : (n, q) array of float
        Random design: a column of ones, or that and a slope.
    children : (n,) array
        Which child each row belongs to.
    restricted : bool
        Restricted likelihood (REML); models with unlike fixed effects are compared by the full one.
    exact : bool
        Search to the limit of the numbers; otherwise the log likelihood is right to about 1e-6, which is
        enough to compare models.

    Returns
    -------
    Mixed
    """
    sums = _cross_products(np.asarray(y, float), np.asarray(x, float), np.asarray(z, float), children)
    q = z.shape[1]
    rows, columns = np.tril_indices(q)
    start = np.eye(q)[rows, columns]
    bounds = [
        (0.0, _LARGEST) if r == c else (-_LARGEST, _LARGEST) for r, c in zip(rows, columns, strict=True)
    ]

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        factor = np.zeros((q, q))
        factor[rows, columns] = theta
        value, gradient = _deviance(factor, sums, restricted)
        return value, gradient[rows, columns]

    options = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 200} if exact else {"ftol": 1e-11, "gtol": 1e-5}
    best = optimize.minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    factor = np.zeros((q, q))
    factor[rows, columns] = best.x
    return _at(factor, sums, restricted)


def fit_fixed(y: np.ndarray, x: np.ndarray, /, *, restricted: bool = True) -> Mixed:
    """Fit the same model without random effects, for children with one visit each."""
    return _at(np.zeros((1, 1)), _cross_products(y, x, np.ones((len(y), 1)), np.arange(len(y))), restricted)


def likelihood_at(ratio: float, y: np.ndarray, x: np.ndarray, children: np.ndarray, /) -> float:
    """Return the full log likelihood of a random-intercept model at one ratio of its variances."""
    sums = _cross_products(np.asarray(y, float), x, np.ones((len(y), 1)), children)
    return _at(np.array([[np.sqrt(ratio)]]), sums, False).log_likelihood


def random_effects(
    model: Mixed, y: np.ndarray, x: np.ndarray, z: np.ndarray, children: np.ndarray, /
) -> tuple[np.ndarray, np.ndarray]:
    """Predict the random effects of every child (best linear unbiased prediction).

    Returns
    -------
    (names, effects) : (g,) array and (g, q) array
        Children in sorted order, and their random effects in units of the response.
    """
    names = np.unique(children)
    sums = _cross_products(np.asarray(y, float), np.asarray(x, float), np.asarray(z, float), children)
    left = sums.zy - sums.zx @ model.beta
    inner = np.eye(z.shape[1]) + sums.zz @ model.ratio
    return names, np.einsum("ab,gb->ga", model.ratio, np.linalg.solve(inner, left[..., None])[..., 0])


def _cross_products(y: np.ndarray, x: np.ndarray, z: np.ndarray, children: np.ndarray) -> _Sums:
    _, codes = np.unique(children, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    y, x, z = y[order], x[order], z[order]

    def summed(a: np.ndarray) -> np.ndarray:
        return np.add.reduceat(z[:, :, None] * a[:, None, :], starts, axis=0)

    return _Sums(len(y), x.T @ x, x.T @ y, float(y @ y), summed(z), summed(x), summed(y[:, None])[..., 0])


def _solved(factor: np.ndarray, sums: _Sums) -> tuple:
    """Generalised least squares at one covariance of the random effects."""
    inner = np.eye(len(factor)) + factor.T @ sums.zz @ factor
    through = factor @ np.linalg.solve(inner, np.broadcast_to(factor.T, inner.shape))
    shrink = np.eye(len(factor)) - sums.zz @ through
    zx, zy = sums.zx.reshape(-1, sums.zx.shape[-1]), sums.zy.reshape(-1)
    half = (through @ sums.zx).reshape(zx.shape)
    xvx, xvy = sums.xx - zx.T @ half, sums.xy - half.T @ zy
    yvy = sums.yy - zy @ (through @ sums.zy[..., None]).reshape(-1)
    beta = np.linalg.solve(xvx, xvy)
    rss = max(float(yvy - xvy @ beta), _FLAT * max(sums.yy, _FLAT))
    return inner, shrink, xvx, beta, rss


def _deviance(factor: np.ndarray, sums: _Sums, restricted: bool) -> tuple[float, np.ndarray]:
    """Minus twice the profiled log likelihood, without constants, and its gradient by the factor."""
    inner, shrink, xvx, beta, rss = _solved(factor, sums)
    df = sums.n - len(beta) if restricted else sums.n
    value = np.linalg.slogdet(inner)[1].sum() + df * np.log(rss)
    s = (shrink @ (sums.zy - sums.zx @ beta)[..., None])[..., 0]
    slope = (shrink @ sums.zz).sum(axis=0) - df / rss * s.T @ s
    if restricted:
        value += np.linalg.slogdet(xvx)[1]
        p = shrink @ sums.zx
        slope -= np.tensordot(p @ np.linalg.inv(xvx), p, axes=([0, 2], [0, 2]))
    return float(value), 2 * slope @ factor


def _at(factor: np.ndarray, sums: _Sums, restricted: bool) -> Mixed:
    _, _, xvx, beta, rss = _solved(factor, sums)
    df = sums.n - len(beta) if restricted else sums.n
    deviance, _ = _deviance(factor, sums, restricted)
    log_likelihood = -0.5 * (deviance + df * (1 + np.log(2 * np.pi / df)))
    residual, ratio = rss / df, factor @ factor.T
    return Mixed(
        beta, residual * np.linalg.inv(xvx), residual * ratio, residual, ratio, float(log_likelihood)
    )
