"""How the label maps of a bank differ from their mean, to be kept with them."""

from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional as F

from babyseg_py.labels import LABELS
from babyseg_py.registration.child_template import Seen, Template, make_template
from babyseg_py.registration.velocity import nodes, sample, smooth
from babyseg_py.synthesis.forms import GROWING, Form
from babyseg_py.synthesis.labelbank import LabelBank, LabelMap

MOST = 24  # maps that are brought to one mean
STEP = 2  # voxels of the maps in a voxel of what is registered
SMOOTH_MM = 3.0  # of the structures that grow


def relate(bank: LabelBank) -> LabelBank:
    """Bring maps of a bank to their mean, and keep with each its form.

    Children and adults are apart, and so are groups of at most `MOST`, as all maps of a group are in memory.

    Parameters
    ----------
    bank : LabelBank
        A map that is alone in its group stays without a form.

    Returns
    -------
    LabelBank
        The same maps with `LabelMap.form`.
    """
    maps = list(bank.maps)
    for group, numbers in enumerate(_groups(bank)):
        visits = [_seen(bank, maps[number]) for number in numbers]
        template = make_template(visits)
        for place, (number, visit) in enumerate(zip(numbers, visits, strict=True)):
            maps[number] = replace(maps[number], form=_form(template, place, visit, group))
    return replace(bank, maps=tuple(maps))


def _groups(bank: LabelBank) -> list[list[int]]:
    """Numbers of the maps of each group of two or more; large groups are shared out evenly, in turn."""
    children = [i for i, m in enumerate(bank.maps) if m.age_months is not None]
    adults = [i for i, m in enumerate(bank.maps) if m.age_months is None]
    parts = [(alike, -(-len(alike) // MOST)) for alike in (children, adults)]
    groups = [alike[first::count] for alike, count in parts for first in range(count)]
    return [group for group in groups if len(group) > 1]


def _seen(bank: LabelBank, one: LabelMap) -> Seen:
    """Labels of a map, averaged to 2 voxels, in a box around the brain; the world is its voxels."""
    channel = bank.target.astype(np.uint8)[one.classes]
    inside = np.argwhere(channel > 0)
    low, high = inside.min(axis=0), inside.max(axis=0) + 1
    box = torch.from_numpy(channel[tuple(slice(a, b) for a, b in zip(low, high, strict=True))])
    more = [-side % STEP for side in box.shape]
    padded = F.pad(box[None].float(), (0, more[2], 0, more[1], 0, more[0]))[0]
    shares = [F.avg_pool3d((padded == number).float()[None], STEP)[0] for number in range(len(LABELS))]
    affine = np.diag([STEP] * 3 + [1.0])
    affine[:3, 3] = low + (STEP - 1) / 2
    return Seen((torch.stack(shares) * 255).round().to(torch.uint8).numpy(), affine)


def _form(template: Template, number: int, visit: Seen, group: int) -> Form:
    """Form of a map, in voxels of the velocity grid."""
    way, box = template.ways[number], template.velocity_box
    affine = way.affine @ box.affine
    channels = [[LABELS.index(label) for label in labels] for labels in GROWING]
    soft = np.stack([visit.steps[rows].sum(axis=0) for rows in channels]).astype(np.float32) / 255
    index = torch.from_numpy(np.linalg.inv(visit.affine) @ affine).float()
    points = nodes(box.shape) @ index[:3, :3].T + index[:3, 3]
    blurred = smooth(torch.from_numpy(soft), SMOOTH_MM / STEP)
    structures = sample(blurred, points, outside="zeros")
    return Form(
        group,
        affine,
        (way.velocity / box.spacing_mm).numpy().astype(np.float16),
        structures.numpy().astype(np.float16),
    )
