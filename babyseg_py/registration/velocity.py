"""Stationary velocity fields on coarse grids, and sampling of arrays at fractional indices."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

Tensor = torch.Tensor


def sample(values: Tensor, index: Tensor, /, *, outside: str = "border") -> Tensor:
    """Sample channels by trilinear interpolation.

    Parameters
    ----------
    values : (C, I, J, K) torch.Tensor
        Channels on one grid.
    index : (..., 3) torch.Tensor
        Fractional voxel indices.
    outside : {"border", "zeros"}
        Value taken beyond the grid.

    Returns
    -------
    (C, ...) torch.Tensor
        Values at the points.
    """
    size = torch.tensor(values.shape[1:], dtype=index.dtype, device=index.device)
    unit = 2 * index / (size - 1) - 1
    grid = unit.flip(-1).reshape(1, 1, 1, -1, 3)
    found = F.grid_sample(values[None], grid, padding_mode=outside, align_corners=True)
    return found.reshape(values.shape[0], *index.shape[:-1])


def nodes(shape: tuple[int, ...], /, *, device: torch.device | None = None) -> Tensor:
    """Voxel indices of a grid, shape (I, J, K, 3)."""
    axes = [torch.arange(n, dtype=torch.float32, device=device) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def exponential(velocity: Tensor, spacing_mm: float, /, *, steps: int = 6) -> Tensor:
    """Displacement of the flow of a stationary velocity field by scaling and squaring.

    The flow of ``-velocity`` is its inverse (Arsigny et al. 2006).

    Parameters
    ----------
    velocity : (3, I, J, K) torch.Tensor
        Velocity in mm per unit time on an isotropic grid.
    spacing_mm : float
        Distance of the grid's nodes in mm.
    steps : int
        Number of squarings.

    Returns
    -------
    (3, I, J, K) torch.Tensor
        Displacement in mm.
    """
    here = nodes(velocity.shape[1:], device=velocity.device)
    flow = velocity / 2**steps
    for _ in range(steps):
        flow = flow + sample(flow, here + flow.movedim(0, -1) / spacing_mm)
    return flow


def smooth(values: Tensor, sigma: float, /) -> Tensor:
    """Filter channels (C, I, J, K) by a Gaussian of a standard deviation in voxels; edges are repeated."""
    if sigma <= 0:
        return values
    radius = max(1, round(3 * sigma))
    offset = torch.arange(-radius, radius + 1, dtype=values.dtype, device=values.device)
    kernel = torch.exp(-0.5 * (offset / sigma) ** 2)
    kernel = (kernel / kernel.sum()).reshape(1, 1, -1, 1, 1)
    out = values[:, None]
    for axis in range(3):
        pad = [0] * 6
        pad[2 * (2 - axis)] = pad[2 * (2 - axis) + 1] = radius
        out = F.conv3d(F.pad(out, pad, mode="replicate"), kernel.movedim(2, 2 + axis))
    return out[:, 0]


@dataclass(frozen=True)
class Box:
    """An isotropic grid centred on the template's origin.

    Parameters
    ----------
    shape : tuple of int
        Number of nodes along each axis (right, anterior, superior).
    spacing_mm : float
        Distance of nodes.
    """

    shape: tuple[int, int, int]
    spacing_mm: float

    @classmethod
    def around(cls, size_mm: Sequence[float], spacing_mm: float) -> "Box":
        """Grid that covers a box of the given edge lengths in mm."""
        shape = tuple(int(np.ceil(edge / spacing_mm)) + 1 for edge in size_mm)
        return cls(shape, spacing_mm)  # type: ignore[arg-type]

    @property
    def affine(self) -> np.ndarray:
        """Voxel indices to template mm, (4, 4)."""
        affine = np.diag([self.spacing_mm] * 3 + [1.0])
        affine[:3, 3] = -self.spacing_mm * (np.array(self.shape) - 1) / 2
        return affine

    def points(self) -> Tensor:
        """Node positions in template mm, (I, J, K, 3)."""
        return self.position(nodes(self.shape))

    def position(self, index: Tensor) -> Tensor:
        """Template mm of fractional indices."""
        return (index - (torch.tensor(self.shape) - 1) / 2) * self.spacing_mm

    def index(self, position: Tensor) -> Tensor:
        """Fractional indices of positions in template mm."""
        return position / self.spacing_mm + (torch.tensor(self.shape) - 1) / 2
