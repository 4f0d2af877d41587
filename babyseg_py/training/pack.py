"""Label map files packed into one bank."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from babyseg_py.errors import UnusableData
from babyseg_py.images import load_labels
from babyseg_py.synthesis.forms_build import relate
from babyseg_py.synthesis.labelbank import LabelBank, load_bank, save_bank
from babyseg_py.synthesis.labelbank_build import describe_map, make_bank
from babyseg_py.training.labelmaps import Renumbering, checked_maps, find_maps, read_label_table, renumber

_AGE = re.compile(r"age-(\d+(?:\.\d+)?)(?:-(\d+(?:\.\d+)?))?mo", re.IGNORECASE)
_ENDING = re.compile(r"(_dseg.*|\.nii|\.nii\.gz|\.mgz|\.mgh)$", re.IGNORECASE)


def pack_label_maps(places: Sequence[Path], target: Path, *, label_table: Path | None = None) -> list[str]:
    """Pack label maps; a name like ``age-4mo_dseg.nii.gz`` tells an age in months, others are adults.

    Parameters
    ----------
    places : sequence of Path
        Label maps, and folders of them.
    target : Path
        Bank to write.
    label_table : Path, optional
        Which FreeSurfer number each number of the maps stands for; see `read_label_table`.

    Returns
    -------
    list of str
        What their owner should know.

    Raises
    ------
    UnusableData
        If two maps have one name, or some cannot be used: all of them are named before any is packed.
    """
    paths = find_maps(places)
    table = read_label_table(label_table) if label_table else None
    notes = [*filter(None, [_checked(paths, table), _taken_for_adults(paths)])]
    target.parent.mkdir(parents=True, exist_ok=True)
    save_bank(relate(_described(paths, table, {})), target)
    return notes


def bank_of(places: Sequence[Path], *, ages: Mapping[str, float]) -> LabelBank:
    """Read a bank: one that was packed, or label maps and folders of them.

    Parameters
    ----------
    places : sequence of Path
        One ``.npz``, or label maps and folders of them.
    ages : dict of str to float
        Age in months by visit, for maps named ``sub-X_ses-Y…``.

    Raises
    ------
    UnusableData
        As `pack_label_maps`.
    """
    if len(places) == 1 and places[0].suffix == ".npz":
        return load_bank(places[0])
    paths = find_maps(places)
    _checked(paths, None)
    return _described(paths, None, ages)


def _checked(paths: Sequence[Path], table: Renumbering | None) -> str | None:
    names = [_name(path) for path in paths]
    for path, name in zip(paths, names, strict=True):
        if names.count(name) > 1:
            raise UnusableData(str(path), "another map has the same name", "rename one of them")
        if name.lower().startswith("age-") and age_from_name(name) is None:
            what = "its name begins with age- but tells no age in months"
            raise UnusableData(str(path), what, "call it like age-4mo_dseg.nii.gz or age-34-38mo_dseg.nii.gz")
    return checked_maps(paths, table)


def _taken_for_adults(paths: Sequence[Path]) -> str | None:
    """Say how many maps count as adults though their names do not call them so."""
    names = [_name(path) for path in paths]
    count = sum(age_from_name(n) is None and not n.lower().startswith("adult") for n in names)
    if not count:
        return None
    words = f"{count} of {len(names)} maps tell no age and count as adults: their images get contrasts of"
    return f"{words} grown brains; begin the names of children's maps with an age, as in age-4mo_dseg.nii.gz"


def _described(paths: Sequence[Path], table: Renumbering | None, ages: Mapping[str, float]) -> LabelBank:
    described = []
    for path in paths:
        name = _name(path)
        age = ages.get(visit_in(name), age_from_name(name))
        described.append(describe_map(renumber(load_labels(path), table), name=name, age_months=age))
    return make_bank(described)


def _name(path: Path) -> str:
    return _ENDING.sub("", path.name)


def visit_in(name: str) -> str:
    """Visit that the name of a map begins with, such as sub-01_ses-A."""
    return "_".join(name.split("_")[:2])


def age_from_name(name: str) -> float | None:
    """Age in months that a file name states, the middle of a range; None for an adult."""
    match = _AGE.match(name)
    if match is None:
        return None
    ages = [float(value) for value in match.groups() if value]
    return sum(ages) / len(ages)
