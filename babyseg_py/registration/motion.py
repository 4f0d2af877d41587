"""Rigid motions that treat both scans alike.

A motion between scans A and B is written about a mid-space, in which half of it is applied to each scan.
With the rotation vector `w` (radians), the shift `t` (mm) and fixed points `a` and `b` in the worlds of the
two scans, the mid-space point `m` lies at ``a + R(-w/2) m - t/2`` in A and at ``b + R(w/2) m + t/2`` in B.
Swapping the scans turns `(w, t)` into `(-w, -t)` and the motion into its inverse.
"""

import numpy as np
from scipy.spatial.transform import Rotation


def rotation_matrix(vector: np.ndarray) -> np.ndarray:
    """Rotate by a vector: its direction is the axis, its length the angle in radians; (3, 3)."""
    return Rotation.from_rotvec(vector).as_matrix()


def rotation_derivative(vector: np.ndarray) -> np.ndarray:
    """Differentiate `rotation_matrix` by its vector (https://arxiv.org/abs/1312.0788).

    Parameters
    ----------
    vector : (3,) np.ndarray
        Rotation vector in radians.

    Returns
    -------
    (3, 3, 3) np.ndarray
        One matrix for each element of the vector.
    """
    square = float(vector @ vector)
    unit = np.eye(3)
    if square < 1e-16:
        return np.stack([_cross_matrix(e) for e in unit])
    rotation = rotation_matrix(vector)
    terms = [
        (v * _cross_matrix(vector) + _cross_matrix(np.cross(vector, unit[i] - rotation[:, i]))) / square
        for i, v in enumerate(vector)
    ]
    return np.stack(terms) @ rotation


def _cross_matrix(vector: np.ndarray) -> np.ndarray:
    x, y, z = vector
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=float)


def half_motions(
    rotation: np.ndarray, shift_mm: np.ndarray, a: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mid-space to the worlds of both scans.

    Parameters
    ----------
    rotation, shift_mm : (3,) np.ndarray
        Rotation vector in radians and shift in mm of the motion from A to B.
    a, b : (3,) np.ndarray
        Points in the worlds of A and B, in mm, that the origin of the mid-space goes to if nothing moves.

    Returns
    -------
    to_a, to_b : (4, 4) np.ndarray
        Mid-space mm to world mm of each scan.
    """
    to_a, to_b = np.eye(4), np.eye(4)
    to_a[:3, :3], to_a[:3, 3] = rotation_matrix(-rotation / 2), a - shift_mm / 2
    to_b[:3, :3], to_b[:3, 3] = rotation_matrix(rotation / 2), b + shift_mm / 2
    return to_a, to_b


def rotation_deg(matrix: np.ndarray) -> float:
    """Angle in degrees by which a rigid 4 x 4 matrix rotates."""
    return float(np.degrees(Rotation.from_matrix(matrix[:3, :3]).magnitude()))


def displacement_mm(matrix: np.ndarray, point: np.ndarray) -> float:
    """Distance in mm by which a 4 x 4 matrix moves a point (3,)."""
    return float(np.linalg.norm(matrix[:3, :3] @ point + matrix[:3, 3] - point))


def mean_displacement_mm(matrix: np.ndarray, points: np.ndarray) -> float:
    """Mean distance in mm by which a 4 x 4 matrix moves points (N, 3)."""
    moves = points @ (matrix[:3, :3] - np.eye(3)).T + matrix[:3, 3]
    return float(np.linalg.norm(moves, axis=1).mean())
