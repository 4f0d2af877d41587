"""The step ``evaluate``: a segmentation against a reference."""

import argparse
from typing import TYPE_CHECKING

from babyseg_py.steps.arguments import tolerance_mm

if TYPE_CHECKING:
    from babyseg_py.images import Volume


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument(
        "prediction", metavar="PRED", help="segmentation; resampled to the grid of REF if need be"
    )
    parser.add_argument("reference", metavar="REF", help="reference segmentation, FreeSurfer numbers")
    parser.add_argument("-o", "--output", required=True, metavar="F.tsv", help="table to write")
    parser.add_argument(
        "--tolerance",
        type=tolerance_mm,
        default=1.0,
        metavar="MM",
        help="distance that NSD tolerates (default: 1)",
    )


def run(args: argparse.Namespace) -> None:
    """Write Dice, ASSD, HD95 and NSD of every structure."""
    import sys

    import pandas as pd

    from babyseg_py.labels import structure_name
    from babyseg_py.morphometry.comparable import on_one_grid
    from babyseg_py.morphometry.surface_distance import compare_labels
    from babyseg_py.writing import check_outputs, write_text

    check_outputs([args.output], inputs=[args.prediction, args.reference])
    reference = read_labels(args.reference)
    pair = on_one_grid(reference, read_labels(args.prediction), args.prediction)
    if pair.resampled:
        print("babyseg evaluate: PRED was resampled to the grid of REF by nearest neighbour", file=sys.stderr)
    found = compare_labels(
        pair.reference.data, pair.candidate.data, pair.reference.affine, tolerance_mm=args.tolerance
    )
    rows = [(a.label, structure_name(a.label), a.dice, a.assd_mm, a.hd95_mm, a.nsd) for a in found]
    table = pd.DataFrame(rows, columns=["label", "structure", "dice", "assd_mm", "hd95_mm", "nsd"])
    write_text(args.output, as_tsv(table))

    present = table[table["label"].isin(pair.reference.data.ravel())]
    if len(present):
        print(f"mean Dice {present['dice'].mean():.3f} over the {len(present)} structures of the reference")


def read_labels(path: str) -> "Volume":
    """Read a label map and bring it to the 22 labels; say on stderr what is not known."""
    import sys

    from babyseg_py.images import load_labels
    from babyseg_py.morphometry.comparable import standard_labels

    labels, unknown = standard_labels(load_labels(path), path)
    if unknown:
        numbers = ", ".join(map(str, unknown))
        print(f"babyseg: {path}: unknown label numbers count as background: {numbers}", file=sys.stderr)
    return labels


def as_tsv(table) -> str:
    """Turn a data frame into tab-separated text, n/a for what is missing."""
    return table.to_csv(sep="\t", index=False, na_rep="n/a", float_format="%.10g", lineterminator="\n")
