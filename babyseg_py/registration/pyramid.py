"""A scan made ready for registration: coarse copies, foreground, intensity window."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from nibabel.affines import apply_affine

from babyseg_py.images.background import exact_background
from babyseg_py.images.foreground import foreground_mask, shrink
from babyseg_py.images.geometry import corners
from babyseg_py.images.volume import Volume

LEVELS_MM = (8.0, 4.0, 2.0, 1.0)


@dataclass(frozen=True)
class Scan:
    """Coarse copies of one scan and what is known of its content.

    Parameters
    ----------
    levels : dict of float to Volume
        Copies by their nominal voxel size in mm; never finer than the scan itself.
    foreground : Volume
        Boolean mask of what is not background, on the grid of the 4 mm copy.
    window : tuple of float
        Intensities of the first and the last histogram bin.
    centre : (3,) np.ndarray
        Centre of mass of the foreground in world mm.
    masked : bool
        Whether the background is one exact value, as skull-stripping and padding leave it.
    """

    levels: dict[float, Volume]
    foreground: Volume
    window: tuple[float, float]
    centre: np.ndarray
    masked: bool

    @property
    def field_centre(self) -> np.ndarray:
        """Centre of the field of view in world mm."""
        return corners(self.foreground.shape, self.foreground.affine).mean(axis=0)

    @property
    def foreground_points(self) -> np.ndarray:
        """Centres of the foreground voxels in world mm, (N, 3)."""
        return apply_affine(self.foreground.affine, np.argwhere(self.foreground.data))


def prepare(volume: Volume, /, *, levels_mm: Sequence[float] = LEVELS_MM, name: str = "image") -> Scan:
    """Make the coarse copies of a scan and find its foreground.

    Parameters
    ----------
    volume : Volume
        Scan in any orientation and resolution, finite.
    levels_mm : sequence of float
        Nominal voxel sizes in mm, one of them 4.
    name : str
        File to name in a message.

    Returns
    -------
    Scan
        What `register` takes.

    Raises
    ------
    UnusableData
        If no foreground stands out.
    """
    levels: dict[float, Volume] = {}
    finest = volume
    for size in sorted(levels_mm):
        # A coarser copy is made from the one before where that is a whole number of blocks.
        finest = _coarse(finest, size)
        levels[size] = finest
    mask = foreground_mask(levels[4.0], name=name)
    inside, outside = levels[4.0].data[mask], levels[4.0].data[~mask]
    low, high = np.percentile(inside, (0.5, 99.5))
    background = float(np.median(outside)) if outside.size else float(low)
    window = (float(min(low, background)), float(max(high, background)))
    foreground = levels[4.0].with_data(mask)
    centre = apply_affine(foreground.affine, np.argwhere(mask).mean(axis=0))
    return Scan(levels, foreground, window, centre, exact_background(volume.data) is not None)


def _coarse(volume: Volume, size_mm: float) -> Volume:
    """Average blocks of voxels, as many along each axis as come nearest to a voxel size."""
    factors = np.maximum(1, np.round(size_mm / volume.spacing_mm)).astype(int)
    i, j, k = np.minimum(factors, np.maximum(1, np.array(volume.shape) // 2))
    coarse = shrink(volume, (int(i), int(j), int(k)))
    return coarse.with_data(np.ascontiguousarray(coarse.data, dtype=np.float32))
