"""Label map files packed into one bank."""

import re
from collections.abc import Sequence
from pathlib import Path

from babyseg_py.errors import UnusableData
from babyseg_py.images import load_labels
from babyseg_py.synthesis.labelbank import save_bank
from babyseg_py.synthesis.labelbank_build import describe_map, make_bank

_AGE = re.compile(r"age-(\d+)(?:-(\d+))?mo")


def pack_label_maps(paths: Sequence[Path], target: Path) -> None:
    """Pack label maps; a name like ``age-4mo_dseg.nii.gz`` tells an age in months, others are adults.

    Raises
    ------
    UnusableData
        If two maps have one name or a map holds none of the known labels.
    """
    names = [path.name.split("_dseg")[0].split(".")[0] for path in paths]
    described = []
    for path, name in zip(sorted(paths), sorted(names), strict=True):
        if names.count(name) > 1:
            raise UnusableData(str(path), "another map has the same name", "rename one of them")
        label_map, codes = describe_map(load_labels(path), name=name, age_months=age_from_name(name))
        if len(codes) < 2:
            raise UnusableData(str(path), "holds no known label", "use FreeSurfer label numbers")
        described.append((label_map, codes))
    target.parent.mkdir(parents=True, exist_ok=True)
    save_bank(make_bank(described), target)


def age_from_name(name: str) -> float | None:
    """Age in months that a file name states, the middle of a range; None for an adult."""
    match = _AGE.match(name)
    if match is None:
        return None
    ages = [float(value) for value in match.groups() if value]
    return sum(ages) / len(ages)
