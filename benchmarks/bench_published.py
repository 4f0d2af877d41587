"""Time and memory of a checkpoint of the full published shape, from file to file.

    python benchmarks/bench_published.py [DATA] [--threads N] [--precision auto|fp32|bf16] [--scan F ...]

DATA is the folder of shared scans (default ../shared/data). The weights are random, drawn from a seed: the
cost is that of the published network, the labels mean nothing. Each scan is segmented by a `babyseg segment`
of its own.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from babyseg_py.images import load_image
from babyseg_py.models.groupnet import GroupNet, GroupNetConfig
from babyseg_py.models.weights import FixedGrid
from babyseg_py.segmentation.fixed_grid import window_of
from babyseg_py.segmentation.window import Scan

SCANS = ("infant-08_age-1mo_T1w.nii.gz", "infant-07_age-4mo_T1w.nii.gz", "infant-02_age-23mo_T1w.nii.gz")


def write_checkpoint(path: Path) -> None:
    """Write random weights as the published code writes its own."""
    torch.manual_seed(0)
    torch.save({"model": GroupNet(GroupNetConfig()).state_dict(), "env": {}}, path)


def measure(words: list[str]) -> tuple[float, float]:
    """Wall seconds and largest resident memory in GB of one call of the command."""
    begin = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "babyseg_py", *words], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"babyseg {' '.join(words)}: exit status {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - begin, usage.ru_maxrss * 1024 / 1e9


def main() -> None:
    """Print a row for each scan."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=Path("../shared/data"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    parser.add_argument("--scan", nargs="+", type=Path, help="other scans")
    args = parser.parse_args()
    scans = args.scan or [args.data / "real_t1w" / name for name in SCANS]
    if not all(scan.is_file() for scan in scans):
        print(f"skipped: no real scans in {args.data}")
        return
    print(f"torch {torch.__version__}, {args.threads} threads, precision {args.precision}\n")
    print("| scan | grid | seconds | peak memory GB |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, labels = Path(folder) / "published.pt", Path(folder) / "dseg.nii.gz"
        write_checkpoint(checkpoint)
        for scan in scans:
            window, _ = window_of(Scan(scan.name, load_image(scan), np.eye(4)), FixedGrid())
            words = ["segment", str(scan), "-o", str(labels), "--force", "--weights", str(checkpoint)]
            words += ["--threads", str(args.threads), "--precision", args.precision]
            seconds, memory = measure(words)
            print(
                f"| {scan.name} | {'×'.join(map(str, window.shape))} | {seconds:.0f} | {memory:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
