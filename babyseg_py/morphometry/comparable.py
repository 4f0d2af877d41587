"""Making label maps comparable: one numbering, one grid."""

from dataclasses import dataclass

import numpy as np

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume
from babyseg_py.images.geometry import crop_or_pad, resample, same_grid
from babyseg_py.labels.merge import is_merged, merge_labels, unknown_labels

# Two maps cover the same world if all but this share of each one's labelled voxels lies within the other.
MAX_OUTSIDE = 0.25
# A numbering is not FreeSurfer's if it has more unknown numbers than these.
MAX_UNKNOWN = 10


@dataclass(frozen=True)
class Pair:
    """Two label maps on one grid.

    Parameters
    ----------
    reference, candidate : Volume
        Label maps, on the grid of the reference or one that continues it.
    resampled : bool
        The candidate came from another grid.
    """

    reference: Volume
    candidate: Volume
    resampled: bool


def standard_labels(labels: Volume, path: str, /) -> tuple[Volume, list[int]]:
    """Bring a label map to the 22 labels, if it has others.

    Parameters
    ----------
    labels : Volume
        Label map in a FreeSurfer-like numbering.
    path : str
        Its file, for the message.

    Returns
    -------
    labels : Volume
        Map of the 22 labels.
    unknown : list of int
        Numbers that no rule knows and that became background.

    Raises
    ------
    UnusableData
        If more than ten numbers are unknown, or no structure is known while the map is not empty.
    """
    if is_merged(labels.data):
        return labels, []
    unknown = unknown_labels(labels.data)
    merged = merge_labels(labels.data, labels.affine)
    if len(unknown) > MAX_UNKNOWN or not merged.any():
        numbers = ", ".join(map(str, unknown[:8]))
        what = (
            f"holds {len(unknown)} numbers that are not FreeSurfer's ({numbers} …)"
            if unknown
            else "has no brain"
        )
        raise UnusableData(path, what, "give a segmentation with FreeSurfer label numbers")
    return labels.with_data(merged), unknown


def on_one_grid(
    reference: Volume,
    candidate: Volume,
    path: str,
    /,
    *,
    world_matrix: np.ndarray | None = None,
    other: str = "the reference",
) -> Pair:
    """Bring a label map onto the grid of another, by nearest neighbour.

    Where labels reach beyond the grid it is continued by whole voxels, so that none is lost.

    Parameters
    ----------
    reference : Volume
        Map whose grid is kept.
    candidate : Volume
        Map to be carried over.
    path : str
        File that the message is about.
    world_matrix : (4, 4) np.ndarray, optional
        World mm of the reference to world mm of the candidate. Identity if not given.
    other : str
        What the message calls the map that this file is compared with.

    Returns
    -------
    Pair
        Both on the grid of the reference, which may have been continued.

    Raises
    ------
    UnusableData
        If more than a quarter of the labelled voxels of either lies outside of the other's field of view.
    """
    if world_matrix is None and same_grid(reference, candidate):
        return Pair(reference, reference.with_data(candidate.data), resampled=False)
    matrix = np.eye(4) if world_matrix is None else np.asarray(world_matrix, dtype=np.float64)
    outside = max(
        _share_outside(reference, candidate, matrix),
        _share_outside(candidate, reference, np.linalg.inv(matrix)),
    )
    if outside > MAX_OUTSIDE:
        what = f"does not cover the same part of the world as {other} ({outside:.0%} lies outside)"
        raise UnusableData(path, what, "compare segmentations of the same scan, with intact headers")
    wide = _continued(reference, candidate, matrix)
    carried = resample(candidate, wide.shape, wide.affine, order=0, world_matrix=matrix)
    return Pair(wide, wide.with_data(carried.data), resampled=True)


def _continued(reference: Volume, candidate: Volume, world_matrix: np.ndarray) -> Volume:
    """Continue the grid of a map as far as another has labels."""
    voxels = np.array(np.nonzero(candidate.data))
    if not voxels.size:
        return reference
    matrix = np.linalg.solve(world_matrix @ reference.affine, candidate.affine)
    place = matrix[:3, :3] @ voxels + matrix[:3, 3:]
    start = np.minimum(0, np.floor(place.min(axis=1) + 1e-3).astype(int) - 1)
    stop = np.maximum(reference.shape, np.ceil(place.max(axis=1) - 1e-3).astype(int) + 2)
    return crop_or_pad(reference, start, stop - start)


def _share_outside(labels: Volume, other: Volume, world_matrix: np.ndarray) -> float:
    """Share of the labelled voxels of a map that lies outside of the field of view of another."""
    voxels = np.array(np.nonzero(labels.data))
    if not voxels.size:
        return 0.0
    matrix = np.linalg.solve(other.affine, world_matrix @ labels.affine)
    place = matrix[:3, :3] @ voxels + matrix[:3, 3:]
    inside = np.all((place >= -0.501) & (place <= np.array(other.shape)[:, None] - 0.499), axis=0)
    return 1.0 - float(inside.mean())
