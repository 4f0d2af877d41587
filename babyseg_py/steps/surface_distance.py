"""The step ``surface-distance``: the segmentations of one visit against each other."""

import argparse
from typing import TYPE_CHECKING

from babyseg_py.steps.arguments import tolerance_mm, visit_ids

if TYPE_CHECKING:
    import numpy as np


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--visit", required=True, metavar="sub-X_ses-Y", help="id of the visit")
    parser.add_argument("--dseg", required=True, metavar="F", help="labels of the session")
    parser.add_argument(
        "--scan-dseg", required=True, nargs="+", metavar="F", help="labels of each scan in its own grid"
    )
    parser.add_argument("--registration", required=True, metavar="F.json", help="from `babyseg register`")
    parser.add_argument("--reference", metavar="F", help="reference segmentation of the session")
    parser.add_argument(
        "--tolerance",
        type=tolerance_mm,
        default=1.0,
        metavar="MM",
        help="distance that NSD tolerates (default: 1)",
    )
    parser.add_argument("-o", "--output", required=True, metavar="F.tsv", help="table to write")


def run(args: argparse.Namespace) -> None:
    """Compare the session with its scans, the scans with each other and a reference with the session.

    A reference that cannot be used costs the table its own rows alone; it is told after the table is written.
    """
    from pathlib import Path

    import pandas as pd

    from babyseg_py.errors import UnusableData
    from babyseg_py.labels import structure_name
    from babyseg_py.morphometry.visit import ScanLabels, compare_visit, compare_with_manual
    from babyseg_py.registration.plan import matrices, read_plan
    from babyseg_py.statistics.files import write_dictionary
    from babyseg_py.statistics.gather import COLUMNS
    from babyseg_py.steps.reading import read_drawn, read_labels
    from babyseg_py.writing import check_outputs, tsv_text, write_text

    visit_ids(args.visit)
    read = [args.dseg, *args.scan_dseg, args.registration, args.reference]
    check_outputs([args.output, Path(args.output).with_suffix(".json")], inputs=read)
    found = matrices(read_plan(args.registration))
    session = read_labels(args.dseg)
    scans = []
    for name, path in sorted(scan_files(args.scan_dseg, args.visit).items()):
        scans.append(ScanLabels(name, read_labels(path), _matrix(found, name, path, args.registration)))

    comparisons = list(compare_visit(session, scans, tolerance_mm=args.tolerance))
    fault = None
    if args.reference:
        try:
            manual = read_drawn(args.reference)
            comparisons.append(
                compare_with_manual(manual, args.reference, session, scans, tolerance_mm=args.tolerance)
            )
        except UnusableData as problem:
            what = f"cannot be compared with as a reference segmentation: {problem.what}"
            fault = UnusableData(args.reference, what, problem.advice)
    rows = [
        (
            *(c.reference, c.candidate, a.label, structure_name(a.label)),
            *(a.dice, a.assd_mm, a.hd95_mm, a.nsd, args.tolerance),
        )
        for c in comparisons
        for a in c.agreements
    ]
    table = pd.DataFrame(rows, columns=COLUMNS["surfacedistance"])
    write_text(args.output, tsv_text(table))
    write_dictionary(args.output, "surfacedistance")
    if fault:
        raise fault


def scan_files(paths: list[str], visit: str) -> dict[str, str]:
    """Return the label map of each scan by the scan's name, such as ``run-1_T1w``.

    Parameters
    ----------
    paths : list of str
        Files named ``sub-X_ses-Y[_run-N]_space-<suffix>_desc-babyseg_dseg.nii.gz``, in any order.
    visit : str
        The visit that all are of.

    Raises
    ------
    UnusableData
        If a name does not say which scan it is of, or two are of the same scan.
    """
    from babyseg_py.errors import UnusableData
    from babyseg_py.names import scan_of

    advice = f"call it {visit}[_run-N]_space-<suffix>_desc-babyseg_dseg.nii.gz"
    found: dict[str, str] = {}
    for path in paths:
        try:
            of, name = scan_of(path, contrast="space")
        except ValueError:
            raise UnusableData(path, "the name does not say which scan it is of", advice) from None
        if of != visit:
            raise UnusableData(path, f"is not of visit {visit}", "give the scans of one visit")
        if name in found:
            raise UnusableData(path, f"is of the same scan as {found[name]}", "give each scan once")
        found[name] = path
    return found


def _matrix(matrices: "dict[str, np.ndarray]", scan: str, path: str, registration: str) -> "np.ndarray":
    from babyseg_py.errors import UnusableData

    if scan not in matrices:
        what = f"scan {scan} is not in {registration}"
        raise UnusableData(path, what, "give the registration that the labels were made with")
    return matrices[scan]
