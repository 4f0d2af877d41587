"""What goes wrong around a brain and between the scans of a visit: a skull-strip that bites, hair, motion.

Drawn as plain numbers, each from a generator of its own, then applied.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from babyseg_py.synthesis.fields import Fields
from babyseg_py.synthesis.ranges import Ranges

STRAND_VOXELS = 3  # distance of the control points that shape hair
BALD = 0.2  # level of their pattern below which there is none


def draw_bites(generator: np.random.Generator, ranges: Ranges, hard: float) -> list[dict[str, Any]]:
    """Draw where a skull-strip took some of the brain: directions from its middle, and sizes of balls."""
    if generator.random() >= ranges.bitten * hard:
        return []
    bites = []
    for _ in range(round(generator.uniform(*ranges.bite_count))):
        direction = generator.normal(size=3)
        bites.append(
            {
                "direction": (direction / np.linalg.norm(direction)).tolist(),
                "radius": float(generator.uniform(*ranges.bite_voxels)),
                "depth": float(generator.uniform(*ranges.bite_depth)),
            }
        )
    return bites


def bitten(brain: Tensor, bites: list[dict[str, Any]]) -> Tensor:
    """Voxels that are lost, (I, J, K) of bool: balls that reach some voxels deep into the brain's surface."""
    lost = torch.zeros_like(brain)
    if not bites or not brain.any():
        return lost
    middle = brain.nonzero().to(torch.float32).mean(dim=0).cpu()
    steps = torch.arange(0, float(np.linalg.norm(brain.shape)), 0.5)
    last = torch.tensor(brain.shape) - 1
    for bite in bites:
        direction = torch.tensor(bite["direction"])
        ray = (middle + steps[:, None] * direction).round().long()
        on_grid = ((ray >= 0) & (ray <= last)).all(dim=1)
        i, j, k = ray[on_grid].T.to(brain.device)
        inside = steps[on_grid][brain[i, j, k].cpu()]
        reach = float(inside[-1]) if len(inside) else 0.0
        centre = middle + (reach + bite["radius"] - bite["depth"]) * direction
        x, y, z = (
            (torch.arange(side, device=brain.device) - float(place)).square_()
            for side, place in zip(brain.shape, centre, strict=True)
        )
        lost |= x[:, None, None] + (y[:, None] + z) < bite["radius"] ** 2
    return lost


def draw_hair(generator: np.random.Generator, ranges: Ranges) -> dict[str, Any] | None:
    """Draw how thick the hair on a scalp is; None without."""
    if generator.random() >= ranges.hair:
        return None
    return {"mm": float(generator.uniform(*ranges.hair_mm)), "seed": int(generator.integers(2**31))}


def strands(beyond_mm: Tensor, hair: dict[str, Any]) -> Tensor:
    """Voxels of hair, (I, J, K) of bool, in patches, by how far they lie beyond the scalp."""
    pattern = Fields(hair["seed"], tuple(beyond_mm.shape), beyond_mm.device).smooth(STRAND_VOXELS)[0]
    return (beyond_mm > 0) & (beyond_mm <= hair["mm"] * (pattern - BALD))


def draw_motion(generator: np.random.Generator, ranges: Ranges, hard: float) -> dict[str, Any] | None:
    """Draw by how much a scan lies off the first scan of its visit; None if it does not."""
    if generator.random() >= ranges.misregistered * hard:
        return None
    turn, shift = ranges.misregistered_deg, ranges.misregistered_voxels
    return {
        "rotation_deg": generator.uniform(-turn, turn, 3).tolist(),
        "shift_voxels": generator.uniform(-shift, shift, 3).tolist(),
    }


def rotation(degrees: list[float]) -> np.ndarray:
    """Matrix of turns about the axes, the last one first."""
    x, y, z = np.deg2rad(degrees)
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return about_x @ about_y @ about_z


def moved(image: Tensor, tissue: Tensor, motion: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Turn an image and its tissues, (I, J, K) each, about the middle of the window, and shift them.

    The image is interpolated linearly, as a scan is that was resampled to the grid of another.
    """
    middle = (np.array(image.shape) - 1) / 2
    back = rotation(motion["rotation_deg"]).T
    # A voxel y shows back @ (y - middle - shift) + middle; torch counts from -1 to 1, the last axis first.
    start = back @ -np.array(motion["shift_voxels"])
    scale = np.maximum(middle, 0.5)
    matrix = np.column_stack([back * scale / scale[:, None], start / scale])
    reverse = matrix[[2, 1, 0]][:, [2, 1, 0, 3]]
    theta = torch.from_numpy(reverse).to(image.device, torch.float32)[None]
    grid = F.affine_grid(theta, [1, 1, *image.shape], align_corners=True)
    sample = partial(F.grid_sample, grid=grid, padding_mode="border", align_corners=True)
    labels = sample(tissue[None, None].to(image.dtype), mode="nearest")[0, 0]
    return sample(image[None, None], mode="bilinear")[0, 0], labels.to(tissue.dtype)
