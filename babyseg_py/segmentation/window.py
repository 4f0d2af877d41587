"""The grid that the network sees: along the axes of the world, around the brain."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from nibabel.affines import apply_affine

from babyseg_py.images import Volume
from babyseg_py.images.foreground import foreground_mask
from babyseg_py.images.geometry import bounding_box, corners

MARGIN_VOXELS = 6
SMALLEST_VOXELS = 64
VERTEX_TO_CHIN_MM = 200.0


@dataclass(frozen=True)
class Scan:
    """One scan and its place in the session.

    Parameters
    ----------
    name : str
        Name of the scan in messages and tables, such as ``run-1_T1w``.
    volume : Volume
        The image on its own grid.
    matrix : (4, 4) np.ndarray
        World of the session to world of the scan, RAS mm.
    inverted : bool
        Bright and dark are to be exchanged, so that white matter is brighter than cortex.
    """

    name: str
    volume: Volume
    matrix: np.ndarray
    inverted: bool = False


@dataclass(frozen=True)
class Window:
    """Grid of the network.

    Parameters
    ----------
    shape : tuple of int
        Number of voxels, multiples of the network's pooling.
    affine : (4, 4) np.ndarray
        Voxels to the session's RAS world in mm.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray

    @property
    def voxel_mm(self) -> float:
        """Side of the cubic voxels in mm."""
        return float(self.affine[0, 0])


def window_around(box_mm: np.ndarray, voxel_mm: float, multiple: int) -> Window:
    """Smallest window of cubic voxels around a box in the world, (2, 3) lowest and highest corner in mm."""
    extent = (box_mm[1] - box_mm[0]) / voxel_mm + 2 * MARGIN_VOXELS
    wanted = np.maximum(extent, SMALLEST_VOXELS)
    shape = (np.ceil(wanted / multiple) * multiple).astype(int)
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    affine[:3, 3] = box_mm.mean(axis=0) - voxel_mm * (shape - 1) / 2
    return Window((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def head_box(scans: Sequence[Scan]) -> np.ndarray:
    """Box around the foreground of all scans in the session's world, (2, 3) in mm.

    Of a scan that reaches further down than 200 mm below its top, the lower part is left out: it is neck.
    """
    boxes = []
    for scan in scans:
        start, size = bounding_box(foreground_mask(scan.volume, name=scan.name))
        affine = scan.volume.affine.copy()
        affine[:3, 3] = apply_affine(affine, start)
        points = corners(size, np.linalg.inv(scan.matrix) @ affine)
        boxes.append((points.min(axis=0), points.max(axis=0)))
    box = np.array([np.min([low for low, _ in boxes], axis=0), np.max([high for _, high in boxes], axis=0)])
    box[0, 2] = max(box[0, 2], box[1, 2] - VERTEX_TO_CHIN_MM)
    return box


def brain_box(labels: np.ndarray, window: Window) -> np.ndarray:
    """Box around all labelled voxels of a window, (2, 3) in mm."""
    start, size = bounding_box(labels > 0)
    low = apply_affine(window.affine, start)
    return np.array([low, low + np.array(size) * window.voxel_mm])
