"""Corrections by hand, simulated on digital infants: what five of them mend, and what is forgotten.

Label maps of digital infants are biased: the shell of one structure is called what lies around it. A network
learns from biased maps; then `babyseg finetune` goes on with the true maps of some other children. Dice is
measured on synthetic visits of true maps of children that neither saw.

    .venv/bin/python benchmarks/bench_finetune.py [--steps N] [--grid N] [--children N] [--structures 10,49]
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from edt import edt
from scipy.ndimage import distance_transform_edt

from babyseg_py.images import Volume
from babyseg_py.labels import LABELS, structure_name
from babyseg_py.labels.merge import merge_labels
from babyseg_py.models.groupnet import GroupNet
from babyseg_py.models.memory import keep_freed_memory
from babyseg_py.models.weights import ModelInfo, Networks, Preprocessing
from babyseg_py.synthesis.digital_infant import draw_child, grow, load_model
from babyseg_py.synthesis.labelbank import LabelBank, save_bank
from babyseg_py.synthesis.labelbank_build import describe_map, make_bank
from babyseg_py.training.finetune import Job, finetune
from babyseg_py.training.loop import Trainer
from babyseg_py.training.losses import hard_dice
from babyseg_py.training.recipe import Recipe, recipe_from_dict
from babyseg_py.training.samples import validation_visits

AGES = (1.0, 24.0)  # months
CORRECTED, TESTED = 5, 4


def grown(number: int) -> tuple[Volume, float]:
    """Grow a child of its own; labels and age in months."""
    generator = np.random.default_rng((2026, number))
    model = load_model()
    age = float(generator.uniform(*AGES))
    anatomy = grow(model, draw_child(model, generator), age, spacing_mm=1.5)
    return Volume(merge_labels(anatomy.data, anatomy.affine), anatomy.affine), age


def biased(labels: Volume, structures: tuple[int, ...], shell_mm: float) -> Volume:
    """Give the outermost millimetres of structures to what lies nearest."""
    data = labels.data.copy()
    spacing = tuple(float(s) for s in labels.spacing_mm)
    for label in structures:
        inside = labels.data == label
        shell = inside & (edt(inside, anisotropy=spacing) <= shell_mm)
        place = distance_transform_edt(inside, sampling=spacing, return_distances=False, return_indices=True)
        data[shell] = labels.data[tuple(axis[shell] for axis in place)]
    return labels.with_data(data)


def bank_of(maps: list[tuple[Volume, float]]) -> LabelBank:
    """Bank of some children."""
    return make_bank([describe_map(m, name=str(i), age_months=age) for i, (m, age) in enumerate(maps)])


def dice(network: GroupNet, bank: LabelBank, recipe: Recipe) -> torch.Tensor:
    """Mean Dice of each channel on synthetic visits of a bank."""
    rows = []
    for _, images, target in validation_visits(bank, recipe):
        with torch.inference_mode():
            found = network(images[None])[0].argmax(dim=0)
        rows.append(hard_dice(found, target, len(LABELS)))
    return torch.stack(rows).nanmean(dim=0)


def main() -> None:
    """Train, correct, go on, and print the Dice before and after."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=3000, help="of the first training; a fifth of it after")
    parser.add_argument("--grid", type=int, default=64, help="side of the window in voxels")
    parser.add_argument("--children", type=int, default=10, help="of the first training")
    parser.add_argument("--structures", default="10,49", help="label numbers that are biased")
    parser.add_argument("--shell-mm", type=float, default=3.0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(args.threads)
    structures = tuple(int(label) for label in args.structures.split(","))

    people = [grown(number) for number in range(args.children + CORRECTED + TESTED)]
    wrong = bank_of([(biased(m, structures, args.shell_mm), age) for m, age in people[: args.children]])
    corrected = bank_of(people[args.children : -TESTED])
    tested = bank_of(people[-TESTED:])
    with tempfile.TemporaryDirectory() as folder:
        run(args, structures, (wrong, corrected, tested), Path(folder))


def run(
    args: argparse.Namespace, structures: tuple[int, ...], banks: tuple[LabelBank, ...], folder: Path
) -> None:
    """Train on biased maps, go on with corrected ones, and print both on tested ones."""
    wrong, corrected, tested = banks
    save_bank(wrong, folder / "wrong.npz")
    side = args.grid
    common = {
        "bank": str(folder / "wrong.npz"),
        "network": {
            "encoder": [8, 16, 24],
            "decoder": [24, 24, 16],
            "head": [8],
            "norm": True,
            "shared": True,
        },
        "synthesis": {
            "grid": [side] * 3,
            "brain_voxels": [0.62 * side, 0.75 * side],
            "shift_voxels": side / 16,
            "polarised": True,
        },
        "tensorboard": False,
        "validation_samples": 12,
    }
    first = recipe_from_dict(
        common
        | {
            "steps": args.steps,
            "ease_in": args.steps // 3,
            "validate_every": args.steps,
            "learning_rate": 4e-3,
        }
    )
    trainer = Trainer(first, folder / "first")
    trainer.run()
    steps = args.steps // 5
    second = recipe_from_dict(
        common | {"steps": steps, "ease_in": 0, "warmup": 20, "validate_every": steps, "learning_rate": 1e-3,
                  "decay": 0.5, "ema": 0.98}
    )  # fmt: skip
    info = ModelInfo(LABELS, first.network, Preprocessing(), {})
    before = dice(trainer.mean, tested, second)
    job = Job(wrong, corrected, structures)
    tuned, _, _ = finetune(job, second, (Networks(trainer.mean, trainer.mean), info), folder / "second")
    after = dice(tuned.segment, tested, second)
    print("\n| structure | before | after |\n| --- | --- | --- |")
    for channel, label in enumerate(LABELS[1:], start=1):
        mark = " (corrected)" if label in structures else ""
        print(f"| {structure_name(label)}{mark} | {before[channel]:.3f} | {after[channel]:.3f} |")
    others = [channel for channel, label in enumerate(LABELS) if label and label not in structures]
    mended = [LABELS.index(label) for label in structures]
    print(f"\ncorrected: {(after - before)[mended].mean():+.3f}; ", end="")
    print(f"others: mean {(after - before)[others].mean():+.3f}, worst {(after - before)[others].min():+.3f}")


if __name__ == "__main__":
    main()
