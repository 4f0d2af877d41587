"""Rigid registration: accuracy, symmetry, speed against antspyx, false alarms and missed failures.

Usage: ``python benchmarks/bench_registration.py [--data DIR] [--ants N] [--no-checks]``

Needs the shared scans and label maps. Errors are distances in mm between where the registration and where
the known motion puts 2,000 points of the brain: their mean over the points of a pair, then the median and
the worst over pairs. Times are wall-clock and processor seconds from arrays in memory to a transform, on one
thread; antspyx runs ``ants.registration(type_of_transform='Rigid')`` on the same pairs in the same run, a
pair of each kind for as many as asked for.
"""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ants
import numpy as np
from _registration_pairs import Pair, planted_failures, true_pairs

from babyseg_py.images import Volume
from babyseg_py.registration.checks import judge
from babyseg_py.registration.evidence import gather
from babyseg_py.registration.itk import read_transform
from babyseg_py.registration.pyramid import prepare
from babyseg_py.registration.rigid import register

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"), "1"
)
ANTS_ORDER = (14, 32, 19, 30, 3, 39, 20, 33)  # Pairs to compare on, a kind each.


@dataclass(frozen=True)
class Run:
    """Error in mm and cost in seconds of one registration."""

    error_mm: float
    wall_s: float
    cpu_s: float


def timed(pair: Pair, method: Callable[[Pair], np.ndarray]) -> Run:
    """Run a method that returns a matrix."""
    wall, cpu = time.perf_counter(), time.process_time()
    matrix = method(pair)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Run(float(pair.errors_mm(matrix).mean()), wall, cpu)


def ours(pair: Pair) -> np.ndarray:
    """Prepare both scans and register them."""
    return register(prepare(pair.a), prepare(pair.b)).matrix


def with_ants(pair: Pair) -> np.ndarray:
    """Register by the default of antspyx."""
    fixed, moving = to_ants(pair.a), to_ants(pair.b)
    result = ants.registration(fixed, moving, type_of_transform="Rigid")
    return read_transform(result["fwdtransforms"][0])


def to_ants(volume: Volume) -> ants.ANTsImage:
    """Hand an array over, in LPS."""
    lps = np.diag([-1, -1, 1, 1]) @ volume.affine
    spacing = volume.spacing_mm
    return ants.from_numpy(
        volume.data.astype(np.float32),
        origin=tuple(lps[:3, 3]),
        spacing=tuple(spacing),
        direction=lps[:3, :3] / spacing,
    )


def accuracy(data: Path, ants_count: int, checks: bool) -> None:
    """Print the error of every pair, the comparison with antspyx, and false alarms."""
    errors, pairs_of_runs, alarms, symmetry = [], [], [], []
    for number, pair in enumerate(true_pairs(data)):
        run = timed(pair, ours)
        errors.append(run.error_mm)
        line = (
            f"{number:3d} {pair.name:55s} {run.error_mm:6.3f} mm {run.wall_s:6.1f} s {run.cpu_s:6.1f} cpu s"
        )
        if number in ANTS_ORDER[:ants_count]:
            other = timed(pair, with_ants)
            pairs_of_runs.append((run, other))
            line += f" | antspyx {other.error_mm:7.3f} mm {other.wall_s:6.1f} s {other.cpu_s:6.1f} cpu s"
        if checks:
            a, b = prepare(pair.a), prepare(pair.b)
            match = register(a, b)
            flags = judge(gather(a, b, match))
            alarms.append(bool(flags))
            line += " | " + ", ".join(flag.name for flag in flags)
            back = register(b, a).matrix @ match.matrix - np.eye(4)
            symmetry.append(np.linalg.norm(pair.targets @ back[:3, :3].T + back[:3, 3], axis=1).max())
        print(line, flush=True)
    print(f"{len(errors)} pairs: median {np.median(errors):.3f} mm, worst {max(errors):.3f} mm")
    if checks:
        print(f"forth and back: worst {max(symmetry):.2g} mm; false alarms {sum(alarms)} of {len(alarms)}")
    for what in ("wall_s", "cpu_s") if pairs_of_runs else ():
        mine, theirs = (sum(getattr(run, what) for run in runs) for runs in zip(*pairs_of_runs, strict=True))
        print(f"{what}: ours {mine:.1f}, antspyx {theirs:.1f}, ratio {mine / theirs:.4f}")


def failures(data: Path) -> None:
    """Print which planted failures are flagged and kept out."""
    total, caught = Counter[str](), Counter[str]()
    for kind, pair in planted_failures(data):
        a, b = prepare(pair.a), prepare(pair.b)
        flags = judge(gather(a, b, register(a, b)))
        total[kind] += 1
        caught[kind] += any(flag.excludes for flag in flags)
        print(f"{pair.name:70s} {', '.join(flag.name for flag in flags) or 'MISSED'}", flush=True)
    for kind, count in total.items():
        print(f"{kind}: {caught[kind]} of {count} kept out")


def main() -> int:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data", help="shared scans")
    parser.add_argument("--ants", type=int, default=4, help="pairs to run antspyx on (default: 4)")
    parser.add_argument("--no-checks", action="store_true", help="accuracy and speed only")
    args = parser.parse_args()
    if not args.data.is_dir():
        print(f"skipped: {args.data} is absent")
        return 0
    accuracy(args.data, args.ants, checks=not args.no_checks)
    if not args.no_checks:
        failures(args.data)
    return 0


if __name__ == "__main__":
    if not ONE_THREAD.items() <= os.environ.items():  # Read when numpy and ITK are loaded: start again.
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ONE_THREAD)
    sys.exit(main())
