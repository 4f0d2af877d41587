"""How far synthesis goes: every range is in ``ranges.yaml``, with its meaning."""

from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

Pair = tuple[float, float]


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
    zero_background: float
    own_head: float
    grafted: float
    graft_gap_mm: Pair
    graft_thinner: Pair
    csf_mm: Pair
    skull_mm: Pair
    scalp_mm: Pair
    fat_mm: Pair
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
            If a name is unknown or a value is not of the kind of the package's.
        """
        defaults = _defaults()
        unknown = sorted(set(changes) - set(defaults))
        if unknown:
            raise ValueError(f"unknown synthesis settings {unknown}")
        for name, value in changes.items():
            if _kind(value) != _kind(defaults[name]):
                raise ValueError(f"synthesis setting {name} is {value!r}, not like {defaults[name]!r}")
        return cls(**{name: _plain(value) for name, value in (defaults | changes).items()})


@cache
def _defaults() -> dict[str, Any]:
    text = files("babyseg_py.synthesis").joinpath("ranges.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    names = {field.name for field in fields(Ranges)}
    if set(values) != names:
        raise ValueError(f"ranges.yaml and Ranges differ in {sorted(set(values) ^ names)}")
    return values


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
