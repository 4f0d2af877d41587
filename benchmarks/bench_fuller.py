"""Dice of the parts of the fuller label set, on held-out synthetic visits and on a real scan.

    python benchmarks/bench_fuller.py [--bank runs/labelbank.npz] [--samples N] [--adult DIR]

The bank is the file that ``babyseg train --pack`` makes. Synthetic visits are made of the label maps that are
never trained on (3 and 24 months), brain alone and within a head in turn, each part measured where a map
tells it from all others. Dice is that of the whole way: a voxel that the 22 labels have elsewhere is wrong.
The real scan is the adult T1w of DIR (``adult_T1w.nii.gz``, ``adult_dseg.nii.gz``).
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from babyseg_py.images import load_labels
from babyseg_py.labels import LABELS
from babyseg_py.labels.fuller import channels_of, fuller_structures, parts
from babyseg_py.models.refiner import shares
from babyseg_py.segmentation.from_files import load_model, segment_files
from babyseg_py.segmentation.inference import Segmenter, forward
from babyseg_py.synthesis.labelbank import LabelBank, load_bank
from babyseg_py.synthesis.randomise import draw_params
from babyseg_py.synthesis.ranges import Ranges
from babyseg_py.synthesis.synthesise import apply
from babyseg_py.training.refine import parts_of

HELD_OUT = ("age-24mo",)
SEED = 20
Found = dict[str, list[float]]


def synthetic(segmenter: Segmenter, bank: LabelBank, samples: int) -> Iterator[tuple[str, Found]]:
    """Dice of each part over synthetic visits of each held-out map."""
    ranges = Ranges.from_dict({"realistic": 1.0, "inverted": 0.0, "polarised": True})
    refiner, network = segmenter.refiner, segmenter.networks.segment
    assert refiner is not None, "the segmenter was loaded for the fuller labels"
    for name in HELD_OUT:
        own = replace(bank, maps=tuple(m for m in bank.maps if m.name == name))
        found: Found = {}
        for number in range(samples):
            bare = replace(ranges, bare_brain=float(number % 2))
            params = draw_params(np.random.default_rng((SEED, number)), own, bare)
            images, bits = apply(own, params).images, parts_of(own, params).numpy()
            direct, mirrored = (forward(segmenter, network, x) for x in (images, images.flip(1)))
            posteriors = (direct + mirrored[segmenter.mirrored_channels].flip(1)) / 2
            given = shares(refiner(images.mean(dim=0), posteriors))
            labels = np.array(LABELS)[posteriors.argmax(dim=0).numpy()]
            for channel, part in enumerate(parts()):
                siblings = channels_of(part.parent)
                share = given[siblings].argmax(dim=0).numpy() == siblings.index(channel)
                untold = (bits >> channel & 1 > 0) & (bits != 1 << channel)
                add(found, part.label, (labels == part.parent) & share & ~untold, bits == 1 << channel)
        yield name, found


def add(found: Found, label: int, predicted: np.ndarray, truth: np.ndarray) -> None:
    """Add the Dice of one part, if the truth has any."""
    if label and truth.any():
        dice = 2 * (predicted & truth).sum() / (predicted.sum() + truth.sum())
        found.setdefault(str(label), []).append(float(dice))


def adult(segmenter: Segmenter, folder: Path) -> Found:
    """Dice of each part on the real scan."""
    labels = segment_files(segmenter, [folder / "adult_T1w.nii.gz"]).result.labels.data
    truth = load_labels(folder / "adult_dseg.nii.gz").data
    found: Found = {}
    for label in dict.fromkeys(part.label for part in parts() if part.label not in (24, 172)):
        add(found, label, labels == label, truth == label)
    return found


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bank", type=Path, default=Path("runs/labelbank.npz"))
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--adult", type=Path, default=Path("../shared/data/adult_t1w"))
    args = parser.parse_args()
    torch.set_num_threads(2)
    segmenter = load_model(labels="fuller")
    columns: dict[str, Found] = {}
    if args.bank.exists():
        columns = dict(synthetic(segmenter, load_bank(args.bank), args.samples))
    if args.adult.exists():
        columns["real adult T1w"] = adult(segmenter, args.adult)
    print(f"| part | {' | '.join(columns)} |\n| --- |{' --- |' * len(columns)}")
    for structure in fuller_structures():
        values = [found.get(str(structure.id)) for found in columns.values()]
        if any(values):
            cells = " | ".join(f"{np.mean(v):.2f}" if v else "" for v in values)
            print(f"| {structure.id} {structure.name} | {cells} |")


if __name__ == "__main__":
    main()
