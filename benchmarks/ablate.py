"""What each part of the training data adds, and how weights do on maps that they never saw: docs/training.md.

    python benchmarks/ablate.py [--only NAME ...] [--clean N] [--steps N] [--samples N] [--threads N]

Small networks are trained by the trainer of the package, each by the same recipe but for one change, and go
through the whole way from image to labels with the first look of the default weights: the differences count,
not the height. All learn first from clean contrasts; those that have the maps and the network of ``base``
share these steps and part after them. ``fold`` variants together hold every infant map out once, the two of
one child together; they have the network of the default weights and finer voxels. ``reference`` is MONAI's
DynUNet in the manner of nnU-Net, trained on the samples of ``base`` for as long as that took. Runs and
figures are kept in ``runs/ablation``: what was ended goes on, what is there is not made again.
It needs ``runs/labelbank.npz`` (docs/training.md) and ../shared/data.
"""

import argparse
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _reference_network import train_reference
from bench_accuracy import AGES, HELD_OUT, adult, by_structure, held_out_bank, synthetic, template

from babyseg_py.labels import LABELS
from babyseg_py.models.default import default_weights
from babyseg_py.models.groupnet import GroupNet
from babyseg_py.models.memory import keep_freed_memory
from babyseg_py.segmentation.inference import load_segmenter
from babyseg_py.training.export import SHOWN
from babyseg_py.training.loop import CHECKPOINT, Trainer, split_bank
from babyseg_py.training.losses import hard_dice
from babyseg_py.training.recipe import Recipe, recipe_from_dict
from babyseg_py.training.samples import validation_visits
from babyseg_py.writing import appearing

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "runs" / "ablation"
DATA = ROOT.parent / "shared" / "data"
BASE: dict[str, Any] = {
    "bank": str(ROOT / "runs" / "labelbank.npz"),
    "network": {"classes": 22, "encoder": [16, 32, 48, 64], "decoder": [64, 64, 48, 24], "head": [16]},
    "held_out": list(HELD_OUT),
    "learning_rate": 3e-3,
    "ema": 0.99,
    "validation_samples": 6,
    "tensorboard": False,
}
BASE["network"] |= {"norm": True, "shared": True}
SYNTHESIS: dict[str, Any] = {
    "grid": [64, 80, 64],
    "brain_voxels": [36, 50],
    "polarised": True,
    "two_scans": 0.12,
    "grafted": 0.6,
    "myelination": 0.7,
    "between": 0.6,
    "growth": 0.5,
    "open_sulci": 0.65,
    "white_gain": 0.7,
}
VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "base": ({}, {}),
    "another seed": ({"seed": 1}, {}),
    "brains alone": ({}, {"bare_brain": 1.0}),
    "no grafted heads": ({}, {"grafted": 0.0}),
    "no adults": ({}, {"adult_weight": 0.0, "grafted": 0.0}),
    "random contrasts alone": ({}, {"realistic": 0.0}),
    "one maturity": ({}, {"myelination": 0.0}),
    "no anatomies between maps": ({}, {"between": 0.0, "growth": 0.0}),
    "no texture": ({}, {"texture": 0.0, "spread": [0.0, 0.0]}),
    "closed sulci": ({}, {"open_sulci": 0.0}),
    "white matter as in the maps": ({}, {"white_gain": 0.0}),
    "with lesions": ({}, {"lesions": 0.3}),
    "no curriculum": ({"ease_from": 0, "ease_in": 0, "two_scans_from": 0}, {}),
    "any polarity": ({}, {"polarised": False}),
    "single scans": ({}, {"two_scans": 0.0}),
    "coarser": ({}, {"grid": [48, 64, 48], "brain_voxels": [27, 37]}),
    "wider": (
        {
            "network": BASE["network"]
            | {"encoder": [24, 48, 72, 96], "decoder": [96, 96, 72, 32], "head": [24]}
        },
        {},
    ),
}
APART = ("no adults", "no curriculum", "coarser", "wider")  # from the first step on
FOLDS = (("1", "4", "5", "12"), ("2", "8", "6", "34-38"), ("3", "24", "7"))
# What is to be compared with nothing is trained as well as hours allow: the default's network, finer voxels.
OF_FOLDS: tuple[dict[str, Any], dict[str, Any]] = (
    {"network": BASE["network"] | {"encoder": [16, 32, 64, 96], "decoder": [96, 96, 64, 24], "head": [16]}},
    {"grid": [96, 112, 80], "brain_voxels": [50, 70]},
)
FOLDED = (2, 3, 41, 42)
COLUMNS = (
    ("alone", LABELS[1:]),
    ("in a head", LABELS[1:]),
    ("in a head", FOLDED),
    ("random contrast", LABELS[1:]),
    ("T1w against T2w", LABELS[1:]),
    ("T1w against T2w", FOLDED),
    ("adult", LABELS[1:]),
    ("brain", LABELS[1:]),
    ("head", LABELS[1:]),
    ("clean", LABELS[1:]),
)
Figures = dict[str, dict[str, float]]


def ages_months(names: tuple[str, ...]) -> dict[str, float]:
    """Names of maps and the ages that they stand for."""
    return {f"age-{name}mo": float(np.mean([float(a) for a in name.split("-")])) for name in names}


@dataclass(frozen=True)
class Length:
    """Steps on clean contrasts, and those after them."""

    clean: int
    full: int

    def __str__(self) -> str:
        return f"{self.clean}_{self.full}"


def variant_recipe(name: str, length: Length) -> tuple[Recipe, dict[str, float]]:
    """Recipe of a variant and the maps that it is tested on."""
    held_out = HELD_OUT
    changes, synthesis = VARIANTS.get(name, OF_FOLDS)
    if name.startswith("fold "):
        held_out = ages_months(tuple(name.removeprefix("fold ").split(" ")))
        changes = changes | {"held_out": list(held_out)}
    steps = length.clean + length.full
    pace = {
        "steps": steps,
        "validate_every": steps,
        "ease_from": length.clean,
        "ease_in": length.full // 4,
        "two_scans_from": length.clean,
        "decay": 0.5 * length.full / steps,
    }
    values = BASE | pace | changes
    return recipe_from_dict(values | {"synthesis": SYNTHESIS | synthesis}), held_out


def measure(network: GroupNet, recipe: Recipe, held_out: dict[str, float], samples: int) -> Figures:
    """Mean Dice of each structure by column, with the network in the place of the default second look's."""
    default = load_segmenter(default_weights())
    low, high = recipe.synthesis.brain_voxels
    shown = replace(default.info.preprocessing, brain_voxels=low * (high / low) ** SHOWN)
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    segmenter = replace(
        default,
        networks=replace(default.networks, segment=network),
        info=replace(default.info, network=network.config, preprocessing=shown),
        calibration=None,
    )
    bank = held_out_bank(DATA, held_out)
    rows = {
        "alone": synthetic(segmenter, bank, samples, bare_brain=1.0),
        "in a head": synthetic(segmenter, bank, samples, bare_brain=0.0),
        "random contrast": synthetic(segmenter, bank, samples, realistic=0.0),
        "T1w against T2w": [template(segmenter, DATA, age)[0] for age in AGES],
        "adult": [adult(segmenter, DATA)],
    }
    return {
        column: {str(k): round(v, 4) for k, v in by_structure(found).items()}
        for column, found in rows.items()
    }


def in_the_window(network: torch.nn.Module, recipe: Recipe) -> Figures:
    """Mean Dice of each structure on the window of visits of held-out maps, by the network alone."""
    shown = replace(recipe, validation_samples=24)
    rows: dict[str, list[dict[int, float]]] = {}
    for kind, images, target in validation_visits(split_bank(shown)[1], shown):
        with torch.inference_mode():
            found = network(images[None])[0].argmax(dim=0)
        values = hard_dice(found, target, len(LABELS)).tolist()
        rows.setdefault(kind, []).append(
            {label: v for label, v in zip(LABELS, values, strict=True) if label and not np.isnan(v)}
        )
    return {kind: {str(k): round(v, 4) for k, v in by_structure(r).items()} for kind, r in rows.items()}


def shared_start(folder: Path, length: Length) -> None:
    """Let a run begin where the clean steps of ``base`` end."""
    if (folder / CHECKPOINT).exists():
        return
    recipe, _ = variant_recipe("base", length)
    first = RUNS / f"start_{length.clean}"
    Trainer(replace(recipe, steps=length.clean, decay=0.0, validate_every=200), first).run()
    folder.mkdir(parents=True, exist_ok=True)
    with appearing(folder / CHECKPOINT) as partial:
        shutil.copyfile(first / CHECKPOINT, partial)


def make(name: str, length: Length, samples: int) -> Figures:
    """Train and measure a variant, unless that was done."""
    folder = RUNS / f"{name.replace(' ', '-')}_{length}"
    kept = folder / "figures.json"
    if kept.exists():
        return json.loads(kept.read_text(encoding="utf-8"))
    recipe, held_out = variant_recipe("base" if name == "reference" else name, length)
    if name == "reference":
        base = torch.load(RUNS / f"base_{length}" / CHECKPOINT, map_location="cpu", weights_only=True)
        figures = in_the_window(train_reference(recipe, base["seconds"], folder), recipe)
    else:
        if name not in APART and not name.startswith("fold "):
            shared_start(folder, length)
        trainer = Trainer(recipe, folder)
        trainer.run()
        figures = measure(trainer.mean, recipe, held_out, samples)
        figures |= in_the_window(trainer.mean, recipe)
    with appearing(kept) as partial:
        partial.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return figures


def mean(figures: Figures, column: str, labels: tuple[int, ...] = LABELS[1:]) -> float:
    """Mean Dice over structures of a column; NaN if it was not measured."""
    found = [figures.get(column, {}).get(str(label), np.nan) for label in labels]
    return float(np.nanmean(found)) if not np.all(np.isnan(found)) else np.nan


def row(name: str, figures: Figures, base: Figures | None) -> str:
    """Row of the table: the base's Dice, or the difference to it."""
    cells = []
    for column, labels in COLUMNS:
        value = mean(figures, column, labels)
        if base is None:
            cells.append(f"{value:.3f}")
        else:
            cells.append(f"{value - mean(base, column, labels):+.3f}")
    return f"| {name} | {' | '.join('' if 'nan' in cell else cell for cell in cells)} |"


def main() -> None:
    """Make what is missing and print a table of all that is there."""
    names = [*VARIANTS, "reference", *(f"fold {' '.join(fold)}" for fold in FOLDS)]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=names, metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument("--clean", type=int, default=1000, help="steps on clean contrasts")
    parser.add_argument("--steps", type=int, default=600, help="steps after them")
    parser.add_argument("--samples", type=int, default=4, help="synthetic visits a column")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    if unknown := sorted(set(args.only) - set(names)):
        parser.error(f"no variants {unknown}")
    keep_freed_memory()
    torch.set_num_threads(args.threads)
    length = Length(args.clean, args.steps)
    folds = [name for name in args.only if name.startswith("fold ")]
    compared = [name for name in args.only if name not in ("base", *folds)]
    base = make("base", length, args.samples) if compared or not folds else None
    titles = [f"{column}{' (WM, cortex)' if labels == FOLDED else ''}" for column, labels in COLUMNS]
    lines = [
        f"| {length.clean} + {length.full} steps | {' | '.join(titles)} |",
        f"|{' --- |' * (len(COLUMNS) + 1)}",
    ]
    lines += [row("base", base, None)] if base else []
    lines += [row(name, make(name, length, args.samples), base) for name in compared]
    lines += [row(name, make(name, length, args.samples), None) for name in folds]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
