"""Rigid registration: accuracy, symmetry, speed against antspyx, false alarms and missed failures.

Usage: ``python benchmarks/bench_registration.py [--data DIR] [--ants N]``

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
from typing import TypeVar

import ants
import numpy as np
from _registration_pairs import Pair, planted_failures, true_pairs

from babyseg_py.images import Volume
from babyseg_py.registration.checks import excess, judge
from babyseg_py.registration.evidence import Evidence, gather
from babyseg_py.registration.itk import read_transform
from babyseg_py.registration.pyramid import Scan, prepare
from babyseg_py.registration.rigid import Match, register

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"), "1"
)
ANTS_ORDER = (14, 32, 19, 30, 3, 39, 20, 33)  # Pairs to compare on, a kind each.


T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """Error in mm and cost in seconds of one registration."""

    error_mm: float
    wall_s: float
    cpu_s: float

    def __str__(self) -> str:
        return f"{self.error_mm:7.3f} mm {self.wall_s:6.1f} s {self.cpu_s:6.1f} cpu s"


def timed(pair: Pair, method: Callable[[Pair], T]) -> tuple[float, float, T]:
    """Run a method; wall-clock and processor seconds and the result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = method(pair)
    return time.perf_counter() - wall, time.process_time() - cpu, result


def ours(pair: Pair) -> tuple[Scan, Scan, Match]:
    """Prepare both scans and register them."""
    a, b = prepare(pair.a), prepare(pair.b)
    return a, b, register(a, b)


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


def figures(evidence: Evidence) -> str:
    """Show what the checks rest on."""
    ratio = evidence.mirror_similarity / evidence.fine_similarity
    return (
        f"excess {excess(evidence):5.1f} mirror {ratio:5.3f} local {evidence.local_mm:5.2f} overlap "
        f"{evidence.overlap:4.2f} gap {evidence.gap:4.2f} height {evidence.height:4.2f}"
    )


def accuracy(data: Path, ants_count: int) -> None:
    """Print the error of every pair, the comparison with antspyx, and false alarms."""
    mine: list[Run] = []
    compared: list[tuple[Run, Run]] = []
    alarms, asymmetry = 0, 0.0
    for number, pair in enumerate(true_pairs(data)):
        *cost, (a, b, match) = timed(pair, ours)
        mine.append(Run(float(pair.errors_mm(match.matrix).mean()), *cost))
        evidence = gather(a, b, match)
        flags = judge(evidence)
        alarms += bool(flags)
        names = ", ".join(flag.name for flag in flags)
        print(f"{number:3d} {pair.name:55s} {mine[-1]} | {figures(evidence)} {names}", flush=True)
        round_trip = register(b, a).matrix @ match.matrix - np.eye(4)
        moved = pair.targets @ round_trip[:3, :3].T + round_trip[:3, 3]
        asymmetry = max(asymmetry, float(np.linalg.norm(moved, axis=1).max()))
        if number in ANTS_ORDER[:ants_count]:
            *cost, matrix = timed(pair, with_ants)
            compared.append((mine[-1], Run(float(pair.errors_mm(matrix).mean()), *cost)))
            print(f"    antspyx {'':51s} {compared[-1][1]}", flush=True)
    errors = [run.error_mm for run in mine]
    print(f"{len(errors)} pairs: median {np.median(errors):.3f} mm, worst {max(errors):.3f} mm")
    print(f"forth and back: worst {asymmetry:.2g} mm; false alarms {alarms} of {len(errors)}")
    for what in ("wall_s", "cpu_s") if compared else ():
        own, theirs = (sum(getattr(run, what) for run in runs) for runs in zip(*compared, strict=True))
        print(f"{what}: ours {own:.1f}, antspyx {theirs:.1f}, ratio {own / theirs:.4f}")


def failures(data: Path) -> None:
    """Print which planted failures are flagged and kept out."""
    total, caught = Counter[str](), Counter[str]()
    for kind, pair in planted_failures(data):
        a, b, match = ours(pair)
        evidence = gather(a, b, match)
        flags = judge(evidence)
        total[kind] += 1
        caught[kind] += any(flag.excludes for flag in flags)
        names = ", ".join(flag.name for flag in flags) or "MISSED"
        print(f"{pair.name:60s} | {figures(evidence)} {names}", flush=True)
    for kind, count in total.items():
        print(f"{kind}: {caught[kind]} of {count} kept out")


def main() -> int:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data", help="shared scans")
    parser.add_argument("--ants", type=int, default=4, help="pairs to run antspyx on (default: 4)")
    args = parser.parse_args()
    if not args.data.is_dir():
        print(f"skipped: {args.data} is absent")
        return 0
    accuracy(args.data, args.ants)
    failures(args.data)
    return 0


if __name__ == "__main__":
    if not ONE_THREAD.items() <= os.environ.items():  # Read when numpy and ITK are loaded: start again.
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ONE_THREAD)
    sys.exit(main())
