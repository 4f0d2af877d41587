"""Corrections by hand, simulated: what five corrected sessions mend in the default weights, and what is lost.

    python benchmarks/bench_finetune.py [FOLDER] [--structures 10,49] [--shell-mm MM] [--samples N]

A lab draws some structures smaller than the default weights do: by their outermost millimetres, which belong
to what lies around. Five digital infants are corrected that way, and `babyseg finetune` goes on from the
default weights with their label maps, keeping the bank of the first training (runs/labelbank.npz,
docs/training.md). Dice before and after is measured through the whole way from image to labels: on T1w and
T2w scans of four other digital infants, against maps in the way of the lab, and on synthetic visits of a map
of another data set that was never trained on (in ../shared/data), where only the other structures count. Half
an hour on two cores; FOLDER (default runs/finetune) keeps the checkpoint for the next time.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from bench_accuracy import HELD_OUT, by_structure, dice, held_out_bank, segment, synthetic
from edt import edt
from scipy.ndimage import distance_transform_edt

from babyseg_py.images import Volume
from babyseg_py.images.geometry import resample
from babyseg_py.labels import LABELS, structure_name
from babyseg_py.labels.merge import merge_labels
from babyseg_py.models.default import default_weights
from babyseg_py.models.memory import keep_freed_memory
from babyseg_py.segmentation.inference import Segmenter, load_segmenter
from babyseg_py.synthesis.digital_infant import draw_child, grow, load_model
from babyseg_py.synthesis.digital_infant_images import Scan, make_scene, take_scan
from babyseg_py.synthesis.labelbank import load_bank
from babyseg_py.synthesis.labelbank_build import describe_map, make_bank
from babyseg_py.training.finetune import Job, finetune, finetune_recipe

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
AGES = (1.0, 24.0)  # months
CORRECTED, TESTED = 5, 4
SPACING_MM = 1.0


def grown(number: int) -> tuple[Volume, float]:
    """Grow a digital infant of its own; its parts and age in months."""
    generator = np.random.default_rng((2026, number))
    model = load_model()
    age = float(generator.uniform(*AGES))
    return grow(model, draw_child(model, generator), age, spacing_mm=SPACING_MM), age


def as_the_lab(anatomy: Volume, structures: tuple[int, ...], shell_mm: float) -> Volume:
    """Labels in which the outermost millimetres of some structures belong to what lies nearest."""
    labels = merge_labels(anatomy.data, anatomy.affine)
    data = labels.copy()
    spacing = tuple(float(s) for s in anatomy.spacing_mm)
    for label in structures:
        inside = labels == label
        shell = inside & (edt(inside, anisotropy=spacing) <= shell_mm)
        place = distance_transform_edt(inside, sampling=spacing, return_distances=False, return_indices=True)
        data[shell] = labels[tuple(axis[shell] for axis in place)]
    return Volume(data, anatomy.affine)


def seen(number: int, structures: tuple[int, ...], shell_mm: float) -> list[tuple[Volume, np.ndarray]]:
    """Return scans of a digital infant, T1w and T2w, with the lab's labels on their grids."""
    anatomy, age = grown(number)
    labels = as_the_lab(anatomy, structures, shell_mm)
    scene = make_scene(anatomy, age, np.random.default_rng((number, 1)), with_head=True)
    pairs = []
    for suffix in ("T1w", "T2w"):
        image = take_scan(scene, Scan(suffix, (SPACING_MM,) * 3, seed=number))
        pairs.append((image, resample(labels, image.shape, image.affine, order=0).data))
    return pairs


def measure(
    segmenter: Segmenter, tested: list[tuple[Volume, np.ndarray]], samples: int
) -> tuple[dict[int, float], dict[int, float]]:
    """Dice of each structure on scans of other children, and on synthetic visits of another map."""
    children = [dice(segment(segmenter, image), labels) for image, labels in tested]
    visits = synthetic(segmenter, held_out_bank(DATA, HELD_OUT), samples)
    return by_structure(children), by_structure(visits)


def main() -> None:
    """Correct, go on, and print the Dice before and after."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "runs" / "finetune")
    parser.add_argument("--structures", default="10,49", help="label numbers that the lab draws smaller")
    parser.add_argument("--shell-mm", type=float, default=2.0)
    parser.add_argument("--samples", type=int, default=8, help="synthetic visits of the other map")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(args.threads)
    structures = tuple(int(label) for label in args.structures.split(","))

    maps = []
    for number in range(CORRECTED):
        anatomy, age = grown(number)
        labels = as_the_lab(anatomy, structures, args.shell_mm)
        maps.append(describe_map(labels, name=f"sub-{number}", age_months=age))
    tested = [
        pair
        for number in range(CORRECTED, CORRECTED + TESTED)
        for pair in seen(number, structures, args.shell_mm)
    ]
    segmenter = load_segmenter(default_weights())
    before = measure(segmenter, tested, args.samples)
    bank = load_bank(ROOT / "runs" / "labelbank.npz")
    kept = replace(bank, maps=tuple(m for m in bank.maps if m.name not in HELD_OUT))
    job = Job(kept, make_bank(maps), structures)
    recipe = finetune_recipe(None, segmenter.info)
    networks, _, _ = finetune(job, recipe, (segmenter.networks, segmenter.info), args.folder)
    after = measure(replace(segmenter, networks=networks, calibration=None), tested, args.samples)
    show(before, after, structures)


def show(
    before: tuple[dict[int, float], ...], after: tuple[dict[int, float], ...], structures: tuple[int, ...]
) -> None:
    """Print the Dice of every structure, and what the corrected and the others gained and lost."""
    print("\n| structure | other children, before | after | other map, before | after |\n|" + " --- |" * 5)
    for label in LABELS[1:]:
        corrected = label in structures
        cells = [f"{when[0][label]:.3f}" for when in (before, after)]
        cells += ["", ""] if corrected else [f"{when[1][label]:.3f}" for when in (before, after)]
        mark = " (corrected)" if corrected else ""
        print(f"| {structure_name(label)}{mark} | {' | '.join(cells)} |")
    for place, where in enumerate(("other children", "other map")):
        gains = {label: after[place][label] - before[place][label] for label in LABELS[1:]}
        others = {label: gain for label, gain in gains.items() if label not in structures}
        worst = min(others, key=others.__getitem__)
        print(f"\n{where}: others {np.mean(list(others.values())):+.3f}, ", end="")
        print(f"worst {structure_name(worst)} {others[worst]:+.3f}", end="")
        if place == 0:
            print(f"; corrected {np.mean([gains[label] for label in structures]):+.3f}", end="")
    print()


if __name__ == "__main__":
    main()
