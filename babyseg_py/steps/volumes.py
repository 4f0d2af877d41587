"""The step ``volumes``: volumes of one segmentation."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("labels", metavar="DSEG", help="segmentation, FreeSurfer numbers")
    parser.add_argument("-o", "--output", required=True, metavar="F.tsv", help="table to write, mm³")
    parser.add_argument("--posteriors", metavar="F", help="posteriors from `babyseg segment --posteriors`")


def run(args: argparse.Namespace) -> None:
    """Write the volumes of all structures and totals, from labels and from posteriors."""
    from babyseg_py.morphometry.volumes import COLUMNS, posterior_volumes_mm3, volume_table
    from babyseg_py.steps.reading import read_labels
    from babyseg_py.writing import check_outputs, check_table, write_text

    check_outputs([args.output], inputs=[args.labels, args.posteriors])
    check_table(args.output, COLUMNS)
    labels = read_labels(args.labels)
    posterior = posterior_volumes_mm3(args.posteriors, grid=labels) if args.posteriors else None
    rows = volume_table(labels, posterior_mm3=posterior)
    lines = [COLUMNS, *(volume_cells(row) for row in rows)]
    write_text(args.output, "".join("\t".join(line) + "\n" for line in lines))


def volume_cells(row) -> tuple[str, ...]:
    """Cells of one line of a table of volumes, n/a for what is not known."""
    values = (
        *(row.label, row.structure, row.side, row.volume_mm3, row.volume_posterior_mm3),
        *(row.volume_ci_low, row.volume_ci_high),
    )
    return tuple("n/a" if v is None else f"{v:.3f}" if isinstance(v, float) else str(v) for v in values)
