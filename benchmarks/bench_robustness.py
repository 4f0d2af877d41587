"""Dice of the default weights as scans get worse, and where it falls below .80: docs/segmentation.md.

    python benchmarks/bench_robustness.py [DATA] [--visits N]

Visits are synthesised at 1 mm from the two label maps that were never trained on, T1w and T2w in turn, brain
alone and within a head in turn. Each is seen undisturbed (blur, a little noise and bias as in good scans),
and then with one fault at a time and at growing levels. DATA is the folder of shared label maps (default
../shared/data).
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from bench_accuracy import HELD_OUT, dice, held_out_bank, segment

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume
from babyseg_py.labels import LABELS
from babyseg_py.models.default import default_weights
from babyseg_py.segmentation.inference import Segmenter, load_segmenter
from babyseg_py.synthesis.contrast import MYELINATION_MONTHS
from babyseg_py.synthesis.degrade import FAULTS
from babyseg_py.synthesis.labelbank import LabelBank
from babyseg_py.synthesis.randomise import Params, draw_params
from babyseg_py.synthesis.ranges import Ranges
from babyseg_py.synthesis.synthesise import apply
from babyseg_py.synthesis.tissues import CONTRASTS, tissue_table

ENOUGH = 0.80
GRID = (176, 208, 176)
GOOD = {"noise": 0.015, "bias": 0.1, "thick_axis": -1, "ghost": 0.0, "gamma": 1.0, "blur_voxels": [0.4] * 3}


@dataclass(frozen=True)
class Ladder:
    """Growing levels of one fault.

    Parameters
    ----------
    fault : str
        Name in `FAULTS`.
    title : str
        What the levels are.
    levels : tuple of float
        From low to high.
    strength : callable
        Strength of the fault that a level is.
    """

    fault: str
    title: str
    levels: tuple[float, ...]
    strength: Callable[[float], float]


LADDERS = (
    Ladder("noise", "Rician noise, % of the range", (5, 10, 15, 20, 30), lambda x: (x / 100 - 0.04) / 0.16),
    Ladder("bias", "bias field, sd of its log", (0.2, 0.4, 0.6, 0.8, 1.2), lambda x: (x - 0.25) / 0.55),
    Ladder("motion", "motion, mm and degrees", (2, 4, 6, 8, 12), lambda x: (x - 2) / 6),
    Ladder("thick slices", "slices of one axis, mm", (2, 4, 5, 6, 8), lambda x: (x - 3) / 5),
    Ladder("low resolution", "cubic voxels, mm", (1.5, 2, 2.5, 3, 4), lambda x: (x - 2) / 2.5),
    Ladder("cropped", "cut off, % of the extent", (5, 10, 15, 25, 35), lambda x: (x / 100 - 0.05) / 0.3),
)
MATURITIES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Visit:
    """A visit that can be seen undisturbed and in any contrast.

    Parameters
    ----------
    bank : LabelBank
        Bank of its map alone.
    params : dict
        Of the undisturbed scan.
    kind : int
        Contrast, an index of `CONTRASTS`.
    """

    bank: LabelBank
    params: Params
    kind: int

    def seen(self, maturity: float | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Image and labels, (I, J, K), at 1 mm; at the maturity of the map's age if none is given."""
        if maturity is None:
            start, end = MYELINATION_MONTHS
            age_months = self.bank.maps[0].age_months or 0.0
            maturity = float(np.clip((age_months - start) / (end - start), 0, 1))
        birth, later = tissue_table().means[self.kind]
        means = ((1 - maturity) * birth + maturity * later).tolist()
        scan = self.params["scans"][0] | GOOD | {"means": means}
        sample = apply(self.bank, self.params | {"scans": [scan]})
        return sample.images[0].numpy(), np.array(LABELS)[sample.target.numpy()]


def make_visits(data: Path, count: int) -> list[Visit]:
    """Visits of the held-out maps; in turn all of these, both contrasts and both surroundings."""
    bank = held_out_bank(data, HELD_OUT)
    visits = []
    for number in range(count):
        one = replace(bank, maps=(bank.maps[number % len(bank.maps)],))
        size = one.maps[0].size_mm
        bare = float(number // 2 % 2 == number % 2)
        ranges = Ranges.from_dict(
            {
                "grid": GRID,
                "brain_voxels": (size, size),
                "realistic": 1.0,
                "inverted": 0.0,
                "bare_brain": bare,
            }
        )
        params = draw_params(np.random.default_rng((number, 311)), one, ranges)
        visits.append(Visit(one, params, kind=number // 2 % len(CONTRASTS)))
    return visits


def measure(segmenter: Segmenter, image: np.ndarray, truth: np.ndarray) -> float:
    """Mean Dice over the structures that the truth has."""
    affine = np.eye(4)
    affine[:3, 3] = -(np.array(image.shape) - 1) / 2
    try:
        found = segment(segmenter, Volume(image, affine))
    except UnusableData:  # no brain was found
        return 0.0
    return float(np.mean([value for label, value in dice(found, truth).items() if (truth == label).any()]))


def where_below(levels: tuple[float, ...], values: list[float]) -> str:
    """Level at which the Dice falls below what is enough, linear between levels."""
    for (low, high), (before, after) in zip(pairwise(levels), pairwise(values), strict=True):
        if before >= ENOUGH > after:
            return f"{low + (high - low) * (before - ENOUGH) / (before - after):.2g}"
    return "not reached" if values[-1] >= ENOUGH else f"below {levels[0]:g}"


def main() -> None:
    """Print a table of faults and one of contrasts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--visits", type=int, default=4, help="visits, a multiple of 4 (default 4)")
    args = parser.parse_args()
    segmenter = load_segmenter(default_weights())
    visits = make_visits(args.data, args.visits)
    seen = [visit.seen() for visit in visits]
    base = float(np.mean([measure(segmenter, *one) for one in seen]))
    print(f"{len(visits)} visits, weights {segmenter.info.checksum[:12]}; undisturbed {base:.3f}\n")
    print(f"| fault | Dice at each level | below {ENOUGH:.2f} from |\n| --- | --- | --- |")
    for ladder in LADDERS:
        values = []
        for level in ladder.levels:
            generator = np.random.default_rng(17)
            strength = ladder.strength(level)
            worse = [FAULTS[ladder.fault](image, 1.0, strength, generator) for image, _ in seen]
            values.append(
                float(np.mean([measure(segmenter, w, t) for w, (_, t) in zip(worse, seen, strict=True)]))
            )
        cells = ", ".join(f"{level:g}: {v:.3f}" for level, v in zip(ladder.levels, values, strict=True))
        print(f"| {ladder.title} | {cells} | {where_below(ladder.levels, values)} |", flush=True)

    print("\n| contrast | Dice by maturity of white matter, 0 at birth to 1 |\n| --- | --- |")
    for kind, contrast in enumerate(CONTRASTS):
        values = [
            float(np.mean([measure(segmenter, *replace(v, kind=kind).seen(m)) for v in visits]))
            for m in MATURITIES
        ]
        cells = ", ".join(f"{m:g}: {v:.3f}" for m, v in zip(MATURITIES, values, strict=True))
        print(f"| {contrast} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
