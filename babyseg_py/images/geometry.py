"""Grids and the way from one to another: axes, windows, resampling.

World coordinates are RAS+ millimetres throughout. Every function returns a new volume whose affine
still places each voxel where it was in the world.
"""

from collections.abc import Sequence

import numpy as np
from nibabel.affines import apply_affine, voxel_sizes
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from scipy import ndimage

from babyseg_py.images.volume import Volume

FWHM_PER_SIGMA = np.sqrt(8 * np.log(2))
AFFINE_DECIMALS = 8


def same_grid(a: Volume, b: Volume, /, *, tolerance_mm: float = 1e-3) -> bool:
    """Tell whether two volumes have the same voxels at the same places.

    Parameters
    ----------
    a, b : Volume
        Volumes to compare.
    tolerance_mm : float
        Largest distance in mm between the same corner of the two grids.

    Returns
    -------
    bool
        True if shapes agree and no corner lies further apart than the tolerance.
    """
    return a.shape == b.shape and grid_distance_mm(a.affine, b.affine, a.shape) <= tolerance_mm


def corners(shape: Sequence[int], affine: np.ndarray) -> np.ndarray:
    """World coordinates of the centres of the eight corner voxels.

    Parameters
    ----------
    shape : (3,) sequence of int
        Grid size.
    affine : (4, 4) np.ndarray
        Voxel to world in mm.

    Returns
    -------
    (8, 3) np.ndarray
        Coordinates in mm.
    """
    indices = np.stack(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij"), axis=-1).reshape(-1, 3)
    return apply_affine(affine, indices)


def grid_distance_mm(a: np.ndarray, b: np.ndarray, shape: Sequence[int]) -> float:
    """Largest distance in mm at which two affines place the same voxel of a grid.

    The distance is convex in the voxel index, so that its maximum lies at a corner.

    Parameters
    ----------
    a, b : (4, 4) np.ndarray
        Voxel to world in mm.
    shape : (3,) sequence of int
        Grid size.

    Returns
    -------
    float
        Distance in mm.
    """
    return float(np.linalg.norm(corners(shape, a) - corners(shape, b), axis=1).max())


def reorient(volume: Volume, axcodes: Sequence[str] | str, /) -> Volume:
    """Flip and permute the axes so that they point in the given directions, without interpolation.

    Parameters
    ----------
    volume : Volume
        Any of the 48 orientations, oblique or not.
    axcodes : sequence of str
        Direction of each axis, for example ``"RAS"`` or ``"LIA"``.

    Returns
    -------
    Volume
        Same voxels in another order, contiguous in memory. `reorient_like` is the way back.
    """
    current = io_orientation(volume.affine)
    change = ornt_transform(current, axcodes2ornt(tuple(axcodes)))
    data = np.ascontiguousarray(apply_orientation(volume.data, change))
    return volume.on_grid(data, volume.affine @ inv_ornt_aff(change, volume.shape))


def stored_alike(volume: Volume, /) -> Volume:
    """Bring voxels into the order RAS, with an affine without the last digits that reordering leaves.

    Whatever the order in which a file stores its voxels, the result is bit for bit the same.
    """
    same = reorient(volume, "RAS")
    return same.on_grid(same.data, np.round(same.affine, AFFINE_DECIMALS))


def reorient_like(volume: Volume, reference: Volume, /) -> Volume:
    """Flip and permute the axes back to the order of another volume that covers the same voxels.

    Parameters
    ----------
    volume : Volume
        Result of `reorient`, possibly with other values.
    reference : Volume
        What it was made from.

    Returns
    -------
    Volume
        Values of `volume` with exactly the affine of `reference`.

    Raises
    ------
    ValueError
        If the grids are not related by flips and permutations.
    """
    step = np.linalg.solve(reference.affine, volume.affine)[:3, :3]
    axes = np.abs(step).argmax(axis=0)
    change = np.stack([axes, np.sign(step[axes, range(3)])], axis=1)
    if sorted(axes) == [0, 1, 2]:
        data = np.ascontiguousarray(apply_orientation(volume.data, change))
        back = volume.affine @ inv_ornt_aff(change, volume.shape)
        result = volume.on_grid(data, back)
        if same_grid(result, reference):
            return reference.with_data(data)
    raise ValueError("grids differ by more than flips and permutations of axes")


def crop_or_pad(volume: Volume, start: Sequence[int], shape: Sequence[int], /, *, fill: float = 0) -> Volume:
    """Cut a window out of a volume; what lies outside of it is filled.

    Parameters
    ----------
    volume : Volume
        Source.
    start : (3,) sequence of int
        First voxel of the window in the source, negative where it begins before it.
    shape : (3,) sequence of int
        Size of the window.
    fill : float
        Value outside the source.

    Returns
    -------
    Volume
        Window in the same world space. ``crop_or_pad(result, -start, source.shape)`` puts it back.
    """
    begin = np.asarray(start, dtype=int)
    size = np.asarray(shape, dtype=int)
    low = np.clip(begin, 0, volume.shape)
    high = np.maximum(np.clip(begin + size, 0, volume.shape), low)
    data = np.full(tuple(size), fill, dtype=volume.data.dtype)
    inside = tuple(slice(a - b, c - b) for a, c, b in zip(low, high, begin, strict=True))
    if (high > low).all():
        data[inside] = volume.data[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    affine = volume.affine.copy()
    affine[:3, 3] = apply_affine(volume.affine, begin)
    return volume.on_grid(data, affine)


def bounding_box(
    mask: np.ndarray, /, *, margin: int | Sequence[int] = 0
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Window around everything that is not zero, for `crop_or_pad`.

    Parameters
    ----------
    mask : (I, J, K) np.ndarray
        Array with at least one non-zero voxel.
    margin : int or (3,) sequence of int
        Voxels to add on each side; the window is kept inside the array.

    Returns
    -------
    start, shape : tuple of int
        First voxel and size of the window.

    Raises
    ------
    ValueError
        If the mask is empty.
    """
    others = [tuple(a for a in range(mask.ndim) if a != axis) for axis in range(mask.ndim)]
    filled = [np.flatnonzero(mask.any(axis=axes)) for axes in others]
    if not all(len(f) for f in filled):
        raise ValueError("mask is empty")
    margins = np.broadcast_to(margin, mask.ndim)
    low = [max(0, int(f[0]) - int(m)) for f, m in zip(filled, margins, strict=True)]
    high = [min(n, int(f[-1]) + 1 + int(m)) for f, m, n in zip(filled, margins, mask.shape, strict=True)]
    return tuple(low), tuple(b - a for a, b in zip(low, high, strict=True))


def grid_with_spacing(
    shape: Sequence[int], affine: np.ndarray, spacing_mm: float | Sequence[float], /
) -> tuple[tuple[int, ...], np.ndarray]:
    """Grid over the same field of view and along the same axes with another voxel size.

    Parameters
    ----------
    shape : (3,) sequence of int
        Grid size.
    affine : (4, 4) np.ndarray
        Voxel to world in mm.
    spacing_mm : float or (3,) sequence of float
        Voxel size of the new grid in mm.

    Returns
    -------
    shape : tuple of int
        Size of the new grid, rounded up so that it covers the field of view.
    affine : (4, 4) np.ndarray
        Voxel to world in mm; both grids have the same centre.
    """
    old = np.asarray(shape, dtype=float)
    ratio = np.broadcast_to(spacing_mm, 3) / voxel_sizes(affine)
    new = np.maximum(1, np.ceil(old / ratio - 1e-3))
    result = np.asarray(affine, dtype=float).copy()
    result[:3, :3] = affine[:3, :3] * ratio
    result[:3, 3] = apply_affine(affine, (old - 1) / 2) - result[:3, :3] @ ((new - 1) / 2)
    return tuple(int(n) for n in new), result


def antialias(volume: Volume, affine: np.ndarray, /, *, world_matrix: np.ndarray | None = None) -> Volume:
    """Blur a volume as far as a coarser grid requires, before `resample`.

    Source and target voxels are modelled as Gaussians whose full width at half maximum is the voxel
    size (Cardoso et al. 2015, https://doi.org/10.1007/978-3-319-24571-3_81); the blur is what widens one
    to the other along each axis of the source. Axes that are not coarser are left alone.

    Parameters
    ----------
    volume : Volume
        Image to be down-sampled.
    affine : (4, 4) np.ndarray
        Voxel to world in mm of the target grid.
    world_matrix : (4, 4) np.ndarray, optional
        As in `resample`.

    Returns
    -------
    Volume
        Blurred image on its own grid, float32.
    """
    target = np.asarray(affine) if world_matrix is None else np.asarray(world_matrix) @ affine
    step = np.linalg.solve(volume.affine[:3, :3], target[:3, :3])  # Target voxel in source voxels.
    variance = (step**2).sum(axis=1) - 1
    sigma = np.sqrt(np.maximum(variance, 0)) / FWHM_PER_SIGMA
    data = volume.data.astype(np.float32, copy=False)
    for axis, width in enumerate(sigma):
        if width > 0.1:
            data = ndimage.gaussian_filter1d(data, width, axis=axis, mode="nearest", truncate=3)
    return volume.with_data(data)


def resample(
    volume: Volume,
    shape: Sequence[int],
    affine: np.ndarray,
    /,
    *,
    order: int = 1,
    world_matrix: np.ndarray | None = None,
    cval: float = 0,
) -> Volume:
    """Sample a volume on another grid.

    Parameters
    ----------
    volume : Volume
        Source.
    shape : (3,) sequence of int
        Size of the new grid.
    affine : (4, 4) np.ndarray
        Voxel to world in mm of the new grid.
    order : int
        Spline order: 0 nearest (keeps the dtype, for labels), 1 linear, 3 cubic (both float32).
    world_matrix : (4, 4) np.ndarray, optional
        World mm of the new grid to world mm of the source: the value at world `x` is that of the source
        at ``world_matrix @ x``. Identity if not given.
    cval : float
        Value outside the source.

    Returns
    -------
    Volume
        Values on the new grid.
    """
    target = np.asarray(affine, dtype=float)
    size = tuple(int(n) for n in shape)
    to_source = target if world_matrix is None else np.asarray(world_matrix, dtype=float) @ target
    matrix = np.linalg.solve(volume.affine, to_source)
    matrix = np.where(np.abs(matrix - np.round(matrix)) < 1e-7, np.round(matrix), matrix)
    whole = _whole_step(matrix)
    if whole is not None:
        data = crop_or_pad(volume, whole, size, fill=cval).data
        return volume.on_grid(data if order == 0 else data.astype(np.float32, copy=False), target)
    data = volume.data if order == 0 else volume.data.astype(np.float32, copy=False)
    axes = np.abs(matrix[:3, :3]).argmax(axis=0)  # Source axis that each axis of the target follows.
    aligned = np.count_nonzero(matrix[:3, :3]) == 3 and sorted(axes) == [0, 1, 2]
    if aligned and order <= 1:
        steps, offsets = matrix[axes, range(3)], matrix[axes, 3]
        sampled = _sample_along_axes(data.transpose(axes), size, steps, offsets, order=order, cval=cval)
    else:
        sampled = ndimage.affine_transform(
            data, matrix, output_shape=size, order=order, mode="grid-constant", cval=cval
        )
    return volume.on_grid(sampled, target)


def _whole_step(matrix: np.ndarray) -> tuple[int, ...] | None:
    """Shift in voxels if the matrix is nothing but that."""
    if np.array_equal(matrix[:3, :3], np.eye(3)) and np.array_equal(matrix[:3, 3], np.round(matrix[:3, 3])):
        return tuple(int(n) for n in matrix[:3, 3])
    return None


def _sample_along_axes(
    data: np.ndarray,
    shape: Sequence[int],
    steps: np.ndarray,
    offsets: np.ndarray,
    *,
    order: int,
    cval: float,
) -> np.ndarray:
    """Nearest or linear sampling axis by axis, for grids that are not rotated against each other."""
    for axis, (count, step, offset) in enumerate(zip(shape, steps, offsets, strict=True)):
        pad = [(1, 1) if a == axis else (0, 0) for a in range(3)]
        data = np.pad(data, pad, constant_values=cval)
        position = np.clip(np.arange(count) * step + offset + 1, 0, data.shape[axis] - 1)
        if order == 0:
            data = data.take(np.floor(position + 0.5).astype(int).clip(max=data.shape[axis] - 1), axis=axis)
            continue
        below = np.minimum(position.astype(int), data.shape[axis] - 2)
        weight = (position - below).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        low, high = data.take(below, axis=axis), data.take(below + 1, axis=axis)
        high -= low
        high *= weight
        high += low
        data = high
    return np.ascontiguousarray(data)
