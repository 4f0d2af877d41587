"""The step ``evaluate``: a segmentation against a reference."""

import argparse

from babyseg_py.steps.arguments import tolerance_mm

COLUMNS = ("label", "structure", "dice", "assd_mm", "hd95_mm", "nsd")


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
    from babyseg_py.steps.reading import read_labels
    from babyseg_py.writing import check_outputs, check_table, tsv_text, write_text

    check_outputs([args.output], inputs=[args.prediction, args.reference])
    check_table(args.output, COLUMNS)
    reference = read_labels(args.reference)
    pair = on_one_grid(reference, read_labels(args.prediction), args.prediction)
    if pair.resampled:
        print("babyseg evaluate: PRED was resampled to the grid of REF by nearest neighbour", file=sys.stderr)
    found = compare_labels(
        pair.reference.data, pair.candidate.data, pair.reference.affine, tolerance_mm=args.tolerance
    )
    rows = [(a.label, structure_name(a.label), a.dice, a.assd_mm, a.hd95_mm, a.nsd) for a in found]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    write_text(args.output, tsv_text(table))

    present = table[table["label"].isin(pair.reference.data.ravel())]
    if len(present):
        print(f"mean Dice {present['dice'].mean():.3f} over the {len(present)} structures of the reference")
