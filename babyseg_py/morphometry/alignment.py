"""Surfaces of many children in one frame, point by point, and the sphere that they are sampled on."""

import itertools
from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from babyseg_py.morphometry.spharm import first_order, truncated, turned

ROUNDS = 2
COARSE_DEGREE, FINE_DEGREE = 5, 8
_AS_GOOD = 1.2


def align(terms: np.ndarray, reference: np.ndarray, /) -> np.ndarray:
    """Bring a surface to a reference: centred, turned, and with its map turned so that points correspond.

    The axes of the first-order ellipsoid are laid on those of the reference in each of the 24 ways (its signs
    are arbitrary, and its axes change places where two are about as long). Of the ways that fit about as well
    as the best, the one that turns the surface least is taken, and refined by least squares, up to degree 8,
    over rotations of the map; the rotation of the surface follows from it in closed form. No size is changed.

    Parameters
    ----------
    terms, reference : (K, 3) np.ndarray
        Coefficients of the same degree, from `babyseg_py.morphometry.spharm`; the reference is centred.

    Returns
    -------
    (K, 3) np.ndarray
    """
    return _refined(_laid(terms, reference), reference)


def align_all(surfaces: Sequence[np.ndarray], /) -> np.ndarray:
    """Align surfaces to their own mean, which is found by iteration.

    The first reference is the surface whose ellipsoid has the axes nearest to the median, as it lies; the
    mean keeps its orientation. In every round the axes are laid on those of the mean anew: where two are
    about as long, those of a single surface may lie otherwise than most.

    Parameters
    ----------
    surfaces : sequence of (K, 3) np.ndarray
        Coefficients of one degree.

    Returns
    -------
    (n, K, 3) np.ndarray
    """
    axes = np.stack([np.linalg.svd(first_order(terms), compute_uv=False) for terms in surfaces])
    middle = np.abs(np.log(axes / np.median(axes, axis=0))).sum(axis=1).argmin()
    reference = surfaces[middle].copy()
    reference[0] = 0
    aligned = np.stack([_laid(terms, reference) for terms in surfaces])
    for _ in range(ROUNDS):
        reference = aligned.mean(axis=0)
        aligned = np.stack([align(terms, reference) for terms in surfaces])
    return aligned


def _laid(terms: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Centre a surface, and lay the axes of its ellipsoid on those of the reference."""
    centred = terms.copy()
    centred[0] = 0
    coarse = min(int(np.sqrt(len(terms))) - 1, COARSE_DEGREE)
    small, target = truncated(centred, coarse), truncated(reference, coarse)
    tried = [(*_fit(turned(small, start), target), start) for start in _starts(terms, reference)]
    best = min(distance for distance, _, _ in tried)
    good = [one for one in tried if one[0] <= _AS_GOOD * best + 1e-12]
    _, rotation, start = min(good, key=lambda one: Rotation.from_matrix(one[1]).magnitude())
    return turned(centred, start) @ rotation.T


def _refined(terms: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Turn the map of a surface that is nearly aligned, and with it the surface, until it fits best."""
    fine = min(int(np.sqrt(len(terms))) - 1, FINE_DEGREE)
    small, target = truncated(terms, fine), truncated(reference, fine)

    def left(vector: np.ndarray) -> np.ndarray:
        map_turned = turned(small, Rotation.from_rotvec(vector).as_matrix())
        return (map_turned @ _fit(map_turned, target)[1].T - target).ravel()

    found = least_squares(left, np.zeros(3), x_scale=0.1, diff_step=1e-4, xtol=1e-4, ftol=1e-5)
    map_turned = turned(terms, Rotation.from_rotvec(found.x).as_matrix())
    return map_turned @ _fit(map_turned, reference)[1].T


@cache
def icosphere(level: int = 3, /) -> tuple[np.ndarray, np.ndarray]:
    """Divide the triangles of an icosahedron in four, over and over; 642 vertices at level 3.

    Returns
    -------
    directions : (V, 3) np.ndarray
        Unit vectors.
    faces : (F, 3) np.ndarray
        Counter-clockwise from outside.
    """
    g = (1 + np.sqrt(5)) / 2
    pairs = [(s, t * g) for s in (-1, 1) for t in (-1, 1)]
    points = np.array([np.roll((0, a, b), k) for k in range(3) for a, b in pairs])
    triples = itertools.combinations(range(12), 3)
    faces = [t for t in triples if all(np.linalg.norm(points[a] - points[b]) < 2.1
                                       for a, b in itertools.combinations(t, 2))]  # fmt: skip
    points = points / np.linalg.norm(points, axis=1, keepdims=True)
    turned_out = np.array([t if np.linalg.det(points[list(t)]) > 0 else t[::-1] for t in faces])
    for _ in range(level):
        points, turned_out = _divided(points, turned_out)
    return points, turned_out


def _divided(points: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    corners = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2), axis=1)
    pairs, which = np.unique(corners, axis=0, return_inverse=True)
    middle = points[pairs].sum(axis=1)
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    ab, bc, ca = (which.reshape(-1, 3) + len(points)).T
    a, b, c = faces.T
    parts = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return np.concatenate([points, middle]), np.concatenate([np.stack(part, axis=1) for part in parts])


def _starts(terms: np.ndarray, reference: np.ndarray) -> list[np.ndarray]:
    """Rotations of the map that lay the axes of one ellipsoid on those of the other, in 24 ways."""
    _, _, own = np.linalg.svd(first_order(terms))
    _, _, other = np.linalg.svd(first_order(reference))
    ways = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((-1.0, 1.0), repeat=3):
            way = own.T @ (np.eye(3)[list(order)] * np.array(signs)[:, None]) @ other
            if np.linalg.det(way) > 0:
                ways.append(way)
    return ways


def _fit(terms: np.ndarray, reference: np.ndarray) -> tuple[float, np.ndarray]:
    """Sum of squares left by the best rotation of the surface, and that rotation (Kabsch 1976)."""
    u, values, vt = np.linalg.svd(reference.T @ terms)
    sign = np.sign(np.linalg.det(u @ vt))
    squares = (terms**2).sum() + (reference**2).sum() - 2 * (values[0] + values[1] + sign * values[2])
    return float(squares), u @ np.diag([1, 1, sign]) @ vt
