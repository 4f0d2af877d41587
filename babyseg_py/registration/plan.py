"""The session space of a visit, as `babyseg register` wrote it down."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from babyseg_py.errors import UnusableData
from babyseg_py.names import parse_name

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
    grid, scans = plan["grid"], plan["scans"]
    sizes, affine = grid["shape"], np.array(grid["affine"], dtype=np.float64)
    if len(sizes) != 3 or not all(isinstance(size, int) and size > 0 for size in sizes):
        return "the grid of the session is not of three axes"
    if affine.shape != (4, 4) or not abs(np.linalg.det(affine)) > 0:
        return "the grid of the session has no place in the world"
    faults = [fault for scan in scans if (fault := _fault_of_scan(scan))]
    if not faults and not any(scan["used"] for scan in scans):
        return "it uses no scan"
    return faults[0] if faults else ""


def _fault_of_scan(scan: dict[str, Any]) -> str:
    lacking = {"scan", "image", "used", "flags", "matrix"} - scan.keys()
    if lacking:
        return f"a scan has no {sorted(lacking)[0]}"
    parse_name(scan["scan"])
    if not isinstance(scan["image"], str) or not isinstance(scan["used"], bool):
        return f"{scan['scan']} has no file, or does not say whether it is used"
    if any({"name", "message"} - flag.keys() for flag in scan["flags"]):
        return f"a flag of {scan['scan']} has no name, or no message"
    matrix = np.array(scan["matrix"], dtype=np.float64)
    if matrix.shape != (4, 4) or not abs(np.linalg.det(matrix)) > LEAST_VOLUME:
        return "a matrix is not 4 x 4, or singular"
    return ""
