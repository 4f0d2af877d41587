"""How well the segmentations of one visit agree with each other."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from babyseg_py.images import Volume
from babyseg_py.images.geometry import resample, same_grid
from babyseg_py.morphometry.comparable import on_one_grid
from babyseg_py.morphometry.surface_distance import (
    Agreement,
    Surfaces,
    compare_labels,
    compare_surfaces,
    find_surfaces,
)

SESSION, MANUAL = "session", "manual"


@dataclass(frozen=True)
class ScanLabels:
    """Labels of one scan in its own grid.

    Parameters
    ----------
    name : str
        Scan, such as ``run-1_T1w``.
    labels : Volume
        Map of the 22 labels.
    matrix : (4, 4) np.ndarray
        World mm of the session to world mm of the scan.
    """

    name: str
    labels: Volume
    matrix: np.ndarray


@dataclass(frozen=True)
class Comparison:
    """Agreement of two segmentations, named as tables name them."""

    reference: str
    candidate: str
    agreements: list[Agreement]


def compare_visit(
    session: Volume, scans: Sequence[ScanLabels], /, *, tolerance_mm: float
) -> Iterator[Comparison]:
    """Compare every scan with the session, and every two scans with each other, on the session's grid.

    Scans are carried there by nearest neighbour. Two segmentations are compared where both scans have
    been: outside of either field of view both are background.

    Parameters
    ----------
    session : Volume
        Labels of the session.
    scans : sequence of ScanLabels
        Labels of each scan.
    tolerance_mm : float
        Distance that the normalised surface distance tolerates.

    Yields
    ------
    Comparison
        Session against each scan, then scan against scan.
    """
    maps = {SESSION: session.data}
    seen = {SESSION: np.ones(session.shape, dtype=bool)}
    for scan in scans:
        maps[scan.name], seen[scan.name] = _carry(scan, session)
    whole = {name: find_surfaces(data) for name, data in maps.items()}

    names = [scan.name for scan in scans]
    for one, other in [(SESSION, name) for name in names] + list(itertools.combinations(names, 2)):
        both = seen[one] & seen[other]
        reference, candidate = (_within(both, whole[name]) for name in (one, other))
        found = compare_surfaces(reference, candidate, session.affine, tolerance_mm=tolerance_mm)
        yield Comparison(one, other, found)


def compare_with_manual(
    manual: Volume, path: str, session: Volume, scans: Sequence[ScanLabels], /, *, tolerance_mm: float
) -> Comparison:
    """Compare the session with a reference segmentation, on the grid of the latter.

    A structure that the reference does not have was not drawn, and is not compared: a map of a few
    structures says nothing of the others. A reference that has the grid of a scan was drawn on that scan and
    is compared in its place; among several such scans the one counts whose brain overlaps most. Any other
    lies in session space.

    Parameters
    ----------
    manual : Volume
        Reference segmentation, map of the 22 labels.
    path : str
        Its file, for messages.
    session : Volume
        Labels of the session.
    scans : sequence of ScanLabels
        Labels of each scan.
    tolerance_mm : float
        Distance that the normalised surface distance tolerates.

    Returns
    -------
    Comparison
        The reference segmentation against the session, of the structures that it has.

    Raises
    ------
    UnusableData
        If the two do not cover the same part of the world.
    """
    drawn_on = [scan.matrix for scan in scans if same_grid(scan.labels, manual)] or [np.eye(4)]
    ways = [np.linalg.inv(matrix) for matrix in drawn_on]
    way = max(ways, key=lambda way: _overlap(manual, session, way)) if len(ways) > 1 else ways[0]
    world_matrix = None if np.allclose(way, np.eye(4)) else way
    pair = on_one_grid(manual, session, path, world_matrix=world_matrix, other="the labels of the session")
    found = compare_labels(
        pair.reference.data, pair.candidate.data, pair.reference.affine, tolerance_mm=tolerance_mm
    )
    drawn = set(np.unique(manual.data).tolist())
    return Comparison(MANUAL, SESSION, [agreement for agreement in found if agreement.label in drawn])


def _carry(scan: ScanLabels, session: Volume) -> tuple[np.ndarray, np.ndarray]:
    """Labels of a scan on the grid of the session, and where the scan has been."""
    field = scan.labels.with_data(np.ones(scan.labels.shape, dtype=np.uint8))
    labels, seen = (
        resample(volume, session.shape, session.affine, order=0, world_matrix=scan.matrix).data
        for volume in (scan.labels, field)
    )
    return labels, seen > 0


def _within(mask: np.ndarray, surfaces: Surfaces) -> Surfaces:
    """Surfaces of a label map in a part of its grid."""
    if not surfaces.data[~mask].any():
        return surfaces
    return find_surfaces(np.where(mask, surfaces.data, 0))


def _overlap(manual: Volume, session: Volume, world_matrix: np.ndarray) -> int:
    carried = resample(session, manual.shape, manual.affine, order=0, world_matrix=world_matrix)
    return int(np.count_nonzero((carried.data > 0) & (manual.data > 0)))
