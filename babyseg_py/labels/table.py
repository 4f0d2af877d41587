"""The 22 output structures, read from one JSON table."""

import json
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class Structure:
    """One output structure.

    Parameters
    ----------
    index : int
        Position in the table, and the channel of the default network.
    id : int
        FreeSurfer label number.
    name : str
        FreeSurfer name.
    colour : tuple of int
        Red, green and blue, 0 to 255.
    tissue : str
        Tissue class in words.
    side : str
        ``left``, ``right`` or ``none``.
    in_brain_volume : bool
        Counted in the total brain volume (all brain labels without ventricles).
    """

    index: int
    id: int
    name: str
    colour: tuple[int, int, int]
    tissue: str
    side: str
    in_brain_volume: bool


def _read() -> tuple[Structure, ...]:
    rows = json.loads(files("babyseg_py.labels").joinpath("table.json").read_text(encoding="utf-8"))
    return tuple(Structure(**{**row, "colour": tuple(row["colour"])}) for row in rows)


BRAIN_VOLUME = "Total-Brain-Volume"  # how tables name the sum of what is counted in it

STRUCTURES = _read()
LABELS = tuple(s.id for s in STRUCTURES)
BRAIN_LABELS = tuple(s.id for s in STRUCTURES if s.id)
_BY_NAME = {s.name: s for s in STRUCTURES}
LEFT_RIGHT_PAIRS = tuple(
    (s.id, _BY_NAME[s.name.replace("Left", "Right")].id) for s in STRUCTURES if s.side == "left"
)
_NAMES = {s.id: s.name for s in STRUCTURES}


def structure_name(label: int) -> str:
    """FreeSurfer name of a label number, ``label-<n>`` for one outside the table."""
    return _NAMES.get(int(label), f"label-{int(label)}")
