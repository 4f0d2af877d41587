"""One measurement for `bench_segment.py`, in a process of its own: prints a line of JSON."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from plain_groupnet import plain_posteriors
from scipy import ndimage

from babyseg_py.models.fastnet import prepare, run
from babyseg_py.models.groupnet import GroupNet, GroupNetConfig
from babyseg_py.models.memory import keep_freed_memory, plan_run

PUBLISHED = GroupNetConfig()
OURS = GroupNetConfig(encoder=(16, 32, 64, 96), decoder=(96, 96, 64, 24), head=(16,), norm=True, shared=True)


def image(grid: tuple[int, ...], seed: int) -> torch.Tensor:
    """Make a head-like image: an ellipsoid of smooth contrast and noise in a black background, 0 to 1."""
    rng = np.random.default_rng(seed)
    coarse = ndimage.zoom(
        rng.random((12, 12, 12)), [n / 12 for n in grid], order=1, grid_mode=True, mode="nearest"
    )
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in grid), indexing="ij", sparse=True)
    inside = sum(axis**2 for axis in axes) < 0.7
    noisy = coarse + 0.05 * rng.standard_normal(grid)
    return torch.from_numpy(np.where(inside, noisy.clip(0, 1), 0).astype(np.float32))


def resident(key: str) -> int:
    """Bytes of a row of this process's status."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return 1024 * int(line.split()[1])


def main() -> None:
    """Run a network once: KIND GRID SCANS PRECISION THREADS LABELS."""
    kind, grid, scans, precision, threads, labels = sys.argv[1:]
    torch.set_num_threads(int(threads))
    torch.manual_seed(0)
    config = OURS if kind == "ours" else PUBLISHED
    network = GroupNet(config).eval()
    sides = tuple(int(side) for side in grid.split("x"))
    images = torch.stack([image(sides, seed) for seed in range(int(scans))])
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    predicted = 0
    if kind != "plain":
        keep_freed_memory()  # as the command does
    before, wall, cpu = resident("VmRSS"), time.perf_counter(), time.process_time()
    with torch.inference_mode():
        if kind == "plain":
            posteriors = plain_posteriors(network, images)
        else:
            plan = plan_run(config, sides, int(scans), dtype.itemsize)
            predicted = plan.predicted_bytes
            posteriors = run(prepare(network, dtype), images, rows=plan.rows, keep_skips=plan.keep_skips)
    row = {
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "bytes": resident("VmHWM") - before,
        "predicted": predicted,
    }
    if labels != "-":
        np.save(labels, posteriors.argmax(dim=0).numpy().astype(np.uint8))
    print(json.dumps(row))


if __name__ == "__main__":
    main()
