"""How good the default weights are, measured through the whole way from image to labels.

    python benchmarks/bench_accuracy.py [DATA] [--samples N]

DATA is the folder of shared label maps and scans (default ../shared/data). One table: T1w against T2w of one
brain on the age templates; a real adult scan against its FreeSurfer labels; visits synthesised from label
maps that were never trained on, brain alone, within a head, with open sulci, and of random contrast.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from babyseg_py.images import Volume, load_image, load_labels
from babyseg_py.labels import LABELS, structure_name
from babyseg_py.labels.merge import merge_labels
from babyseg_py.models.default import default_weights
from babyseg_py.segmentation.inference import Segmenter, load_segmenter
from babyseg_py.segmentation.visit import segment_visit
from babyseg_py.segmentation.window import Scan
from babyseg_py.synthesis.labelbank import LabelBank
from babyseg_py.synthesis.labelbank_build import describe_map, make_bank
from babyseg_py.synthesis.randomise import draw_params
from babyseg_py.synthesis.ranges import Ranges
from babyseg_py.synthesis.synthesise import apply

HELD_OUT = {"age-24mo": 24.0}
AGES = ("00", "03", "06", "12", "24")
PAIRS = {
    "white matter": (2, 41),
    "cortex": (3, 42),
    "ventricles": (4, 43),
    "hippocampus": (17, 53),
    "amygdala": (18, 54),
}


def dice(a: np.ndarray, b: np.ndarray) -> dict[int, float]:
    """Dice of each structure that either map holds."""
    result: dict[int, float] = {}
    for label in LABELS[1:]:
        x, y = a == label, b == label
        total = np.count_nonzero(x) + np.count_nonzero(y)
        if total:
            result[label] = float(2 * np.count_nonzero(x & y) / total)
    return result


def segment(segmenter: Segmenter, image: Volume) -> np.ndarray:
    """Labels of one scan on its own grid."""
    scan = Scan("scan", image, np.eye(4))
    return segment_visit(segmenter, [scan], image.shape, image.affine).together.labels.data


def by_structure(rows: list[dict[int, float]]) -> dict[int, float]:
    """Mean of each structure over the rows that have it."""
    return {label: float(np.mean([row[label] for row in rows if label in row])) for label in LABELS[1:]}


def show(title: str, rows: list[dict[int, float]]) -> None:
    """Print the mean over structures and the groups of interest as a row of a table."""
    structures = by_structure(rows)
    worst = min(structures, key=structures.__getitem__)
    figures = [
        np.mean(list(structures.values())),
        *(np.mean([structures[i] for i in p]) for p in PAIRS.values()),
    ]
    cells = [
        title,
        *(f"{figure:.3f}" for figure in figures),
        f"{structure_name(worst)} {structures[worst]:.3f}",
    ]
    print(f"| {' | '.join(cells)} |", flush=True)


def held_out_bank(data: Path, maps: dict[str, float]) -> LabelBank:
    """Bank of some of the shared infant maps, by name and age in months."""
    paths = [(data / f"labelmaps/infant/{name}_dseg.nii.gz", age) for name, age in maps.items()]
    return make_bank([describe_map(load_labels(p), name=p.name, age_months=age) for p, age in paths])


def synthetic(
    segmenter: Segmenter, bank: LabelBank, samples: int, **changes: float
) -> list[dict[int, float]]:
    """Dice on visits at 1 mm, fully disturbed; of realistic contrasts unless the changes say else."""
    rows = []
    for number in range(samples):
        one = replace(bank, maps=(bank.maps[number % len(bank.maps)],))
        size = one.maps[0].size_mm
        settings = {"grid": (176, 208, 176), "brain_voxels": (size, size), "realistic": 1.0, "inverted": 0.0}
        ranges = Ranges.from_dict(settings | changes)
        sample = apply(one, draw_params(np.random.default_rng((number, 77)), one, ranges))
        affine = np.eye(4)
        affine[:3, 3] = -(np.array(sample.target.shape) - 1) / 2
        labels = segment(segmenter, Volume(sample.images[0].numpy(), affine))
        rows.append(dice(labels, np.array(LABELS)[sample.target.numpy()]))
    return rows


def template(segmenter: Segmenter, data: Path, age: str) -> tuple[dict[int, float], list[float]]:
    """Dice of T1w against T2w of one age's template, and the brain volumes of both in ml."""
    images = [load_image(data / f"unc_bcp_templates/age-{age}mo_{s}.nii.gz") for s in ("T1w", "T2w")]
    a, b = (segment(segmenter, image) for image in images)
    millilitres = [float(np.count_nonzero(x)) * images[0].voxel_volume_mm3 / 1000 for x in (a, b)]
    return dice(a, b), millilitres


def adult(segmenter: Segmenter, data: Path) -> dict[int, float]:
    """Dice of a real scan with its FreeSurfer labels."""
    reference = load_labels(data / "adult_t1w/adult_dseg.nii.gz")
    labels = segment(segmenter, load_image(data / "adult_t1w/adult_T1w.nii.gz"))
    return dice(labels, merge_labels(reference.data, reference.affine))


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--samples", type=int, default=10, help="synthetic visits of each kind")
    args = parser.parse_args()
    segmenter = load_segmenter(default_weights())
    print(f"weights {segmenter.info.provenance}, {segmenter.precision}, {torch.get_num_threads()} threads")
    print(f"| Dice | mean | {' | '.join(PAIRS)} | lowest |\n|{' --- |' * (len(PAIRS) + 3)}")
    for age in AGES:
        row, (t1w, t2w) = template(segmenter, args.data, age)
        show(f"T1w ({t1w:.0f} ml) against T2w ({t2w:.0f} ml), {age} months", [row])
    show("real adult T1w", [adult(segmenter, args.data)])
    bank = held_out_bank(args.data, HELD_OUT)
    for kind, bare in (("brain alone", 1.0), ("within a head", 0.0)):
        show(f"held-out synthetic, {kind}", synthetic(segmenter, bank, args.samples, bare_brain=bare))
    show("held-out synthetic, open sulci", synthetic(segmenter, bank, args.samples, open_sulci=1.0))
    random = synthetic(segmenter, bank, args.samples, realistic=0.0)
    show("held-out synthetic, random contrast, half of them in a head", random)


if __name__ == "__main__":
    main()
