"""Join every row of the samplesheet with what came out of it."""

import argparse
from pathlib import Path

from babyseg_py.cohort.ledger import closing_lines, make_ledger, read_outcomes, to_tsv
from babyseg_py.cohort.records import read_records


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``babyseg ledger``."""
    parser.add_argument("--records", required=True, metavar="F.json", type=Path, help="from babyseg check")
    words = {
        "--failures": "files <scan or visit>.<step>.failure.json",
        "--qc": "quality tables of the visits",
        "--dseg": "label maps of visits and scans; only their names are read",
    }
    for option, text in words.items():
        parser.add_argument(option, nargs="*", default=[], metavar="F", type=Path, help=text)
    parser.add_argument("-o", "--output", required=True, metavar="F.tsv", type=Path, help="the ledger")


def run(args: argparse.Namespace) -> int:
    """Write the ledger and print how many rows are ok, flagged and failed."""
    from babyseg_py.statistics.files import write_dictionary
    from babyseg_py.writing import check_outputs, write_text

    read = [args.records, *args.failures, *args.qc, *args.dseg]
    check_outputs([args.output], inputs=read)
    content = read_records(args.records)
    outcomes = read_outcomes(args.failures, args.qc, args.dseg)
    entries = make_ledger(content["records"], outcomes, content.get("verdicts") or [])
    write_text(args.output, to_tsv(entries))
    write_dictionary(args.output, "ledger")
    print("\n".join(closing_lines(entries)))
    return 0
