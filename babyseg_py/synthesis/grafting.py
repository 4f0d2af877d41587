"""Heads from maps that have one, put around the brains of maps that have none.

Both brains are described by how far their hull reaches from the middle in every direction; along each
direction the donor's head is stretched so that its hull comes to lie on the other's.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from babyseg_py.synthesis.labelbank import LabelBank, LabelMap


def graft_head(
    bank: LabelBank,
    chosen: LabelMap,
    donor: LabelMap,
    positions: Tensor,
    *,
    gap_mm: float,
    thinner: float,
) -> Tensor:
    """Fine classes of the donor's head where the window lies outside of another map's brain.

    Parameters
    ----------
    bank : LabelBank
        Bank that both maps belong to.
    chosen, donor : LabelMap
        Map that lacks a head, and the one that lends its own.
    positions : (3, N) Tensor
        Voxels of the chosen map.
    gap_mm : float
        Fluid between the brain and the donor's inner skull, besides what the donor has.
    thinner : float
        By how much the layers of the head are thinner than the donor's at the scale of the brain.

    Returns
    -------
    (N,) Tensor of int32
        Classes of the donor; -1 where they would be brain: fluid, in the other's head.
    """
    device = positions.device
    away = positions - torch.as_tensor(chosen.centre, dtype=torch.float32, device=device)[:, None]
    radius = away.norm(dim=0).clamp_min(1e-3)
    own, theirs = _reaches(chosen, donor, away, radius)
    beyond = radius - own - gap_mm
    ratio = theirs * (1 + thinner * beyond.clamp_min(0) / own) / radius
    inside = torch.ones_like(radius, dtype=torch.bool)
    index = torch.zeros_like(radius, dtype=torch.int32)
    for axis, size in enumerate(donor.classes.shape):
        place = (away[axis] * ratio + float(donor.centre[axis])).round_()
        within = place.clamp(0, size - 1)
        inside &= place == within
        index = index * size + within.to(torch.int32)
    classes = torch.from_numpy(donor.classes).to(device).flatten()[index.long()].to(torch.int32)
    brain = torch.from_numpy(bank.target != 0).to(device)[classes.long()] | (beyond <= 0)
    air = int(donor.classes[0, 0, 0])
    return classes.masked_fill_(~inside, air).masked_fill_(brain & inside, -1)


def _reaches(chosen: LabelMap, donor: LabelMap, away: Tensor, radius: Tensor) -> Tensor:
    """Reach of both hulls towards each position, (2, N) in voxels, linear between directions."""
    polar = torch.acos((away[2] / radius).clamp(-1, 1)) / torch.pi * 2 - 1
    azimuth = torch.atan2(away[1], away[0]) / torch.pi
    tables = torch.from_numpy(np.stack([chosen.reach, donor.reach])).to(away.device)
    where = torch.stack([azimuth, polar], dim=-1)[None, None]
    return F.grid_sample(tables[None], where, align_corners=True)[0, :, 0]
