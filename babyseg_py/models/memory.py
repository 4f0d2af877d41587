"""How much memory a network needs, how much there is, and how this process handles it."""

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from babyseg_py.errors import UnusableData
from babyseg_py.models.groupnet import GroupNetConfig

USABLE = 0.9  # of what is available, for what else runs
BASE_BYTES = 90_000_000  # Threads and compiled kernels, whatever the grid; measured.
GAPS = 1.13  # What the allocator takes over what is asked of it; measured.
# Beyond this a leaner way is taken if there is one: with scans and program it stays in the 6 GB that the
# pipeline asks for, also where nothing enforces them.
ENOUGH_BYTES = 4_500_000_000
ROWS = 8


@dataclass(frozen=True)
class Plan:
    """How a network is run.

    Parameters
    ----------
    rows : int
        Thickness of the slabs at half resolution.
    keep_skips : bool
        Keep the maps of the second level for the decoder or, in a network that normalises, those of all scans
        at its finest levels, rather than compute them a second time.
    predicted_bytes : int
        Memory that this takes beyond weights and images, posteriors included.
    """

    rows: int
    keep_skips: bool
    predicted_bytes: int


def plan_run(
    config: GroupNetConfig, grid: Sequence[int], scans: int, itemsize: int, *, limit_bytes: int | None = None
) -> Plan:
    """Choose the fastest way to run a network that fits the memory.

    Parameters
    ----------
    config : GroupNetConfig
        Shape of the network.
    grid : sequence of int
        Voxels of the images.
    scans : int
        Number of scans that are segmented together.
    itemsize : int
        Bytes of a value: 4 in float32, 2 in bfloat16.
    limit_bytes : int, optional
        Memory that may be used; what is available if not given.

    Raises
    ------
    UnusableData
        If it does not fit in any way.
    """
    limit = USABLE * available_bytes() if limit_bytes is None else limit_bytes
    ways = ((ROWS, True), (2, True), (2, False)) if streams(config) else ((ROWS, True), (ROWS, False))
    plans = [
        Plan(r, k, predicted_bytes(config, grid, scans, itemsize, rows=r, keep_skips=k)) for r, k in ways
    ]
    for most in (min(limit, ENOUGH_BYTES), limit):
        for plan in plans:
            if plan.predicted_bytes <= most:
                return plan
    least = min(plan.predicted_bytes for plan in plans)
    raise UnusableData(
        f"{scans} scan{'s' if scans > 1 else ''} on a grid of {'×'.join(map(str, grid))} voxels",
        f"the network needs {least / 1e9:.1f} GB of memory and may use {limit / 1e9:.1f} GB",
        "give it more memory, segment fewer scans together, or use --precision bf16",
    )


def streams(config: GroupNetConfig) -> bool:
    """Tell whether the finest levels can run slab by slab: no statistics of whole maps, no head."""
    return not config.norm and not config.head and len(config.encoder) > 1


def predicted_bytes(
    config: GroupNetConfig, grid: Sequence[int], scans: int, itemsize: int, *, rows: int, keep_skips: bool
) -> int:
    """Predict the memory that a network takes beyond weights and images, posteriors included, in bytes."""
    voxels = grid[0] * grid[1] * grid[2]
    result = 4 * config.classes * voxels
    if not streams(config):
        return int(BASE_BYTES + GAPS * _whole_bytes(config, grid, scans, itemsize, keep=keep_skips))
    half, quarter, plane = voxels / 8, voxels / 64, grid[1] * grid[2] / 4
    enc, dec = config.encoder, config.decoder
    held: float = (scans + 8) * enc[0] * half + (scans * enc[1] * half if keep_skips else 0)
    coarse = _levels_values(config, voxels, scans, 2)
    thick, last = rows + 2, 8 * enc[0] + dec[-1]
    slab = scans * ((enc[1] + dec[-2]) * (thick + rows) + dec[-1] * 2 * (thick + rows))
    if not keep_skips:
        slab += scans * enc[1] * 2 * (thick + rows)
    slab += last * (thick + rows) + 8 * config.classes * thick
    kernels = 27 * 27 * last * 8 * config.classes
    ending = scans * dec[-2] * quarter + slab * plane
    return int(BASE_BYTES + GAPS * itemsize * (kernels + held + max(coarse, ending + result / itemsize)))


def _whole_bytes(
    config: GroupNetConfig, grid: Sequence[int], scans: int, itemsize: int, *, keep: bool
) -> float:
    """Largest sum of whole maps of a network that normalises, finest levels for all scans or one by one."""
    voxels, plane = grid[0] * grid[1] * grid[2], grid[1] * grid[2]
    enc, coarse, norms = config.encoder[0], config.decoder[-1] / 8, int(config.norm)
    pooled = scans * enc / 8
    # One by one: the mean that the last layer sees, the one so far, what goes in and comes out; half a map of
    # that is copied (measured).
    first = max(scans + norms, scans + pooled / enc) if keep else 4.5 + norms + pooled / enc
    peak = max(first * enc, enc + _levels_values(config, voxels, scans, 1, join=keep) / voxels)
    if config.head:
        # Slab by slab through the head's first convolution; its maps take the place of the skip connection's.
        peak = max(peak, max(enc, config.head[0]) + norms * config.head[0] + coarse)
    else:
        peak = max(peak, 2 * enc + config.decoder[-1] + coarse)
    for a, b in pairwise(config.head):
        peak = max(peak, a + (1 + norms) * b)
    inputs = (config.decoder[-1] + enc, *config.head)[-1]
    slab = 3 * 4 * config.classes * ROWS * plane
    at_end = 4 * config.classes * voxels + slab + itemsize * inputs * voxels
    return max(peak * voxels * itemsize, at_end)


def _levels_values(
    config: GroupNetConfig, voxels: int, scans: int, first: int, *, join: bool = True
) -> float:
    """Largest number of values of whole maps from an encoder level on, down and up again.

    The level itself is joined for one scan after the other unless for all together.
    """
    enc, dec, depth = config.encoder, config.decoder, len(config.encoder)
    size = [voxels / 8**level for level in range(depth + 1)]
    peak = held = 0.0

    def layer(inputs: int, outputs: int, level: int, scans: int) -> None:
        nonlocal peak
        a, b = inputs * size[level], outputs * size[level]
        extra = b if config.norm else 0
        peak = max(peak, held + max(scans * a + b, a + scans * b, scans * b + extra))

    for level in range(first, depth):
        layer(enc[level - 1], enc[level], level, scans)
        layer(enc[level], enc[level], level, scans)
        held += scans * enc[level] * size[level]
    inputs = enc[-1]
    for level, outputs in zip(range(depth, first - 1, -1), dec, strict=False):
        alone = level == first and not join
        if alone:
            held += scans * (enc[level] * size[level] + dec[-2] * size[level + 1]) + inputs * size[level]
        layer(inputs, outputs, level, 1 if alone else scans)
        layer(outputs, outputs, level, 1 if alone else scans)
        if level > first:
            skip = enc[level - 1]
            held -= scans * skip * size[level - 1]
            inputs = outputs + skip
            if level > first + 1 or join:
                both = (inputs * scans + skip) * size[level - 1] + outputs * size[level]
                peak = max(peak, held + both)
    return peak


def available_bytes() -> int:
    """Memory that this process can still get: of the machine, and of the control groups that it runs in."""
    found = list(_cgroup_bytes(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")))
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            found.append(1024 * int(line.split()[1]))
    return min(found, default=2**62)


def _cgroup_bytes(own: Path, root: Path) -> Iterator[int]:
    """Memory left in each control group of this process, version 1 or 2, up to the root."""
    for line in _lines(own):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, names = root, ("memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            top, names = root / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        group = top / path.strip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(top):
                break
            limit, used = (_lines(folder / name) for name in names)
            if limit and used and limit[0].isdigit():
                # What the group has read from files is counted as used, and given back on demand.
                stat = dict(line.split() for line in _lines(folder / "memory.stat"))
                yield int(limit[0]) - int(used[0]) + int(stat.get("inactive_file", 0))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def keep_freed_memory() -> None:
    """Ask glibc to keep freed memory for what is needed next.

    Large arrays that come and go are otherwise mapped anew each time, which costs a network on two cores
    a fifth to a half of its time.
    """
    mallopt = getattr(_c_library(), "mallopt", None)
    if not mallopt:
        return  # not glibc: only slower
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3
    for option, value in ((mmap_threshold, 2**30), (trim_threshold, 2**31 - 1), (top_pad, 2**28)):
        mallopt(option, value)


def return_freed_memory() -> None:
    """Give back what was freed, between scans of which something is kept.

    What is kept lies between what comes and goes, whose gaps then fit nothing: twelve scans took 6.8 GB, and
    5.9 GB with this, which takes a twentieth of a second.
    """
    trim = getattr(_c_library(), "malloc_trim", None)
    if trim:
        trim(0)


def _c_library() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(None)
    except (OSError, TypeError):  # TypeError on Windows
        return None
