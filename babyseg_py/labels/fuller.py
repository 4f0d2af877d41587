"""The fuller label set: some of the 22 structures divided into parts, so that the parts make up the whole."""

import json
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from babyseg_py.labels.table import LEFT_RIGHT_PAIRS, STRUCTURES, Structure

LABEL_SETS = ("babyseg", "fuller")
WHOLLY_DIVIDED = (169, 176)  # whose own number is no part of the fuller set


@dataclass(frozen=True)
class Part:
    """A part of one of the 22 structures, or of their background.

    Parameters
    ----------
    parent : int
        Label number of the whole.
    label : int
        Label number of the part; that of the parent for what is no other part of it.
    """

    parent: int
    label: int


@cache
def _rows() -> list[dict]:
    return json.loads(files("babyseg_py.labels").joinpath("fuller.json").read_text(encoding="utf-8"))


@cache
def fuller_structures() -> tuple[Structure, ...]:
    """Structures of the fuller set in the order of the 22, each parent followed by its parts."""
    result: dict[int, Structure] = {}
    for whole in STRUCTURES:
        if whole.id not in WHOLLY_DIVIDED:
            result.setdefault(whole.id, whole)
        for row in _rows():
            if whole.id in row["parents"]:
                values = {k: v for k, v in row.items() if k != "parents"} | {"colour": tuple(row["colour"])}
                brain = row["tissue"] != "cerebrospinal fluid"
                result[row["id"]] = Structure(index=0, in_brain_volume=brain, **values)
    return tuple(replace(s, index=i) for i, s in enumerate(result.values()))


@cache
def parts() -> tuple[Part, ...]:
    """All parts of those structures that have several, parent by parent; one channel of a refiner each."""
    result = []
    for whole in STRUCTURES:
        children = [row["id"] for row in _rows() if whole.id in row["parents"]]
        if children:
            rest = [] if whole.id in WHOLLY_DIVIDED else [whole.id]
            result += [Part(whole.id, child) for child in dict.fromkeys(rest + children)]
    return tuple(result)


def channels_of(parent: int) -> list[int]:
    """Positions in `parts` of the parts of one structure; empty for one that is not divided."""
    return [i for i, part in enumerate(parts()) if part.parent == parent]


@cache
def mirrored_parts() -> tuple[int, ...]:
    """Position of each part's mirror image in `parts`."""
    swap = dict(LEFT_RIGHT_PAIRS) | {5: 44, 7: 46, 12: 51, 13: 52, 26: 58}
    swap |= {right: left for left, right in swap.items()}
    places = {part: i for i, part in enumerate(parts())}
    return tuple(places[Part(swap.get(p.parent, p.parent), swap.get(p.label, p.label))] for p in parts())


def allowed_parts(parent: int, label: int | None, present: frozenset[int]) -> int:
    """Parts that a voxel of a label map may be, as a bit for each of `parts`.

    A map that does not tell two parts apart says of a voxel only that it is one of them: what a map has
    nowhere may be anywhere in its parent.

    Parameters
    ----------
    parent : int
        Structure of the 22 that the voxel belongs to.
    label : int or None
        Label number of the voxel in the map; None where it names no part: it may be any.
    present : frozenset of int
        Label numbers that the map tells apart.

    Returns
    -------
    int
        Zero if the parent is not divided.
    """
    bits = 0
    for channel in channels_of(parent):
        part = parts()[channel].label
        if label is None or part == label or part not in present:
            bits |= 1 << channel
    return bits
