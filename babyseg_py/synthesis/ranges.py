"""How far synthesis goes: every range is in ``ranges.yaml``, with its meaning."""

import math
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

Pair = tuple[float, float]
SIGNED = ("between_weight", "growth_mm")
SHARES = (
    *("young_weight", "adult_weight", "between", "growth", "open_sulci", "sulci_share", "white_gain"),
    *("cerebrum_only", "lesions", "lesion_share", "bare_brain", "zero_background", "own_head", "grafted"),
    *("clutter", "realistic", "follow_map_age", "inverted", "myelination", "shared", "merged", "split"),
    *("two_scans", "thick", "box_profile", "ghost", "ghost_size", "ghost_shift", "gibbs", "gibbs_kept"),
    *("spikes", "lines", "dropout", "rician", "crop", "crop_share", "masked"),
    *("bitten", "more_fluid", "hair", "misregistered", "low_resolution"),
)
# Finer fields need memory without end; shares are drawn by their logarithm.
LEAST = {
    **{"brain_voxels": 4, "bias_voxels": 1, "texture_voxels": 1, "lesion_voxels": 1},
    "lesion_share": 1e-6,
}


@dataclass(frozen=True)
class Ranges:
    """Ranges and probabilities of all effects; ``ranges.yaml`` says what each means."""

    grid: tuple[int, int, int]
    brain_voxels: Pair
    young_weight: float
    adult_weight: float
    stretch: float
    rotation_deg: float
    shear: float
    shift_voxels: float
    coarse_warp_mm: float
    fine_warp_mm: float
    between: float
    between_weight: Pair
    growth: float
    growth_mm: Pair
    open_sulci: float
    sulci_share: Pair
    white_gain: float
    white_gain_mm: Pair
    cerebrum_only: float
    lesions: float
    lesion_share: Pair
    lesion_voxels: Pair
    bare_brain: float
    rim_mm: Pair
    rim_unevenness: Pair
    bitten: float
    bite_count: Pair
    bite_depth: Pair
    bite_voxels: Pair
    zero_background: float
    own_head: float
    grafted: float
    graft_gap_mm: Pair
    graft_thinner: Pair
    csf_mm: Pair
    skull_mm: Pair
    scalp_mm: Pair
    fat_mm: Pair
    more_fluid: float
    more_fluid_mm: Pair
    hair: float
    hair_mm: Pair
    clutter: float
    realistic: float
    follow_map_age: float
    inverted: float
    mean_jitter: float
    compression: Pair
    myelination: float
    myelination_size: float
    shared: float
    merged: float
    split: float
    split_sd: float
    spread: Pair
    texture: float
    texture_voxels: Pair
    polarised: bool
    two_scans: float
    most_scans: int
    misregistered: float
    misregistered_deg: float
    misregistered_voxels: float
    low_resolution: float
    resolution_voxels: Pair
    blur_voxels: Pair
    thick: float
    thickness: Pair
    box_profile: float
    ghost: float
    ghost_size: Pair
    ghost_shift: Pair
    gibbs: float
    gibbs_kept: Pair
    spikes: float
    spike_size: Pair
    lines: float
    line_count: Pair
    dropout: float
    dropout_voxels: Pair
    bias: float
    bias_voxels: Pair
    noise: float
    rician: float
    crop: float
    crop_share: Pair
    masked: float
    gamma_sd: float

    @classmethod
    def from_dict(cls, changes: dict[str, Any]) -> "Ranges":
        """Build from the ranges of the package and some that differ.

        Raises
        ------
        ValueError
            If a name is unknown, a value is not of the kind of the package's, or it can mean nothing: a range
            whose ends are in the wrong order, a negative size, a probability above 1.
        """
        defaults = _defaults()
        unknown = sorted(set(changes) - set(defaults))
        if unknown:
            raise ValueError(f"unknown synthesis settings {unknown}")
        for name, value in changes.items():
            if _kind(value) != _kind(defaults[name]):
                raise ValueError(f"synthesis setting {name} is {value!r}, not like {defaults[name]!r}")
            _check(name, value)
        values = defaults | changes
        if values["young_weight"] + values["adult_weight"] > 1:
            raise ValueError(
                "synthesis settings young_weight and adult_weight are shares, together at most 1"
            )
        return cls(**{name: _plain(value) for name, value in values.items()})


@cache
def _defaults() -> dict[str, Any]:
    text = files("babyseg_py.synthesis").joinpath("ranges.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    names = {field.name for field in fields(Ranges)}
    if set(values) != names:
        raise ValueError(f"ranges.yaml and Ranges differ in {sorted(set(values) ^ names)}")
    return values


def _check(name: str, value: Any) -> None:
    """Raise `ValueError` if a setting of the right kind can mean nothing."""
    values = value if isinstance(value, (list, tuple)) else [value]
    numbers = [number for number in values if not isinstance(number, bool)]
    problem = ""
    if not all(math.isfinite(number) for number in numbers):
        problem = "has to be finite"
    elif name == "grid" and not all(isinstance(side, int) and side > 0 for side in values):
        problem = "has to be whole numbers of voxels"
    elif name == "thickness" and min(values) <= 0:
        problem = "has to be positive"
    elif name in LEAST and min(values) < LEAST[name]:
        problem = f"has to be {LEAST[name]:g} or more"
    elif name not in SIGNED and numbers and min(numbers) < 0:
        problem = "must not be negative"
    elif len(values) == 2 and values[0] > values[1]:
        problem = "has the larger end first"
    elif name in SHARES and max(values) > 1:
        problem = "is a share or a probability, at most 1"
    if problem:
        raise ValueError(f"synthesis setting {name} is {value!r}, which {problem}")


def _kind(value: Any) -> tuple[str, int]:
    """Whether a value is true or false, a number, or so many numbers; other things are their own kind."""
    if isinstance(value, bool):
        return "truth", 1
    if isinstance(value, (int, float)):
        return "number", 1
    if isinstance(value, (list, tuple)) and all(_kind(v) == ("number", 1) for v in value):
        return "numbers", len(value)
    return type(value).__name__, 0


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
