"""Topology of voxels: parts made equivalent to a ball by changing as few voxels as they need."""

import heapq
import itertools
from functools import cache

import numpy as np
from scipy import ndimage

_OFFSETS = [offset for offset in itertools.product((-1, 0, 1), repeat=3) if any(offset)]
_NEAR = [n for n, offset in enumerate(_OFFSETS) if sum(map(abs, offset)) == 1]
_IN_18 = sum(1 << n for n, offset in enumerate(_OFFSETS) if sum(map(abs, offset)) < 3)


def _touching(reach: int) -> list[int]:
    """For each neighbour of a voxel, the others that it touches, as bits: 1 through faces, 3 any way."""
    found = []
    for a in _OFFSETS:
        near = (
            1 << n
            for n, b in enumerate(_OFFSETS)
            if a != b
            and max(abs(x - y) for x, y in zip(a, b, strict=True)) == 1
            and sum(abs(x - y) for x, y in zip(a, b, strict=True)) <= reach
        )
        found.append(sum(near))
    return found


_BY_FACE, _ANY_WAY = _touching(1), _touching(3)


def mended(values: np.ndarray, /) -> tuple[np.ndarray, int]:
    """Give the inside of a field the topology of a ball.

    Handles are cut, or the holes through them filled, where they are thinnest, whichever changes fewer
    voxels: a region grows from the deepest voxel (or shrinks from the whole box) to the inside of the field
    and never changes its topology on the way (simple points; after Bazin and Pham 2007,
    https://doi.org/10.1016/j.neuroimage.2007.04.008). Inside is connected through faces, outside any way.

    Parameters
    ----------
    values : (I, J, K) np.ndarray
        Positive inside, in one part without cavities; outside at the border of the box.

    Returns
    -------
    values : (I, J, K) np.ndarray
        With the sign changed where voxels were cut or filled.
    changed : int
        How many these are.
    """
    inside = values > 0
    depth = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
    seed = np.zeros_like(inside)
    seed[np.unravel_index(depth.argmax(), depth.shape)] = True
    box = np.zeros_like(inside)
    ends = [(where.min() - 1, where.max() + 2) for where in np.nonzero(inside)]
    box[
        tuple(slice(max(low, 1), min(high, n - 1)) for (low, high), n in zip(ends, box.shape, strict=True))
    ] = True
    cut = _evolved(seed, inside, depth)
    filled = _evolved(box, inside, -depth)
    best = min(cut, filled, key=lambda region: int((region != inside).sum()))
    changed = best != inside
    least = np.maximum(np.abs(values).max() / 10, np.abs(values) / 10)
    return np.where(changed, np.where(best, least, -least), values), int(changed.sum())


def _evolved(start: np.ndarray, goal: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Change voxels of a region towards a goal where that keeps its topology, the highest order first."""
    shape = np.array(start.shape) + 2
    region = np.pad(start, 1).ravel()
    wrong = np.pad(start != goal, 1).ravel()
    rank = np.pad(-order, 1).ravel()
    steps = [int(np.dot(offset, (shape[1] * shape[2], shape[2], 1))) for offset in _OFFSETS]
    around = ndimage.binary_dilation(region.reshape(shape), np.ones((3, 3, 3)))
    rim = around & ndimage.binary_dilation(~region.reshape(shape), np.ones((3, 3, 3)))
    waiting = [(float(rank[n]), int(n)) for n in np.flatnonzero(rim.ravel() & wrong)]
    heapq.heapify(waiting)
    queued = {n for _, n in waiting}
    # Bytes, because single elements of an array are slow to read.
    state, wanted = bytearray(region.astype(np.uint8)), bytearray(wrong.astype(np.uint8))
    while waiting:
        _, place = heapq.heappop(waiting)
        queued.discard(place)
        code = 0
        for bit, step in enumerate(steps):
            code |= state[place + step] << bit
        if not _is_simple(code):
            continue
        state[place] ^= 1
        wanted[place] = 0
        for step in steps:
            near = place + step
            if wanted[near] and near not in queued:
                queued.add(near)
                heapq.heappush(waiting, (float(rank[near]), near))
    return np.frombuffer(state, np.uint8).reshape(shape)[1:-1, 1:-1, 1:-1].astype(bool)


@cache
def _is_simple(code: int) -> bool:
    """Say whether a voxel can change without a change of topology, from its 26 neighbours as bits."""
    outside = ~code & ((1 << 26) - 1)
    if not outside or _part(outside & -outside, outside, _ANY_WAY) != outside:
        return False
    inside = code & _IN_18
    touching = [1 << n for n in _NEAR if inside >> n & 1]
    if not touching:
        return False
    part = _part(touching[0], inside, _BY_FACE)
    return all(part & one for one in touching)


def _part(start: int, allowed: int, touching: list[int]) -> int:
    """Return the neighbours that are connected to a first one within those allowed, as bits."""
    found = new = start
    while new:
        reached = 0
        while new:
            lowest = new & -new
            reached |= touching[lowest.bit_length() - 1]
            new ^= lowest
        new = reached & allowed & ~found
        found |= new
    return found
