"""N4 of this package against antspyx's default call on phantoms with a known field.

Both are run in one process on the same phantom. Flatness is the coefficient of variation, over the true
brain, of the field that is left: true field divided by the estimate. The goal is at most a third of the
time at the same flatness.

    .venv/bin/python benchmarks/bench_n4.py [--threads N] [--spacing MM ...] [--contrast NAME ...]
"""

import argparse
import os
import platform
import time
from dataclasses import dataclass
from importlib.metadata import version

import ants
import numpy as np

from babyseg_py.images.foreground import foreground_mask
from babyseg_py.images.n4 import correct_bias
from babyseg_py.images.volume import Volume

FIELD_OF_VIEW_MM = (180.0, 210.0, 190.0)
# Intensities of air, scalp, skull, cerebrospinal fluid, grey matter, white matter.
CONTRASTS = {
    "T1w": (0, 180, 20, 35, 90, 130),
    "T1w-neonate": (0, 150, 25, 40, 110, 85),
    "T2w": (0, 120, 15, 200, 100, 70),
    "FLAIR": (0, 140, 15, 25, 110, 85),
    "T1w-brain": (0, 0, 0, 35, 90, 130),
}


@dataclass(frozen=True)
class Phantom:
    """A scan with a known field.

    Parameters
    ----------
    scan : (I, J, K) np.ndarray
        Tissue times field, with Rician noise.
    field : (I, J, K) np.ndarray
        Multiplicative field.
    brain : (I, J, K) np.ndarray of bool
        Where flatness is judged.
    """

    scan: np.ndarray
    field: np.ndarray
    brain: np.ndarray


def make_phantom(contrast: str, spacing_mm: float, *, strength: float, seed: int) -> Phantom:
    """Nested ellipsoids with folds, under a smooth field.

    Parameters
    ----------
    contrast : str
        Key of `CONTRASTS`.
    spacing_mm : float
        Isotropic voxel size.
    strength : float
        Standard deviation of the logarithm of the field.
    seed : int
        Field and noise.

    Returns
    -------
    Phantom
        About a head of 150 mm length.
    """
    generator = np.random.default_rng(seed)
    shape = [round(length / spacing_mm) for length in FIELD_OF_VIEW_MM]
    x, y, z = np.meshgrid(*[(np.arange(n) - n / 2) * spacing_mm for n in shape], indexing="ij", sparse=True)
    radius = np.sqrt((x / 62) ** 2 + (y / 76) ** 2 + (z / 66) ** 2)
    folds = 0.06 * np.sin(x / 3.5) * np.sin(y / 4) * np.sin(z / 3)
    tissue = np.digitize(-radius, [-1.16, -1.08, -1.0])  # 0 air, 1 scalp, 2 skull, 3 fluid.
    tissue[radius + folds < 0.92] = 4
    tissue[radius + 1.6 * folds < 0.76] = 5
    tissue[((np.abs(x) - 12) / 7) ** 2 + (y / 26) ** 2 + (z / 9) ** 2 < 1] = 3
    tissue[((np.abs(x) - 24) / 9) ** 2 + ((y - 5) / 18) ** 2 + ((z + 8) / 14) ** 2 < 1] = 4
    values = np.array(CONTRASTS[contrast], dtype=np.float32)
    clean = values[tissue] * (1 + 0.03 * generator.standard_normal(tissue.shape, dtype=np.float32))
    brain = tissue >= 3
    waves = _waves((x, y, z), generator)
    field = np.exp((waves - waves[brain].mean()) * strength / waves[brain].std())
    noise = 3 * generator.standard_normal((2, *tissue.shape), dtype=np.float32)
    scan = np.hypot(clean * field + noise[0], noise[1])
    if contrast.endswith("-brain"):
        scan[~brain] = 0
    return Phantom(scan.astype(np.float32), field.astype(np.float32), brain)


def _waves(axes_mm: tuple[np.ndarray, ...], generator: np.random.Generator) -> np.ndarray:
    """Sum of waves longer than the head in random directions."""
    total = np.zeros(np.broadcast_shapes(*(axis.shape for axis in axes_mm)))
    for _ in range(6):
        direction = generator.standard_normal(3)
        direction *= 2 * np.pi / (generator.uniform(180, 400) * np.linalg.norm(direction))
        phase = sum(a * b for a, b in zip(axes_mm, direction, strict=True)) + generator.uniform(0, 2 * np.pi)
        total += generator.standard_normal() * np.cos(phase)
    return total


def flatness(phantom: Phantom, estimate: np.ndarray) -> float:
    """Coefficient of variation over the brain of the field that is left."""
    left = phantom.field[phantom.brain] / np.maximum(estimate[phantom.brain], 1e-3)
    return float(left.std() / left.mean())


def compare(phantom: Phantom, spacing_mm: float) -> dict[str, float]:
    """Run both on one phantom; seconds and flatness of each.

    The reference is given our foreground, which spares it the air; its own mask would be another step.
    """
    volume = Volume(phantom.scan, np.diag([spacing_mm] * 3 + [1]))
    begin = time.perf_counter()
    ours = correct_bias(volume)
    seconds = time.perf_counter() - begin
    spacing = (spacing_mm,) * 3
    mask = ants.from_numpy(foreground_mask(volume).astype(np.float32), spacing=spacing)
    image = ants.from_numpy(phantom.scan, spacing=spacing)
    begin = time.perf_counter()
    theirs = ants.n4_bias_field_correction(image, mask, return_bias_field=True)
    return {
        "seconds": seconds,
        "reference_seconds": time.perf_counter() - begin,
        "before": flatness(phantom, np.ones_like(phantom.field)),
        "flatness": flatness(phantom, np.exp(ours.log_field.data)),
        "reference_flatness": flatness(phantom, theirs.numpy()),
    }


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="N4 against antspyx's default call on phantoms.")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--spacing", type=float, nargs="+", default=[1.0], metavar="MM")
    parser.add_argument("--contrast", nargs="+", default=list(CONTRASTS), choices=list(CONTRASTS))
    parser.add_argument("--strength", type=float, default=0.2, help="standard deviation of the log field")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Print the table."""
    args = parse_arguments()
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(args.threads)  # Read by ITK's first filter.
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {args.threads} threads, load {os.getloadavg()[0]:.0f}"
    )
    print(f"antspyx {version('antspyx')}, numpy {np.__version__}, python {platform.python_version()}")
    print("phantom        mm      voxels  seconds  antspyx  ratio   CV of the field: before    left  antspyx")
    rows = []
    for spacing_mm in args.spacing:
        for seed, contrast in enumerate(args.contrast, args.seed):
            phantom = make_phantom(contrast, spacing_mm, strength=args.strength, seed=seed)
            row = compare(phantom, spacing_mm)
            rows.append(row)
            print(
                f"{contrast:12} {spacing_mm:4.2f} {phantom.scan.size:>11,} {row['seconds']:8.1f} "
                f"{row['reference_seconds']:8.1f} {row['seconds'] / row['reference_seconds']:6.2f} "
                f"{row['before']:25.3f} {row['flatness']:7.4f} {row['reference_flatness']:8.4f}",
                flush=True,
            )
    sums = {key: sum(row[key] for row in rows) for key in rows[0]}
    print(
        f"all: {sums['seconds'] / sums['reference_seconds']:.2f} of the time (goal 0.33), "
        f"{sums['flatness'] / sums['reference_flatness']:.2f} of the field left (goal 1)"
    )


if __name__ == "__main__":
    main()
