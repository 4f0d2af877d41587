"""The scans of a visit as `babyseg register` laid them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from babyseg_py.errors import UnusableData
from babyseg_py.images import load_image
from babyseg_py.names import parse_name
from babyseg_py.segmentation.window import Scan


def read_plan(path: Path) -> dict[str, Any]:
    """Read the result of `babyseg register`.

    Raises
    ------
    UnusableData
        If it cannot be read, or does not hold a registration.
    """
    advice = "run `babyseg register` again"
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise UnusableData(str(path), f"cannot be read ({problem})", advice) from problem
    try:
        _check(plan)
    except (KeyError, TypeError, ValueError) as problem:
        what = f"is not a registration ({type(problem).__name__}: {problem})"
        raise UnusableData(str(path), what, advice) from None
    return plan


def _check(plan: dict[str, Any]) -> None:
    """Raise an error where a plan lacks what a segmentation needs of it."""
    shape = plan["grid"]["shape"]
    if len(shape) != 3 or not all(isinstance(size, int) and size > 0 for size in shape):
        raise ValueError(f"{shape} is not the shape of a grid")
    _check_matrix(plan["grid"]["affine"])
    for entry in plan["scans"]:
        parse_name(entry["scan"])
        _check_matrix(entry["matrix"])
        if not isinstance(entry["image"], str) or not isinstance(entry["used"], bool):
            raise ValueError(f"{entry['scan']} has no image, or does not say whether it is used")
        for flag in entry["flags"]:
            _ = flag["name"], flag["message"]
    if not any(entry["used"] for entry in plan["scans"]):
        raise ValueError("it uses no scan")


def _check_matrix(rows: Any) -> None:
    matrix = np.array(rows, dtype=np.float64)
    if matrix.shape != (4, 4) or not abs(np.linalg.det(matrix)) > 0:
        raise ValueError("a matrix is not 4 x 4, or singular")


def scans_of(path: Path, plan: dict[str, Any], images: Mapping[str, Path]) -> list[Scan]:
    """Load the scans that a plan uses, the one whose grid is the session's first.

    Parameters
    ----------
    path : Path
        File of the plan, for messages.
    plan : dict
        From `read_plan`.
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
