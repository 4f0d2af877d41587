"""A brain that ends in a plane, because the image or a mask does."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from babyseg_py.images.foreground import exact_background
from babyseg_py.segmentation.window import Scan, Window

REACH = 2.5  # voxels from the edge of the labels to where the image has to be empty
SLAB = 2.0  # voxels that a face may be out of plane


def flat_face(brain: np.ndarray, window: Window, scans: Sequence[Scan]) -> float:
    """Area of the largest plane face beyond which no scan shows anything, over (volume of the brain)^(2/3).

    Masks and fields of view end along the axes of a scan's grid, so that planes across these are looked at.
    A cut through the middle gives about 1, the rounded side of a whole brain less than .15.

    Parameters
    ----------
    brain : (I, J, K) np.ndarray of bool
        What is labelled, on a window.
    window : Window
        Its place in the session's world.
    scans : sequence of Scan
        The scans that were segmented.

    Returns
    -------
    float
        0 where the image goes on everywhere; NaN if nothing is labelled.
    """
    if not brain.any():
        return np.nan
    seen = shown(window, scans)
    rim = np.argwhere(brain & ~ndimage.binary_erosion(brain, iterations=2, border_value=0))
    area = max(_face(brain, rim, seen, direction) for direction in _directions(window, scans))
    return float(area / np.count_nonzero(brain) ** (2 / 3))


def shown(window: Window, scans: Sequence[Scan]) -> np.ndarray:
    """Where on a window any scan has content: within its field of view, and not its exact background or 0.

    A scan with noise around the head has no exact background; a mask laid over part of it leaves zeros.
    """
    seen = np.zeros(window.shape, dtype=bool)
    for scan in scans:
        data = scan.volume.data
        empty = exact_background(data)
        content = (data != (0 if empty is None else empty)).astype(np.uint8)
        to_voxel = np.linalg.solve(scan.volume.affine, scan.matrix @ window.affine)
        seen |= ndimage.affine_transform(
            content, to_voxel[:3, :3], to_voxel[:3, 3], output_shape=window.shape, order=0
        ).astype(bool)
    return seen


def _directions(window: Window, scans: Sequence[Scan]) -> list[np.ndarray]:
    """Both ways along the axes of each scan's grid, as unit vectors in voxels of the window."""
    found: list[np.ndarray] = []
    for scan in scans:
        matrix = np.linalg.solve(scan.matrix @ window.affine, scan.volume.affine)[:3, :3]
        for axis in (matrix / np.linalg.norm(matrix, axis=0)).T:
            if not any(np.allclose(axis, other, atol=0.02) for other in found):
                found += [axis, -axis]
    return found


def _face(brain: np.ndarray, rim: np.ndarray, seen: np.ndarray, direction: np.ndarray) -> int:
    """Count the columns along a direction that end in the same slab, with nothing beyond."""
    last = rim[~_at(brain, rim + direction) & ~_at(seen, rim + REACH * direction)]
    best = 0
    for offset in (0.0, 0.5):  # so that a face on the border of two slabs is whole in one
        slab = np.floor(last @ direction / SLAB + offset).astype(int)
        if len(slab):
            best = max(best, int(np.bincount(slab - slab.min()).max()))
    return best


def _at(mask: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Values of a mask at the voxels nearest to some points, (N, 3); false outside."""
    index = np.round(points).astype(int)
    inside = ((index >= 0) & (index < mask.shape)).all(axis=1)
    return mask[tuple(np.clip(index, 0, np.array(mask.shape) - 1).T)] & inside
