"""The scans of a visit as `babyseg register` laid them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from babyseg_py.errors import UnusableData
from babyseg_py.images import load_image
from babyseg_py.segmentation.window import Scan


def scans_of(path: Path, plan: dict[str, Any], images: Mapping[str, Path]) -> list[Scan]:
    """Load the scans that a plan uses, the one whose grid is the session's first.

    Parameters
    ----------
    path : Path
        File of the plan, for messages.
    plan : dict
        From `babyseg_py.registration.plan.read_plan`.
    images : mapping of str to Path
        Image files by their name.

    Raises
    ------
    UnusableData
        If an image is not there or cannot be used.
    """
    entries = [entry for entry in plan["scans"] if entry["used"]]
    entries.sort(key=lambda entry: entry["image"] != plan.get("reference"))
    missing = [entry["image"] for entry in entries if entry["image"] not in images]
    if missing:
        raise UnusableData(str(path), f"names images that were not given: {missing}", "give all of them")
    return [
        Scan(entry["scan"], load_image(images[entry["image"]]), np.array(entry["matrix"]))
        for entry in entries
    ]
