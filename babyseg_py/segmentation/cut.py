"""A brain that ends in a plane, because the image or a mask does, and how much of it is left."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from babyseg_py.images.background import exact_background
from babyseg_py.segmentation.anatomy import USUAL_LOG_SHARES
from babyseg_py.segmentation.window import Scan, Window

REACH = 2.5  # voxels from the edge of the labels to where the image has to be empty
SLAB = 2.0  # voxels that a face may be out of plane
# Area over volume^(2/3) from which a face is a cut, of the brain and of one of its structures.
LEAST_FACE = 0.25
LEAST_FACE_OF_STRUCTURE = 0.3
FEWEST_SPARED = 4


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
    return float(len(plane_face(brain, window, scans)) / np.count_nonzero(brain) ** (2 / 3))


def plane_face(brain: np.ndarray, window: Window, scans: Sequence[Scan]) -> np.ndarray:
    """Voxels of that face, one for each column that ends in it, (N, 3); none where the image goes on."""
    seen = shown(window, scans)
    rim = np.argwhere(brain & ~ndimage.binary_erosion(brain, iterations=2, border_value=0))
    faces = [_face(brain, rim, seen, direction) for direction in _directions(window, scans)]
    return max(faces, key=len)


def shares_left(labels: np.ndarray, window: Window, scans: Sequence[Scan]) -> dict[int, float]:
    """Share of each structure that is there, where the brain ends in a plane that cuts the structure.

    What the cut took is not seen, but the structures that it spared tell the size of the brain (the median
    over them of their volume over the usual one), and that tells how large the others should be.

    Parameters
    ----------
    labels : (I, J, K) np.ndarray of int
        On a window.
    window : Window
        Its place in the session's world.
    scans : sequence of Scan
        The scans that were segmented.

    Returns
    -------
    dict of int to float
        Only the structures that are cut; none if too few are spared to tell.
    """
    counts = np.bincount(labels.ravel(), minlength=256).astype(float)
    face = plane_face(labels > 0, window, scans)
    if len(face) < max(1.0, LEAST_FACE * counts[1:].sum() ** (2 / 3)):
        return {}
    areas = np.bincount(labels[tuple(face.T)], minlength=256)
    found = [label for label in USUAL_LOG_SHARES if counts[label]]
    cut = [label for label in found if areas[label] > LEAST_FACE_OF_STRUCTURE * counts[label] ** (2 / 3)]
    surplus = {label: np.log(counts[label]) - USUAL_LOG_SHARES[label] for label in found}
    spared = [surplus[label] for label in found if label not in cut]
    if len(spared) < FEWEST_SPARED:
        return {}
    return {label: float(np.exp(min(0.0, surplus[label] - np.median(spared)))) for label in cut}


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


def _face(brain: np.ndarray, rim: np.ndarray, seen: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Last voxels of the columns along a direction that end in the same slab, with nothing beyond."""
    last = rim[~_at(brain, rim + direction) & ~_at(seen, rim + REACH * direction)]
    best = last[:0]
    for offset in (0.0, 0.5):  # so that a face on the border of two slabs is whole in one
        slab = np.floor(last @ direction / SLAB + offset).astype(int)
        if len(slab):
            slab -= slab.min()
            face = last[slab == np.bincount(slab).argmax()]
            best = max(best, face, key=len)
    return best


def _at(mask: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Values of a mask at the voxels nearest to some points, (N, 3); false outside."""
    index = np.round(points).astype(int)
    inside = ((index >= 0) & (index < mask.shape)).all(axis=1)
    return mask[tuple(np.clip(index, 0, np.array(mask.shape) - 1).T)] & inside
