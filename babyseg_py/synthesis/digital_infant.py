"""The digital infant: a brain learned from label maps that grows from birth and differs from child to child.

The model (built by `digital_infant_build`) is a mean anatomy with its statistics: how its shape changes with
growth, the principal modes in which children of one age differ, and the volumes of all structures by age. A
child is a draw from it, plus a smooth warp of its own; the same child at several ages is the same draw. No
child of the training maps can come out: folds and shapes are those of the mean, bent at random.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import edt
import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume
from babyseg_py.registration.velocity import Box, exponential, sample
from babyseg_py.synthesis.digital_infant_fields import smooth_noise

OLDEST_MONTHS = 36.0
# Between-child standard deviations, of the logarithm.
SIZE_SD = 0.07  # of the brain's volume
STRUCTURE_SD = 0.10  # of a structure's volume beyond that
SHARED = 0.7  # part of the latter's variance that left and right share
_VENTRICLE_SD = 0.2
_FOLLOWING = (0, 3, 42, 31, 63, 14, 15)  # labels that take what the others leave
_FREE = ((10, 49), (11, 50), (12, 51), (13, 52), (17, 53), (18, 54), (26, 58), (28, 60), (4, 43))
_WARPS = ((22.0, 1.6), (9.0, 0.8))  # a child's own warp: smoothness in mm, standard deviation in mm
_CROWNS = (
    4.5,
    0.45,
)  # its own folds: smoothness in mm and standard deviation in mm of the white surface's shift
_REACH_MM = 5.0  # distances to a structure are kept up to this
_LARGEST_SHIFT_MM = 1.2  # of what lies between thin neighbours, a larger one would flood them


@dataclass(frozen=True)
class Model:
    """What was learned from the label maps.

    Parameters
    ----------
    labels : (I, J, K) np.ndarray of np.uint8
        Mean anatomy in FreeSurfer numbers on `box`; 0 is all outside.
    box, velocity_box : Box
        Grids of the anatomy and of the velocities.
    growth : (3, A, B, C) np.ndarray
        Velocity in mm that comes with one unit of growth, zero at the mean of the maps.
    modes : (M, 3, A, B, C) np.ndarray
        Velocity in mm at one standard deviation of each mode.
    stretch : (2, 3) np.ndarray
        Log scale of each axis at zero growth, and its change with one unit.
    tau_months, mean_growth : float
        Growth is 1 - exp(-age / tau); its mean over the maps.
    ages_months : (N,) np.ndarray
        Ages at which the following are tabulated.
    scale : (N,) np.ndarray
        Factor of all lengths.
    offsets_mm : (N, L) np.ndarray
        What is added to the signed distance of each label in `numbers`; its surface moves by half of it.
    numbers : (L,) np.ndarray of int
        The labels, 0 first.
    """

    labels: np.ndarray
    box: Box
    velocity_box: Box
    growth: np.ndarray
    modes: np.ndarray
    stretch: np.ndarray
    tau_months: float
    mean_growth: float
    ages_months: np.ndarray
    scale: np.ndarray
    offsets_mm: np.ndarray
    numbers: np.ndarray

    @cached_property
    def distances(self) -> tuple[tuple[tuple[slice, ...], torch.Tensor], ...]:
        """Place on the grid of, and signed distance in mm (inside positive) to, each label of `numbers`."""
        return tuple(_distance(self.labels == number, self.box.spacing_mm) for number in self.numbers)

    def grown(self, age_months: float) -> float:
        """Growth at an age, relative to the mean of the maps."""
        return 1 - float(np.exp(-age_months / self.tau_months)) - self.mean_growth


@dataclass(frozen=True)
class Child:
    """One draw from the model.

    Parameters
    ----------
    velocity : (3, A, B, C) torch.Tensor
        How its shape differs from the mean of its age, in mm.
    stretch : (3,) np.ndarray
        Log scale of the axes relative to the mean of its age.
    size : float
        Log of its brain's volume relative to the mean of its age.
    structures : mapping of int to float
        Log volumes of labels relative to the mean of its age and to its brain.
    warped : mapping of int to float
        What the velocity alone does to these; it is taken out again when the child grows.
    crowns_mm : (A, B, C) torch.Tensor
        Added to the signed distance of the cerebral white matter, on the velocity box.
    """

    velocity: torch.Tensor
    stretch: np.ndarray
    size: float
    structures: Mapping[int, float]
    warped: Mapping[int, float]
    crowns_mm: torch.Tensor


def load_model(path: Path | str | None = None, /) -> Model:
    """Read a model, by default the one in the package.

    Raises
    ------
    UnusableData
        If the file is not such a model.
    """
    source = path if path is not None else files("babyseg_py.synthesis").joinpath("digital_infant.npz")
    try:
        with np.load(str(source), allow_pickle=False) as stored:
            kept = {name: stored[name] for name in stored.files}
        box, velocity_box = (_box(kept[name]) for name in ("box", "velocity_box"))
        return Model(
            labels=kept["labels"],
            box=box,
            velocity_box=velocity_box,
            growth=_unpacked(kept, "growth"),
            modes=_unpacked(kept, "modes"),
            stretch=kept["stretch"],
            tau_months=float(kept["growth_curve"][0]),
            mean_growth=float(kept["growth_curve"][1]),
            ages_months=kept["ages_months"],
            scale=kept["scale"],
            offsets_mm=kept["offsets_mm"],
            numbers=kept["numbers"],
        )
    except (OSError, KeyError, ValueError, IndexError) as problem:
        what = f"not a digital infant ({problem})"
        advice = "make it again with python -m babyseg_py.synthesis.digital_infant_build"
        raise UnusableData(str(source), what, advice) from problem


def mean_child(model: Model, /) -> Child:
    """Return the child without any difference from the mean of its age."""
    shape = model.velocity_box.shape
    return Child(torch.zeros(3, *shape), np.zeros(3), 0.0, {}, {}, torch.zeros(shape))


def draw_child(
    model: Model, generator: np.random.Generator, /, *, structures: Mapping[int, float] | None = None
) -> Child:
    """Draw a child; equal arguments give equal children.

    Parameters
    ----------
    model : Model
        From `load_model`.
    generator : np.random.Generator
        Source of all randomness.
    structures : mapping of int to float, optional
        Log relative volumes of single labels that are wanted rather than drawn.

    Returns
    -------
    Child
        Its brain's size and the volumes of its structures are drawn, whatever its shape does to them.
    """
    weights = np.clip(generator.standard_normal(len(model.modes)), -2, 2).astype(np.float32)
    velocity = torch.from_numpy(np.tensordot(weights, model.modes, axes=1).astype(np.float32))
    for sigma_mm, sd_mm in _WARPS:
        velocity = velocity + _noise(generator, 3, model.velocity_box, sigma_mm, sd_mm)
    size = float(SIZE_SD * np.clip(generator.standard_normal(), -2, 2))
    proportions = 0.02 * np.clip(generator.standard_normal(3), -2, 2)
    crowns = _noise(generator, 1, model.velocity_box, *_CROWNS)[0]
    drawn = {**_draw_structures(generator), **(structures or {})}
    whole, parts = _growth_of_shape(model, velocity)
    stretch = (size - whole) / 3 + proportions - proportions.mean()
    return Child(velocity, stretch, size, drawn, parts, crowns)


def _growth_of_shape(model: Model, velocity: torch.Tensor) -> tuple[float, dict[int, float]]:
    """Log of the growth of the brain under a velocity, and of its labels relative to it."""
    spacing = model.velocity_box.spacing_mm
    flow = exponential(velocity, spacing)
    gradient = torch.stack(torch.gradient(flow, spacing=spacing, dim=(1, 2, 3)))
    jacobian = torch.linalg.det(gradient.permute(2, 3, 4, 1, 0) + torch.eye(3))
    place = model.velocity_box.index(model.box.points()[::2, ::2, ::2])
    local = sample(jacobian[None], place)[0].numpy()
    labels = model.labels[::2, ::2, ::2]
    whole = float(np.log(local[labels > 0].mean()))
    wanted = [n for n in model.numbers.tolist() if n not in _FOLLOWING]
    return whole, {n: float(np.log(local[labels == n].mean())) - whole for n in wanted}


def grow(model: Model, child: Child, age_months: float, /, *, spacing_mm: float = 1.0) -> Volume:
    """Anatomy of a child at an age.

    Parameters
    ----------
    model : Model
        From `load_model`.
    child : Child
        From `draw_child`.
    age_months : float
        From 0 (born at term) to 36.
    spacing_mm : float
        Voxel size.

    Returns
    -------
    Volume
        FreeSurfer numbers (uint8) on an isotropic RAS grid around the origin, the brain alone.

    Raises
    ------
    ValueError
        If the age is outside the range.
    """
    if not 0 <= age_months <= OLDEST_MONTHS:
        raise ValueError(f"age of {age_months} months is not between 0 and {OLDEST_MONTHS:g}")
    scales = _scales(model, child, age_months)
    edges = scales * model.box.spacing_mm * (np.array(model.box.shape) - 1)
    out = Box.around(edges, spacing_mm)
    place = out.points() / torch.tensor(scales, dtype=torch.float32)
    velocity = child.velocity + model.grown(age_months) * torch.from_numpy(model.growth)
    back = exponential(-velocity, model.velocity_box.spacing_mm)
    place = place + sample(back, model.velocity_box.index(place)).movedim(0, -1)
    shifts = _shifts(model, child, age_months)
    return Volume(_nearest_surface(model, child, place, shifts), out.affine)


def _scales(model: Model, child: Child, age_months: float) -> np.ndarray:
    """Length factor of each axis."""
    common = np.interp(age_months, model.ages_months, model.scale)
    shape = model.stretch[0] + model.stretch[1] * model.grown(age_months)
    return common * np.exp(shape + child.stretch)


def _shifts(model: Model, child: Child, age_months: float) -> np.ndarray:
    """Return what is added to every signed distance in mm, for the volumes of this age and child."""
    shifts = np.array([np.interp(age_months, model.ages_months, column) for column in model.offsets_mm.T])
    for position, number in enumerate(model.numbers):
        factor = child.structures.get(int(number), 0.0) - child.warped.get(int(number), 0.0)
        if factor:
            inside = model.distances[position][1] > 0
            surface = model.distances[position][1].abs() < model.box.spacing_mm
            area = float(surface.sum()) / 2 * model.box.spacing_mm**2
            volume = float(inside.sum()) * model.box.spacing_mm**3
            # As if a ball grew; two distances meet at a surface, so it moves by half of what is added to one.
            wanted_mm = 6 * np.expm1(factor / 3) * volume / area
            shifts[position] += np.clip(wanted_mm, -_LARGEST_SHIFT_MM, _LARGEST_SHIFT_MM)
    return shifts


def _nearest_surface(model: Model, child: Child, place: torch.Tensor, shifts: np.ndarray) -> np.ndarray:
    """Label whose shifted surface a point lies deepest in, for every point (I, J, K, 3) in template mm."""
    index = model.box.index(place)
    best = torch.full(place.shape[:3], -2 * _REACH_MM)
    label = torch.zeros(place.shape[:3], dtype=torch.uint8)
    for number, shift, (box, distance) in zip(model.numbers, shifts, model.distances, strict=True):
        near = _near(index, box) if number else (slice(None),) * 3
        first = torch.tensor([s.start for s in box], dtype=torch.float32)
        value = sample(distance[None], index[near] - first)[0] + float(shift)
        if number in (2, 41):
            value += sample(child.crowns_mm[None], model.velocity_box.index(place[near]))[0]
        better = value > best[near]
        best[near] = torch.where(better, value, best[near])
        label[near] = torch.where(better, int(number), label[near])
    return label.numpy()


def _near(index: torch.Tensor, box: tuple[slice, ...]) -> tuple[slice, ...]:
    """Part of a grid whose points fall into a box, from every fourth point and so somewhat too wide."""
    step = 4
    some = index[::step, ::step, ::step].numpy()
    low, high = np.array([s.start - step for s in box]), np.array([s.stop + step for s in box])
    hits = np.argwhere(((some >= low) & (some <= high)).all(-1)) * step
    if not len(hits):
        return (slice(0, 0),) * 3
    lowest, highest = np.maximum(hits.min(0) - step, 0), hits.max(0) + step + 1
    return tuple(slice(int(a), int(b)) for a, b in zip(lowest, highest, strict=True))


def _distance(mask: np.ndarray, spacing_mm: float) -> tuple[tuple[slice, ...], torch.Tensor]:
    """Bounding box of a mask, wide enough for `_REACH_MM`, and the smoothed signed distance in it."""
    index = np.argwhere(mask)
    pad = int(np.ceil(_REACH_MM / spacing_mm)) + 1
    box = tuple(
        slice(max(int(low) - pad, 0), min(int(high) + pad + 1, size))
        for low, high, size in zip(index.min(0), index.max(0), mask.shape, strict=True)
    )
    inside = np.ascontiguousarray(mask[box])
    signed = edt.edt(inside, anisotropy=(spacing_mm,) * 3) - edt.edt(~inside, anisotropy=(spacing_mm,) * 3)
    signed -= 0.5 * spacing_mm * np.sign(signed)
    return box, torch.from_numpy(gaussian_filter(np.clip(signed, -_REACH_MM, _REACH_MM), 0.6))


def _noise(
    generator: np.random.Generator, channels: int, box: Box, sigma_mm: float, sd: float
) -> torch.Tensor:
    """Smooth Gaussian noise of a given standard deviation, (channels, I, J, K)."""
    sigma = sigma_mm / box.spacing_mm
    field = np.stack([smooth_noise(generator, box.shape, sigma) for _ in range(channels)])
    return torch.from_numpy((sd * field).astype(np.float32))


def _draw_structures(generator: np.random.Generator) -> dict[int, float]:
    """Log relative volumes of the structures that vary by themselves; partly shared between the sides."""
    factors = {}
    for left, right in _FREE:
        common, *own = np.clip(generator.standard_normal(3), -2.2, 2.2)
        sd = _VENTRICLE_SD if left == 4 else STRUCTURE_SD
        for number, single in zip((left, right), own, strict=True):
            factors[number] = float(sd * (np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * single))
    return factors


def _box(stored: np.ndarray) -> Box:
    return Box((int(stored[0]), int(stored[1]), int(stored[2])), float(stored[3]))


def _unpacked(kept: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Velocities stored as int8 with one scale for each field."""
    scale = kept[f"{name}_scale"].astype(np.float32)
    return kept[name].astype(np.float32) * scale.reshape(scale.shape + (1,) * (kept[name].ndim - scale.ndim))
