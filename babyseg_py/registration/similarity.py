"""Normalised mutual information of two scans at points of their mid-space, and its slope.

Studholme et al. 1999 (https://doi.org/10.1016/S0031-3203(98)00091-0), with a joint histogram that both
scans enter alike: linear weights on the bins, smoothed by a cubic B-spline window along both axes, so
that the slope is exact and neither scan is privileged.
"""

from dataclasses import dataclass

import numpy as np

BINS = 32


@dataclass(frozen=True)
class Samples:
    """Intensities of one scan at points of the mid-space.

    Parameters
    ----------
    value : (N,) np.ndarray
        Position on the intensity bins, from 0 to ``BINS - 1``.
    slope : (3, N) np.ndarray
        Derivative of the value along the axes of the voxel grid, per voxel.
    inside : (N,) np.ndarray
        Whether the point lies in the field of view.
    """

    value: np.ndarray
    slope: np.ndarray
    inside: np.ndarray


def sample(
    data: np.ndarray, to_voxel: np.ndarray, points: np.ndarray, window: tuple[float, float]
) -> Samples:
    """Sample an image linearly, with the exact slope of the interpolant.

    Parameters
    ----------
    data : (I, J, K) np.ndarray
        Contiguous image, at least two voxels along each axis.
    to_voxel : (4, 4) np.ndarray
        Point to voxel index.
    points : (3, N) np.ndarray
        Points.
    window : tuple of float
        Intensities that become the first and the last bin; what lies beyond is clipped.

    Returns
    -------
    Samples
        Values, slopes and whether each point is in the field of view.
    """
    position = (to_voxel[:3, :3] @ points + to_voxel[:3, 3:]).astype(np.float32)
    last = np.array(data.shape, dtype=np.float32)[:, None] - 1
    inside = ((position >= 0) & (position <= last)).all(axis=0)
    np.clip(position, 0, last, out=position)
    base = np.minimum(position.astype(np.int32), last.astype(np.int32) - 1)
    x, y, z = position - base
    strides = np.array([data.shape[1] * data.shape[2], data.shape[2], 1])
    index = strides @ base
    flat = data.ravel()
    corner = {
        (i, j, k): flat[index + int(strides @ (i, j, k))] for i in (0, 1) for j in (0, 1) for k in (0, 1)
    }
    # Along z, then y, then x; differences are kept for the slopes.
    edge, step = {}, {}
    for i in (0, 1):
        for j in (0, 1):
            step[i, j] = corner[i, j, 1] - corner[i, j, 0]
            edge[i, j] = corner[i, j, 0] + z * step[i, j]
    face = [edge[i, 0] + y * (edge[i, 1] - edge[i, 0]) for i in (0, 1)]
    raw = face[0] + x * (face[1] - face[0])
    along_y = [edge[i, 1] - edge[i, 0] for i in (0, 1)]
    along_z = [step[i, 0] + y * (step[i, 1] - step[i, 0]) for i in (0, 1)]
    slope = np.stack(
        [
            face[1] - face[0],
            along_y[0] + x * (along_y[1] - along_y[0]),
            along_z[0] + x * (along_z[1] - along_z[0]),
        ]
    )
    scale = np.float32((BINS - 1) / max(window[1] - window[0], 1e-12))
    value = (raw - np.float32(window[0])) * scale
    clipped = (value < 0) | (value > BINS - 1)
    slope *= np.where(clipped, np.float32(0), scale)
    return Samples(np.clip(value, 0, BINS - 1), slope, inside)


def joint_histogram(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Count pairs of intensities with linear weights.

    Parameters
    ----------
    a, b : (N,) np.ndarray
        Positions on the bins.

    Returns
    -------
    counts : (BINS, BINS) np.ndarray
        Joint histogram, which sums to N.
    index : (N,) np.ndarray
        Flat index of each pair's lower bins.
    fraction_a, fraction_b : (N,) np.ndarray
        Position between the lower and the upper bin.
    """
    low_a = np.minimum(a.astype(np.int32), BINS - 2)
    low_b = np.minimum(b.astype(np.int32), BINS - 2)
    fraction_a, fraction_b = a - low_a, b - low_b
    index = low_a * BINS + low_b
    both = fraction_a * fraction_b
    size = BINS * BINS
    counts = np.bincount(index, 1 - fraction_a - fraction_b + both, size)
    counts += np.bincount(index + 1, fraction_b - both, size)
    counts += np.bincount(index + BINS, fraction_a - both, size)
    counts += np.bincount(index + BINS + 1, both, size)
    return counts.reshape(BINS, BINS), index, fraction_a, fraction_b


def _window_matrix() -> np.ndarray:
    """Smoothing of a histogram by a cubic B-spline; what would leave at the ends stays in the last bin."""
    matrix = np.zeros((BINS, BINS))
    for offset, weight in ((-1, 1 / 6), (0, 4 / 6), (1, 1 / 6)):
        matrix[np.clip(np.arange(BINS) + offset, 0, BINS - 1), np.arange(BINS)] += weight
    return matrix


PARZEN = _window_matrix()


def normalised_information(counts: np.ndarray) -> tuple[float, np.ndarray]:
    """Normalised mutual information (H(A) + H(B)) / H(A, B) - 1 and its derivative by the counts.

    Parameters
    ----------
    counts : (BINS, BINS) np.ndarray
        Joint histogram.

    Returns
    -------
    value : float
        0 if independent, 1 if each intensity tells the other; 0 too where nothing varies.
    slope : (BINS, BINS) np.ndarray
        Derivative with respect to the counts, at constant sum.
    """
    total = counts.sum()
    p = PARZEN @ counts @ PARZEN.T / max(total, 1)
    log_a, log_b, log_ab = (np.log(np.maximum(q, 1e-12)) for q in (p.sum(axis=1), p.sum(axis=0), p))
    marginal = -(p.sum(axis=1) @ log_a) - (p.sum(axis=0) @ log_b)
    joint = -float((p * log_ab).sum())
    if total == 0 or joint < 1e-6:
        return 0.0, np.zeros_like(counts)
    ratio = float(marginal / joint)
    slope = (ratio * (log_ab + 1) - (log_a[:, None] + 1) - (log_b[None] + 1)) / joint
    return ratio - 1, PARZEN.T @ slope @ PARZEN / total


def information_slope(
    slope: np.ndarray, index: np.ndarray, fraction_a: np.ndarray, fraction_b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Carry the derivative by the counts over to the intensities that were counted.

    Parameters
    ----------
    slope : (BINS, BINS) np.ndarray
        From `normalised_information`.
    index, fraction_a, fraction_b : (N,) np.ndarray
        From `joint_histogram`.

    Returns
    -------
    by_a, by_b : (N,) np.ndarray
        Derivatives with respect to each position on the bins.
    """
    # Differences on the histogram first: the look-ups of N samples are what costs.
    up_a = np.zeros_like(slope)
    up_a[:-1] = slope[1:] - slope[:-1]
    up_b = np.zeros_like(slope)
    up_b[:, :-1] = slope[:, 1:] - slope[:, :-1]
    flat_a, flat_b = up_a.ravel(), up_b.ravel()
    by_a = flat_a[index] * (1 - fraction_b) + flat_a[index + 1] * fraction_b
    by_b = flat_b[index] * (1 - fraction_a) + flat_b[index + BINS] * fraction_a
    return by_a, by_b
