"""The step ``consensus``: one label map from those of several raters, and how each rater did."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from babyseg_py.images import Volume

COLUMNS = [
    "rater", "label", "structure", "volume_mm3", "consensus_volume_mm3", "sensitivity", "specificity",
    "predictive_value", "dice", "assd_mm", "hd95_mm",
]  # fmt: skip
METHODS = ("staple", "majority")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("raters", metavar="RATER", nargs="+", help="label map of a rater; two or more")
    parser.add_argument("-o", "--output", required=True, metavar="F", help="label map to write")
    words = "how raters are joined (default: staple)"
    parser.add_argument("--method", choices=METHODS, default=METHODS[0], help=words)
    words = "table to write: each rater against the consensus, structure by structure"
    parser.add_argument("--performance", metavar="F.tsv", help=words)
    words = "map to write: how sure the label of each voxel is, 0 to 1"
    parser.add_argument("--certainty", metavar="F", help=words)
    parser.add_argument("--force", action="store_true", help="overwrite outputs")


def run(args: argparse.Namespace) -> None:
    """Write the consensus with its colour table, and the raters' performance."""
    import sys
    from pathlib import Path

    from babyseg_py.errors import UsageError
    from babyseg_py.images import save_image
    from babyseg_py.images.nifti import require_nifti_names
    from babyseg_py.labels.lut import label_files
    from babyseg_py.steps.reading import read_drawn
    from babyseg_py.writing import check_outputs

    if len(args.raters) < 2:
        raise UsageError("a consensus needs the label maps of two raters or more")
    if args.method == "staple" and len(args.raters) == 2:
        words = "with two raters STAPLE cannot tell which of them is right where they differ"
        print(f"babyseg consensus: {words}", file=sys.stderr)
    outputs = label_files(Path(args.output))
    more = [Path(args.performance).with_suffix(".json")] if args.performance else []
    every = [*outputs, args.certainty, args.performance, *more]
    check_outputs(every, force=args.force, inputs=args.raters)
    require_nifti_names(args.output, args.certainty)
    if len({Path(rater).resolve() for rater in args.raters}) < len(args.raters):
        raise UsageError("the label map of a rater is given twice: each has one vote")
    maps = on_one_grid_all([read_drawn(path) for path in args.raters], args.raters)
    labels, made = join(maps, args.method)
    sources = [Path(rater).name for rater in args.raters]
    write_consensus(labels, Path(args.output), method=args.method, sources=sources)
    if args.certainty:
        save_image(labels.with_data(made.certainty), args.certainty)
    found = performance(_names(args.raters), maps, labels, made)
    if args.performance:
        from babyseg_py.statistics.files import write_table

        write_table(found, args.performance, kind="performance")
    for rater, of in found.dropna(subset=["dice"]).groupby("rater", sort=False):
        there = of[of["consensus_volume_mm3"] > 0]
        print(f"{rater}: mean Dice {there['dice'].mean():.3f} over {len(there)} structures of the consensus")


def join(maps: "list[Volume]", method: str):
    """Join label maps that lie on one grid by one of `METHODS`; return labels and `Consensus`."""
    from babyseg_py.morphometry.consensus import majority, staple

    made = {"staple": staple, "majority": majority}[method]([one.data for one in maps])
    return maps[0].with_data(made.labels.astype(maps[0].data.dtype)), made


def write_consensus(
    labels: "Volume", path: "Path", *, method: str, sources: list[str], raters: list[str] | None = None
) -> None:
    """Write the label map with its sidecar, which has files and, where given, names of the raters."""
    from babyseg_py import __version__
    from babyseg_py.images import save_labels
    from babyseg_py.labels.lut import DSEG_COLUMNS, label_files, write_dseg_table, write_lut
    from babyseg_py.writing import write_json

    path, sidecar, table, lut = label_files(path)
    save_labels(labels, path)
    content = {
        "Manual": True,
        "Sources": sources,
        **({"Raters": raters} if raters else {}),
        "GeneratedBy": {"Name": "babyseg consensus", "Version": __version__},
        "Method": {"staple": "STAPLE for many labels", "majority": "majority vote"}[method],
        "SpatialReference": "the grid of this file",
    }
    write_json(sidecar, content | DSEG_COLUMNS)
    write_dseg_table(table)
    write_lut(lut)


def performance(names, maps, labels, made):
    """Tabulate each rater against the consensus, structure by structure.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`. Sensitivity, specificity and predictive value are those that the consensus was made
        with (in STAPLE, weighted by the probability of the truth); Dice and distances compare label maps.
    """
    import numpy as np
    import pandas as pd

    from babyseg_py.labels import structure_name
    from babyseg_py.morphometry.surface_distance import compare_labels

    voxel = labels.voxel_volume_mm3
    rows = []
    for rater, (name, one) in enumerate(zip(names, maps, strict=True)):
        agreement = {a.label: a for a in compare_labels(labels.data, one.data, labels.affine)}
        confusion, size = _counts(made, rater)
        for place, number in enumerate(made.numbers):
            if number == 0 or int(number) not in agreement:
                continue
            hit, truth, given = confusion[place, place], size[place], confusion[place].sum()
            with np.errstate(invalid="ignore", divide="ignore"):
                shares = hit / truth, 1 - (given - hit) / (size.sum() - truth), hit / given
            close = agreement[int(number)]
            volumes = [float((data == number).sum()) * voxel for data in (one.data, labels.data)]
            rows.append([name, int(number), structure_name(int(number)), *volumes, *shares, close.dice,
                         close.assd_mm, close.hd95_mm])  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


def _counts(made, rater: int):
    """Voxels (or their probabilities) by label given and true label, and by true label."""
    import numpy as np

    return np.nan_to_num(made.confusion[rater]) * made.truth, made.truth


def on_one_grid_all(maps: "list[Volume]", paths: list[str]) -> "list[Volume]":
    """Bring all maps onto the grid of the first, continued as far as any of them has labels.

    Raises
    ------
    UnusableData
        If one of them covers another part of the world than the first; it names that one of `paths`.
    """
    from babyseg_py.morphometry.comparable import on_one_grid

    wide = maps[0]
    for path, one in zip(paths[1:], maps[1:], strict=True):
        wide = on_one_grid(wide, one, path, other=paths[0]).reference
    return [on_one_grid(wide, one, path).candidate for path, one in zip(paths, maps, strict=True)]


def _names(paths: list[str]) -> list[str]:
    """Name the raters by their files, by the whole paths where names are alike."""
    from pathlib import Path

    short = [Path(path).name.removesuffix(".gz").rsplit(".", 1)[0] for path in paths]
    return short if len(set(short)) == len(short) else paths
