"""Real scans without labels: what weights make of all scans of a visit together teaches them each one alone.

Self-training with consistency: the labels come from all scans together, averaged with their mirror images;
the network that learns sees one scan, moved, mirrored, warped and disturbed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from babyseg_py.errors import UnusableData
from babyseg_py.labels import LABELS, LEFT_RIGHT_PAIRS
from babyseg_py.models.groupnet import GroupNet
from babyseg_py.synthesis.anatomy import window_places
from babyseg_py.synthesis.fields import Fields
from babyseg_py.synthesis.randomise import draw_anatomy, draw_scan
from babyseg_py.synthesis.synthesise import acquire, field_of_view, normalise
from babyseg_py.training.losses import IGNORED, hard_dice
from babyseg_py.training.recipe import Recipe
from babyseg_py.training.samples import Numbered

REAL = 123456789  # keeps these visits apart from synthetic ones of the same number
ALONE = 0.8  # share of the samples of several scans in which one is seen alone
_SWAP = {**dict(LEFT_RIGHT_PAIRS), **{right: left for left, right in LEFT_RIGHT_PAIRS}}
MIRRORED = torch.tensor([LABELS.index(_SWAP.get(label, label)) for label in LABELS])


@dataclass(frozen=True)
class RealVisit:
    """Scans of one visit with the labels that weights gave them.

    Parameters
    ----------
    name : str
        Such as ``sub-01_ses-A``.
    images : (G, I, J, K) Tensor of uint8
        Scans on the window that the network saw, brought to one polarity; 0 to 255.
    target : (I, J, K) Tensor of uint8
        Channel of each voxel, or `IGNORED` where it is not sure.
    size : float
        Cube root of the brain's volume in voxels.
    centre : (3,) np.ndarray
        Middle of its bounding box in voxels.
    """

    name: str
    images: Tensor
    target: Tensor
    size: float
    centre: np.ndarray

    @property
    def participant(self) -> str:
        """Whose visit it is, as the name tells."""
        return self.name.split("_ses-")[0]


class RealSamples(Numbered):
    """Visits of real scans, numbered; each as a function of its number alone."""

    def __init__(self, visits: Sequence[RealVisit], recipe: Recipe) -> None:
        self.visits, self.recipe = visits, recipe

    def __len__(self) -> int:
        return self.recipe.steps * self.recipe.batch

    def params(self, number: int) -> dict[str, Any]:
        """Which visit and which of its scans, how it is moved, and what the scanner does."""
        ranges = self.recipe.synthesis
        generator = np.random.default_rng((self.recipe.seed, REAL, number))
        chosen = int(generator.integers(len(self.visits)))
        shown = list(range(len(self.visits[chosen].images)))
        if generator.random() < ALONE:
            shown = [int(generator.choice(shown))]
        anatomy = draw_anatomy(generator, ranges)
        scans = [draw_scan(generator, ranges, None, 1.0, anatomy) for _ in shown]
        return {
            "visit": chosen, "shown": shown, "grid": list(ranges.grid), "anatomy": anatomy, "scans": scans
        }  # fmt: skip

    def named_params(self, number: int) -> tuple[str, dict[str, Any]]:
        """Name of the visit, and the parameters of the sample."""
        params = self.params(number)
        return self.visits[params["visit"]].name, params

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        params = self.params(number)
        return show(self.visits[params["visit"]], params)


def show(visit: RealVisit, params: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Images, (G, I, J, K), and target of a visit as the parameters describe them."""
    places = window_places(visit.size, visit.centre, params, torch.device("cpu"))
    target = sample_nearest(visit.target, places)
    if params["anatomy"]["flip"]:
        known = target != IGNORED
        target[known] = MIRRORED.to(torch.uint8)[target[known].long()]
    images = []
    for number, scan in zip(params["shown"], params["scans"], strict=True):
        image = sample_linear(visit.images[number].float() / 255, places)
        empty = image == 0
        image = acquire(image, scan, Fields(scan["seed"], tuple(image.shape), image.device))
        image.masked_fill_(empty | ~field_of_view(tuple(image.shape), scan, image.device), 0)
        images.append(normalise(image) ** scan["gamma"])
    return torch.stack(images), target


def sample_nearest(labels: Tensor, places: Tensor) -> Tensor:
    """Labels at (3, I, J, K) places in voxels; 0 beyond them."""
    index, beyond = torch.zeros(places.shape[1:], dtype=torch.int64), torch.zeros(places.shape[1:]).bool()
    for nearest, side in zip(places.round(), labels.shape, strict=True):
        within = nearest.clamp(0, side - 1)
        beyond |= nearest != within
        index = index * side + within.long()
    return labels.flatten()[index].masked_fill_(beyond, 0)


def sample_linear(image: Tensor, places: Tensor) -> Tensor:
    """Intensities at (3, I, J, K) places in voxels, linear between them; 0 beyond, and where all is 0."""
    sides = torch.tensor(image.shape, dtype=torch.float32)
    scaled = (2 * places.movedim(0, -1) / (sides - 1) - 1).flip(-1)
    return F.grid_sample(image[None, None], scaled[None], align_corners=True)[0, 0]


@dataclass(frozen=True)
class Consistency:
    """Mean Dice of a network's labels with each other on visits that it did not learn from.

    Parameters
    ----------
    scans : dict of int to float
        Of each label: one scan of a visit against another; empty without visits of several scans.
    mirrored : dict of int to float
        A scan against its mirror image.
    """

    scans: dict[int, float]
    mirrored: dict[int, float]


@torch.inference_mode()
def consistency(network: GroupNet, visits: Sequence[RealVisit]) -> Consistency:
    """Measure how a network agrees with itself on real visits, each scan seen alone."""
    between: list[Tensor] = []
    mirrored: list[Tensor] = []
    classes, device = network.config.classes, next(network.parameters()).device
    for visit in visits:
        found = []
        for image in visit.images.float() / 255:
            looks = (x.to(device)[None, None] for x in (image, image.flip(0)))
            direct, other = (network(look)[0].argmax(dim=0).cpu() for look in looks)
            mirrored.append(hard_dice(direct, MIRRORED[other].flip(0), classes))
            found.append(direct)
        between += [hard_dice(a, b, classes) for a, b in combinations(found, 2)]
    return Consistency(_by_label(between), _by_label(mirrored))


def _by_label(rows: list[Tensor]) -> dict[int, float]:
    if not rows:
        return {}
    means = torch.stack(rows).nanmean(dim=0)
    return {label: float(v) for label, v in zip(LABELS, means, strict=True) if label and not v.isnan()}


def set_apart(visits: Sequence[RealVisit]) -> tuple[list[RealVisit], list[RealVisit]]:
    """Divide visits into those to learn from and those to measure with: every fourth child's.

    Of a single child every fourth visit.

    Raises
    ------
    UnusableData
        If there are fewer than two visits.
    """
    if len(visits) < 2:
        what = f"there are {len(visits)} visits to learn from, and one is needed to measure with"
        raise UnusableData("unlabelled scans", what, "give two visits or more")
    children = sorted({visit.participant for visit in visits})
    keys = children if len(children) > 1 else sorted(visit.name for visit in visits)
    held = set(keys[1::4])
    apart = [v for v in visits if (v.participant if len(children) > 1 else v.name) in held]
    return [v for v in visits if v not in apart], apart
