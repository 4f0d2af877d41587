"""The session space of a visit, as `babyseg register` wrote it down."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from babyseg_py.errors import UnusableData

LEAST_VOLUME = 0.1  # of a matrix: what changes volume by more is no motion of a head


def read_plan(path: Path | str) -> dict[str, Any]:
    """Read the result of `babyseg register`.

    Returns
    -------
    dict
        As it was written: ``grid`` of the session with ``shape`` and ``affine`` (voxel to world, mm), and in
        ``scans`` for each scan its name ``scan``, file ``image``, ``matrix`` (session world mm to scan world
        mm), ``flags``, and whether it is ``used``.

    Raises
    ------
    UnusableData
        If it cannot be read, or is not such a result.
    """
    try:
        plan = json.loads(Path(path).read_text(encoding="utf-8"))
        fault = _fault(plan)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        fault = f"{type(problem).__name__}: {problem}"
    if fault:
        raise UnusableData(str(path), f"is not a registration ({fault})", "run `babyseg register` again")
    return plan


def matrices(plan: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the matrix of each scan by its name, (4, 4): session world mm to scan world mm."""
    return {scan["scan"]: np.array(scan["matrix"], dtype=np.float64) for scan in plan["scans"]}


def _fault(plan: dict[str, Any]) -> str:
    """Say what is wrong with it; empty if nothing is."""
    grid = plan["grid"]
    if len(grid["shape"]) != 3 or np.shape(grid["affine"]) != (4, 4):
        return "the grid of the session is not of three axes"
    for scan in plan["scans"]:
        lacking = {"scan", "image", "used", "flags", "matrix"} - scan.keys()
        if lacking:
            return f"a scan has no {sorted(lacking)[0]}"
    every = matrices(plan).values()
    if any(m.shape != (4, 4) or not abs(np.linalg.det(m)) > LEAST_VOLUME for m in every):
        return "a matrix is not 4 x 4, or singular"
    return ""
