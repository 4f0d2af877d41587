"""Slices through a volume along the world axes, whatever the orientation of its grid."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from babyseg_py.images import Volume

IN_PLANE = {0: (1, 2), 1: (0, 2), 2: (0, 1)}


@dataclass(frozen=True)
class Box:
    """A box along the world axes.

    Parameters
    ----------
    low, high : (3,) np.ndarray
        Corners in RAS+ mm.
    """

    low: np.ndarray
    high: np.ndarray

    def grow(self, margin_mm: float) -> "Box":
        """Return the box with a margin on every side."""
        return Box(self.low - margin_mm, self.high + margin_mm)

    @property
    def size_mm(self) -> np.ndarray:
        """Lengths of the sides, shape (3,)."""
        return self.high - self.low


@dataclass(frozen=True)
class Plane:
    """A rectangle across one world axis.

    Parameters
    ----------
    axis : int
        World axis that the plane cuts: 0 sagittal, 1 coronal, 2 axial.
    position_mm : float
        Where it cuts that axis.
    box : Box
        Extent along the two other axes.
    """

    axis: int
    position_mm: float
    box: Box

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height on the page."""
        across, up = IN_PLANE[self.axis]
        return float(self.box.size_mm[across]), float(self.box.size_mm[up])

    def points(self, step_mm: float) -> np.ndarray:
        """World points of the pixel centres, shape (rows, columns, 3); the first row is the lowest one."""
        across, up = IN_PLANE[self.axis]
        width, height = (max(1, round(size / step_mm)) for size in self.size_mm)
        points = np.empty((height, width, 3))
        points[..., self.axis] = self.position_mm
        points[..., across] = self.box.low[across] + (np.arange(width) + 0.5) * step_mm
        points[..., up] = (self.box.low[up] + (np.arange(height) + 0.5) * step_mm)[:, None]
        return points


def bounding_box(mask: np.ndarray, affine: np.ndarray) -> Box | None:
    """World box around the voxels of a mask, None when it is empty.

    The box is that of the voxels themselves, not of the mask's box in the grid, so that it stays tight when
    the grid is oblique. Stray voxels count.
    """
    first_two = np.argwhere(mask.any(axis=2))
    if not len(first_two):
        return None
    columns = mask[first_two[:, 0], first_two[:, 1]]
    ends = columns.argmax(axis=1), mask.shape[2] - 1 - columns[:, ::-1].argmax(axis=1)
    indices = np.vstack([np.column_stack([first_two, end]) for end in ends])
    world = indices @ affine[:3, :3].T + affine[:3, 3]
    return Box(world.min(axis=0), world.max(axis=0))


def sample(volume: Volume, points: np.ndarray, *, order: int = 1) -> np.ndarray:
    """Values of a volume at world points, 0 outside.

    Parameters
    ----------
    volume : Volume
        Image or label map.
    points : (..., 3) np.ndarray
        RAS+ mm.
    order : int
        0 nearest, 1 linear.
    """
    inverse = np.linalg.inv(volume.affine)
    indices = points @ inverse[:3, :3].T + inverse[:3, 3]
    return ndimage.map_coordinates(
        volume.data, np.moveaxis(indices, -1, 0), order=order, output=np.float32, mode="grid-constant"
    )


def image_slice(volume: Volume, plane: Plane, *, step_mm: float) -> np.ndarray:
    """Image on a plane, shape (rows, columns), averaged over each pixel so that fine grids do not alias."""
    fine = sample(volume, plane.points(step_mm / 2))
    rows, columns = (size // 2 * 2 for size in fine.shape)
    return fine[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3))


def label_fields(dseg: Volume, planes: list[Plane], *, step_mm: float) -> dict[int, list[np.ndarray]]:
    """Share of each label at every pixel of every plane; its outline is where the share is one half.

    Returns
    -------
    dict of int to list of (rows, columns) np.ndarray
        One array per plane, for each label that occurs in the map; background left out.
    """
    points = [plane.points(step_mm) for plane in planes]
    fields = {}
    for label, where in enumerate(ndimage.find_objects(dseg.data), start=1):
        if where is None:
            continue
        shift = np.eye(4)
        shift[:3, 3] = [axis.start for axis in where]
        mask = Volume((dseg.data[where] == label).astype(np.uint8), dseg.affine @ shift)
        fields[label] = [sample(mask, pixels) for pixels in points]
    return fields
