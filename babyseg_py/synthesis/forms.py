r"""Anatomies between and beyond the label maps of a bank.

The maps of a bank are brought to their mean, children's and adults' apart (`forms_build.relate`): the
way from the mean to map *i* is the flow of a stationary velocity field :math:`v_i`, after a similarity that
takes size and position out. With :math:`w = \sum_j c_j v_j`, an anatomy that lies between map *i* and others
shows, at a point *x*, what map *i* has at :math:`\exp(v_i - w)(x)`; that is :math:`\exp(v_i) \circ \exp(-w)`
to the first order of the Baker-Campbell-Hausdorff formula (Arsigny et al. 2006,
https://doi.org/10.1007/11866565_113). Negative weights lie beyond the map, away from the others. To the
velocity are added those that make single structures larger or smaller, along the gradient of the smoothed
structure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from babyseg_py.registration.velocity import exponential, sample
from babyseg_py.synthesis.fields import upsample

# Structures that grow or shrink, both sides together.
GROWING = ((2, 41), (4, 43), (8, 47), (10, 49), (11, 50), (16,), (17, 53), (18, 54), (28, 60), (169, 176))
COARSE = 4  # voxels of the window between points at which a displacement is computed
SQUARINGS = 5


@dataclass(frozen=True)
class Form:
    """How one map differs from the mean of its group.

    Parameters
    ----------
    group : int
        Maps of one group were brought to one mean.
    affine : (4, 4) np.ndarray
        Voxel of the velocity grid to voxel of the map: a similarity.
    velocity : (3, A, B, C) np.ndarray
        From the mean to the map, in voxels of the velocity grid.
    structures : (S, A, B, C) np.ndarray
        Share of each of `GROWING`, smoothed, where the map lies before the flow.
    """

    group: int
    affine: np.ndarray
    velocity: np.ndarray
    structures: np.ndarray


def displaced(positions: Tensor, form: Form, others: Sequence[Form], drawn: dict[str, Any]) -> Tensor:
    """Voxels of a map that points show when the anatomy is changed.

    Parameters
    ----------
    positions : (3, I, J, K) Tensor
        Voxel of the map that each voxel of the window shows without a change.
    form : Form
        Of that map.
    others : sequence of Form
        Of the maps of its group that ``drawn["toward"]`` names, in its order.
    drawn : dict
        ``toward``: index and weight of other maps; ``growth``: place in `GROWING` and speed of the border in
        voxels of the map, negative to shrink.

    Returns
    -------
    (3, I, J, K) Tensor
        Positions after the flow.
    """
    device = positions.device
    velocity = torch.zeros(form.velocity.shape, device=device)
    own = _tensor(form.velocity, device)
    for other, (_, weight) in zip(others, drawn["toward"], strict=True):
        velocity += weight * (own - _tensor(other.velocity, device))
    voxel = float(np.cbrt(np.linalg.det(form.affine[:3, :3])))
    for place, amount in drawn["growth"]:
        velocity += amount / voxel * _outward(_tensor(form.structures[place], device))
    flow = exponential(velocity, 1.0, steps=SQUARINGS)

    grid = tuple(positions.shape[1:])
    points = [max(2, round(side / COARSE) + 1) for side in grid]
    few = F.interpolate(positions[None], size=points, mode="trilinear", align_corners=True)[0]
    matrix = torch.from_numpy(np.linalg.inv(form.affine)).to(device, torch.float32)
    index = few.movedim(0, -1) @ matrix[:3, :3].T + matrix[:3, 3]
    turned = torch.einsum("ab,bijk->aijk", torch.linalg.inv(matrix[:3, :3]), sample(flow, index))
    return positions + upsample(turned, grid)


def _outward(structure: Tensor) -> Tensor:
    """Velocities that make a structure larger, at most one voxel long."""
    gradient = torch.stack(torch.gradient(structure))
    return gradient / gradient.square().sum(dim=0).max().sqrt().clamp_min(1e-6)


def _tensor(array: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(array).to(device, torch.float32)
