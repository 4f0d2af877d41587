"""What scanners and restless children do to an image: artefacts drawn as plain numbers, then applied."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from babyseg_py.synthesis.ranges import Ranges

Artefact = dict[str, Any]


def draw_artefacts(generator: np.random.Generator, ranges: Ranges, hard: float) -> list[Artefact]:
    """Draw which artefacts a scan has, in the order in which they come about.

    Parameters
    ----------
    generator : np.random.Generator
        Source of randomness.
    ranges : Ranges
        Probabilities and ranges.
    hard : float
        0 for none, 1 for the full probabilities.

    Returns
    -------
    list of dict
        Each with its ``kind`` and the numbers that `apply_artefact` needs.
    """
    return [
        {"kind": kind, **draw(generator, ranges)}
        for kind, (draw, _) in ARTEFACTS.items()
        if generator.random() < getattr(ranges, kind) * hard
    ]


def apply_artefact(image: Tensor, artefact: Artefact) -> Tensor:
    """Apply a drawn artefact to an image, (I, J, K)."""
    numbers = {key: value for key, value in artefact.items() if key != "kind"}
    return ARTEFACTS[artefact["kind"]][1](image, **numbers)


def gibbs_ringing(image: Tensor, *, axis: int, kept: float) -> Tensor:
    """Keep only the lowest share of the frequencies along an axis."""
    spectrum = torch.fft.rfft(image, dim=axis)
    first = max(1, math.ceil(kept * spectrum.shape[axis]))
    spectrum.narrow(axis, first, spectrum.shape[axis] - first).zero_()
    return torch.fft.irfft(spectrum, n=image.shape[axis], dim=axis)


def spike(image: Tensor, *, waves: list[float], phase: float, size: float) -> Tensor:
    """Add a wave of so many periods along each axis: one wrong point in k-space."""
    angle = torch.full((1, 1, 1), phase, device=image.device)
    for axis, count in enumerate(waves):
        shape = [1, 1, 1]
        shape[axis] = -1
        places = torch.arange(image.shape[axis], dtype=torch.float32, device=image.device)
        angle = angle + (2 * math.pi * count / image.shape[axis] * places).reshape(shape)
    return image + size * torch.cos(angle)


def changed_lines(image: Tensor, *, axis: int, places: list[float], factors: list[float]) -> Tensor:
    """Multiply single planes of an axis, at places of 0 to 1 along it."""
    gain = torch.ones(image.shape[axis], device=image.device)
    for place, factor in zip(places, factors, strict=True):
        gain[int(place * (image.shape[axis] - 1))] = factor
    shape = [1, 1, 1]
    shape[axis] = -1
    return image * gain.reshape(shape)


def signal_dropout(image: Tensor, *, centre: list[float], voxels: float, depth: float) -> Tensor:
    """Lose signal around a place of 0 to 1 along each axis, as a Gaussian of some voxels."""
    squares = torch.zeros(1, 1, 1, device=image.device)
    for axis, place in enumerate(centre):
        shape = [1, 1, 1]
        shape[axis] = -1
        steps = torch.arange(image.shape[axis], dtype=torch.float32, device=image.device)
        squares = squares + ((steps - place * (image.shape[axis] - 1)) ** 2).reshape(shape)
    return image * (1 - depth * torch.exp(-0.5 * squares / voxels**2))


def _axis(generator: np.random.Generator) -> int:
    return int(generator.integers(3))


def _draw_gibbs(generator: np.random.Generator, ranges: Ranges) -> Artefact:
    return {"axis": _axis(generator), "kept": float(generator.uniform(*ranges.gibbs_kept))}


def _draw_spike(generator: np.random.Generator, ranges: Ranges) -> Artefact:
    waves = [float(generator.integers(-side // 4, side // 4 + 1)) for side in ranges.grid]
    phase = float(generator.uniform(0, 2 * math.pi))
    return {"waves": waves, "phase": phase, "size": float(generator.uniform(*ranges.spike_size))}


def _draw_lines(generator: np.random.Generator, ranges: Ranges) -> Artefact:
    count = round(generator.uniform(*ranges.line_count))
    places, factors = generator.random(count).tolist(), generator.uniform(0, 1.5, count).tolist()
    return {"axis": _axis(generator), "places": places, "factors": factors}


def _draw_dropout(generator: np.random.Generator, ranges: Ranges) -> Artefact:
    centre = generator.uniform(0.1, 0.9, 3).tolist()
    voxels = float(generator.uniform(*ranges.dropout_voxels))
    return {"centre": centre, "voxels": voxels, "depth": float(generator.uniform(0.5, 1))}


Drawn = Callable[[np.random.Generator, Ranges], Artefact]
# By the name of their probability in the ranges.
ARTEFACTS: dict[str, tuple[Drawn, Callable[..., Tensor]]] = {
    "gibbs": (_draw_gibbs, gibbs_ringing),
    "spikes": (_draw_spike, spike),
    "lines": (_draw_lines, changed_lines),
    "dropout": (_draw_dropout, signal_dropout),
}
