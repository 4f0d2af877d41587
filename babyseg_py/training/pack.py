"""Label map files packed into one bank."""

import re
from collections.abc import Sequence
from pathlib import Path

from babyseg_py.errors import UnusableData
from babyseg_py.images import load_labels
from babyseg_py.synthesis.labelbank import save_bank
from babyseg_py.synthesis.labelbank_build import describe_map, make_bank
from babyseg_py.training.labelmaps import checked_maps, find_maps, read_label_table, renumber

_AGE = re.compile(r"age-(\d+)(?:-(\d+))?mo")


def pack_label_maps(places: Sequence[Path], target: Path, *, label_table: Path | None = None) -> str | None:
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
    str or None
        What their owner should know.

    Raises
    ------
    UnusableData
        If two maps have one name, or some cannot be used: all of them are named before any is packed.
    """
    paths = find_maps(places)
    table = read_label_table(label_table) if label_table else None
    names = [path.name.split("_dseg")[0].split(".")[0] for path in paths]
    for path, name in zip(paths, names, strict=True):
        if names.count(name) > 1:
            raise UnusableData(str(path), "another map has the same name", "rename one of them")
    note = checked_maps(paths, table)
    described = [
        describe_map(renumber(load_labels(path), table), name=name, age_months=age_from_name(name))
        for path, name in zip(paths, names, strict=True)
    ]
    target.parent.mkdir(parents=True, exist_ok=True)
    save_bank(make_bank(described), target)
    return note


def age_from_name(name: str) -> float | None:
    """Age in months that a file name states, the middle of a range; None for an adult."""
    match = _AGE.match(name)
    if match is None:
        return None
    ages = [float(value) for value in match.groups() if value]
    return sum(ages) / len(ages)
