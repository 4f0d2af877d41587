"""What several scans of one visit are worth: tables of docs/segmentation.md, "Several scans".

    python benchmarks/bench_scans.py [DATA] [--tables two,three,unc,thick,bad,many]

DATA is the folder of shared label maps and scans (default ../shared/data). Synthetic visits are made from
label maps that were never trained on. Their scans lie on each other: registration is measured by
``bench_registration.py``.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from _registration_pairs import cut_to_content, degraded, flip
from bench_accuracy import HELD_OUT, PAIRS, dice
from scipy import ndimage

from babyseg_py.images import Volume, load_image, load_labels, save_image
from babyseg_py.images.geometry import resample
from babyseg_py.labels import LABELS
from babyseg_py.models.default import default_weights
from babyseg_py.segmentation.from_files import segment_files
from babyseg_py.segmentation.inference import Segmenter, load_segmenter
from babyseg_py.segmentation.several import SMALLEST_AGREEMENT
from babyseg_py.segmentation.visit import segment_visit
from babyseg_py.segmentation.window import Scan
from babyseg_py.synthesis.labelbank import LabelBank
from babyseg_py.synthesis.labelbank_build import describe_map, make_bank
from babyseg_py.synthesis.randomise import Ranges, draw_params
from babyseg_py.synthesis.synthesise import apply

GRID = (176, 208, 176)
COUNTS = (1, 2, 4, 8, 12)
VISITS_OF = {"two": 14, "three": 10, "unc": 3, "thick": 6, "bad": 1, "many": 1}
BAD_AMONG = (("12", "24"),)  # Ages of the templates that get a bad scan, and of the other child.


@cache
def held_out(data: Path) -> LabelBank:
    """Label maps that were never trained on."""
    maps = [(data / f"labelmaps/infant/{name}_dseg.nii.gz", age) for name, age in HELD_OUT.items()]
    return make_bank([describe_map(load_labels(p), name=p.name, age_months=a) for p, a in maps])


def visit(
    data: Path, number: int, *, scans: int = 2, hard: float = 1.0, **options: float
) -> tuple[list[Volume], np.ndarray]:
    """Make the scans of a visit at 1 mm and its true labels: two brains alone, two in heads, and so on."""
    bank = held_out(data)
    chosen = bank.maps[number % len(bank.maps)]
    fixed = {
        "grid": GRID,
        "brain_voxels": (chosen.size_mm, chosen.size_mm),
        "realistic": 1.0,
        "inverted": 0.0,
    }
    changed = {"bare_brain": float(number % 4 < 2), "two_scans": 1.0} | options
    ranges = Ranges.from_dict(fixed | changed)
    one = replace(bank, maps=(chosen,))
    drawn = [
        draw_params(np.random.default_rng((number, 78, i)), one, ranges, hard=hard)
        for i in range(0, scans, 2)
    ]
    params = drawn[0] | {"scans": [scan for draw in drawn for scan in draw["scans"]][:scans]}
    sample = apply(one, params)
    affine = np.eye(4)
    affine[:3, 3] = -(np.array(sample.target.shape) - 1) / 2
    return [Volume(image.numpy(), affine) for image in sample.images], np.array(LABELS)[sample.target.numpy()]


def segment(segmenter: Segmenter, volumes: Sequence[Volume], grid: Volume) -> np.ndarray:
    """Labels from scans that lie on each other, on a grid."""
    scans = [Scan(f"scan {i}", volume, np.eye(4)) for i, volume in enumerate(volumes)]
    return segment_visit(segmenter, scans, grid.shape, grid.affine).together.labels.data


def mean(figures: dict[int, float]) -> float:
    """Mean over structures."""
    return float(np.mean(list(figures.values())))


def row(*cells: object) -> None:
    """Print a row of a table."""
    words = (f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in cells)
    print(f"| {' | '.join(words)} |", flush=True)


def heading(*cells: str) -> None:
    """Print the head of a table."""
    print()
    row(*cells)
    row(*("---" for _ in cells))


def verdict(*columns: list[float]) -> None:
    """Print how all scans, the last column, do against the best one of each visit, of the columns before."""
    gain = np.array(columns[-1]) - np.max(columns[:-1], axis=0)
    good = int((gain >= 0).sum())
    print(
        f"\nAll at least as good as the best one: {good} of {len(gain)}, by less than .002 worse at most: "
        f"{int((gain > -0.002).sum())}; mean gain {gain.mean():+.4f}, least {gain.min():+.4f}"
    )


def several(segmenter: Segmenter, data: Path, count: int, visits: int) -> None:
    """One scan against all, synthetic visits with the full ranges of contrast and disturbance."""
    heading("synthetic visit", *(f"Dice, scan {n + 1}" for n in range(count)), "all")
    columns: list[list[float]] = [[] for _ in range(count + 1)]
    for number in range(visits):
        scans, truth = visit(data, number, scans=count)
        for column, used in zip(columns, (*([scan] for scan in scans), scans), strict=True):
            column.append(mean(dice(segment(segmenter, used, scans[0]), truth)))
        row(number + 1, *(column[-1] for column in columns))
    row("mean", *(float(np.mean(column)) for column in columns))
    verdict(*columns)


def unc(segmenter: Segmenter, data: Path) -> None:
    """Disturbed T1w and T2w templates against the labels from either of them undisturbed."""
    heading("template", "Dice, T1w", "T2w", "both")
    columns: list[list[float]] = [[], [], []]
    for number, age in enumerate(("00", "06", "24")):
        clean = [
            cut_to_content(load_image(data / f"unc_bcp_templates/age-{age}mo_{s}.nii.gz"))
            for s in ("T1w", "T2w")
        ]
        rng = np.random.default_rng(number)
        scans = [degraded(scan, rng, noise=0.1, bias=0.2) for scan in clean]
        reference = [segment(segmenter, [scan], clean[0]) for scan in clean]
        for column, used in zip(columns, (scans[:1], scans[1:], scans), strict=True):
            labels = segment(segmenter, used, clean[0])
            column.append(float(np.mean([mean(dice(labels, one)) for one in reference])))
        row(f"{age} months", *(column[-1] for column in columns))
    verdict(*columns)


def thick_slices(scan: Volume, axis: int, thickness: int = 5) -> Volume:
    """Average slices along an axis, as a scanner with thick slices does; other voxels stay."""
    count = scan.shape[axis] // thickness
    kept = np.take(scan.data, range(count * thickness), axis=axis)
    data = np.moveaxis(kept, axis, 0).reshape(count, thickness, *np.delete(kept.shape, axis)).mean(axis=1)
    affine = scan.affine.copy()
    affine[:3, 3] += affine[:3, axis] * (thickness - 1) / 2
    affine[:3, axis] *= thickness
    return Volume(np.ascontiguousarray(np.moveaxis(data, 0, axis)), affine)


def thick(segmenter: Segmenter, data: Path, visits: int) -> None:
    """Two scans of one contrast as slices of 5 mm, axial and coronal."""
    rows: dict[str, list[dict[int, float]]] = {"axial": [], "coronal": [], "both": []}
    for number in range(visits):
        (scan, _), truth = visit(data, number + 100, thick=0.0)
        axial, coronal = thick_slices(scan, 2), thick_slices(scan, 1)
        for found, used in zip(rows.values(), ([axial], [coronal], [axial, coronal]), strict=True):
            found.append(dice(segment(segmenter, used, scan), truth))
    heading(f"1 x 1 x 5 mm, {visits} visits", "Dice", *PAIRS)
    for name, found in rows.items():
        groups = (np.mean([one[i] for one in found for i in pair if i in one]) for pair in PAIRS.values())
        row(name, float(np.mean([mean(one) for one in found])), *(float(group) for group in groups))
    verdict(*([mean(one) for one in found] for found in rows.values()))


def planted(good: Volume, other: Volume, rng: np.random.Generator) -> Iterator[tuple[str, Volume]]:
    """Bad scans on the grid of a good one."""
    top = np.percentile(good.data[good.data > 0], 99)
    inside = ndimage.binary_fill_holes(good.data > 0.05 * top)
    noise = rng.rayleigh(0.3 * top, good.shape)
    yield "empty", good.with_data(np.where(np.arange(good.data.size).reshape(good.shape) == 0, 1.0, 0.0))
    yield "noise, whole image", good.with_data(noise)
    yield "noise where the head was", good.with_data(noise * inside)
    yield "very noisy", degraded(good, rng, noise=0.8)
    yield "wrapped by a third", good.with_data(np.roll(good.data, good.shape[1] // 3, axis=1))
    yield "moved out of the field of view", good.with_data(ndimage.shift(good.data, (0, 0, 70), order=0))
    yield "flipped", flip(good)
    yield "another child", resample(other, good.shape, good.affine)


def bad(segmenter: Segmenter, data: Path) -> None:
    """Bad scans among two good ones, through files as ``babyseg segment`` does it."""
    kinds: dict[str, list[bool]] = {}
    alarms, good_scans = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / f"{name}.nii.gz") for name in ("t1", "bad", "t2")]
        for age, another in BAD_AMONG:
            images = [
                cut_to_content(load_image(data / f"unc_bcp_templates/age-{a}mo_{s}.nii.gz"))
                for a, s in ((age, "T1w"), (age, "T2w"), (another, "T1w"))
            ]
            rng = np.random.default_rng(int(age))
            save_image(images[0], paths[0])
            save_image(images[1], paths[2])
            for kind, scan in planted(images[0], images[2], rng):
                save_image(scan, paths[1])
                found = segment_files(segmenter, paths, flip=False)
                out = {one.name for one in found.visit.left_out}
                kinds.setdefault(kind, []).append(paths[1] in out)
                alarms += len(out - {paths[1]})
                good_scans += 2
    heading("planted among T1w and T2w", "found")
    for kind, hits in kinds.items():
        row(kind, f"{sum(hits)} of {len(hits)}")
    row("good scans left out beside them", f"{alarms} of {good_scans}")


def many(segmenter: Segmenter, data: Path) -> None:
    """From 1 to 12 scans of one visit: Dice and time."""
    scans, truth = visit(data, 2, scans=max(COUNTS))
    heading("scans", "Dice", "seconds")
    for count in COUNTS:
        start = time.perf_counter()
        labels = segment(segmenter, scans[:count], scans[0])
        row(count, mean(dice(labels, truth)), f"{time.perf_counter() - start:.0f}")


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--tables", default=",".join(VISITS_OF))
    parser.add_argument("--visits", type=int, help="synthetic visits of a table, if not those of the docs")
    args = parser.parse_args()
    segmenter = load_segmenter(default_weights())
    print(f"weights {segmenter.info.provenance}, {segmenter.precision}, {torch.get_num_threads()} threads")
    print(f"limit of agreement {SMALLEST_AGREEMENT}")
    visits = {table: args.visits or number for table, number in VISITS_OF.items()}
    tables = {
        "two": lambda: several(segmenter, args.data, 2, visits["two"]),
        "three": lambda: several(segmenter, args.data, 3, visits["three"]),
        "unc": lambda: unc(segmenter, args.data),
        "thick": lambda: thick(segmenter, args.data, visits["thick"]),
        "bad": lambda: bad(segmenter, args.data),
        "many": lambda: many(segmenter, args.data),
    }
    for name in args.tables.split(","):
        tables[name]()


if __name__ == "__main__":
    main()
