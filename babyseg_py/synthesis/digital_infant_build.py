"""Learning the digital infant from label maps.

``python -m babyseg_py.synthesis.digital_infant_build DIR -o F.npz``: the maps are aligned groupwise
(`digital_infant_align`), averaged (`digital_infant_mean`) and described by growth and modes; then volumes are
calibrated so that the mean child has the volumes that the maps show for its age. It takes about a quarter of
an hour on one core.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.linalg import polar
from scipy.optimize import curve_fit

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume, load_labels
from babyseg_py.labels.merge import merge_labels
from babyseg_py.registration.velocity import Box, smooth
from babyseg_py.synthesis.digital_infant import Model, grow, load_model, mean_child
from babyseg_py.synthesis.digital_infant_align import Aligned, align
from babyseg_py.synthesis.digital_infant_mean import FINE, mean_anatomy

SIZE_MM = (124.0, 152.0, 122.0)  # right, anterior, superior extent of the template's brain
MARGIN_MM = 12.0
VELOCITY_MM = 4.0
SCHEDULE = ((4.0, 0.0, 3, 15), (4.0, 6.0, 3, 10), (3.0, 5.0, 3, 10), (2.0, 4.5, 3, 8), (2.0, 3.2, 4, 8))
MODES = 5
AGES_MONTHS = np.array([0.0, 1.0, 2.0, 3.0, 4.5, 6.0, 9.0, 12.0, 18.0, 24.0, 36.0])
# Brain volume of a newborn, which no map shows: between 341 ml at birth (Holland et al. 2014,
# doi:10.1001/jamaneurol.2014.1638) and the 430 ml that the maps' wider outlines extrapolate to.
BIRTH_ML = 380.0
VENTRICLES = (4, 43, 31, 63, 14, 15)
PAIRS: tuple[tuple[int, int], ...] = (
    *((2, 41), (3, 42), (4, 43), (7, 46), (8, 47), (10, 49), (11, 50)),
    *((12, 51), (13, 52), (17, 53), (18, 54), (26, 58), (28, 60), (31, 63)),
)
SMALLEST_SHARE = 0.25  # of the volume at the last age: no structure is fitted to less at birth
LARGEST_OFFSET_MM = 3.0


@dataclass(frozen=True)
class Curves:
    """Volumes by age: intercept + slope · growth, growth = 1 - exp(-age / tau).

    Parameters
    ----------
    tau_months : float
        Time constant, one for all.
    total : (2,) np.ndarray
        Intercept and slope of the brain without ventricles, mm³.
    each : dict of int to (2,) np.ndarray
        The same for each label.
    """

    tau_months: float
    total: np.ndarray
    each: dict[int, np.ndarray]

    def at(self, age_months: float) -> tuple[float, dict[int, float]]:
        """Volume of the brain and of each label in mm³, the labels scaled to add up to the brain."""
        growth = np.array([1, 1 - np.exp(-age_months / self.tau_months)])
        oldest = np.array([1, 1 - np.exp(-AGES_MONTHS[-1] / self.tau_months)])
        each = {n: max(float(c @ growth), SMALLEST_SHARE * float(c @ oldest)) for n, c in self.each.items()}
        total = float(self.total @ growth)
        factor = total / sum(v for n, v in each.items() if n not in VENTRICLES)
        return total, {n: v * (1 if n in VENTRICLES else factor) for n, v in each.items()}


def read_maps(folder: Path, /) -> tuple[np.ndarray, list[Volume]]:
    """Ages in months and fine label maps, youngest first.

    Raises
    ------
    UnusableData
        If the folder holds fewer than five maps named ``age-<months>mo_dseg.nii.gz``.
    """
    found = []
    for path in sorted(folder.glob("age-*mo_dseg.nii.gz")):
        months = [float(n) for n in re.findall(r"\d+", path.name.split("_")[0])]
        labels = load_labels(path)
        merged = merge_labels(labels.data, labels.affine)
        data = np.where(labels.data == 5, 4, np.where(labels.data == 44, 43, labels.data))
        data = np.where(np.isin(data, FINE), data, np.where(np.isin(merged, FINE), merged, 0))
        found.append((float(np.mean(months)), labels.with_data(data.astype(np.uint8))))
    if len(found) < 5:
        advice = "give the folder of infant label maps named age-<months>mo_dseg.nii.gz, at least five"
        raise UnusableData(str(folder), f"{len(found)} label maps", advice)
    found.sort(key=lambda pair: pair[0])
    return np.array([age for age, _ in found]), [labels for _, labels in found]


def volumes(labels: Volume, /) -> dict[int, float]:
    """Volume in mm³ of each fine label that is there."""
    counts = np.bincount(labels.data.ravel().astype(np.int64), minlength=256)
    return {n: float(counts[n]) * labels.voxel_volume_mm3 for n in FINE if n and counts[n]}


def fit_curves(ages_months: np.ndarray, maps: Sequence[Volume], /) -> Curves:
    """Growth curves by least squares; left and right share one."""
    measured = [volumes(labels) for labels in maps]
    brain = np.array([sum(v for n, v in one.items() if n not in VENTRICLES) for one in measured])
    (start, gain, tau), _ = curve_fit(
        lambda age, a, b, t: a + b * (1 - np.exp(-age / t)),
        np.r_[0.0, ages_months],
        np.r_[BIRTH_ML * 1e3, brain],
        p0=(4e5, 7e5, 7.0),
        sigma=np.r_[0.5, np.ones(len(brain))],
    )
    sides = {n: pair for pair in PAIRS for n in pair}
    each = {}
    for number in FINE[1:]:
        pair = sides.get(number, (number,))
        seen = [
            (age, one[n]) for age, one in zip(ages_months, measured, strict=True) for n in pair if n in one
        ]
        if not seen:
            continue
        age, volume = np.array(seen).T
        design = np.stack([np.ones_like(age), 1 - np.exp(-age / tau)], axis=1)
        each[number] = np.linalg.lstsq(design, volume, rcond=None)[0]
    return Curves(float(tau), np.array([start, gain]), each)


def describe(
    ages_months: np.ndarray, found: Sequence[Aligned], tau_months: float, /
) -> dict[str, np.ndarray]:
    """Statistics of the transforms: growth, modes and the axes' scales."""
    growth = 1 - np.exp(-ages_months / tau_months)
    centred = growth - growth.mean()
    velocity = np.stack([one.velocity.numpy() for one in found])
    slope = np.tensordot(centred, velocity, axes=1) / (centred @ centred)
    # Eleven children fix how regions grow, not how single folds do.
    slope = smooth(torch.from_numpy(slope.astype(np.float32)), 8.0 / VELOCITY_MM).numpy()
    rest = velocity - centred[:, None, None, None, None] * slope
    rest -= rest.mean(0)
    _, values, right = np.linalg.svd(rest.reshape(len(found), -1), full_matrices=False)
    modes = values[:MODES, None] / np.sqrt(len(found) - 2) * right[:MODES]
    stretches = [np.log(np.diag(polar(one.affine[:3, :3].numpy().astype(np.float64))[1])) for one in found]
    design = np.stack([np.ones_like(centred), centred], axis=1)
    return {
        "growth": slope,
        "modes": modes.reshape(MODES, *velocity.shape[1:]),
        "stretch": np.linalg.lstsq(design, np.stack(stretches), rcond=None)[0],
        "mean_growth": growth.mean(),
    }


def calibrate(model: Model, curves: Curves, /, *, turns: int = 5, spacing_mm: float = 1.25) -> Model:
    """Set scale and offsets so that the mean child has the volumes of the curves at every age."""
    child = mean_child(model)
    scale, offsets = model.scale.copy(), model.offsets_mm.copy()
    for _ in range(turns):
        model = replace(model, scale=scale.copy(), offsets_mm=offsets.copy())
        for row, age in enumerate(model.ages_months):
            labels = grow(model, child, float(age), spacing_mm=spacing_mm)
            total, wanted = curves.at(float(age))
            have = volumes(labels)
            brain = sum(v for n, v in have.items() if n not in VENTRICLES)
            scale[row] *= (total / brain) ** (1 / 3)
            for column, number in enumerate(model.numbers[1:].tolist(), start=1):
                area = _area(labels, number)
                change = 1.5 * (wanted[number] * brain / total - have.get(number, 0.0)) / area
                offsets[row, column] = np.clip(
                    offsets[row, column] + change, -LARGEST_OFFSET_MM, LARGEST_OFFSET_MM
                )
    return replace(model, scale=scale, offsets_mm=offsets)


def _area(labels: Volume, number: int) -> float:
    """Rough surface area of a label in mm²: its voxel faces, two thirds of which a smooth surface has."""
    mask = labels.data == number
    faces = sum(np.count_nonzero(np.diff(mask, axis=axis)) for axis in range(3))
    return max(faces, 6) * float(labels.spacing_mm[0]) ** 2 * 2 / 3


def learn(folder: Path, /, *, say=print) -> Model:
    """Learn the model from a folder of label maps."""
    ages, maps = read_maps(folder)
    curves = fit_curves(ages, maps)
    box = Box.around([edge + MARGIN_MM for edge in SIZE_MM], 1.0)
    velocity_box = Box.around([edge + 2 * MARGIN_MM for edge in SIZE_MM], VELOCITY_MM)
    found = align(maps, size_mm=SIZE_MM, velocity_box=velocity_box, schedule=SCHEDULE, say=say)
    parts = describe(ages, found, curves.tau_months)
    labels = mean_anatomy(maps, found, box, velocity_box)
    numbers = np.array([n for n in FINE if n == 0 or (labels == n).any()])
    model = Model(
        labels=labels,
        box=box,
        velocity_box=velocity_box,
        growth=parts["growth"].astype(np.float32),
        modes=parts["modes"].astype(np.float32),
        stretch=parts["stretch"],
        tau_months=curves.tau_months,
        mean_growth=float(parts["mean_growth"]),
        ages_months=AGES_MONTHS,
        scale=np.ones(len(AGES_MONTHS)),
        offsets_mm=np.zeros((len(AGES_MONTHS), len(numbers))),
        numbers=numbers,
    )
    say("calibrating volumes")
    model = calibrate(model, curves)
    for age in model.ages_months:
        say(_line(model, curves, float(age)))
    return model


def _line(model: Model, curves: Curves, age: float) -> str:
    """One line that compares the mean child with the curves."""
    have = volumes(grow(model, mean_child(model), age))
    total, wanted = curves.at(age)
    brain = sum(v for n, v in have.items() if n not in VENTRICLES)
    worst = max(wanted, key=lambda n: abs(np.log(max(have.get(n, 1.0), 1.0) / wanted[n])))
    return (
        f"{age:4.1f} months: brain {brain / 1e3:6.1f} ml, curve {total / 1e3:6.1f};"
        f" furthest off: label {worst} with {have.get(worst, 0) / 1e3:.2f} for {wanted[worst] / 1e3:.2f} ml"
    )


def save(model: Model, path: Path, /) -> None:
    """Write a model as plain arrays; velocities as int8 with one scale for each field."""
    packed = {}
    for name, fields in (("growth", model.growth[None]), ("modes", model.modes)):
        scale = np.abs(fields).reshape(len(fields), -1).max(1) / 127
        whole = np.rint(fields / scale[:, None, None, None, None]).astype(np.int8)
        single = name == "growth"
        packed[name] = whole[0] if single else whole
        packed[f"{name}_scale"] = np.float32(scale[0]) if single else scale.astype(np.float32)
    scratch = path.with_name(f".{path.name}.tmp.npz")
    np.savez_compressed(
        scratch,
        **packed,
        labels=model.labels,
        box=np.array([*model.box.shape, model.box.spacing_mm]),
        velocity_box=np.array([*model.velocity_box.shape, model.velocity_box.spacing_mm]),
        stretch=model.stretch,
        growth_curve=np.array([model.tau_months, model.mean_growth]),
        ages_months=model.ages_months,
        scale=model.scale,
        offsets_mm=model.offsets_mm,
        numbers=model.numbers,
    )
    scratch.replace(path)


def main(argv: Sequence[str] | None = None) -> int:
    """Learn the model and write it."""
    parser = argparse.ArgumentParser(description="Learn the digital infant from infant label maps.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of age-<months>mo_dseg.nii.gz")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="F.npz", help="model to write")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (default 2)")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    try:
        model = learn(args.folder)
    except UnusableData as problem:
        print(problem, file=sys.stderr)
        return 65
    save(model, args.output)
    load_model(args.output)
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
