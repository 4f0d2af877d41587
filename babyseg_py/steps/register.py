"""The step ``register``: all scans of a visit into one session space."""

import argparse
from typing import TYPE_CHECKING

from babyseg_py.steps.arguments import thread_count, visit_ids

if TYPE_CHECKING:
    from pathlib import Path

    from babyseg_py.errors import UnusableData
    from babyseg_py.images import Volume
    from babyseg_py.registration.visit import Placement


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("images", nargs="+", metavar="IMG", help="scans of one visit, with BIDS names")
    parser.add_argument("--visit", required=True, metavar="sub-X_ses-Y", help="the visit")
    parser.add_argument("--out-dir", required=True, metavar="DIR", help="folder for transforms and JSON")
    words = "threads to use (default: 1)"
    parser.add_argument("--threads", type=thread_count(1), default=1, metavar="N", help=words)


def run(args: argparse.Namespace) -> None:
    """Register the scans of a visit and write the transforms and what was found about each."""
    import os
    import sys

    from babyseg_py.errors import UnusableData
    from babyseg_py.writing import made_folder

    visit_ids(args.visit)
    folder = made_folder(args.out_dir)
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = "1"  # Read when numpy is first imported; scans, not sums, go in parallel.

    from babyseg_py.images import load_image
    from babyseg_py.registration.pyramid import prepare
    from babyseg_py.registration.visit import register_visit

    names = _scan_names(args.images, args.visit)
    volumes: dict[str, Volume] = {}
    unusable: dict[str, UnusableData] = {}
    for name, path in names.items():
        try:
            volumes[name] = load_image(path)
            prepare(volumes[name], levels_mm=(4.0,), name=str(path))
        except UnusableData as problem:
            volumes.pop(name, None)
            unusable[name] = problem
    faults = list(unusable.values())
    last = faults.pop() if not volumes else None
    for fault in faults:
        print(f"babyseg register: {fault}", file=sys.stderr)
    if last:
        raise last
    session = register_visit(
        list(volumes.values()), names=[str(names[n]) for n in volumes], threads=args.threads
    )
    entries = {name: _entry(name, path) for name, path in names.items()}
    for name, fault in unusable.items():
        entries[name] |= _left_out(fault)
    for name, placement, found in zip(volumes, session.placements, session.ranks, strict=True):
        grid = volumes[list(volumes)[session.reference]]
        entries[name] |= {"transform": _transform(folder, args.visit, entries[name], placement, grid)}
        entries[name] |= _findings(placement) | {key: round(value, 4) for key, value in vars(found).items()}
    reference = list(volumes)[session.reference]
    _write_plan(folder, args.visit, names[reference].name, volumes[reference], list(entries.values()))


def _scan_names(images: list[str], visit: str) -> "dict[str, Path]":
    """Path of each scan by its name within the visit, in the order of the names."""
    from pathlib import Path

    from babyseg_py.errors import UnusableData
    from babyseg_py.names import scan_of

    advice = f"give scans named {visit}[_run-N][_desc-n4]_<suffix>.nii.gz"
    found: dict[str, Path] = {}
    for image in images:
        try:
            of, name = scan_of(image)
        except ValueError:
            raise UnusableData(image, "the name does not say which scan it is", advice) from None
        if of != visit:
            raise UnusableData(image, f"is not of visit {visit}", advice)
        if name in found:
            raise UnusableData(image, f"is the same scan as {found[name]}", "give each scan once")
        found[name] = Path(image)
    return dict(sorted(found.items()))


def _write_plan(folder: "Path", visit: str, reference: str, grid: "Volume", scans: list[dict]) -> None:
    import json

    from babyseg_py.registration.session_space import RULE
    from babyseg_py.writing import write_text

    plan = {
        "visit": visit,
        "reference": reference,
        "rule": RULE,
        "grid": {"shape": list(grid.shape), "affine": grid.affine.tolist()},
        "scans": scans,
    }
    text = json.dumps(plan, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_text(folder / f"{visit}_desc-session_registration.json", text)


def _entry(name: str, path: "Path") -> dict:
    from babyseg_py.names import parse_name

    parts = parse_name(f"{name}.nii.gz")
    return {"image": path.name, "scan": name, "suffix": parts["suffix"], "run": parts.get("run")}


def _left_out(problem: "UnusableData") -> dict:
    """Entry of a scan that could not be read; the matrix has no meaning."""
    import numpy as np

    flag = {"name": "unusable", "message": f"{problem.what}; {problem.advice}"}
    return {"transform": None, "matrix": np.eye(4).tolist(), "flags": [flag], "used": False}


def _transform(folder: "Path", visit: str, entry: dict, placement: "Placement", grid: "Volume") -> str:
    """Write the ITK file of one scan and return its name."""
    import numpy as np

    from babyseg_py.names import bids_name
    from babyseg_py.registration.itk import write_transform

    participant, session = visit_ids(visit)
    name = bids_name(
        participant=participant,
        session=session,
        run=entry["run"],
        suffix="xfm",
        extension=".mat",
        from_=entry["suffix"],
        to="session",
        mode="image",
    )
    centre = (grid.affine @ np.append((np.array(grid.shape) - 1) / 2, 1))[:3]
    write_transform(placement.matrix, folder / name, centre=centre)
    return name


def _findings(placement: "Placement") -> dict:
    """Figures and flags of one scan; the reference has no figures to show."""
    import math

    found: dict = {"matrix": placement.matrix.tolist(), "rotation_deg": 0.0, "translation_mm": 0.0}
    found |= {"similarity": None, "similarity_null": None, "overlap": None}
    if placement.evidence is not None:
        figures = {k: round(v, 4) if math.isfinite(v) else None for k, v in vars(placement.evidence).items()}
        found |= {
            "rotation_deg": figures.pop("rotation_deg"),
            "translation_mm": figures.pop("shift_mm"),
            "similarity": figures.pop("similarity"),
            "similarity_null": figures.pop("null"),
            "similarity_null_sd": figures.pop("null_spread"),
            "overlap": figures.pop("overlap"),
            "checks": figures,
        }
    found["flags"] = [{"name": flag.name, "message": flag.message} for flag in placement.flags]
    found["used"] = placement.used
    return found
