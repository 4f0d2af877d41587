"""The step ``morphometry``: volumes of one visit, from all scans together and from each."""

import argparse

from babyseg_py.steps.arguments import visit_ids


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--visit", required=True, metavar="sub-X_ses-Y", help="id of the visit")
    parser.add_argument("--dseg", required=True, metavar="F", help="labels of the session")
    parser.add_argument(
        "--scan-dseg", required=True, nargs="+", metavar="F", help="labels of each scan in its own grid"
    )
    parser.add_argument(
        "--posterior-volumes", required=True, metavar="F.json", help="volumes from posteriors, of `segment`"
    )
    parser.add_argument("--reference", metavar="F", help="reference segmentation of the session")
    parser.add_argument("--out-dir", required=True, metavar="DIR", help="where both tables go")


def run(args: argparse.Namespace) -> None:
    """Write the tables of the session's volumes and of each scan's."""
    from pathlib import Path

    from babyseg_py.morphometry.visit import MANUAL
    from babyseg_py.morphometry.volumes import COLUMNS
    from babyseg_py.names import bids_name
    from babyseg_py.statistics.files import write_dictionary
    from babyseg_py.steps.surface_distance import scan_files
    from babyseg_py.writing import write_text

    visit = visit_ids(args.visit)
    posterior = _posterior_volumes(args.posterior_volumes)
    tables = {
        "volumes": [(*visit, *cells) for cells in _cells(args.dseg, *posterior["session"])],
        "scanvolumes": [
            (*visit, name, *cells)
            for name, path in sorted(scan_files(args.scan_dseg, args.visit).items())
            for cells in _cells(path, *posterior["scans"].get(name, ({}, {})))
        ],
    }
    if args.reference:
        tables["scanvolumes"] += [(*visit, MANUAL, *cells) for cells in _reference_cells(args.reference)]
    heads = {"volumes": (), "scanvolumes": ("scan",)}
    for description, rows in tables.items():
        header = ("participant_id", "session_id", *heads[description], *COLUMNS)
        name = bids_name(
            participant=visit[0], session=visit[1], suffix="morph", extension=".tsv", desc=description
        )
        lines = "".join("\t".join(line) + "\n" for line in [header, *rows])
        write_text(Path(args.out_dir) / name, lines)
        write_dictionary(Path(args.out_dir) / name, description)


def _cells(path: str, posterior: dict[int, float], interval: dict[int, tuple]) -> list[tuple[str, ...]]:
    from babyseg_py.morphometry.volumes import volume_table
    from babyseg_py.steps.reading import read_labels
    from babyseg_py.steps.volumes import volume_cells

    rows = volume_table(read_labels(path), posterior_mm3=posterior, interval_mm3=interval)
    return [volume_cells(row) for row in rows]


def _reference_cells(path: str) -> list[tuple[str, ...]]:
    """Volumes of what the reference segmentation has; none, and a word about it, if it cannot be used."""
    import sys

    from babyseg_py.errors import UnusableData
    from babyseg_py.morphometry.volumes import drawn_volumes
    from babyseg_py.steps.reading import read_drawn
    from babyseg_py.steps.volumes import volume_cells

    try:
        rows = [volume_cells(row) for row in drawn_volumes(read_drawn(path))]
        return [tuple("n/a" if cell == "nan" else cell for cell in row) for row in rows]
    except UnusableData as problem:
        print(f"babyseg morphometry: no volumes of the reference segmentation: {problem}", file=sys.stderr)
        return []


def _posterior_volumes(path: str) -> dict:
    """Volumes and their intervals by label number, of the session and of each scan by its name."""
    import json
    from pathlib import Path

    from babyseg_py.errors import UnusableData

    def by_label(volumes: dict, intervals: dict) -> tuple[dict[int, float], dict[int, tuple]]:
        ends = {int(label): (float(low), float(high)) for label, (low, high) in intervals.items()}
        return {int(label): float(volume) for label, volume in volumes.items()}, ends

    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        intervals = content["intervals"]
        scans = {
            name: by_label(volumes, intervals["scans"][name]) for name, volumes in content["scans"].items()
        }
        return {"session": by_label(content["session"], intervals["session"]), "scans": scans}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        what = f"does not hold volumes of a session and its scans ({type(problem).__name__}: {problem})"
        raise UnusableData(path, what, "run `babyseg segment` on the visit again") from None
