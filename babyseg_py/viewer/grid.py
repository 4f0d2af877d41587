"""All layers of a session on one grid that follows the world axes, as the browser draws them."""

from dataclasses import dataclass

import numpy as np
from nibabel.affines import voxel_sizes

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume, load_image, load_labels
from babyseg_py.images.geometry import corners, reorient, resample
from babyseg_py.registration.itk import read_transform
from babyseg_py.viewer.dataset import Layer

MOST_VOXELS = 320  # along one axis; finer grids are shown coarser
LEVELS = 65535
WINDOW = (1.0, 99.5)  # percentiles of what is not background


@dataclass(frozen=True)
class Grid:
    """Axes right, anterior and superior, cubic voxels.

    Parameters
    ----------
    shape : (3,) tuple of int
    affine : (4, 4) np.ndarray
        Voxel to world, RAS+ mm; diagonal but for the origin.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray


@dataclass(frozen=True)
class Shown:
    """Voxels for the browser.

    Parameters
    ----------
    data : (nx, ny, nz) np.ndarray
        uint16. Labels as they are; other values are ``low + data / 65535 * (high - low)``.
    low, high : float
        Range of the values.
    window : tuple of float
        Values to show as black and white at first.
    """

    data: np.ndarray
    low: float
    high: float
    window: tuple[float, float]

    def to_bytes(self) -> bytes:
        """Return the voxels as little-endian uint16, the first axis fastest."""
        return self.data.astype("<u2").tobytes(order="F")


def display_grid(layer: Layer) -> Grid:
    """Return the grid to show a session on.

    Its voxels are as small as the smallest side of those of the layer. A layer that has cubic voxels along
    the world axes is shown voxel by voxel; any other one is resampled.
    """
    volume = reorient(_load(layer), "RAS")
    sizes = voxel_sizes(volume.affine)
    spacing = float(sizes.min())
    matrix = volume.affine[:3, :3]
    if np.allclose(matrix, np.eye(3) * spacing, atol=1e-3 * spacing) and max(volume.shape) <= MOST_VOXELS:
        affine = np.diag([spacing, spacing, spacing, 1.0])
        affine[:3, 3] = volume.affine[:3, 3]
        return Grid(tuple(volume.shape), affine)  # type: ignore[arg-type]
    points = corners(volume.shape, volume.affine)
    low, high = points.min(axis=0), points.max(axis=0)
    spacing = max(spacing, float((high - low).max()) / (MOST_VOXELS - 1))
    shape = np.ceil((high - low) / spacing - 1e-6).astype(int) + 1
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = (low + high) / 2 - spacing * (shape - 1) / 2
    return Grid(tuple(int(n) for n in shape), affine)  # type: ignore[arg-type]


def on_grid(layer: Layer, grid: Grid) -> Shown:
    """Bring a layer to the grid: labels by nearest neighbour, all else linearly.

    Raises
    ------
    UnusableData
        The file, or the transform that it needs, cannot be read.
    """
    volume = _load(layer)
    order = 0 if layer.kind == "labels" else 1
    placed = resample(volume, grid.shape, grid.affine, order=order, world_matrix=_to_scan(layer)).data
    if layer.kind == "labels":
        return Shown(np.clip(placed, 0, LEVELS).astype(np.uint16), 0.0, float(LEVELS), (0.0, 1.0))
    values = np.nan_to_num(placed.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = (0.0, 1.0) if layer.kind == "uncertainty" else (float(values.min()), float(values.max()))
    scale = LEVELS / (high - low) if high > low else 0.0
    data = np.clip((values - low) * scale + 0.5, 0, LEVELS).astype(np.uint16)
    return Shown(data, low, high, _window(layer, values, low, high))


def _window(layer: Layer, values: np.ndarray, low: float, high: float) -> tuple[float, float]:
    if layer.kind == "uncertainty":
        return 0.0, 0.5
    inside = values[values > low + 0.02 * (high - low)]
    if not inside.size:
        return low, high
    black, white = np.percentile(inside, WINDOW)
    return (min(float(black), 0.0) if low >= 0 else float(black)), float(white)


def _load(layer: Layer) -> Volume:
    return load_labels(layer.path) if layer.kind == "labels" else load_image(layer.path)


def _to_scan(layer: Layer) -> np.ndarray | None:
    """World of the session to world of the scan that a layer lies on."""
    if layer.transform is None:
        return None
    try:
        return read_transform(layer.transform)
    except (OSError, ValueError, TypeError) as problem:
        raise UnusableData(
            str(layer.transform), f"cannot be read ({problem})", "run the pipeline again"
        ) from None
