"""Smooth random fields, from control points interpolated linearly."""

import torch
from torch import Tensor


class Fields:
    """Smooth random fields of one seed on one grid."""

    def __init__(self, seed: int, grid: tuple[int, ...], device: torch.device) -> None:
        self.generator = torch.Generator(device="cpu").manual_seed(seed)
        self.grid, self.device = grid, device

    def normal(self, *shape: int) -> Tensor:
        """Draw independent standard normal numbers."""
        return torch.randn(shape, generator=self.generator).to(self.device)

    def smooth(self, voxels: float, channels: int = 1) -> Tensor:
        """Draw normal numbers on control points some voxels apart, linear between; (channels, *grid)."""
        points = [max(2, round(side / voxels) + 1) for side in self.grid]
        return upsample(self.normal(channels, *points), self.grid)


def upsample(x: Tensor, grid: tuple[int, ...]) -> Tensor:
    """Interpolate (C, *points) linearly to (C, *grid), corners aligned; an axis at a time."""
    channels = len(x)
    first, second, third = (
        linear_weights(points, side, x.device) for points, side in zip(x.shape[1:], grid, strict=True)
    )
    x = (first @ x.flatten(2)).view(channels * grid[0], *x.shape[2:])
    return ((second @ x) @ third.T).view(channels, *grid)


def linear_weights(points: int, side: int, device: torch.device) -> Tensor:
    """Share of each of the points in each of the voxels along a side, (side, points)."""
    place = torch.linspace(0, points - 1, side, device=device)
    distance = (place[:, None] - torch.arange(points, device=device)).abs_()
    return (1 - distance).clamp_(min=0)
