"""Parameters of one synthetic visit, drawn before anything is computed.

``draw_params`` returns plain numbers, so that a sample can be stored as JSON and made again.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from babyseg_py.synthesis.labelbank import LabelBank
from babyseg_py.synthesis.tissues import CONTRASTS, tissue_table

Params = dict[str, Any]
GREY = ("cortex", "hippocampus", "amygdala", "caudate", "putamen", "accumbens", "cerebellar_cortex")
MYELINATION_MONTHS = (3.0, 12.0)


@dataclass(frozen=True)
class Ranges:
    """How far synthesis goes. Pairs are uniform ranges, single numbers probabilities or largest values."""

    grid: tuple[int, int, int] = (80, 96, 80)  # voxels of the window
    brain_voxels: tuple[float, float] = (50.0, 67.0)  # cube root of the brain's volume, in voxels
    young_weight: float = 0.46  # share of maps up to 4 months
    adult_weight: float = 0.14  # share of adult maps
    stretch: float = 0.05  # sd of the log scale of each axis
    rotation_deg: float = 20.0
    shear: float = 0.08
    shift_voxels: float = 7.0
    coarse_warp_mm: float = 3.0  # largest sd, control points 32 mm apart
    fine_warp_mm: float = 1.0  # largest sd, control points 13 mm apart
    bare_brain: float = 0.5  # probability of a skull-stripped image
    rim_mm: tuple[float, float] = (0.0, 4.5)  # what a skull-strip leaves around the brain
    zero_background: float = 0.85
    cerebrum_only: float = 0.0  # probability that a bare brain lacks cerebellum and brain stem
    realistic: float = 0.75  # probability of tissue priors; otherwise random contrast
    follow_map_age: float = 0.7  # probability that maturity of the contrast follows the map's age
    inverted: float = 0.05
    mean_jitter: float = 0.05  # sd of tissue means around the prior
    compression: tuple[float, float] = (0.5, 1.15)  # of the priors' contrast around their mean
    spread: tuple[float, float] = (0.005, 0.05)  # sd within a tissue
    texture: float = 0.08  # largest sd of smooth texture
    blur_voxels: tuple[float, float] = (0.25, 0.8)  # sigma
    thick: float = 0.25  # probability of thick slices
    thickness: tuple[float, float] = (1.3, 3.5)  # in voxels
    bias: float = 0.3  # largest log sd of the bias field
    noise: float = 0.045
    ghost: float = 0.15  # probability of a motion ghost
    gamma_sd: float = 0.22
    two_scans: float = 0.0  # probability of two scans of the visit
    polarised: bool = False  # invert images in which white matter is darker than cortex

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Ranges":
        """Build from a recipe; an unknown key is an error."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"unknown synthesis settings {unknown}")
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**plain)


def draw_params(
    generator: np.random.Generator, bank: LabelBank, ranges: Ranges, *, hard: float = 1
) -> Params:
    """Draw the parameters of one visit.

    Parameters
    ----------
    generator : np.random.Generator
        Source of all randomness.
    bank : LabelBank
        Label maps to choose from.
    ranges : Ranges
        How far to go.
    hard : float
        0 for clean, well separated contrasts, 1 for the full ranges.

    Returns
    -------
    dict
        Numbers, strings and lists only.
    """
    number = _choose_map(generator, bank, ranges)
    scans = 2 if generator.random() < ranges.two_scans else 1
    chosen = bank.maps[number]
    return {
        "map": number,
        "grid": list(ranges.grid),
        "polarised": ranges.polarised,
        "anatomy": _draw_anatomy(generator, ranges),
        "surroundings": _draw_surroundings(generator, ranges, has_head=chosen.has_head),
        "scans": [_draw_scan(generator, ranges, chosen.age_months, hard) for _ in range(scans)],
    }


def _choose_map(generator: np.random.Generator, bank: LabelBank, ranges: Ranges) -> int:
    ages = [m.age_months for m in bank.maps]
    groups = {
        "young": [i for i, age in enumerate(ages) if age is not None and age <= 4],
        "older": [i for i, age in enumerate(ages) if age is not None and age > 4],
        "adult": [i for i, age in enumerate(ages) if age is None],
    }
    weights = {"young": ranges.young_weight, "adult": ranges.adult_weight}
    weights["older"] = 1 - sum(weights.values())
    names = [name for name, members in groups.items() if members]
    total = sum(weights[name] for name in names)
    name = generator.choice(names, p=[weights[name] / total for name in names])
    return int(generator.choice(groups[name]))


def _draw_anatomy(generator: np.random.Generator, ranges: Ranges) -> Params:
    low, high = np.log(ranges.brain_voxels)
    return {
        "flip": bool(generator.random() < 0.5),
        "brain_voxels": float(np.exp(generator.uniform(low, high))),
        "stretch": np.exp(generator.normal(0, ranges.stretch, 3)).tolist(),
        "rotation_deg": generator.uniform(-ranges.rotation_deg, ranges.rotation_deg, 3).tolist(),
        "shear": generator.uniform(-ranges.shear, ranges.shear, 3).tolist(),
        "shift_voxels": generator.uniform(-ranges.shift_voxels, ranges.shift_voxels, 3).tolist(),
        "coarse_warp_mm": float(generator.uniform(0, ranges.coarse_warp_mm)),
        "fine_warp_mm": float(generator.uniform(0, ranges.fine_warp_mm)),
        "seed": _seed(generator),
    }


def _draw_surroundings(generator: np.random.Generator, ranges: Ranges, *, has_head: bool) -> Params:
    bare = bool(generator.random() < ranges.bare_brain)
    return {
        "bare": bare,
        "cerebrum_only": bare and bool(generator.random() < ranges.cerebrum_only),
        "own_head": has_head and bool(generator.random() < 0.8),
        "rim_mm": float(generator.uniform(*ranges.rim_mm)),
        "rim_unevenness": float(generator.uniform(0, 0.8)),
        "csf_mm": float(generator.uniform(0.5, 6)),
        "skull_mm": float(generator.uniform(0.5, 3.5)),
        "scalp_mm": float(generator.uniform(2, 7)),
        "fat_mm": float(generator.uniform(0, 6)),
        "clutter": bool(generator.random() < 0.6),
        "zero_background": bool(generator.random() < ranges.zero_background),
        "seed": _seed(generator),
    }


def _draw_scan(
    generator: np.random.Generator, ranges: Ranges, age_months: float | None, hard: float
) -> Params:
    low, high = ranges.spread
    thick = generator.random() < ranges.thick * hard
    means, contrast = draw_contrast(generator, ranges, age_months, hard)
    tissues = len(means)
    return {
        "contrast": contrast,
        "means": means.tolist(),
        "spreads": (low + hard * (high - low) * generator.random(tissues) * generator.random()).tolist(),
        "textures": (hard * ranges.texture * generator.random(tissues) * generator.random()).tolist(),
        "texture_voxels": float(generator.uniform(4, 10)),
        "blur_voxels": (generator.uniform(*ranges.blur_voxels, 3) * (0.5 + 0.5 * hard)).tolist(),
        "thick_axis": int(generator.integers(3)) if thick else -1,
        "thickness": float(generator.uniform(*ranges.thickness)),
        "bias": float(hard * generator.uniform(0, ranges.bias)),
        "bias_voxels": float(generator.uniform(25, 60)),
        "noise": float(hard * generator.uniform(0, ranges.noise)),
        "rician": bool(generator.random() < 0.5),
        "ghost": float(generator.uniform(0.03, 0.15)) if generator.random() < ranges.ghost * hard else 0.0,
        "ghost_axis": int(generator.integers(3)),
        "ghost_shift": float(generator.uniform(0.15, 0.5)),
        "gamma": float(np.exp(hard * generator.normal(0, ranges.gamma_sd))),
        "seed": _seed(generator),
    }


def draw_contrast(
    generator: np.random.Generator, ranges: Ranges, age_months: float | None, hard: float
) -> tuple[np.ndarray, str]:
    """Draw tissue means, (T,), and name the contrast.

    Realistic contrasts are T1w and T2w priors between birth and full myelination; at low ``hard`` random
    contrasts keep the grey and the white matter well apart.
    """
    table = tissue_table()
    if generator.random() < ranges.realistic:
        kind = int(generator.integers(len(CONTRASTS)))
        maturity = _draw_maturity(generator, ranges, age_months)
        prior = (1 - maturity) * table.means[kind, 0] + maturity * table.means[kind, 1]
        centre = prior[1:20].mean()
        compression = 1 + hard * (generator.uniform(*ranges.compression) - 1)
        means = centre + (prior - centre) * compression
        means = means + hard * generator.normal(0, ranges.mean_jitter, len(means))
        means[table.number("deep_white_matter")] += hard * generator.normal(0, 0.02)
        if generator.random() < ranges.inverted:
            means = 1 - means
        means[0] = 0
        return np.clip(means, 0, 1.2), f"{CONTRASTS[kind]} {maturity:.2f}"

    means = generator.random(len(table.names))
    cortex, white = table.number("cortex"), table.number("white_matter")
    apart = 0.25 * (1 - hard) + 0.06
    while abs(means[cortex] - means[white]) < apart:
        means[[cortex, white]] = generator.random(2)
    means[table.number("deep_white_matter")] = means[white] + generator.normal(0, 0.03)
    if generator.random() < 0.7:
        for name in GREY:
            means[table.number(name)] = means[cortex] + generator.normal(0, 0.05)
    if generator.random() < 0.7:
        for name in ("lateral_ventricle", "midline_ventricle"):
            means[table.number(name)] = means[table.number("csf")] + generator.normal(0, 0.02)
    means[0] = 0 if generator.random() < 0.8 else generator.random()
    return np.clip(means, 0, 1.2), "random"


def _draw_maturity(generator: np.random.Generator, ranges: Ranges, age_months: float | None) -> float:
    if generator.random() > ranges.follow_map_age:
        return float(generator.random())
    start, end = MYELINATION_MONTHS
    age = end if age_months is None else age_months
    expected = np.clip((age - start) / (end - start), 0, 1)
    return float(np.clip(expected + generator.normal(0, 0.15), 0, 1))


def _seed(generator: np.random.Generator) -> int:
    return int(generator.integers(2**31))
