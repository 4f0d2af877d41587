"""A training recipe: everything that decides what the weights will be."""

import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from babyseg_py.errors import UnusableData
from babyseg_py.labels import LABELS
from babyseg_py.models.groupnet import GroupNetConfig
from babyseg_py.models.weights import RECIPES, TWO_LOOKS
from babyseg_py.synthesis.ranges import Ranges
from babyseg_py.training.losses import LOSSES

SHIPPED = Path(__file__).parent / "recipes"
CHOICES = {
    "loss": tuple(LOSSES),
    "fall": ("linear", "cosine"),
    "precision": ("bf16", "fp32"),
    "inference": tuple(RECIPES),
}

LIMITS = {
    **dict.fromkeys(
        ("batch", "steps", "workers", "save_every", "validate_every", "validation_samples"), (1, 1e9)
    ),
    **dict.fromkeys(("warmup", "ease_from", "ease_in", "two_scans_from", "seed"), (0, 1e9)),
    **dict.fromkeys(("decay", "ema"), (0.0, 1.0)),
    **dict.fromkeys(("learning_rate", "clip"), (1e-15, math.inf)),
    "weight_decay": (0.0, 1.0),
}


@dataclass(frozen=True)
class Recipe:
    """Settings of a training run; see the comments for what each is for."""

    bank: str  # packed label maps, made by `babyseg train --pack`
    network: GroupNetConfig
    synthesis: Ranges = field(default_factory=lambda: Ranges.from_dict({}))
    held_out: tuple[str, ...] = ()  # names of maps that are never trained on
    steps: int = 10000  # optimiser steps in all
    batch: int = 1  # visits in a step, shared by all processes that train together
    loss: str = "cross_entropy_dice"  # or soft_dice, the published one
    learning_rate: float = 2e-3
    warmup: int = 200  # steps of linear increase
    decay: float = 0.25  # last share of the steps, in which the rate falls to a hundredth
    fall: str = "linear"  # how it falls: linear or cosine
    ease_from: int = 0  # steps on clean contrasts alone, which teach the network to look at intensities
    ease_in: int = 2000  # steps in which synthesis then grows from clean to its full ranges
    two_scans_from: int = 0  # first step with visits of several scans
    inference: str = TWO_LOOKS  # how exported weights see an image: two-looks or fixed-grid
    weight_decay: float = 1e-4
    clip: float = 2.0  # largest norm of the gradient
    ema: float = 0.999  # share of the old in the running mean of the weights
    precision: str = "bf16"  # or fp32
    workers: int = 1  # processes that synthesise; does not change the result
    save_every: int = 200  # steps between checkpoints
    validate_every: int = 500
    validation_samples: int = 16
    tensorboard: bool = True  # write event files beside the checkpoint
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}, not one of {', '.join(allowed)}")
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}, not from {low:g} to {high:g}")


def read_recipe(path: Path | str) -> Recipe:
    """Read a recipe from YAML.

    Parameters
    ----------
    path : Path or str
        File, or the name of a recipe that the package ships, such as ``tiny``.

    Raises
    ------
    UnusableData
        If the file is not YAML or a setting is unknown or missing.
    """
    path = Path(path)
    if str(path) in shipped_recipes():
        path = SHIPPED / f"{path}.yaml"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        advice = f"give a recipe in YAML, or one of {', '.join(shipped_recipes())}"
        raise UnusableData(str(path), f"cannot be read ({problem})", advice) from problem
    if not isinstance(values, dict):
        raise UnusableData(str(path), "holds no settings", "see docs/training.md for the settings")
    return recipe_from_dict(values, where=str(path))


def shipped_recipes() -> list[str]:
    """Names of the recipes that the package ships."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def _number(name: str, value: Any) -> int | float:
    """Read a setting that is a number; YAML takes 1e-3, without a point, for text."""
    wanted = int if isinstance(getattr(Recipe, name), int) else float
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {value!r}, not a number") from None
    if isinstance(value, bool) or (wanted is int and not number.is_integer()):
        raise ValueError(f"{name} is {value!r}, not a {'whole ' if wanted is int else ''}number")
    return wanted(number)


def recipe_from_dict(values: dict[str, Any], *, where: str = "recipe") -> Recipe:
    """Build a recipe from plain values, naming what is unknown or missing."""
    known = {f.name for f in fields(Recipe)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise UnusableData(
            where, f"unknown settings {', '.join(unknown)}", f"known are {', '.join(sorted(known))}"
        )
    missing = sorted({"bank", "network"} - set(values))
    if missing:
        raise UnusableData(where, f"settings {', '.join(missing)} are missing", "see docs/training.md")
    values = dict(values)
    try:
        values["network"] = GroupNetConfig.from_dict(values["network"])
        values["synthesis"] = Ranges.from_dict(values.get("synthesis") or {})
        held_out = values.get("held_out") or ()
        if isinstance(held_out, str):
            raise ValueError(f"held_out is {held_out!r}, not a list of names")
        values["held_out"] = tuple(held_out)
        values |= {name: _number(name, values[name]) for name in LIMITS if name in values}
        if not isinstance(values["bank"], str) or not isinstance(values.get("tensorboard", True), bool):
            raise ValueError("bank is the name of a file, and tensorboard true or false")
        recipe = Recipe(**values)
    except (TypeError, ValueError, AttributeError) as problem:
        raise UnusableData(where, str(problem), "see docs/training.md for the settings") from problem
    if recipe.network.classes != len(LABELS):
        what = f"the network has {recipe.network.classes} classes"
        raise UnusableData(where, what, f"there are {len(LABELS)} labels, background included")
    multiple = recipe.network.multiple
    if any(side < multiple or side % multiple for side in recipe.synthesis.grid):
        grid = " × ".join(map(str, recipe.synthesis.grid))
        raise UnusableData(
            where, f"the grid {grid} does not suit the network", f"use multiples of {multiple}"
        )
    return recipe
