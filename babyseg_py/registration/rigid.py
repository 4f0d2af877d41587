"""Symmetric rigid registration by normalised mutual information."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import ndimage
from scipy.optimize import minimize

from babyseg_py.images.volume import Volume
from babyseg_py.registration.motion import half_motions, rotation_derivative
from babyseg_py.registration.pyramid import Scan
from babyseg_py.registration.similarity import (
    Samples,
    information_slope,
    joint_histogram,
    normalised_information,
    sample,
)

RADIUS_MM = 60.0  # A radian moves the surface of a brain by about this much: puts all parameters in mm.
START_ANGLE = np.radians(20)
MARGIN_MM = 10.0  # Air that is kept around the foreground, so that the outline counts.
POINTS = {8.0: 6_000, 4.0: 20_000, 2.0: 60_000, 1.0: 120_000}
KEPT = {8.0: 32, 4.0: 12, 2.0: 4}  # Starts that are carried on to a level.
TOLERANCE = {8.0: 1e-4, 4.0: 3e-5, 2.0: 1e-5, 1.0: 1e-6}  # Change of the similarity that ends a level.
SAME_MM = 2.0  # Poses closer than this are one.
MIN_INSIDE = 0.2  # Share of the points that must be in both fields of view for a pose to count.


@dataclass(frozen=True)
class Pose:
    """A motion from scan A to scan B and how similar they are in it.

    Parameters
    ----------
    rotation : (3,) np.ndarray
        Rotation vector in radians.
    shift_mm : (3,) np.ndarray
        Shift beyond the one that brings the centres together, in mm.
    similarity : float
        Normalised mutual information, 0 to 1.
    """

    rotation: np.ndarray
    shift_mm: np.ndarray
    similarity: float


@dataclass(frozen=True)
class Match:
    """Result of a registration.

    Parameters
    ----------
    matrix : (4, 4) np.ndarray
        World mm of A to world mm of B: B sampled at ``matrix @ x`` looks like A at `x`.
    pose : Pose
        The same as parameters.
    """

    matrix: np.ndarray
    pose: Pose


class Objective:
    """Similarity of two scans at fixed points of their mid-space, and its slope.

    Parameters
    ----------
    a, b : Scan
        Scans.
    level_mm : float
        Copy to sample.
    points : (3, N) np.ndarray
        Points of the mid-space in mm.
    """

    def __init__(self, a: Scan, b: Scan, level_mm: float, points: np.ndarray):
        self.scans = (a, b)
        self.volumes = (a.levels[level_mm], b.levels[level_mm])
        self.inverses = tuple(np.linalg.inv(v.affine) for v in self.volumes)
        self.points = points

    def samples(self, rotation: np.ndarray, shift_mm: np.ndarray) -> tuple[Samples, Samples, np.ndarray]:
        """Sample both scans and tell which points lie in both fields of view."""
        halves = half_motions(rotation, shift_mm, self.scans[0].centre, self.scans[1].centre)
        a, b = (
            sample(volume.data, inverse @ half, self.points, scan.window)
            for volume, inverse, half, scan in zip(
                self.volumes, self.inverses, halves, self.scans, strict=True
            )
        )
        return a, b, a.inside & b.inside

    def value(self, rotation: np.ndarray, shift_mm: np.ndarray) -> float:
        """Similarity alone."""
        a, b, both = self.samples(rotation, shift_mm)
        if both.mean() < MIN_INSIDE:
            return 0.0
        return normalised_information(joint_histogram(a.value[both], b.value[both])[0])[0]

    def value_and_slope(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Negative similarity and its slope by rotation (in units of 1 / RADIUS_MM) and shift (mm)."""
        rotation, shift = parameters[:3] / RADIUS_MM, parameters[3:]
        a, b, both = self.samples(rotation, shift)
        if both.mean() < MIN_INSIDE:
            return 0.0, np.zeros(6)
        counts, *where = joint_histogram(a.value[both], b.value[both])
        value, by_counts = normalised_information(counts)
        slopes = information_slope(by_counts, *where)
        points = self.points[:, both]
        gradient = np.zeros(6)
        for samples, by_value, inverse, sign in zip((a, b), slopes, self.inverses, (-0.5, 0.5), strict=True):
            by_place = inverse[:3, :3].T @ (samples.slope[:, both] * by_value)  # World mm of the scan.
            by_matrix = by_place @ points.T
            turn = rotation_derivative(sign * rotation)
            gradient[:3] += sign * np.einsum("kij,ij->k", turn, by_matrix) / RADIUS_MM
            gradient[3:] += sign * by_place.sum(axis=1)
        return -value, -gradient


def register(a: Scan, b: Scan, /) -> Match:
    """Find the rigid motion between two scans of one head.

    Registration runs from coarse to fine. It starts from the centres of mass, the fields of view, the
    world coordinates and each of the six sides of the foreground, all with 27 rotations, so that it does not
    depend on the headers. Both scans are sampled half-way between them at the same fixed points; swapping
    the scans inverts the result.

    Parameters
    ----------
    a, b : Scan
        From `prepare`, with the same levels.

    Returns
    -------
    Match
        Motion and similarity at the finest level.
    """
    levels = sorted(a.levels, reverse=True)
    objective = Objective(a, b, levels[0], mid_points(a, b, None, levels[0]))
    starts = [Pose(r, t, objective.value(r, t)) for r, t in _starts(a, b)]
    poses = _best(starts, KEPT[8.0])
    for level in levels:
        poses = _best(poses, KEPT.get(level, 1))
        points = mid_points(a, b, poses[0], level)
        objective = Objective(a, b, level, points)
        poses = [_climb(objective, pose, level) for pose in poses]
    best = _best(poses, 1)[0]
    return Match(motion_matrix(a, b, best), best)


def motion_matrix(a: Scan, b: Scan, pose: Pose) -> np.ndarray:
    """World mm of A to world mm of B, (4, 4)."""
    to_a, to_b = half_motions(pose.rotation, pose.shift_mm, a.centre, b.centre)
    return to_b @ np.linalg.inv(to_a)


def mid_points(a: Scan, b: Scan, pose: Pose | None, level_mm: float) -> np.ndarray:
    """Scatter points over the foreground of both scans, in their mid-space.

    The points lie on a lattice, each moved within its cell by a seeded draw, so that they never fall on
    the voxels of a scan; swapping the scans gives the same points.

    Parameters
    ----------
    a, b : Scan
        Scans.
    pose : Pose, optional
        Where the scans are thought to be; centres of mass on each other if not given.
    level_mm : float
        Level whose number of points is wanted.

    Returns
    -------
    (3, N) np.ndarray
        Points in mm.
    """
    pose = pose or Pose(np.zeros(3), np.zeros(3), 0.0)
    halves = half_motions(pose.rotation, pose.shift_mm, a.centre, b.centre)
    content = [
        (scan.foreground_points - half[:3, 3]) @ half[:3, :3]
        for scan, half in zip((a, b), halves, strict=True)
    ]
    reach = max(np.abs(points).max() for points in content) + MARGIN_MM
    wide = [_widened(scan.foreground) for scan in (a, b)]
    volume = max(grid.data.sum() * grid.voxel_volume_mm3 for grid in wide)
    step = (volume / POINTS[level_mm]) ** (1 / 3)
    axis = np.arange(-np.ceil(reach / step), np.ceil(reach / step) + 1) * step
    lattice = np.stack(np.meshgrid(axis, axis, axis, indexing="ij")).reshape(3, -1)
    jitter = np.random.default_rng(0).random(lattice.shape, dtype=np.float32) - 0.5
    points = lattice + jitter * step
    near = np.zeros(points.shape[1], dtype=bool)
    for grid, half in zip(wide, halves, strict=True):
        to_voxel = np.linalg.inv(grid.affine) @ half
        index = np.floor(to_voxel[:3, :3] @ points + to_voxel[:3, 3:] + 0.5).astype(int)
        size = np.array(grid.shape)[:, None]
        inside = ((index >= 0) & (index < size)).all(axis=0)
        near |= inside & grid.data[tuple(np.clip(index, 0, size - 1))]
    return points[:, near]


def _widened(foreground: Volume) -> Volume:
    reach = np.maximum(1, np.round(MARGIN_MM / foreground.spacing_mm)).astype(int)
    return foreground.with_data(ndimage.maximum_filter(foreground.data, size=tuple(2 * reach + 1)))


def _starts(a: Scan, b: Scan) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rotations and shifts to try first; the set of the swapped scans is the negative of this one."""
    points = [scan.foreground_points - scan.centre for scan in (a, b)]
    edges = [np.stack([p.min(axis=0), p.max(axis=0)]) for p in points]
    shifts = [
        np.zeros(3),
        a.centre - b.centre,
        (a.centre - a.field_centre) - (b.centre - b.field_centre),
    ]
    # One side on the other: where a scan is cut off, its centre says little.
    shifts += [np.eye(3)[axis] * (edges[0] - edges[1])[side, axis] for axis in range(3) for side in (0, 1)]
    for shift, turn in product(shifts, product((-START_ANGLE, 0.0, START_ANGLE), repeat=3)):
        yield np.array(turn), shift


def _best(poses: list[Pose], count: int) -> list[Pose]:
    """Sort by similarity and leave out poses that are the same as a better one."""
    kept: list[Pose] = []
    for pose in sorted(poses, key=lambda pose: -pose.similarity):
        if len(kept) < count and all(_distance_mm(pose, other) > SAME_MM for other in kept):
            kept.append(pose)
    return kept


def _distance_mm(a: Pose, b: Pose) -> float:
    turn = np.abs(a.rotation - b.rotation).max() * RADIUS_MM
    return float(max(turn, np.abs(a.shift_mm - b.shift_mm).max()))


def _climb(objective: Objective, pose: Pose, level_mm: float) -> Pose:
    unit = level_mm / 4  # Length in mm of the first step.

    def fall(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = objective.value_and_slope(x * unit)
        return value, slope * unit

    start = np.concatenate([pose.rotation * RADIUS_MM, pose.shift_mm]) / unit
    options = {"ftol": TOLERANCE[level_mm], "gtol": 1e-7, "maxiter": 40}
    found = minimize(fall, start, jac=True, method="L-BFGS-B", options=options)
    return Pose(found.x[:3] * unit / RADIUS_MM, found.x[3:] * unit, -float(found.fun))
