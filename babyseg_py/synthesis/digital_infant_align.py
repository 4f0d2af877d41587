"""Groupwise alignment of label maps: an affine and a stationary velocity field for each, and their mean.

Every map is brought to one template by ``world of the map = affine(exp(velocity)(template))``. Template and
transforms are estimated in turn: the template is the mean of the aligned soft labels (Joshi et al. 2004), the
transforms minimise the squared difference from it; the mean velocity is kept at zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from babyseg_py.images import Volume
from babyseg_py.registration.velocity import Box, exponential, sample, smooth

Tensor = torch.Tensor

# Groups of FreeSurfer numbers that guide the alignment, with their weights: small ones count more.
GUIDES: tuple[tuple[tuple[int, ...], float], ...] = (
    ((2,), 1.0),
    ((41,), 1.0),
    ((3,), 1.0),
    ((42,), 1.0),
    ((4, 5, 31, 43, 44, 63), 2.0),
    ((10, 49), 1.5),
    ((11, 50), 2.0),
    ((12, 13, 26, 51, 52, 58), 1.5),
    ((17, 53), 2.0),
    ((18, 54), 2.0),
    ((16, 28, 60), 1.5),
    ((7, 8, 46, 47, 172), 1.0),
)


@dataclass
class Aligned:
    """Transforms from the template to one label map.

    Parameters
    ----------
    affine : (4, 4) torch.Tensor
        Template mm, after the velocity's flow, to world mm of the map.
    velocity : (3, I, J, K) torch.Tensor
        In mm on the velocity box.
    """

    affine: Tensor
    velocity: Tensor


def guides(labels: Volume, /, *, blur_mm: float = 1.0) -> Tensor:
    """Weighted soft labels of the guiding groups, (C, I, J, K), on the map's own grid."""
    soft = np.empty((len(GUIDES), *labels.shape), np.float32)
    for channel, (group, weight) in enumerate(GUIDES):
        mask = np.isin(labels.data, group).astype(np.float32)
        soft[channel] = np.sqrt(weight) * gaussian_filter(mask, blur_mm / labels.spacing_mm)
    return torch.from_numpy(soft)


def initial_affine(labels: Volume, size_mm: Sequence[float], /) -> Tensor:
    """Scale and shift that bring a map's bounding box to the template's."""
    index = np.argwhere(labels.data > 0)
    corners = np.stack([index.min(0), index.max(0)]) @ labels.affine[:3, :3].T + labels.affine[:3, 3]
    affine = np.eye(4)
    affine[:3, :3] = np.diag(np.abs(corners[1] - corners[0]) / np.asarray(size_mm))
    affine[:3, 3] = corners.mean(0)
    return torch.tensor(affine, dtype=torch.float32)


def positions(aligned: Aligned, box: Box, velocity_box: Box, /) -> Tensor:
    """World mm in the map of every node of a box, (I, J, K, 3)."""
    points = box.points()
    flow = exponential(aligned.velocity, velocity_box.spacing_mm)
    points = points + sample(flow, velocity_box.index(points)).movedim(0, -1)
    return points @ aligned.affine[:3, :3].T + aligned.affine[:3, 3]


def to_index(world: Tensor, affine: np.ndarray, /) -> Tensor:
    """Fractional voxel indices of world positions in mm."""
    inverse = torch.tensor(np.linalg.inv(affine), dtype=torch.float32)
    return world @ inverse[:3, :3].T + inverse[:3, 3]


def align(
    maps: Sequence[Volume],
    /,
    *,
    size_mm: Sequence[float],
    velocity_box: Box,
    schedule: Sequence[tuple[float, float, int, int]],
    say=print,
) -> list[Aligned]:
    """Align label maps with their common mean.

    Parameters
    ----------
    maps : sequence of Volume
        Label maps of FreeSurfer numbers.
    size_mm : (3,) sequence of float
        Edges of the brain's bounding box in template space.
    velocity_box : Box
        Grid of the velocities.
    schedule : sequence of (spacing_mm, sigma_mm, rounds, iterations)
        For each level: the grid on which maps are compared; the smoothness of velocities (0: affine only);
        how often the template is renewed; the steps of descent between.

    Returns
    -------
    list of Aligned
        One for each map, in order.
    """
    blurred = [guides(labels) for labels in maps]
    zero = torch.zeros(3, *velocity_box.shape)
    found = [Aligned(initial_affine(labels, size_mm), zero.clone()) for labels in maps]
    for spacing_mm, sigma_mm, rounds, iterations in schedule:
        box = Box.around([edge + 12 for edge in size_mm], spacing_mm)
        for turn in range(rounds):
            template = torch.zeros(len(GUIDES), *box.shape)
            for labels, soft, one in zip(maps, blurred, found, strict=True):
                where = to_index(positions(one, box, velocity_box), labels.affine)
                template += sample(soft, where, outside="zeros") / len(maps)
            losses = []
            for number, (labels, soft) in enumerate(zip(maps, blurred, strict=True)):
                found[number], loss = _descend(
                    found[number],
                    (labels, soft),
                    template,
                    (box, velocity_box),
                    sigma_mm=sigma_mm,
                    iterations=iterations,
                )
                losses.append(loss)
            _centre(found)
            say(f"{spacing_mm} mm, round {turn + 1} of {rounds}: mean difference {np.mean(losses):.5f}")
    return found


def _descend(
    one: Aligned,
    seen: tuple[Volume, Tensor],
    template: Tensor,
    boxes: tuple[Box, Box],
    *,
    sigma_mm: float,
    iterations: int,
) -> tuple[Aligned, float]:
    """Improve the transforms of one map; return them and the last mean squared difference."""
    labels, soft = seen
    box, velocity_box = boxes
    affine = one.affine.clone().requires_grad_()
    update = torch.zeros_like(one.velocity).requires_grad_()
    groups = [{"params": [affine], "lr": 0.004}]
    if sigma_mm:
        groups.append({"params": [update], "lr": 0.6})
    optimiser = torch.optim.Adam(groups, betas=(0.8, 0.99))
    scale = torch.ones(4, 4)
    scale[:3, 3] = 50  # mm: makes one step of the shift as long as one of the matrix at the brain's edge
    loss_value = float("nan")
    for _ in range(iterations):
        optimiser.zero_grad()
        matrix = one.affine + (affine - one.affine) * scale
        velocity = one.velocity
        if sigma_mm:
            velocity = velocity + smooth(update, sigma_mm / velocity_box.spacing_mm)
        now = Aligned(matrix, velocity)
        where = to_index(positions(now, box, velocity_box), labels.affine)
        difference = ((sample(soft, where, outside="zeros") - template) ** 2).sum(0).mean()
        loss = difference + 2e-4 * _roughness(velocity, velocity_box.spacing_mm)
        loss.backward()
        optimiser.step()
        loss_value = float(difference.detach())
    return Aligned(now.affine.detach(), now.velocity.detach()), loss_value


def _roughness(velocity: Tensor, spacing_mm: float) -> Tensor:
    """Mean squared gradient, without unit."""
    return sum((torch.diff(velocity, dim=axis) / spacing_mm).square().mean() for axis in (1, 2, 3))  # type: ignore[return-value]


def _centre(found: list[Aligned]) -> None:
    """Take the mean velocity out of all, so that the template has the mean shape."""
    mean = torch.stack([one.velocity for one in found]).mean(0)
    for one in found:
        one.velocity = one.velocity - mean
