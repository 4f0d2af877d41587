"""Agreement of two label maps: Dice, ASSD, HD95 and NSD of each structure.

Surfaces and distances follow Nikolov et al. 2018, https://arxiv.org/abs/1809.04430: surface elements with
their areas (see `surfels`), and from each the distance to the nearest element of the other surface.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from babyseg_py.labels import BRAIN_LABELS
from babyseg_py.morphometry.nearest import grid_axes, nearest_mm
from babyseg_py.morphometry.surfels import Surfels, find_surfels, number_labels, surfel_areas

TOLERANCE_MM = 1.0

# Distances this much beyond the tolerance still count, so that the rounding of a header does not decide.
_SLACK = 1e-6


@dataclass(frozen=True)
class Distances:
    """Distances from the elements of one surface to another surface.

    Parameters
    ----------
    distance_mm : (N,) np.ndarray
        Distance of each element to the nearest one of the other surface, infinite if that has none.
    area_mm2 : (N,) np.ndarray
        Area of each element.
    """

    distance_mm: np.ndarray
    area_mm2: np.ndarray

    def mean_mm(self) -> float:
        """Mean distance over the surface in mm, NaN for a surface without elements."""
        if not len(self.area_mm2):
            return np.nan
        return float(self.distance_mm @ self.area_mm2 / self.area_mm2.sum())

    def percentile_mm(self, percent: float) -> float:
        """Smallest distance in mm that a share of the surface does not exceed, NaN without elements."""
        if not len(self.area_mm2):
            return np.nan
        order = np.argsort(self.distance_mm, kind="stable")
        share = np.cumsum(self.area_mm2[order])
        place = int(np.searchsorted(share / share[-1], percent / 100))
        return float(self.distance_mm[order[min(place, len(order) - 1)]])

    def area_within_mm2(self, tolerance_mm: float) -> float:
        """Area of the surface in mm² that lies within a tolerance of the other."""
        return float(self.area_mm2[self.distance_mm <= tolerance_mm * (1 + _SLACK)].sum())


@dataclass(frozen=True)
class Agreement:
    """How well one structure of a label map agrees with a reference.

    Both without the structure agree: Dice and NSD are 1, distances 0. Where one of them lacks it, Dice
    and NSD are 0 and the distances NaN.

    Parameters
    ----------
    label : int
        Structure.
    dice : float
        Overlap of the volumes, 0 to 1.
    assd_mm : float
        Mean of the two directed mean surface distances in mm.
    hd95_mm : float
        The larger of the two directed 95th percentiles of the surface distance in mm.
    nsd : float
        Share of both surfaces within the tolerance of each other, 0 to 1.
    """

    label: int
    dice: float
    assd_mm: float
    hd95_mm: float
    nsd: float


@dataclass(frozen=True)
class Surfaces:
    """What comparisons need to know of a label map; found once, compared with many.

    Parameters
    ----------
    data : (I, J, K) np.ndarray
        Label map.
    surfels : dict of int to Surfels
        Surface elements by label.
    """

    data: np.ndarray
    surfels: dict[int, Surfels]


def find_surfaces(data: np.ndarray, /, *, labels: Sequence[int] = BRAIN_LABELS) -> Surfaces:
    """Find the surfaces of all structures of a label map.

    Parameters
    ----------
    data : (I, J, K) np.ndarray
        Label map of whole numbers.
    labels : sequence of int
        Structures.

    Returns
    -------
    Surfaces
        To be handed to `compare_surfaces`.
    """
    return Surfaces(data, find_surfels(data, labels=labels))


def compare_labels(
    reference: np.ndarray,
    candidate: np.ndarray,
    affine: np.ndarray,
    /,
    *,
    labels: Sequence[int] = BRAIN_LABELS,
    tolerance_mm: float = TOLERANCE_MM,
) -> list[Agreement]:
    """Agreement of two label maps on one grid, structure by structure.

    Structures at the border of the grid are closed there: outside is background.

    Parameters
    ----------
    reference, candidate : (I, J, K) np.ndarray
        Label maps of whole numbers.
    affine : (4, 4) np.ndarray
        Voxel indices to RAS+ world coordinates in mm, of both.
    labels : sequence of int
        Structures.
    tolerance_mm : float
        Distance that the normalised surface distance tolerates.

    Returns
    -------
    list of Agreement
        One per structure, in the order of `labels`.

    Raises
    ------
    ValueError
        If the shapes differ or the tolerance is negative.
    """
    one, other = (find_surfaces(data, labels=labels) for data in (reference, candidate))
    return compare_surfaces(one, other, affine, labels=labels, tolerance_mm=tolerance_mm)


def compare_surfaces(
    reference: Surfaces,
    candidate: Surfaces,
    affine: np.ndarray,
    /,
    *,
    labels: Sequence[int] = BRAIN_LABELS,
    tolerance_mm: float = TOLERANCE_MM,
) -> list[Agreement]:
    """Agreement of two label maps whose surfaces are known; see `compare_labels`."""
    shape = reference.data.shape
    if candidate.data.shape != shape:
        raise ValueError(f"label maps of shapes {shape} and {candidate.data.shape} differ")
    if not tolerance_mm >= 0:
        raise ValueError(f"tolerance of {tolerance_mm} mm is negative")

    axes = grid_axes(affine)
    areas = surfel_areas(axes)
    dice = _dice(reference.data, candidate.data, labels)
    found = []
    for label, overlap in zip(labels, dice, strict=True):
        one, other = reference.surfels[label], candidate.surfels[label]
        there = Distances(nearest_mm(one.cells, other.cells, axes), areas[one.codes])
        back = Distances(nearest_mm(other.cells, one.cells, axes), areas[other.codes])
        found.append(_agreement(label, float(overlap), there, back, tolerance_mm))
    return found


def _dice(one: np.ndarray, other: np.ndarray, labels: Sequence[int]) -> np.ndarray:
    """Dice of each label, 1 where neither map has it; shape (L,)."""
    numbers = [number_labels(data, labels=labels).ravel() for data in (one, other)]
    pairs = np.bincount(numbers[0].astype(np.uint16) << 8 | numbers[1], minlength=2**16).reshape(256, 256)
    sizes = pairs.sum(axis=0) + pairs.sum(axis=1)
    dice = np.where(sizes, 2 * pairs.diagonal() / np.maximum(sizes, 1), 1.0)
    return dice[1 : len(labels) + 1]


def _agreement(label: int, dice: float, there: Distances, back: Distances, tolerance_mm: float) -> Agreement:
    lacking = [not len(side.area_mm2) for side in (there, back)]
    if all(lacking):
        return Agreement(label, dice=1.0, assd_mm=0.0, hd95_mm=0.0, nsd=1.0)
    if any(lacking):
        return Agreement(label, dice=0.0, assd_mm=np.nan, hd95_mm=np.nan, nsd=0.0)
    area = there.area_mm2.sum() + back.area_mm2.sum()
    return Agreement(
        label,
        dice=dice,
        assd_mm=(there.mean_mm() + back.mean_mm()) / 2,
        hd95_mm=max(there.percentile_mm(95), back.percentile_mm(95)),
        nsd=(there.area_within_mm2(tolerance_mm) + back.area_within_mm2(tolerance_mm)) / float(area),
    )
