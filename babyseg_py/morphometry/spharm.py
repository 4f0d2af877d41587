"""Spherical harmonic descriptions of surfaces: fitted, cut to the degree that suffices, mirrored."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from babyseg_py.morphometry.meshes import Mesh, vertex_areas

LOWEST_DEGREE, HIGHEST_DEGREE = 8, 18
VERTICES_PER_TERM = 4
TOLERANCE_MM = 0.3
_RIDGE = 1e-9


@dataclass(frozen=True)
class Description:
    """A surface as spherical harmonics.

    Parameters
    ----------
    terms : ((D + 1)², 3) np.ndarray
        Coefficients of x, y and z in mm of real orthonormal harmonics without Condon-Shortley phase, in the
        order of `basis`, up to the highest degree D that was fitted.
    degree : int
        Smallest degree from 8 on that meets the tolerance (a lower one would smooth a bump of a few mm away);
        D if none does.
    mean_mm, p95_mm, max_mm : float
        Distance between a vertex and its place on the surface of that degree: mean and 95th percentile over
        the area, and the largest.
    """

    terms: np.ndarray
    degree: int
    mean_mm: float
    p95_mm: float
    max_mm: float


def basis(directions: np.ndarray, degree: int, /) -> np.ndarray:
    """Real orthonormal spherical harmonics.

    Parameters
    ----------
    directions : (N, 3) np.ndarray
        Unit vectors.
    degree : int
        The highest degree.

    Returns
    -------
    (N, (degree + 1)²) np.ndarray
        Column l² + l + m for degree l and order m from -l to l; sines for negative orders.
    """
    from pyshtools.legendre import PlmON  # noqa: PLC0415  # slow to import

    x, y, z = directions.T
    legendre = np.stack([PlmON(degree, value) for value in np.clip(z, -1, 1)])
    longitude = np.arctan2(y, x)
    of_degree, order = _degrees_and_orders(degree)
    columns = legendre[:, of_degree * (of_degree + 1) // 2 + np.abs(order)]
    angle = longitude[:, None] * np.arange(degree + 1)
    cosines, sines = np.cos(angle), np.sin(angle)
    return columns * np.where(order >= 0, cosines[:, np.abs(order)], sines[:, np.abs(order)])


def describe(mesh: Mesh, directions: np.ndarray, /, *, tolerance_mm: float = TOLERANCE_MM) -> Description:
    """Fit x, y and z of a mesh by least squares over its area, and find the degree that suffices.

    Parameters
    ----------
    mesh : Mesh
    directions : (V, 3) np.ndarray
        Its vertices on the sphere, from `babyseg_py.morphometry.spherical_map.spherical_map`.
    tolerance_mm : float
        What the 95th percentile of the distance between the vertices and their places on the surface stays
        below at the degree that suffices.

    Returns
    -------
    Description
        Of degree 18, or less for a mesh of fewer than four vertices per coefficient.
    """
    highest = min(HIGHEST_DEGREE, int(np.sqrt(len(mesh.vertices) / VERTICES_PER_TERM)) - 1)
    design = basis(directions, highest)
    area = vertex_areas(mesh.vertices, mesh.faces)
    gram = design.T @ (area[:, None] * design)
    gram[np.diag_indices_from(gram)] += _RIDGE * gram[0, 0]
    terms = np.linalg.solve(gram, design.T @ (area[:, None] * mesh.vertices))
    for degree in range(min(LOWEST_DEGREE, highest), highest + 1):
        kept = (degree + 1) ** 2
        distance = np.linalg.norm(design[:, :kept] @ terms[:kept] - mesh.vertices, axis=1)
        order = np.argsort(distance)
        share = np.cumsum(area[order]) / area.sum()
        p95 = float(distance[order[np.searchsorted(share, 0.95)]])
        if p95 < tolerance_mm:
            break
    mean = float((distance * area).sum() / area.sum())
    return Description(terms, degree, mean, p95, float(distance.max()))


def mirrored(terms: np.ndarray, /) -> np.ndarray:
    """Mirror a surface, left to right; its map is mirrored too, so that its triangles still face outwards."""
    _, order = _degrees_and_orders(int(np.sqrt(len(terms))) - 1)
    parity = np.where(order % 2 == 0, 1, -1) * np.where(order < 0, -1, 1)
    return terms * parity[:, None] * np.array([-1, 1, 1])


def truncated(terms: np.ndarray, degree: int, /) -> np.ndarray:
    """Coefficients up to a degree; zeros where there are none."""
    wanted = (degree + 1) ** 2
    kept = np.zeros((wanted, 3))
    kept[: min(wanted, len(terms))] = terms[:wanted]
    return kept


def first_order(terms: np.ndarray, /) -> np.ndarray:
    """Return the matrix that carries the unit sphere to the first-order ellipsoid, (3, 3), in mm."""
    return np.sqrt(3 / (4 * np.pi)) * terms[[3, 1, 2]].T


def turned(terms: np.ndarray, rotation: np.ndarray, /) -> np.ndarray:
    """Turn the map of a surface: the surface at u is then what it was at ``rotation @ u``."""
    from pyshtools.rotate import SHRotateRealCoef  # noqa: PLC0415  # slow to import

    degree = int(np.sqrt(len(terms))) - 1
    of_degree, order = _degrees_and_orders(degree)
    places = (order < 0).astype(int), of_degree, np.abs(order)
    packed = np.zeros((2, degree + 1, degree + 1))
    done = np.empty_like(terms)
    for axis in range(3):
        packed[places] = terms[:, axis]
        done[:, axis] = SHRotateRealCoef(packed, _euler_angles(rotation), _quarter_turns(degree))[places]
    return done


def _euler_angles(rotation: np.ndarray) -> np.ndarray:
    """Angles about z, the new y and the new z, in radians; the last is 0 where the first alone decides."""
    tilt = np.hypot(rotation[0, 2], rotation[1, 2])
    beta = np.arctan2(tilt, rotation[2, 2])
    if tilt < 1e-9:
        return np.array([np.arctan2(rotation[1, 0], rotation[1, 1]), beta, 0.0])
    alpha = np.arctan2(rotation[1, 2], rotation[0, 2])
    return np.array([alpha, beta, np.arctan2(rotation[2, 1], -rotation[2, 0])])


@cache
def _quarter_turns(degree: int) -> np.ndarray:
    from pyshtools.rotate import djpi2  # noqa: PLC0415

    return djpi2(degree)


@cache
def _degrees_and_orders(degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Degree and order of every column of `basis`."""
    degrees = np.arange(degree + 1)
    return np.repeat(degrees, 2 * degrees + 1), np.concatenate([np.arange(-n, n + 1) for n in degrees])
