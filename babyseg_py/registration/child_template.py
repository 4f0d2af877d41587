r"""The template of one child: all its visits brought to their mean, none of them favoured.

The way from the template to visit *i* is :math:`\varphi_i = A_i \circ \exp(v_i)`: a similarity (rotation,
shift, one scale) after the flow of a stationary velocity field. The rotations have the identity as their
mean; the logarithms of the scales, and the velocities, sum to zero over the visits; and what is minimised
treats all visits alike: the variance of the segmentations over the visits at every point of the template.
Segmentations guide, not intensities, as the contrast of the tissues inverts in the first year. The inverse
is :math:`\exp(-v_i) \circ A_i^{-1}` (Arsigny et al. 2006, https://doi.org/10.1007/11866565_113). On means
that treat all visits alike see Reuter et al. 2012 (https://doi.org/10.1016/j.neuroimage.2012.02.084) and
Ashburner and Ridgway 2013 (https://doi.org/10.3389/fnins.2012.00197).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from babyseg_py.labels import LEFT_RIGHT_PAIRS, STRUCTURES
from babyseg_py.registration.velocity import Box, exponential, sample, smooth

Tensor = torch.Tensor

STEPS = 255  # a probability is stored as this many steps from 0 to 1
TEMPLATE_MM = 1.25  # of the template's grid
GUIDE_MM = 2.0  # of the segmentations that are compared, about
VELOCITY_MM = 4.0  # of the grid of the velocities
MARGIN_MM = 12.0  # of both grids around the brain
# Grid of the comparison in mm, smoothness of the velocities in mm, steps of the descent.
SCHEDULE = ((4.0, 8.0, 20), (2.5, 5.0, 15))
STEP_MM = 0.5
# What a gradient of a velocity costs against the variance over the visits. The price grows with the square
# of the gradient below the knee and hardly beyond it: small changes, as of noise, cost; growth hardly.
ROUGHNESS = 1.0
KNEE = 0.03


@dataclass(frozen=True)
class Seen:
    """The segmentation of one visit.

    Parameters
    ----------
    steps : (22, I, J, K) np.ndarray of np.uint8
        Probability of each label of the table, in 255 steps, in a box around the brain.
    affine : (4, 4) np.ndarray
        Voxel of the box to the visit's world, RAS mm.
    """

    steps: np.ndarray
    affine: np.ndarray


@dataclass(frozen=True)
class Way:
    """From the template to one visit.

    Parameters
    ----------
    affine : (4, 4) np.ndarray
        Template mm, after the flow, to the visit's world in RAS mm: a similarity.
    velocity : (3, A, B, C) torch.Tensor
        In mm on the template's velocity box.
    """

    affine: np.ndarray
    velocity: Tensor


@dataclass(frozen=True)
class Template:
    """Grids of a child's template, and the way to each visit in the order that the visits were given.

    The template's world has its origin in the middle of the brain and the mean orientation of the visits.
    `rank` is the place of each visit in an order that their content makes; sums over visits that follow it do
    not depend on the order in which the visits were given.
    """

    box: Box
    velocity_box: Box
    ways: tuple[Way, ...]
    rank: tuple[int, ...]

    def to_visit(self, points: Tensor, visit: int, /) -> Tensor:
        """World mm in a visit of template points (…, 3) in mm."""
        way = self.ways[visit]
        return transformed(points + self._flow(way.velocity, points), way.affine)

    def from_visit(self, points: Tensor, visit: int, /) -> Tensor:
        """Template mm of points (…, 3) in a visit's world: the inverse of `to_visit`."""
        way = self.ways[visit]
        inside = transformed(points, np.linalg.inv(way.affine))
        return inside + self._flow(-way.velocity, inside)

    def jacobian(self, visit: int, /) -> np.ndarray:
        """How many times larger each point of the template is in a visit, on `box`.

        Returns
        -------
        (I, J, K) np.ndarray
            Determinant of the Jacobian of `to_visit`; 1.2 where the visit has 20 % more volume.
        """
        way, spacing = self.ways[visit], self.box.spacing_mm
        points = self.box.points()
        moved = (points + self._flow(way.velocity, points)).movedim(-1, 0)
        a, b, c = torch.gradient(moved, spacing=spacing, dim=(1, 2, 3))
        local = (a * torch.linalg.cross(b, c, dim=0)).sum(dim=0)
        return local.numpy() * float(np.linalg.det(way.affine[:3, :3]))

    def _flow(self, velocity: Tensor, points: Tensor) -> Tensor:
        flow = exponential(velocity, self.velocity_box.spacing_mm)
        return sample(flow, self.velocity_box.index(points)).movedim(0, -1)


def make_template(visits: Sequence[Seen], /) -> Template:
    """Register all visits of a child to their mean.

    The order of the visits changes nothing, to the bit: they are computed in the order of their content.

    Parameters
    ----------
    visits : sequence of Seen
        Two or more.

    Returns
    -------
    Template

    Raises
    ------
    ValueError
        Fewer than two visits, or a visit without any labelled voxel.
    """
    if len(visits) < 2:
        raise ValueError(f"a template needs two visits or more, not {len(visits)}")
    order = sorted(range(len(visits)), key=lambda i: _fingerprint(visits[i]))
    ways, box, velocity_box = _in_order([visits[i] for i in order])
    by_place = dict(zip(order, ways, strict=True))
    rank = tuple(order.index(i) for i in range(len(visits)))
    return Template(box, velocity_box, tuple(by_place[i] for i in range(len(visits))), rank)


def _fingerprint(seen: Seen) -> str:
    digest = hashlib.blake2b(np.ascontiguousarray(seen.steps).data, digest_size=16)
    return digest.hexdigest() + np.asarray(seen.affine, float).tobytes().hex()


def _in_order(visits: list[Seen]) -> tuple[list[Way], Box, Box]:
    affines = _similarities(visits)
    size = 2 * np.max([_reach(seen, affine) for seen, affine in zip(visits, affines, strict=True)], axis=0)
    box = Box.around(size + 2 * MARGIN_MM, TEMPLATE_MM)
    velocity_box = Box.around(size + 2 * MARGIN_MM, VELOCITY_MM)
    guides = [_guides(seen) for seen in visits]
    velocities = torch.zeros(len(visits), 3, *velocity_box.shape)
    for spacing_mm, sigma_mm, steps in SCHEDULE:
        boxes = Box.around(size + 2 * MARGIN_MM, spacing_mm), velocity_box
        velocities = _descend(velocities, affines, guides, boxes, sigma_mm=sigma_mm, steps=steps)
    return [Way(a, v) for a, v in zip(affines, velocities, strict=True)], box, velocity_box


def _similarities(visits: list[Seen]) -> list[np.ndarray]:
    """Similarities from the template to each visit, from volumes and from where the labels lie.

    Scales are cube roots of brain volumes over their geometric mean. Rotations bring the centroids of the
    labels, seen from the centre of the brain, to their mean (generalised Procrustes analysis, Gower 1975);
    they are turned together so that their mean (the rotation nearest to the sum of the matrices) is the
    identity.
    """
    volumes, centres = map(np.array, zip(*map(_moments, visits), strict=True))
    whole = volumes.sum(axis=1)
    scales = np.cbrt(whole / np.exp(np.log(whole).mean()))
    weights = np.sqrt(
        np.where((volumes > 0).all(axis=0), np.exp(np.log(np.maximum(volumes, 1e-9)).mean(0)), 0)
    )
    middles = (volumes[..., None] * centres).sum(axis=1) / whole[:, None]
    shapes = (centres - middles[:, None]) / scales[:, None, None]
    rotations = np.stack([np.eye(3)] * len(visits))
    for _ in range(50):
        mean = np.einsum("nba,nlb->la", rotations, shapes) / len(visits)
        rotations = np.stack([_nearest_rotation((weights[:, None] * s).T @ mean) for s in shapes])
    rotations = rotations @ _nearest_rotation(rotations.sum(axis=0)).T
    affines = np.tile(np.eye(4), (len(visits), 1, 1))
    affines[:, :3, :3] = scales[:, None, None] * rotations
    affines[:, :3, 3] = middles
    return list(affines)


def _moments(seen: Seen) -> tuple[np.ndarray, np.ndarray]:
    """Volume in mm³ and centroid in world mm of each label but the background, (21,) and (21, 3)."""
    voxel = abs(np.linalg.det(seen.affine[:3, :3])) / STEPS
    volumes, centres = [], []
    for channel in seen.steps[1:]:
        total = float(channel.sum(dtype=np.int64))
        sums = [channel.sum(axis=tuple(b for b in range(3) if b != a), dtype=np.int64) for a in range(3)]
        index = [float((s * np.arange(len(s))).sum()) / total if total else 0.0 for s in sums]
        volumes.append(total * voxel)
        centres.append(seen.affine[:3, :3] @ index + seen.affine[:3, 3])
    if not sum(volumes):
        raise ValueError("a visit has no labelled voxel")
    return np.array(volumes), np.array(centres)


def _nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    u, _, v = np.linalg.svd(matrix)
    return u @ np.diag([1, 1, np.sign(np.linalg.det(u @ v))]) @ v


def _reach(seen: Seen, affine: np.ndarray) -> np.ndarray:
    """Farthest point of a brain from the template's origin along each axis, in mm."""
    index = np.argwhere(seen.steps[0] < 128)
    matrix = np.linalg.inv(affine) @ seen.affine
    return np.abs(index @ matrix[:3, :3].T + matrix[:3, 3]).max(axis=0)


def _guides(seen: Seen) -> tuple[Tensor, np.ndarray]:
    """Soft labels that guide, both sides together, averaged to about `GUIDE_MM`, and their affine."""
    spacing = np.linalg.norm(seen.affine[:3, :3], axis=0)
    step = tuple(max(1, round(GUIDE_MM / s)) for s in spacing)
    more = [-n % s for n, s in zip(seen.steps.shape[1:], step, strict=True)]
    places = {s.id: s.index for s in STRUCTURES}
    paired = {label for pair in LEFT_RIGHT_PAIRS for label in pair}
    groups = [*LEFT_RIGHT_PAIRS, *((s.id,) for s in STRUCTURES[1:] if s.id not in paired)]
    found = []
    for group in groups:
        soft = (
            torch.stack([torch.from_numpy(seen.steps[places[label]]).float() for label in group]).sum(0)
            / STEPS
        )
        padded = functional.pad(soft, (0, more[2], 0, more[1], 0, more[0]))
        found.append(functional.avg_pool3d(padded[None, None], step)[0, 0])
    affine = seen.affine @ np.diag([*step, 1.0])
    affine[:3, 3] += seen.affine[:3, :3] @ ((np.array(step) - 1) / 2)
    return torch.stack(found), affine


def _descend(
    velocities: Tensor,
    affines: list[np.ndarray],
    guides: list[tuple[Tensor, np.ndarray]],
    boxes: tuple[Box, Box],
    *,
    sigma_mm: float,
    steps: int,
) -> Tensor:
    """Lower the variance of the guides over the visits; the velocities keep a sum of zero."""
    box, velocity_box = boxes
    spacing = velocity_box.spacing_mm
    points = box.points()
    to_index = [np.linalg.inv(grid) @ affine for affine, (_, grid) in zip(affines, guides, strict=True)]
    weights = _weights(guides)
    update = torch.zeros_like(velocities).requires_grad_()
    optimiser = torch.optim.Adam([update], lr=STEP_MM, betas=(0.8, 0.99))
    now = velocities
    for _ in range(steps):
        optimiser.zero_grad()
        smoothed = torch.stack([smooth(one, sigma_mm / spacing) for one in update])
        now = velocities + smoothed - smoothed.mean(dim=0)
        seen = []
        for velocity, matrix, (soft, _) in zip(now, to_index, guides, strict=True):
            flow = exponential(velocity, spacing)
            moved = points + sample(flow, velocity_box.index(points)).movedim(0, -1)
            seen.append(sample(soft, transformed(moved, matrix), outside="zeros"))
        stacked = torch.stack(seen)
        variance = (stacked - stacked.mean(dim=0)).square().mean(dim=0)
        loss = (weights[:, None, None, None] * variance).sum(dim=0).mean()
        loss = loss + ROUGHNESS * _roughness(now, spacing)
        loss.backward()
        optimiser.step()
    return now.detach()


def _roughness(velocities: Tensor, spacing_mm: float) -> Tensor:
    """Mean of the logarithmic (Cauchy) penalty of the squared gradients of (N, 3, A, B, C) velocities."""
    a, b, c = (n - 1 for n in velocities.shape[2:])
    gradients = [torch.diff(velocities, dim=axis)[..., :a, :b, :c] / spacing_mm for axis in (2, 3, 4)]
    squared = torch.stack(gradients).square().sum(dim=(0, 2))
    return (KNEE**2 * torch.log1p(squared / KNEE**2)).mean()


def _weights(guides: list[tuple[Tensor, np.ndarray]]) -> Tensor:
    """Weights of the guiding groups: as the cube root of their volume inversely, so that small ones count."""
    sizes = torch.stack(
        [soft.flatten(1).sum(dim=1) * abs(np.linalg.det(grid[:3, :3])) for soft, grid in guides]
    )
    size = sizes.mean(dim=0).clamp_min(1.0).float()
    return torch.pow(size.max() / size, 1 / 3)


def transformed(points: Tensor, matrix: np.ndarray, /) -> Tensor:
    """Points (…, 3) after a (4, 4) matrix."""
    of = torch.from_numpy(np.asarray(matrix, float)).to(points.dtype)
    return points @ of[:3, :3].T + of[:3, 3]
