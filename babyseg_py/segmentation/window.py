"""The grid that the network sees: along the axes of the session's grid, around the brain."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from nibabel.affines import apply_affine
from nibabel.orientations import io_orientation

from babyseg_py.images import Volume
from babyseg_py.images.foreground import foreground_mask
from babyseg_py.images.geometry import bounding_box, corners

SMALLEST_MARGIN_VOXELS = 4
SMALLEST_VOXELS = 64
# A brain is about 98 by 118 by 88 voxels at the second look: windows of 112, 128 and 112 hold nearly all.
MARGIN_AT_ANCHOR = 2.5
HALVES = (1, 0, 1)
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
    axes : (3, 3) np.ndarray
        Directions of its axes in the session's world: right, anterior and superior of the session's grid.
    voxel_mm : float
        Side of the cubic voxels in mm.
    centre_mm : (3,) np.ndarray
        Centre of the window in the session's RAS world.
    """

    shape: tuple[int, int, int]
    axes: np.ndarray
    voxel_mm: float
    centre_mm: np.ndarray

    @property
    def affine(self) -> np.ndarray:
        """Voxels to the session's RAS world in mm, (4, 4)."""
        affine = np.eye(4)
        affine[:3, :3] = self.axes * self.voxel_mm
        affine[:3, 3] = self.centre_mm - affine[:3, :3] @ ((np.array(self.shape) - 1) / 2)
        return affine

    @property
    def between(self) -> "Window":
        """The same window half a voxel further along each axis."""
        return replace(self, centre_mm=self.centre_mm + self.axes @ np.full(3, self.voxel_mm / 2))


@dataclass(frozen=True)
class Box:
    """What a window has to cover.

    Parameters
    ----------
    axes : (3, 3) np.ndarray
        Directions of the axes of the box, in columns.
    low, high : (3,) np.ndarray
        Its lowest and highest corner along these axes in mm.
    volume_mm3 : float
        Volume of what lies in it.
    """

    axes: np.ndarray
    low: np.ndarray
    high: np.ndarray
    volume_mm3: float


def anatomical_axes(affine: np.ndarray) -> np.ndarray:
    """Directions of a grid's axes in the order right, anterior, superior, made orthonormal; (3, 3).

    A grid is mostly laid along the head, so that its own axes suit a tilted head better than the world's.
    """
    ornt = io_orientation(affine)
    directions = np.zeros((3, 3))
    for axis, (world_axis, sign) in enumerate(ornt):
        directions[:, int(world_axis)] = sign * affine[:3, axis] / np.linalg.norm(affine[:3, axis])
    u, _, vt = np.linalg.svd(directions)
    return u @ vt


def window_around(box: Box, voxel_mm: float, multiple: int) -> Window:
    """Smallest window of cubic voxels around a box, with a margin."""
    extent = (box.high - box.low) / voxel_mm + 2 * SMALLEST_MARGIN_VOXELS
    wanted = np.maximum(extent, SMALLEST_VOXELS)
    shape = (np.ceil(wanted / multiple) * multiple).astype(int)
    centre = box.axes @ ((box.low + box.high) / 2)
    return Window((int(shape[0]), int(shape[1]), int(shape[2])), box.axes, voxel_mm, centre)


def window_at(anchor_mm: np.ndarray, box: Box, voxel_mm: float, multiple: int) -> Window:
    """Window of cubic voxels around a box, laid out at a point of the anatomy.

    Images of one head that lie differently are then seen alike, down to what the network pools together: to
    either side of the anchor the window reaches by whole multiples, or by these and a half where that suits
    the proportions of a brain. A box a little larger leaves it as it is, or makes it longer at one side.

    Parameters
    ----------
    anchor_mm : (3,) np.ndarray
        Point in the session's world, about the middle of the brain.
    box : Box
        What to cover.
    voxel_mm : float
        Side of the voxels in mm.
    multiple : int
        Each side is a multiple of it in voxels.

    Returns
    -------
    Window
        Along the axes of the box.
    """
    anchor = anchor_mm @ box.axes
    offset = np.array(HALVES) * multiple / 2
    low, high = (
        np.ceil((np.maximum(reach / voxel_mm + MARGIN_AT_ANCHOR, SMALLEST_VOXELS / 2) - offset) / multiple)
        * multiple
        + offset
        for reach in (anchor - box.low, box.high - anchor)
    )
    shape = (low + high).astype(int)
    centre = box.axes @ (anchor + (high - low) / 2 * voxel_mm)
    return Window((int(shape[0]), int(shape[1]), int(shape[2])), box.axes, voxel_mm, centre)


def head_box(scans: Sequence[Scan], axes: np.ndarray) -> Box:
    """Box around the foreground of all scans.

    Of a scan that reaches further down than 200 mm below its top, the lower part is left out: it is neck.
    The volume is that of the smallest foreground: of a scan without its skull, if there is one.
    """
    lows, highs, volumes = [], [], []
    for scan in scans:
        mask = foreground_mask(scan.volume, name=scan.name)
        start, size = bounding_box(mask)
        affine = scan.volume.affine.copy()
        affine[:3, 3] = apply_affine(affine, start)
        points = corners(size, np.linalg.inv(scan.matrix) @ affine) @ axes
        lows.append(points.min(axis=0))
        highs.append(points.max(axis=0))
        volumes.append(np.count_nonzero(mask) * scan.volume.voxel_volume_mm3)
    low, high = np.min(lows, axis=0), np.max(highs, axis=0)
    low[2] = max(low[2], high[2] - VERTEX_TO_CHIN_MM)
    return Box(axes, low, high, float(min(volumes)))


def brain_box(labels: np.ndarray, window: Window, axes: np.ndarray) -> Box:
    """Box along some axes, (3, 3), around the centres of all labelled voxels of a window."""
    points = apply_affine(window.affine, np.argwhere(labels > 0)) @ axes
    volume = len(points) * window.voxel_mm**3
    half = window.voxel_mm / 2
    return Box(axes, points.min(axis=0) - half, points.max(axis=0) + half, volume)
