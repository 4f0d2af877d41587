"""Where the head or the brain is, without knowing which of the two it is."""

import cc3d
import numpy as np
from scipy import ndimage

from babyseg_py.errors import UnusableData
from babyseg_py.images.background import exact_background
from babyseg_py.images.geometry import bounding_box, crop_or_pad, resample
from babyseg_py.images.volume import Volume

COARSE_MM = 2.0
FAINT_FRACTION = 0.1
MIN_VOLUME_MM3 = 1000.0


def foreground_mask(volume: Volume, /, *, name: str = "image") -> np.ndarray:
    """Mark the head or, where the scan is masked, the brain; cavities are filled.

    The background is either one exact value, as skull-stripping leaves it, or noise, which is cut off by
    minimum cross-entropy (Li and Tam 1998, https://doi.org/10.1016/S0167-8655(98)00057-9) on a grid of
    about 2 mm, where averaging has quietened it. The largest component is closed and filled.

    Parameters
    ----------
    volume : Volume
        Scan in any contrast; NaN and infinite values count as background.
    name : str
        File to name in the message.

    Returns
    -------
    (I, J, K) np.ndarray of bool
        True in the foreground, never empty.

    Raises
    ------
    UnusableData
        If no foreground of at least `MIN_VOLUME_MM3` stands out.
    """
    finite = np.isfinite(volume.data)
    data = volume.data if finite.all() else np.where(finite, volume.data, 0)
    empty = exact_background(data)
    inside = finite if empty is None else finite & (data != empty)
    mask = np.zeros(volume.shape, bool)
    if inside.any():
        start, size = bounding_box(inside)
        window = crop_or_pad(volume.with_data(data), start, size)
        known = crop_or_pad(volume.with_data(inside), start, size).data
        mask[tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))] = _mask_window(
            window, known, empty
        )
    if mask.sum() * volume.voxel_volume_mm3 < MIN_VOLUME_MM3:
        what = "no head or brain stands out from the background"
        raise UnusableData(name, what, "look at the scan; it may be empty or noise")
    return mask


def _mask_window(volume: Volume, inside: np.ndarray, empty: float | None) -> np.ndarray:
    """Foreground of a scan cropped to what is not known to be background."""
    factors = shrink_factors(volume.spacing_mm, COARSE_MM)
    candidates = shrink(volume.with_data(inside), factors).data >= 0.5
    coarse = shrink(volume, factors)
    threshold = _threshold(coarse.data[candidates], 0.0 if empty is None else empty, masked=empty is not None)
    mask = _solid(candidates & (coarse.data > threshold), coarse.spacing_mm).astype(np.float32)
    padded = np.pad(mask, 1, mode="edge")  # A head that leaves the field of view is not rounded off there.
    start = crop_or_pad(coarse, (-1, -1, -1), padded.shape)
    return resample(start.with_data(padded), volume.shape, volume.affine).data >= 0.5


def shrink_factors(spacing_mm: np.ndarray, target_mm: float, /) -> tuple[int, int, int]:
    """Whole numbers of voxels along each axis that come nearest to a target size.

    Parameters
    ----------
    spacing_mm : (3,) np.ndarray
        Voxel size in mm.
    target_mm : float
        Voxel size aimed at, in mm; a coarser axis keeps its factor of 1.

    Returns
    -------
    (3,) tuple of int
        Factors, at least 1.
    """
    i, j, k = (max(1, round(target_mm / size - 1e-6)) for size in spacing_mm)
    return i, j, k


def shrink(volume: Volume, factors: tuple[int, int, int], /) -> Volume:
    """Average blocks of voxels; blocks at the far ends average the voxels that they have.

    Parameters
    ----------
    volume : Volume
        Source.
    factors : (3,) tuple of int
        Size of a block.

    Returns
    -------
    Volume
        Means, float32, each placed at the centre of its block.
    """
    data = volume.data.astype(np.float32, copy=False)
    for axis, factor in enumerate(factors):
        if factor > 1:
            starts = np.arange(0, data.shape[axis], factor)
            counts = np.diff(np.append(starts, data.shape[axis])).astype(np.float32)
            sums = np.add.reduceat(data, starts, axis=axis)
            data = (sums / counts.reshape([-1 if a == axis else 1 for a in range(3)])).astype(
                np.float32, copy=False
            )
    affine = volume.affine.copy()
    affine[:3, :3] *= factors
    affine[:3, 3] += volume.affine[:3, :3] @ ((np.array(factors) - 1) / 2)
    return volume.on_grid(data, affine)


def _threshold(values: np.ndarray, floor: float, *, masked: bool) -> float:
    """Value that parts the foreground from what remains of the background."""
    if values.size == 0:
        return np.inf
    low, high = np.percentile(values, [0.5, 99])
    if masked and (values < floor + FAINT_FRACTION * (high - floor)).mean() < 0.3:
        return -np.inf  # Little faint matter: all of it is brain, cerebrospinal fluid included.
    return _minimum_cross_entropy(np.clip(values, low, high))


def _minimum_cross_entropy(values: np.ndarray) -> float:
    """Threshold of Li and Tam by fixed-point iteration; -inf where all values are alike."""
    bottom, top = float(values.min()), float(values.max())
    if top - bottom <= 1e-6 * max(abs(top), abs(bottom)):
        return -np.inf
    x = (values - bottom) / (top - bottom) + 1e-3
    threshold = float(x.mean())
    for _ in range(100):
        above = x > threshold
        low, high = float(x[~above].mean()), float(x[above].mean())
        update = (high - low) / (np.log(high) - np.log(low))
        if abs(update - threshold) < 1e-4:
            break
        threshold = update
    return (threshold - 1e-3) * (top - bottom) + bottom


def _solid(mask: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    """Largest component without thin bridges to others, closed and filled."""
    reach = np.maximum(1, np.round(4 / spacing_mm)).astype(int)
    opened = ndimage.binary_opening(mask, _ball(np.minimum(reach, 1)))
    labels = cc3d.largest_k(opened if opened.any() else mask, k=1, connectivity=6)
    grown = ndimage.binary_dilation(labels.astype(bool), _ball(np.minimum(reach, 1))) & mask
    padded = np.pad(grown, [(r, r) for r in reach])
    closed = ndimage.binary_closing(padded, _ball(reach))
    filled = ndimage.binary_fill_holes(closed)
    return filled[tuple(slice(r, -r) for r in reach)]


def _ball(radii: np.ndarray) -> np.ndarray:
    axes = np.ogrid[tuple(slice(-r, r + 1) for r in radii)]
    return sum((axis / (r + 0.5)) ** 2 for axis, r in zip(axes, radii, strict=True)) <= 1
