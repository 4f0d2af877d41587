"""The step ``report``: one page about the whole cohort."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument(
        "--records", required=True, metavar="F.json", help="checked records of the samplesheet"
    )
    parser.add_argument("--ledger", required=True, metavar="F.tsv", help="what became of each row")
    parser.add_argument(
        "--cohort", required=True, metavar="DIR", help="tables of the cohort; any may be missing"
    )
    parser.add_argument("--snapshots", nargs="*", default=[], metavar="F.png", help="pictures of the visits")
    parser.add_argument(
        "--templates", nargs="*", default=[], metavar="F.png", help="pictures of the templates"
    )
    parser.add_argument(
        "--versions", metavar="F.yml", help="versions that ran, by tool or by process and tool"
    )
    parser.add_argument("--truth", metavar="DIR", help="known answers of a digital cohort")
    parser.add_argument("--figures-dir", metavar="DIR", help="save every figure here too: PNG, SVG and TSV")
    words = "write the references of the methods text here, for BibTeX"
    parser.add_argument("--references", metavar="F.bib", help=words)
    words = "write a page per child here too; the report links to them"
    parser.add_argument("--children-dir", metavar="DIR", help=words)
    parser.add_argument("--title", default="Infant brain cohort", help="heading of the page (%(default)s)")
    parser.add_argument("-o", "--output", required=True, metavar="F.html", help="report to write")


def run(args: argparse.Namespace) -> None:
    """Write the report of a cohort as one HTML file that needs nothing from outside."""
    from dataclasses import replace
    from pathlib import Path

    from babyseg_py.report.children import write_children
    from babyseg_py.report.figures import Shelf
    from babyseg_py.report.methods import bibtex
    from babyseg_py.report.page import build, render
    from babyseg_py.report.results import read_results
    from babyseg_py.writing import check_outputs, write_text

    read = [args.records, args.ledger, *args.snapshots, *args.templates, args.versions]
    check_outputs([args.output, args.references], inputs=read)
    results = read_results(
        records=args.records,
        ledger=args.ledger,
        cohort=args.cohort,
        snapshots=args.snapshots,
        templates=args.templates,
        versions=args.versions,
        truth=args.truth,
    )
    if args.children_dir:
        results = replace(results, child_pages=_between(Path(args.output).parent, Path(args.children_dir)))
    sections = build(results, Shelf(Path(args.figures_dir) if args.figures_dir else None))
    write_text(args.output, render(sections, title=args.title))
    if args.references:
        write_text(args.references, bibtex(results))
    if args.children_dir:
        folder = Path(args.children_dir)
        back = f"{_between(folder, Path(args.output).parent)}/{Path(args.output).name}"
        write_children(results, folder, back=back)


def _between(start, end) -> str:
    """Return the address of one folder relative to another, as in a link."""
    import os
    from pathlib import Path

    return Path(os.path.relpath(end, start)).as_posix()
