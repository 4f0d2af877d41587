"""Speed and memory of segmentation, beside a plain implementation of the published network.

    python benchmarks/bench_segment.py [SCAN ...] [--sizes N ...] [--repeats N] [--threads N] [--plain-gb GB]

Networks of published and of our shape have random weights, drawn from a seed; every run is a fresh process,
and what is compared runs in turn. Seconds are the least of all repeats. CPU seconds are those of all threads:
on a machine that others share, their ratio is the one to trust. Memory is what the process grew by. The plain
network is run where it takes at most GB (it needs 1.4 kB per voxel); the rest is told as extrapolated from
the largest run, by the number of voxels. With SCANs, real ones, `babyseg segment` is profiled from file to file.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from math import prod
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
PLAIN_BYTES_PER_VOXEL = 1400
DEFAULT_SCAN = "../shared/data/real_t1w/infant-07_age-4mo_T1w.nii.gz"
FEATURES = ("avx512_bf16", "amx_bf16", "avx512f", "avx2")


def child(program: str, words: list[str]) -> dict[str, float]:
    """Run a program of this folder and read its line of JSON."""
    done = subprocess.run(
        [sys.executable, HERE / program, *words], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def machine(threads: int) -> str:
    """Describe processor, threads and versions."""
    lines = (
        Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if Path("/proc/cpuinfo").exists()
        else []
    )
    fields = dict(line.replace("\t", "").split(":", 1) for line in lines if ":" in line)
    has = [name for name in FEATURES if name in fields.get("flags", "").split()]
    name = fields.get("model name", platform.processor()).strip()
    return (
        f"{name}, {len([line for line in lines if line.startswith('processor')])} cores ({', '.join(has)}), "
        f"{threads} threads; torch {torch.__version__}, Python {platform.python_version()}"
    )


def measured(kinds: list[tuple[str, ...]], args: argparse.Namespace, folder: Path) -> list[dict[str, float]]:
    """Run (kind, grid, scans, precision) in turn, and keep the least time and the largest memory of each."""
    best: list[dict[str, float]] = [{} for _ in kinds]
    for _ in range(args.repeats):
        for number, kind in enumerate(kinds):
            row = child(
                "_network_run.py", [*kind, str(args.threads), str(folder / ("-".join(kind) + ".npy"))]
            )
            old = best[number] or row
            best[number] = {key: (max if key == "bytes" else min)(row[key], old[key]) for key in row}
    return best


def agreement(a: Path, b: Path) -> float:
    """Share of voxels with the same label."""
    return float((np.load(a) == np.load(b)).mean())


def voxels(grid: str) -> int:
    """Number of voxels of a grid such as 128x128x192."""
    return prod(int(side) for side in grid.split("x"))


def speed_table(args: argparse.Namespace, folder: Path) -> None:
    """Print the fast network beside the plain one."""
    print(
        "| grid | network | seconds | CPU seconds | times faster (seconds, CPU seconds) | memory GB | share of plain | same labels |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    largest = None
    for grid in args.sizes:
        runs = voxels(grid) * PLAIN_BYTES_PER_VOXEL <= args.plain_gb * 1e9
        kinds = [("fast", grid, "1", "fp32"), ("fast", grid, "1", "bf16")]
        rows = measured([*kinds, *([("plain", grid, "1", "fp32")] if runs else [])], args, folder)
        if runs:
            plain, largest = rows[-1], (voxels(grid), rows[-1])
        elif largest:
            plain = {key: value * voxels(grid) / largest[0] for key, value in largest[1].items()}
        else:
            raise SystemExit("the first of --sizes has to be one that the plain network can be run at")
        word = "" if runs else " (extrapolated)"
        print(
            f"| {grid} | plain, float32{word} | {plain['wall_s']:.1f} | {plain['cpu_s']:.1f} | 1 | {plain['bytes'] / 1e9:.2f} | 1 | |"
        )
        for kind, row in zip(kinds, rows, strict=False):
            same = ""
            reference = folder / ("-".join(("plain", *kind[1:3], "fp32")) + ".npy")
            if runs:
                same = f"{100 * agreement(reference, folder / ('-'.join(kind) + '.npy')):.3f} %"
            elif kind[3] == "bf16":
                same = f"{100 * agreement(folder / ('-'.join(kinds[0]) + '.npy'), folder / ('-'.join(kind) + '.npy')):.3f} % (of ours in float32)"
            wall, cpu = (plain[key] / row[key] for key in ("wall_s", "cpu_s"))
            print(
                f"| {grid} | ours, {kind[3]} | {row['wall_s']:.1f} | {row['cpu_s']:.1f} | {wall:.1f}, {cpu:.1f} "
                f"| {row['bytes'] / 1e9:.2f} | {row['bytes'] / plain['bytes']:.2f} | {same} |",
                flush=True,
            )


def scans_table(args: argparse.Namespace, folder: Path) -> None:
    """Print what several scans cost, and memory predicted beside measured."""
    print(
        "| network | grid | precision | scans | CPU seconds | times one scan | memory GB | predicted GB | predicted / measured |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    cases = [("fast", args.sizes[0]), ("ours", "96x128x96")]
    for kind, grid in cases:
        for precision in ("bf16", "fp32"):
            runs = [(kind, grid, str(scans), precision) for scans in args.scans]
            for run, row in zip(runs, rows := measured(runs, args, folder), strict=True):
                _row(run, row, one=rows[0]["cpu_s"])
    for run in (("fast", grid, "1", p) for grid in args.sizes[1:] for p in ("bf16", "fp32")):
        _row(run, measured([run], args, folder)[0])
    if args.large:
        for run in (("fast", args.large, scans, p) for p in ("bf16", "fp32") for scans in ("1", "12")):
            _row(run, measured([run], argparse.Namespace(**{**vars(args), "repeats": 1}), folder)[0])


def _row(run: tuple[str, ...], row: dict[str, float], *, one: float = 0) -> None:
    name = "published" if run[0] == "fast" else "default"
    times = f"{row['cpu_s'] / one:.2f}" if one else ""
    print(
        f"| {name} | {run[1]} | {run[3]} | {run[2]} | {row['cpu_s']:.1f} | {times} | {row['bytes'] / 1e9:.2f} "
        f"| {row['predicted'] / 1e9:.2f} | {row['predicted'] / row['bytes']:.2f} |",
        flush=True,
    )


def stage_table(args: argparse.Namespace, scans: list[Path], folder: Path) -> None:
    """Print the stages of the command, from file to file, in a fresh process."""
    from bench_published import write_checkpoint

    checkpoint = folder / "published.pt"
    write_checkpoint(checkpoint)
    print("| weights | scans | stage | seconds | share |\n| --- | --- | --- | --- | --- |")
    for name, words in (("default", []), ("published shape", ["--weights", str(checkpoint)])):
        best: dict[str, float] = {}
        for _ in range(args.repeats):
            out = ["-o", str(folder / "dseg.nii.gz"), "--force", "--threads", str(args.threads)]
            stages = child("_stage_run.py", ["segment", *map(str, scans), *out, *words])
            if not best or sum(stages.values()) < sum(best.values()):
                best = stages
        total = sum(best.values())
        for stage, seconds in best.items():
            print(f"| {name} | {len(scans)} | {stage} | {seconds:.2f} | {100 * seconds / total:.0f} % |")
        ends = sum(best.get(stage, 0) for stage in ("reading", "sampling labels", "writing"))
        print(
            f"| {name} | {len(scans)} | all | {total:.2f} | reading, sampling, writing: {100 * ends / total:.0f} % |",
            flush=True,
        )


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scan", nargs="*", type=Path, help="real scans of one visit, for the stages")
    parser.add_argument(
        "--sizes", nargs="+", default=["128x128x128", "192x192x192"], help="grids of one scan"
    )
    parser.add_argument(
        "--large", default="192x192x256", help="grid of one and of twelve scans; empty for none"
    )
    parser.add_argument("--scans", nargs="+", type=int, default=[1, 3, 12], help="numbers of scans")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--plain-gb", type=float, default=12, help="most memory that the plain network may take"
    )
    parser.add_argument("--only", choices=("speed", "scans", "stages"), help="one table")
    args = parser.parse_args()
    scans = args.scan or [path for path in [HERE.parent / DEFAULT_SCAN] if path.is_file()]
    print(machine(args.threads), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for table, show in (("speed", speed_table), ("scans", scans_table)):
            if args.only in (None, table):
                print()
                show(args, folder)
        if args.only in (None, "stages"):
            print()
            stage_table(args, scans, folder) if scans else print("stages skipped: no real scan")


if __name__ == "__main__":
    main()
