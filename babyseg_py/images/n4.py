"""Bias field correction by N4 (Tustison et al. 2010, https://doi.org/10.1109/TMI.2010.2046908).

The field is smooth, so it is estimated on few voxels: the scan is cropped to its foreground, quietened by
averaging up to 1.5 mm, and every n-th voxel is taken. (Averaging all the way would mix tissues and blur
the histogram that N4 sharpens.) Scalp and skull are kept out of the estimate, since their intensities
draw the field towards the surface of the head. ITK's N4, as antspyx ships it, does the estimation; the
logarithm of the field is brought back to full resolution by a cubic spline.
"""

from dataclasses import dataclass
from importlib.metadata import version

import ants
import numpy as np
from scipy import ndimage
from scipy.cluster.vq import kmeans2
from scipy.interpolate import make_interp_spline

from babyseg_py.images.background import exact_background
from babyseg_py.images.foreground import foreground_mask, shrink, shrink_factors
from babyseg_py.images.geometry import bounding_box, crop_or_pad
from babyseg_py.images.volume import Volume

QUIET_MM = 1.5  # Size of blocks that are averaged,
ESTIMATION_MM = 6.0  # distance of the voxels that are taken,
ESTIMATION_VOXELS = 6000  # or less, so that a small head still has this many.
SCALP_MM = 8.0  # Depth below the surface of a head that is left out,
RIM_MM = 2.0  # and below the surface of a brain that was cut out of its head.
KNOTS_MM = 160.0  # Distance of spline knots at the first level; it halves from level to level.
ITERATIONS = (50, 50, 50)
TOLERANCE = 1e-4
TISSUE_CLASSES = 3
SAMPLE_VOXELS = 200_000


@dataclass(frozen=True)
class BiasCorrection:
    """A corrected scan and what was done to it.

    Parameters
    ----------
    corrected : Volume
        Scan divided by the field, on its own grid, float32.
    log_field : Volume
        Natural logarithm of the field on the same grid, zero on average in the foreground.
    cv_before, cv_after : float
        Coefficients of variation within tissue, see `cv_within_tissue`.
    field_strength : float
        Standard deviation of the field in the foreground over its mean there.
    field_range : float
        98th over 2nd percentile of the field in the foreground.
    method : str
        A sentence for the methods text.
    """

    corrected: Volume
    log_field: Volume
    cv_before: float
    cv_after: float
    field_strength: float
    field_range: float
    method: str


def correct_bias(volume: Volume, /, *, name: str = "image") -> BiasCorrection:
    """Divide a scan by its smooth intensity field.

    The field has a geometric mean of 1 in the foreground, so that intensities keep their scale. Where much
    of the foreground is not positive, intensities are counted from the background (or from the darkest
    tissue) for the division; an exact background stays as it is.

    Parameters
    ----------
    volume : Volume
        Finite intensities of a head or a brain in any contrast.
    name : str
        File to name in messages.

    Returns
    -------
    BiasCorrection
        Result on the grid of the scan.

    Raises
    ------
    UnusableData
        If the scan has no foreground.
    """
    mask = foreground_mask(volume, name=name)
    zero = _zero_level(volume.data, mask)
    signal = volume.with_data(volume.data.astype(np.float32) - np.float32(zero))
    depth_mm = SCALP_MM if exact_background(volume.data) is None else RIM_MM
    samples = _take_samples(signal, mask, depth_mm)
    log_field = _to_full_resolution(_n4_log_field(samples), samples.voxels, volume.shape)
    log_field -= log_field[mask].mean(dtype=np.float64)
    np.clip(log_field, log_field[mask].min(), log_field[mask].max(), out=log_field)
    flat = signal.data * np.exp(-log_field)
    cv_before, cv_after = cv_within_tissue(signal.data[mask], flat[mask])
    field = np.exp(log_field[mask], dtype=np.float64)
    low, high = np.percentile(field, [2, 98])
    return BiasCorrection(
        corrected=volume.with_data(_with_background(flat + np.float32(zero), volume.data)),
        log_field=volume.with_data(log_field),
        cv_before=cv_before,
        cv_after=cv_after,
        field_strength=float(field.std() / field.mean()),
        field_range=float(high / low),
        method=_method(samples.spacing_mm),
    )


def cv_within_tissue(before: np.ndarray, after: np.ndarray, /) -> tuple[float, float]:
    """Coefficient of variation within tissue, before and after correction.

    Voxels are parted into `TISSUE_CLASSES` by k-means on the logarithm of the geometric mean of both
    images, so that the classes favour neither; the same voxels are compared before and after. The result
    is the mean over classes of standard deviation by mean, weighted by the number of voxels. It holds
    noise and real differences within a class as well, and so is not zero for a flat field.

    Parameters
    ----------
    before, after : (N,) np.ndarray
        Intensities of the same foreground voxels; those that are not positive are left out.

    Returns
    -------
    before, after : float
        Coefficients of variation, NaN if fewer than 100 voxels are left.
    """
    valid = (before > 0) & (after > 0)
    step = max(1, int(valid.sum()) // SAMPLE_VOXELS)
    pair = np.stack([before[valid][::step], after[valid][::step]]).astype(np.float64)
    if pair.shape[1] < 100:
        return float("nan"), float("nan")
    middle = np.log(pair).mean(axis=0)
    seeds = np.percentile(middle, (np.arange(TISSUE_CLASSES) + 0.5) * 100 / TISSUE_CLASSES)
    _, labels = kmeans2(middle, np.unique(seeds), minit="matrix", missing="warn", iter=30)
    cv = np.zeros(2)
    for label in np.unique(labels):
        members = pair[:, labels == label]
        cv += members.std(axis=1) / members.mean(axis=1) * members.shape[1] / pair.shape[1]
    return float(cv[0]), float(cv[1])


def _zero_level(data: np.ndarray, mask: np.ndarray) -> float:
    """Intensity that counts as no signal."""
    inside = data[mask]
    if (inside <= 0).mean() < 0.02:
        return 0.0
    darkest = float(np.percentile(inside, 0.1))
    return darkest if mask.all() else min(darkest, float(np.median(data[~mask])))


def _with_background(corrected: np.ndarray, original: np.ndarray) -> np.ndarray:
    empty = exact_background(original)
    return corrected if empty is None else np.where(original == empty, np.float32(empty), corrected)


@dataclass(frozen=True)
class _Samples:
    """Every n-th voxel of a scan: values, which to estimate from, distance in mm, indices per axis."""

    values: np.ndarray
    inside: np.ndarray
    spacing_mm: np.ndarray
    voxels: tuple[np.ndarray, ...]


def _take_samples(signal: Volume, mask: np.ndarray, depth_mm: float) -> _Samples:
    start, size = bounding_box(mask)
    window = crop_or_pad(signal, start, size)
    valid = crop_or_pad(signal.with_data(mask), start, size)
    blocks = shrink_factors(signal.spacing_mm, QUIET_MM)
    quiet, share = shrink(window, blocks), shrink(valid, blocks)
    volume_mm3 = valid.data.sum() * signal.voxel_volume_mm3
    apart_mm = min(ESTIMATION_MM, float(np.cbrt(volume_mm3 / ESTIMATION_VOXELS)))
    strides = shrink_factors(quiet.spacing_mm, apart_mm)
    taken = tuple(slice((step - 1) // 2, None, step) for step in strides)
    spacing_mm = quiet.spacing_mm * strides
    values, inside = quiet.data[taken], share.data[taken] >= 0.5
    depth = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=spacing_mm)[1:-1, 1:-1, 1:-1]
    deep = depth > min(depth_mm, 0.1 * float(np.cbrt(volume_mm3)))
    voxels = tuple(
        first + (np.arange(n)[cut] + 0.5) * block - 0.5
        for first, n, cut, block in zip(start, quiet.shape, taken, blocks, strict=True)
    )
    return _Samples(np.maximum(values, 0), inside & deep & (values > 0), spacing_mm, voxels)


def _n4_log_field(samples: _Samples) -> np.ndarray:
    """Logarithm of the field by ITK's N4. Its splines know voxel sizes; orientation plays no part."""
    spacing = tuple(float(size) for size in samples.spacing_mm)
    extent = np.array(samples.values.shape) * samples.spacing_mm
    field = ants.n4_bias_field_correction(
        ants.from_numpy(samples.values.astype(np.float32), spacing=spacing),
        mask=ants.from_numpy(samples.inside.astype(np.float32), spacing=spacing),
        shrink_factor=1,
        convergence={"iters": list(ITERATIONS), "tol": TOLERANCE},
        spline_param=[max(1, round(float(length) / KNOTS_MM)) for length in extent],
        return_bias_field=True,
    )
    return np.log(np.maximum(field.numpy(), 1e-3)).astype(np.float32)


def _to_full_resolution(
    log_field: np.ndarray, voxels: tuple[np.ndarray, ...], shape: tuple[int, int, int]
) -> np.ndarray:
    """Cubic spline from the samples to all voxels of the scan; constant beyond the outermost samples."""
    result = log_field
    for axis, (known, size) in enumerate(zip(voxels, shape, strict=True)):
        wanted = np.clip(np.arange(size), known[0], known[-1])
        basis = np.ones((size, 1))
        if len(known) > 1:
            basis = make_interp_spline(known, np.eye(len(known)), k=min(3, len(known) - 1))(wanted)
        result = np.moveaxis(np.tensordot(basis.astype(np.float32), result, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(result)


def _method(spacing_mm: np.ndarray) -> str:
    size = " x ".join(f"{length:.1f}" for length in spacing_mm)
    return (
        f"The bias field was estimated by N4 (Tustison et al. 2010; antspyx {version('antspyx')}) from "
        f"foreground voxels {size} mm apart, on {len(ITERATIONS)} levels of up to {ITERATIONS[0]} "
        "iterations, and divided out at full resolution."
    )
