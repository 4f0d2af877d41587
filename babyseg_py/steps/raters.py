"""The step ``raters``: what the raters of one visit agree on, how each of them did, and their volumes."""

import argparse
from typing import TYPE_CHECKING

from babyseg_py.steps.arguments import visit_ids

if TYPE_CHECKING:
    import pandas as pd

    from babyseg_py.images import Volume


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--visit", required=True, metavar="sub-X_ses-Y", help="id of the visit")
    parser.add_argument("--names", required=True, nargs="+", metavar="RATER", help="names of the raters")
    words = "their label maps in the same order; on unlike grids, all are brought onto that of the first"
    parser.add_argument("--maps", required=True, nargs="+", metavar="F", help=words)
    parser.add_argument("--out-dir", required=True, metavar="DIR", help="where all files of the visit go")


def run(args: argparse.Namespace) -> None:
    """Write both kinds of consensus, and the tables of performance and of volumes; the tables last."""
    from pathlib import Path

    import pandas as pd

    from babyseg_py.errors import UnusableData, UsageError
    from babyseg_py.names import bids_name
    from babyseg_py.statistics.files import write_table
    from babyseg_py.statistics.raters import PERFORMANCE, VOLUMES
    from babyseg_py.statistics.visits import VISIT
    from babyseg_py.steps.consensus import METHODS, join, on_one_grid_all, performance, write_consensus
    from babyseg_py.steps.reading import read_drawn

    visit = visit_ids(args.visit)
    if not 2 <= len(set(args.names)) == len(args.names) == len(args.maps):
        raise UsageError("give two raters or more, each with one name and one map")

    def place(suffix: str, extension: str, desc: str) -> Path:
        name = bids_name(
            participant=visit[0], session=visit[1], suffix=suffix, extension=extension, desc=desc
        )
        return Path(args.out_dir) / name

    try:
        maps = [read_drawn(path) for path in args.maps]
        aligned = on_one_grid_all(maps, args.maps)
    except UnusableData as problem:
        rater = dict(zip(args.maps, args.names, strict=True)).get(problem.path, "a rater")
        raise UnusableData(problem.path, f"label map of {rater}: {problem.what}", problem.advice) from None
    made_from = {"sources": [Path(path).name for path in args.maps], "raters": args.names}
    found = []
    for method in METHODS:
        labels, made = join(aligned, method)
        write_consensus(labels, place("dseg", ".nii.gz", method), method=method, **made_from)
        found.append(performance(args.names, aligned, labels, made).assign(consensus=method))
    tables = {
        "qc": ("rater_performance", pd.concat(found)[PERFORMANCE]),
        "morph": ("rater_volumes", _volumes(args.names, maps)[VOLUMES]),
    }
    for suffix, (kind, table) in tables.items():
        of_visit = table.assign(**dict(zip(VISIT, visit, strict=True)))
        write_table(of_visit[[*VISIT, *table.columns]], place(suffix, ".tsv", "raters"), kind=kind)


def _volumes(names: list[str], maps: "list[Volume]") -> "pd.DataFrame":
    """Volumes of each rater on the grid of the rater's own map."""
    from dataclasses import asdict

    import pandas as pd

    from babyseg_py.morphometry.volumes import drawn_volumes

    rows = [
        {"rater": name, **asdict(row)}
        for name, one in zip(names, maps, strict=True)
        for row in drawn_volumes(one)
    ]
    return pd.DataFrame(rows).astype({"label": "Int64"})
