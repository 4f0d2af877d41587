r"""Segmentations of a child's visits, each sharpened by the others in the child's own template.

With :math:`p_i` the posteriors of visit *i* of *n* and :math:`\varphi_i` the way from the template to it, the
pooled posteriors are :math:`\bar p(x) = \frac1n \sum_j p_j(\varphi_j(x))`, and those of a visit become

.. math:: q_i(y) = (1 - s)\, p_i(y) + s\, \bar p(\varphi_i^{-1}(y)).

The strength *s* runs from 0 (each visit by itself) to 1 (one segmentation for all visits; change comes from
the Jacobian of the ways alone).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from babyseg_py.images import Volume
from babyseg_py.labels import LABELS, STRUCTURES
from babyseg_py.registration.child_template import STEPS, Seen, Template, transformed
from babyseg_py.registration.velocity import nodes, sample

STRENGTH = 0.5
_SLAB = 400_000  # points that are computed at once

Tensor = torch.Tensor


@dataclass(frozen=True)
class Sharpened:
    """One visit after the others had their say.

    Parameters
    ----------
    labels : (I, J, K) np.ndarray of np.uint16
        Most probable label numbers, on the visit's box.
    posterior_mm3 : dict of int to float
        Volume of each label: sum of its sharpened probabilities times the volume of a voxel.
    """

    labels: np.ndarray
    posterior_mm3: dict[int, float]


def pooled(template: Template, visits: Sequence[Seen], /) -> np.ndarray:
    """Mean of the posteriors of all visits on the template's grid.

    Returns
    -------
    (22, I, J, K) np.ndarray of np.float32
        In the order of the label table, summing to 1.
    """
    points = template.box.points()
    total = torch.zeros(len(STRUCTURES), *template.box.shape)
    for place in sorted(range(len(visits)), key=lambda i: template.rank[i]):
        seen = visits[place]
        values = torch.from_numpy(seen.steps).float() / STEPS
        for part in _slabs(points.shape):
            total[:, part] += _probabilities(values, seen, template.to_visit(points[part], place))
    return (total / len(visits)).numpy()


def sharpen(template: Template, visits: Sequence[Seen], which: int, /, *, strength: float) -> Sharpened:
    """Sharpen the posteriors of one visit by those of the others.

    Others are sampled straight from their own grids, so that nothing is interpolated twice.

    Parameters
    ----------
    template : Template
        Of these visits, in this order.
    visits : sequence of Seen
        All of them.
    which : int
        The visit that is wanted.
    strength : float
        From 0 to 1.

    Returns
    -------
    Sharpened

    Raises
    ------
    ValueError
        If the strength is not from 0 to 1.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength of {strength} is not from 0 to 1")
    own = visits[which]
    share = strength / len(visits)
    total = torch.from_numpy(own.steps).float() * ((1 - strength + share) / STEPS)
    order = sorted((i for i in range(len(visits)) if i != which), key=lambda i: template.rank[i])
    index = nodes(own.steps.shape[1:])
    for other in order if strength else ():
        values = torch.from_numpy(visits[other].steps).float() / STEPS
        for part in _slabs(own.steps.shape[1:]):
            inside = template.from_visit(transformed(index[part], own.affine), which)
            total[:, part] += share * _probabilities(values, visits[other], template.to_visit(inside, other))
    labels = np.array(LABELS, np.uint16)[total.argmax(dim=0).numpy()]
    voxel = abs(float(np.linalg.det(own.affine[:3, :3])))
    sums = total.double().flatten(1).sum(dim=1).numpy() * voxel
    return Sharpened(labels, {label: float(v) for label, v in zip(LABELS, sums, strict=True) if label})


def most_probable(probabilities: np.ndarray, affine: np.ndarray, /) -> Volume:
    """Label map of the most probable labels of (22, I, J, K) probabilities."""
    return Volume(np.array(LABELS, np.uint16)[probabilities.argmax(axis=0)], affine)


def jacobian_volumes(
    probabilities: np.ndarray, jacobian: np.ndarray, voxel_mm3: float, /
) -> dict[int, float]:
    r"""Volumes of the template's structures as a visit has them: :math:`\sum_x \bar p(x) J_i(x)\, dx`.

    Parameters
    ----------
    probabilities : (22, I, J, K) np.ndarray
        Of the template.
    jacobian : (I, J, K) np.ndarray
        Of the way to the visit; ones for the template's own volumes.
    voxel_mm3 : float
        Volume of a voxel of the template.

    Returns
    -------
    dict of int to float
        mm³ by label, without the background.
    """
    sums = [float((channel * jacobian).sum(dtype=np.float64)) for channel in probabilities]
    return {label: total * voxel_mm3 for label, total in zip(LABELS, sums, strict=True) if label}


def _probabilities(values: Tensor, seen: Seen, world: Tensor) -> Tensor:
    """Posteriors at points of a visit's world; background where its box ends."""
    found = sample(values, transformed(world, np.linalg.inv(seen.affine)), outside="zeros")
    found[0] += (1 - found.sum(dim=0)).clamp_min(0)
    return found


def _slabs(shape: Sequence[int]) -> list[slice]:
    depth = max(1, _SLAB // int(np.prod(shape[1:3])))
    return [slice(first, min(first + depth, shape[0])) for first in range(0, shape[0], depth)]
