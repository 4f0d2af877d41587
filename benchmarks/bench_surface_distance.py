"""Surface distances of 21 structures against the PyPI package surface-distance, called once per structure.

Both compute Dice, ASSD, HD95 and NSD from the same two label maps, on one thread, in one process, in turn;
the fastest of the rounds counts. The goal is at least five times the speed with differences of at most
1e-6. Real label maps are used where ../shared/data is there, a phantom of the same size elsewhere.

    .venv/bin/python benchmarks/bench_surface_distance.py [--rounds N] [--pair NAME ...]
"""

import argparse
import os
import time
import warnings
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import surface_distance as package
from scipy import ndimage

from babyseg_py.images import load_labels
from babyseg_py.labels import BRAIN_LABELS
from babyseg_py.labels.merge import merge_labels
from babyseg_py.morphometry.surface_distance import compare_labels

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "labelmaps" / "infant"
TOLERANCE_MM = 1.0
ANISOTROPIC = (0.8, 1.1, 2.3)


def base_map() -> np.ndarray:
    """Return the label map of an infant of two years, or nested ellipsoids with its 21 labels."""
    file = DATA / "age-24mo_dseg.nii.gz"
    if file.is_file():
        volume = load_labels(file)
        return merge_labels(volume.data, volume.affine)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in (135, 161, 128)), indexing="ij"))
    shell = np.linalg.norm(grid * 1.1, axis=0) + 0.05 * np.sin(25 * grid).prod(axis=0)
    layer = np.digitize(shell, np.linspace(0.1, 1, 11)[::-1]) - 1
    left, right = np.array([0, *BRAIN_LABELS[:11]]), np.array([0, *BRAIN_LABELS[10:]])
    return np.where(grid[0] < 0, left[layer + 1], right[layer + 1])


def warped(data: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Return a map that is displaced by a smooth field of 0.7 voxels, as two good segmentations differ."""
    generator = np.random.default_rng(seed)
    field = [ndimage.gaussian_filter(generator.normal(size=data.shape), 6) for _ in range(3)]
    places = [
        index + 0.7 * part / part.std() for index, part in zip(np.indices(data.shape), field, strict=True)
    ]
    return ndimage.map_coordinates(data, places, order=0, mode="nearest")


def pairs() -> dict[str, tuple[np.ndarray, np.ndarray, tuple[float, ...]]]:
    """Return pairs of maps and their voxel sizes by name, from good to poor agreement."""
    one = base_map()
    close, shifted = warped(one), np.roll(one, 3, axis=1)
    return {
        "close": (one, close, (1.0, 1.0, 1.0)),
        "close-anisotropic": (one, close, ANISOTROPIC),
        "shifted-3": (one, shifted, (1.0, 1.0, 1.0)),
        "shifted-3-anisotropic": (one, shifted, ANISOTROPIC),
        "shifted-15": (one, np.roll(one, 15, axis=0), (1.0, 1.0, 1.0)),
    }


def with_package(one: np.ndarray, other: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Return Dice, ASSD, HD95 and NSD of each structure by the package, (L, 4)."""
    rows = []
    for label in BRAIN_LABELS:
        masks = one == label, other == label
        distances = package.compute_surface_distances(*masks, spacing)
        rows.append(
            (
                package.compute_dice_coefficient(*masks),
                np.mean(package.compute_average_surface_distance(distances)),
                package.compute_robust_hausdorff(distances, 95),
                package.compute_surface_dice_at_tolerance(distances, TOLERANCE_MM),
            )
        )
    return np.array(rows)


def with_ours(one: np.ndarray, other: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Return the same by this package, (L, 4)."""
    found = compare_labels(one, other, np.diag([*spacing, 1.0]), tolerance_mm=TOLERANCE_MM)
    return np.array([(a.dice, a.assd_mm, a.hd95_mm, a.nsd) for a in found])


def main() -> None:
    """Time both and print the ratio and the largest difference of each pair."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pair", nargs="*", help="default: all")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # of the package

    print(f"{'pair':24s} {'package s':>10s} {'ours s':>8s} {'ratio':>6s} {'difference':>11s}")
    for name, (one, other, spacing) in pairs().items():
        if args.pair and name not in args.pair:
            continue
        seconds: dict[str, float] = {}
        values = {}
        for _ in range(args.rounds):
            for method in (with_package, with_ours):
                begin = time.perf_counter()
                values[method.__name__] = method(one, other, spacing)
                spent = time.perf_counter() - begin
                seconds[method.__name__] = min(seconds.get(method.__name__, np.inf), spent)
        theirs, ours = seconds["with_package"], seconds["with_ours"]
        difference = np.nanmax(np.abs(values["with_package"] - values["with_ours"]))
        print(f"{name:24s} {theirs:10.2f} {ours:8.3f} {theirs / ours:6.1f} {difference:11.1e}", flush=True)


if __name__ == "__main__":
    main()
