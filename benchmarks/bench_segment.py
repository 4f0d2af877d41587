"""Speed and memory of segmentation, beside a plain implementation of the published network.

    python benchmarks/bench_segment.py [SCAN ...] [--sizes N ...] [--repeats N] [--threads N] [--plain-gb GB]

Networks of published and of our shape have random weights, drawn from a seed; every run is a fresh process,
and what is compared runs in turn. Seconds are the least of all repeats. CPU seconds are those of all threads:
on a machine that others share, their ratio is the one to trust. Memory is what the process grew by. The plain
network is run where it takes at most GB (it needs 1.4 kB per voxel); the rest is told as extrapolated from
the largest run, by the number of voxels. With real SCANs, `babyseg segment` is profiled from file to file.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_published import write_checkpoint

HERE = Path(__file__).resolve().parent
PLAIN_BYTES_PER_VOXEL = 1400
DEFAULT_SCAN = "../shared/data/real_t1w/infant-07_age-4mo_T1w.nii.gz"
Run = tuple[str, str, str, str]  # kind, grid, scans, precision
ENDS = ("reading", "sampling labels", "writing")
FEATURES = ("avx512_bf16", "amx_bf16", "avx512f", "avx2")


def child(program: str, words: list[str]) -> dict[str, Any]:
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


def measured(
    kinds: list[Run], args: argparse.Namespace, folder: Path, *, repeats: int = 0
) -> list[dict[str, float]]:
    """Run each in turn, several times, and keep the least time and the largest memory."""
    best: list[dict[str, float]] = [{} for _ in kinds]
    for _ in range(repeats or args.repeats):
        for number, kind in enumerate(kinds):
            row = child("_network_run.py", [*kind, str(args.threads), str(labels_of(folder, kind))])
            old = best[number] or row
            best[number] = {key: (max if key == "bytes" else min)(row[key], old[key]) for key in row}
    return best


def agreement(a: Path, b: Path) -> float:
    """Share of voxels with the same label."""
    return float((np.load(a) == np.load(b)).mean())


def voxels(grid: str) -> int:
    """Count the voxels of a grid such as 128x128x192."""
    return prod(int(side) for side in grid.split("x"))


def heading(*names: str) -> None:
    """Print the heading of a Markdown table."""
    line(*names)
    line(*("---" for _ in names))


def line(*cells: str) -> None:
    """Print a line of a Markdown table."""
    print(f"| {' | '.join(cells)} |", flush=True)


def labels_of(folder: Path, kind: Run) -> Path:
    """Name the file of a run's labels."""
    return folder / ("-".join(kind) + ".npy")


def speed_table(args: argparse.Namespace, folder: Path) -> None:
    """Print the fast network beside the plain one."""
    heading(
        "grid", "network", "s", "CPU s", "times faster: s", "CPU s", "memory GB", "of plain", "same labels"
    )
    largest: tuple[int, dict[str, float]] | None = None
    for grid in args.sizes:
        runs = voxels(grid) * PLAIN_BYTES_PER_VOXEL <= args.plain_gb * 1e9
        kinds: list[Run] = [("fast", grid, "1", "fp32"), ("fast", grid, "1", "bf16")]
        reference: Run = ("plain", grid, "1", "fp32") if runs else kinds[0]
        rows = measured([*kinds, reference] if runs else kinds, args, folder)
        if runs:
            largest = (voxels(grid), rows[-1])
        if not largest:
            raise SystemExit("the first of --sizes has to be one that the plain network can be run at")
        plain = {key: value * voxels(grid) / largest[0] for key, value in largest[1].items()}
        name = "plain, fp32" if runs else "plain, fp32, extrapolated"
        times = (f"{plain['wall_s']:.1f}", f"{plain['cpu_s']:.1f}")
        line(grid, name, *times, "1", "1", f"{plain['bytes'] / 1e9:.2f}", "1", "")
        for kind, row in zip(kinds, rows, strict=False):
            same = 100 * agreement(labels_of(folder, reference), labels_of(folder, kind))
            line(
                grid,
                f"ours, {kind[3]}",
                f"{row['wall_s']:.1f}",
                f"{row['cpu_s']:.1f}",
                f"{plain['wall_s'] / row['wall_s']:.1f}",
                f"{plain['cpu_s'] / row['cpu_s']:.1f}",
                f"{row['bytes'] / 1e9:.2f}",
                f"{row['bytes'] / plain['bytes']:.2f}",
                f"{same:.3f} %" + ("" if runs else ", with ours in fp32"),
            )


def scans_table(args: argparse.Namespace, folder: Path) -> None:
    """Print what several scans cost, and memory predicted beside measured."""
    names = (
        "network",
        "grid",
        "precision",
        "scans",
        "s",
        "CPU s",
        "times one scan",
        "memory GB",
        "predicted GB",
    )
    heading(*names, "predicted / measured")
    for kind, grid in (("fast", args.sizes[0]), ("ours", "112x128x112")):
        for precision in ("bf16", "fp32"):
            group = [(kind, grid, str(scans), precision) for scans in args.scans]
            rows = measured(group, args, folder)
            for run, row in zip(group, rows, strict=True):
                scans_row(run, row, one=rows[0]["cpu_s"])
    for grid in (*args.sizes[1:], *([args.large] if args.large else [])):
        for precision in ("bf16", "fp32"):
            run = ("fast", grid, "1", precision)
            scans_row(run, measured([run], args, folder)[0])
    if args.large:
        for precision in ("bf16", "fp32"):
            run = ("fast", args.large, "12", precision)
            scans_row(run, measured([run], args, folder, repeats=1)[0])


def scans_row(run: Run, row: dict[str, float], *, one: float = 0) -> None:
    """Print one run with its memory."""
    line(
        "published" if run[0] == "fast" else "default",
        *(run[1], run[3], run[2]),
        f"{row['wall_s']:.1f}",
        f"{row['cpu_s']:.1f}",
        f"{row['cpu_s'] / one:.2f}" if one else "",
        f"{row['bytes'] / 1e9:.2f}",
        f"{row['predicted'] / 1e9:.2f}",
        f"{row['predicted'] / row['bytes']:.2f}",
    )


def stage_table(args: argparse.Namespace, scans: list[Path], folder: Path) -> None:
    """Print the stages of the command, from file to file, in a fresh process."""
    checkpoint = folder / "published.pt"
    write_checkpoint(checkpoint)
    heading("weights", "scans", "stage", "s", "share", "CPU s", "share")
    for name, words in (("default", []), ("published shape", ["--weights", str(checkpoint)])):
        out = ["-o", str(folder / "dseg.nii.gz"), "--force", "--threads", str(args.threads)]
        command = ["segment", *map(str, scans), *out, *words]
        runs = [child("_stage_run.py", command) for _ in range(args.repeats)]
        stages = {stage: np.array(seconds) for stage, seconds in min(runs, key=_cpu_seconds).items()}
        total = np.sum(list(stages.values()), axis=0)
        ends = np.sum([stages[stage] for stage in ENDS if stage in stages], axis=0)
        stages |= {"reading, sampling and writing together": ends, "all": total}
        for stage, seconds in stages.items():
            (wall, cpu), (of_wall, of_cpu) = seconds, 100 * seconds / total
            line(
                name,
                str(len(scans)),
                stage,
                f"{wall:.2f}",
                f"{of_wall:.0f} %",
                f"{cpu:.2f}",
                f"{of_cpu:.0f} %",
            )


def _cpu_seconds(stages: dict[str, list[float]]) -> float:
    return sum(cpu for _, cpu in stages.values())


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
