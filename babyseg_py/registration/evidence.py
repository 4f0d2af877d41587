"""What tells, without the truth, whether two registered scans show the same head the same way round."""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from nibabel.affines import apply_affine
from scipy import ndimage
from scipy.spatial.transform import Rotation

from babyseg_py.images.geometry import resample
from babyseg_py.images.volume import Volume
from babyseg_py.registration.motion import displacement_mm, half_motions, rotation_deg
from babyseg_py.registration.pyramid import Scan
from babyseg_py.registration.rigid import Match, Objective, Pose, mid_points, register
from babyseg_py.registration.similarity import BINS, PARZEN, joint_histogram, sample

NULL_LEVEL_MM = 4.0
NULL_POSES = 48
MIRROR_LEVELS_MM = (8.0, 4.0, 2.0)
CELL_MM = 3.0  # Lattice on which local displacements are searched.
BLOCK = 8  # Cells along the side of a block: 24 mm.
REACH = 3  # Cells searched in each direction: 9 mm.
MIN_FILLED = 0.5  # Share of a block that must lie in both foregrounds.
BRIGHT = 0.4  # Of the way from the background to the foreground's median.
AT_BOTH_ENDS, BETWEEN = 0.15, 0.02  # Shares of the head's outline, seen along an axis.
LEVEL_MM = 2.0  # Copy on which the mirror and local displacements are judged.


@dataclass(frozen=True)
class Evidence:
    """Measures of one registration; none of them knows the true motion.

    Parameters
    ----------
    similarity, null, null_spread : float
        Normalised mutual information at the solution; its mean and standard deviation over poses that are
        wrong by 15 to 40 degrees and 10 to 30 mm.
    fine_similarity, mirror_similarity : float
        Similarity at 2 mm, and that of the mirrored second scan after a registration of its own.
    local_mm : float
        Weighted median length of the displacements in mm by which blocks of 24 mm would match better.
    overlap : float
        Share of the smaller foreground that lies in the larger one.
    gap : float
        Largest share of the brain's or head's extent that one scan has beyond the other's: at the left,
        right, front, back and top, and below if both are masked (necks differ).
    height : float
        Height of the lower foreground over its width.
    masked : bool
        Whether that foreground is of a masked scan, as a rule a brain.
    rotation_deg, shift_mm : float
        Motion of the scans against each other in scanner coordinates; the shift is that of the centre.
    """

    similarity: float
    null: float
    null_spread: float
    fine_similarity: float
    mirror_similarity: float
    local_mm: float
    overlap: float
    gap: float
    height: float
    masked: bool
    rotation_deg: float
    shift_mm: float


def gather(a: Scan, b: Scan, match: Match) -> Evidence:
    """Measure a registration.

    Parameters
    ----------
    a, b : Scan
        Scans.
    match : Match
        Their registration.

    Returns
    -------
    Evidence
        Measures for `checks.judge`.
    """
    similarity, null, spread = similarity_null(a, b, match.pose)
    fine, mirror = mirror_test(a, b, match.pose)
    overlap, gap, height, masked = outlines(a, b, match.matrix)
    return Evidence(
        similarity=similarity,
        null=null,
        null_spread=spread,
        fine_similarity=fine,
        mirror_similarity=mirror,
        local_mm=local_mismatch(a, b, match.pose),
        overlap=overlap,
        gap=gap,
        height=height,
        masked=masked,
        rotation_deg=rotation_deg(match.matrix),
        shift_mm=displacement_mm(match.matrix, a.centre),
    )


def neighbour_correlation(scan: Scan) -> float:
    """Correlation of neighbours in the 2 mm copy, inside the foreground; the median of the axes.

    Noise that is independent from voxel to voxel has none, whatever its distribution. The outermost 4 mm are
    left out, since the outline of a mask would correlate whatever it holds.
    """
    level = scan.levels[LEVEL_MM]
    inner = ndimage.minimum_filter(scan.foreground.data, size=3)
    inner = inner if inner.any() else scan.foreground.data
    inside = scan.foreground.with_data(inner.astype(np.float32))
    mask = resample(inside, level.shape, level.affine).data > 0.5
    values = []
    for axis in range(3):
        x, y = (np.moveaxis(level.data, axis, 0)[part] for part in (slice(None, -1), slice(1, None)))
        both = np.moveaxis(mask, axis, 0)[:-1] & np.moveaxis(mask, axis, 0)[1:]
        a, b = x[both], y[both]
        varied = a.size > 1 and a.std() > 0 and b.std() > 0
        values.append(float(np.corrcoef(a, b)[0, 1]) if varied else 0.0)
    return float(np.median(values))


def wrapped(scan: Scan) -> bool:
    """Tell whether the head leaves the field of view at one side and comes in again at the other.

    Both ends of an axis then show much of the head, and some slice between them hardly any of it.
    """
    level = scan.levels[LEVEL_MM]
    inside = resample(scan.foreground, level.shape, level.affine, order=0).data > 0
    background = float(np.median(level.data[~inside])) if not inside.all() else scan.window[0]
    bright = level.data > background + BRIGHT * (float(np.median(level.data[inside])) - background)
    for axis in range(3):
        areas = np.count_nonzero(np.moveaxis(bright, axis, 0), axis=(1, 2)) / bright.any(axis=axis).sum()
        if min(areas[0], areas[-1]) >= AT_BOTH_ENDS and areas.min() <= BETWEEN:
            return True
    return False


def similarity_null(a: Scan, b: Scan, pose: Pose) -> tuple[float, float, float]:
    """Similarity at a pose, and mean and standard deviation over poses that are wrong on purpose."""
    objective = Objective(a, b, NULL_LEVEL_MM, mid_points(a, b, pose, NULL_LEVEL_MM))
    rng = np.random.default_rng(0)
    values = []
    for _ in range(NULL_POSES):
        axis, direction = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 3)))
        turn = Rotation.from_rotvec(np.radians(rng.uniform(15, 40)) * axis)
        rotation = (turn * Rotation.from_rotvec(pose.rotation)).as_rotvec()
        values.append(objective.value(rotation, pose.shift_mm + rng.uniform(10, 30) * direction))
    return objective.value(pose.rotation, pose.shift_mm), float(np.mean(values)), float(np.std(values))


def mirrored(scan: Scan) -> Scan:
    """Scan with left and right swapped about its centre."""
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
    mirror[0, 3] = 2 * scan.centre[0]
    levels = {
        size: volume.on_grid(volume.data, mirror @ volume.affine)
        for size, volume in scan.levels.items()
        if size in MIRROR_LEVELS_MM
    }
    foreground = scan.foreground.on_grid(scan.foreground.data, mirror @ scan.foreground.affine)
    return replace(scan, levels=levels, foreground=foreground)


def mirror_test(a: Scan, b: Scan, pose: Pose) -> tuple[float, float]:
    """Similarity of two scans as they are, and after the second one was mirrored and registered anew."""
    flipped = mirrored(b)
    lean = replace(a, levels={size: a.levels[size] for size in flipped.levels})
    other = register(lean, flipped).pose
    straight = Objective(a, b, LEVEL_MM, mid_points(a, b, pose, LEVEL_MM))
    across = Objective(lean, flipped, LEVEL_MM, mid_points(lean, flipped, other, LEVEL_MM))
    return straight.value(pose.rotation, pose.shift_mm), across.value(other.rotation, other.shift_mm)


def local_mismatch(a: Scan, b: Scan, pose: Pose) -> float:
    """Median displacement in mm by which blocks of one scan match the other better than where they are.

    What the intensities of one scan say about those of the other is learned from all blocks together
    (pointwise mutual information); each block then looks for the shift at which it agrees best with that.
    Another child's brain fits nowhere exactly, whatever the global similarity. NaN if no block is filled.

    Parameters
    ----------
    a, b : Scan
        Scans.
    pose : Pose
        Their registration.

    Returns
    -------
    float
        Median over blocks, weighted by how clearly each prefers one shift to the others.
    """
    values, masks = _on_lattice(a, b, pose)
    both = masks[0] & masks[1]
    inner = np.zeros_like(both)
    core = (slice(REACH, -REACH),) * 3
    inner[core] = both[core]
    cells = np.argwhere(inner)
    if len(cells) == 0:
        return float("nan")
    block = np.ravel_multi_index(tuple((cells // BLOCK).T), tuple(np.array(both.shape) // BLOCK + 1))
    _, block, filled = np.unique(block, return_inverse=True, return_counts=True)
    bins_a, bins_b = (np.round(v).astype(np.int32) for v in values)
    table = _pointwise_information(values[0][inner], values[1][inner]).ravel()
    row = bins_a[inner] * BINS
    flat, strides = bins_b.ravel(), np.array(both.strides) // both.itemsize
    here = cells @ strides
    shifts = list(product(range(-REACH, REACH + 1), repeat=3))
    score = np.stack(
        [
            np.bincount(block, table[row + flat[here + int(strides @ s)]], len(filled))
            for s in np.array(shifts)
        ]
    )
    enough = filled >= MIN_FILLED * BLOCK**3
    if not enough.any():
        return float("nan")
    mean_score = (score / filled)[:, enough]
    lengths = np.array([_peak_mm(column) for column in mean_score.T])
    return _weighted_median(lengths, mean_score.max(axis=0) - mean_score.mean(axis=0))


def _on_lattice(a: Scan, b: Scan, pose: Pose) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Histogram positions and foregrounds of both scans on a lattice of the mid-space."""
    halves = half_motions(pose.rotation, pose.shift_mm, a.centre, b.centre)
    content = (a.foreground_points - halves[0][:3, 3]) @ halves[0][:3, :3]
    axes = [
        np.arange(low, high, CELL_MM)
        for low, high in zip(content.min(0) - 12, content.max(0) + 12, strict=True)
    ]
    points = np.stack(np.meshgrid(*axes, indexing="ij"))
    values, masks = [], []
    for scan, half in zip((a, b), halves, strict=True):
        level = scan.levels[LEVEL_MM]
        found = sample(level.data, np.linalg.inv(level.affine) @ half, points.reshape(3, -1), scan.window)
        values.append(found.value.reshape(points.shape[1:]))
        to_voxel = np.linalg.inv(scan.foreground.affine) @ half
        place = np.tensordot(to_voxel[:3, :3], points, 1) + to_voxel[:3, 3, None, None, None]
        masks.append(ndimage.map_coordinates(scan.foreground.data.astype(np.float32), place, order=1) > 0.5)
    return values, masks


def _pointwise_information(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    p = PARZEN @ (joint_histogram(a, b)[0] + 0.01) @ PARZEN.T
    p /= p.sum()
    return np.log(p) - np.log(p.sum(axis=1, keepdims=True)) - np.log(p.sum(axis=0, keepdims=True))


def _peak_mm(score: np.ndarray) -> float:
    """Distance of the best shift from none, refined by parabolas."""
    cube = score.reshape((2 * REACH + 1,) * 3)
    best: np.ndarray = np.stack(np.unravel_index(cube.argmax(), cube.shape))
    place: np.ndarray = (best - REACH).astype(float)
    for axis in range(3):
        if 0 < best[axis] < 2 * REACH:
            low, middle, high = (cube[tuple(best + d * np.eye(3, dtype=int)[axis])] for d in (-1, 0, 1))
            place[axis] += (low - high) / (2 * (low - 2 * middle + high) - 1e-12)
    return float(np.linalg.norm(place) * CELL_MM)


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def outlines(a: Scan, b: Scan, matrix: np.ndarray) -> tuple[float, float, float, bool]:
    """Compare the foregrounds: how far they overlap and what one lacks at a side.

    Parameters
    ----------
    a, b : Scan
        Scans.
    matrix : (4, 4) np.ndarray
        World of A to world of B.

    Returns
    -------
    overlap, gap, height, masked : float, float, float, bool
        As in `Evidence`.
    """
    points_a = a.foreground_points
    points_b = apply_affine(np.linalg.inv(matrix), b.foreground_points)
    volumes = [
        len(p) * s.foreground.voxel_volume_mm3 for p, s in zip((points_a, points_b), (a, b), strict=True)
    ]
    if volumes[0] <= volumes[1]:
        shared = _inside(b.foreground, apply_affine(matrix, points_a))
    else:
        shared = _inside(a.foreground, points_b)
    low_a, high_a = np.percentile(points_a, (0.5, 99.5), axis=0)
    low_b, high_b = np.percentile(points_b, (0.5, 99.5), axis=0)
    extent = np.maximum(high_a - low_a, high_b - low_b)
    gaps = np.concatenate([np.abs(high_a - high_b) / extent, np.abs(low_a - low_b) / extent])
    if not (a.masked and b.masked):
        gaps = gaps[:5]
    sizes = (high_a - low_a, high_b - low_b)
    lower = int(sizes[1][2] < sizes[0][2])
    height = sizes[lower][2] / min(size[0] for size in sizes)
    return float(shared.mean()), float(gaps.max()), float(height), (a, b)[lower].masked


def _inside(mask: Volume, points: np.ndarray) -> np.ndarray:
    index = np.round(apply_affine(np.linalg.inv(mask.affine), points)).astype(int)
    within = ((index >= 0) & (index < mask.shape)).all(axis=1)
    index = np.clip(index, 0, np.array(mask.shape) - 1)
    return within & mask.data[tuple(index.T)]
