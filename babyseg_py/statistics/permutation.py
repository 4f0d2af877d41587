"""Family-wise error by permutation: the largest statistic of a family, under shuffled residuals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 2000
SEED = 20220718
_CHUNK = 250
_TIE = 1e-9
_SMALLEST = 1e-12


@dataclass(frozen=True)
class Battery:
    r"""Tests of one response against several variables, all with the same rows and covariates.

    Parameters
    ----------
    response : (n,) array
        Centred, or weighted together with the covariates.
    variables : (n, m) array
        One column per test.
    basis : (n, k) array
        Orthonormal basis of the covariates.
    df : int
        Degrees of freedom of each t.
    blocks : (n,) array of int or None
        Rows are shuffled within a block only; all among each other if None.
    observed : (m,) array or None
        \|t\| of the tests where they are not those that follow from the other members; NaN where there is
        none.
    """

    response: np.ndarray
    variables: np.ndarray
    basis: np.ndarray
    df: int
    blocks: np.ndarray | None = None
    observed: np.ndarray | None = None


def max_t(family: Sequence[Battery], *, draws: int = DRAWS, seed: int = SEED) -> list[np.ndarray]:
    r"""Adjust p over a family by the distribution of its largest \|t\| (Westfall and Young 1993).

    Residuals of the response, given the covariates, are shuffled, added to its fitted values and tested again
    (Freedman and Lane 1983, https://doi.org/10.2307/1391660; for its standing among the ways to permute with
    covariates see Winkler et al. 2014, https://doi.org/10.1016/j.neuroimage.2014.01.060). Variables of one
    battery are shuffled together, which keeps their correlation; batteries are shuffled independently, which
    is conservative.

    Parameters
    ----------
    family : sequence of Battery
    draws : int
        Shuffles; the smallest p that can come out is 1 / (draws + 1).
    seed : int
        Of the generator, so that the same data give the same p.

    Returns
    -------
    list of (m,) arrays
        Adjusted p for each of ``family``; NaN for a variable that the covariates determine.
    """
    generator = np.random.default_rng(seed)
    prepared = [_prepare(tests) for tests in family]
    observed = [
        _t(units.T @ left / norm, tests.df) if tests.observed is None else tests.observed
        for tests, (left, units, norm) in zip(family, prepared, strict=True)
    ]
    largest = np.zeros(draws)
    for tests, (left, units, _) in zip(family, prepared, strict=True):
        if not np.isfinite(units).any():
            continue
        for start in range(0, draws, _CHUNK):
            size = min(_CHUNK, draws - start)
            shuffled = left[_orders(generator, len(left), size, tests.blocks)]
            explained = ((tests.basis.T @ shuffled) ** 2).sum(axis=0)
            norm = np.sqrt(np.maximum((shuffled**2).sum(axis=0) - explained, 1e-300))
            t = _t(units.T @ shuffled / norm, tests.df)
            largest[start : start + size] = np.fmax(largest[start : start + size], np.nanmax(t, axis=0))
    ranked = np.sort(largest)
    return [_p(t, ranked) for t in observed]


def max_t_of_signs(
    differences: np.ndarray, /, *, draws: int = DRAWS, seed: int = SEED
) -> tuple[np.ndarray, np.ndarray]:
    r"""Compare means with zero; p is adjusted over the variables by the largest \|t\| when signs are flipped.

    Differences that are symmetric about zero are as likely with the other sign. That of all variables of a
    row is flipped together, which keeps their correlation.

    Parameters
    ----------
    differences : (n, m) array
        Rows are independent of each other.
    draws : int
        Flips; the smallest p that can come out is 1 / (draws + 1).
    seed : int
        Of the generator.

    Returns
    -------
    t, p : (m,) array
        NaN for a variable that is zero in all rows.
    """
    n = len(differences)
    generator = np.random.default_rng(seed)
    squares = (differences**2).sum(axis=0)
    known = np.where(squares > 0, squares, np.nan)

    def t_of(means: np.ndarray) -> np.ndarray:
        variance = np.maximum(squares - n * means**2, _SMALLEST * known) / (n - 1)
        return means / np.sqrt(variance / n)

    t = t_of(differences.mean(axis=0))
    largest = np.zeros(draws)
    for start in range(0, draws if np.isfinite(t).any() else 0, _CHUNK):
        signs = generator.choice([-1.0, 1.0], (min(_CHUNK, draws - start), n))
        largest[start : start + len(signs)] = np.nanmax(np.abs(t_of(signs @ differences / n)), axis=1)
    return t, _p(np.abs(t), np.sort(largest))


def _p(t: np.ndarray, ranked: np.ndarray) -> np.ndarray:
    above = len(ranked) - np.searchsorted(ranked, t * (1 - _TIE), side="left")
    return np.where(np.isfinite(t), (1 + above) / (1 + len(ranked)), np.nan)


def _prepare(tests: Battery) -> tuple[np.ndarray, np.ndarray, float]:
    """Residuals of the response, residuals of the variables at unit length, length of the former."""
    left = tests.response - tests.basis @ (tests.basis.T @ tests.response)
    variables = tests.variables - tests.basis @ (tests.basis.T @ tests.variables)
    length = np.sqrt((variables**2).sum(axis=0))
    original = np.sqrt((tests.variables**2).sum(axis=0))
    units = variables / np.where(length > 1e-7 * original, length, np.nan)
    return left, units, float(np.linalg.norm(left)) or np.nan


def _t(r: np.ndarray, df: int) -> np.ndarray:
    return np.abs(r) * np.sqrt(df / np.maximum(1 - r**2, 1e-15))


def _orders(generator: np.random.Generator, n: int, size: int, blocks: np.ndarray | None) -> np.ndarray:
    """Draw (n, size) orders of the rows, within blocks if there are any."""
    keys = generator.random((n, size))
    if blocks is None:
        return np.argsort(keys, axis=0)
    drawn = np.argsort(keys + blocks[:, None], axis=0)
    home = np.argsort(blocks, kind="stable")
    orders = np.empty_like(drawn)
    orders[home] = drawn
    return orders
