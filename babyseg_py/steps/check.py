"""Check a samplesheet or BIDS dataset, and a table of scores, and write the records that all steps share."""

import argparse
import sys
from pathlib import Path

from babyseg_py.cohort.phenotype import NOTHING, check_phenotype
from babyseg_py.cohort.problems import Problem, in_order
from babyseg_py.cohort.raters import check_raters
from babyseg_py.cohort.records import Record, to_json
from babyseg_py.cohort.samplesheet import read_samplesheet
from babyseg_py.cohort.summary import summary
from babyseg_py.cohort.verdicts import VERDICTS, check_verdicts
from babyseg_py.errors import UnusableData, UsageError
from babyseg_py.statistics.scores import Declared
from babyseg_py.steps.arguments import add_declarations, names_in
from babyseg_py.writing import check_outputs

NAMED = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``babyseg check``."""
    parser.add_argument("sheet", nargs="?", metavar="SHEET", type=Path, help="samplesheet, CSV or TSV")
    parser.add_argument("--bids", metavar="DIR", type=Path, help="BIDS dataset, instead of a samplesheet")
    parser.add_argument("--phenotype", metavar="F.tsv", type=Path, help="table of scores and covariates")
    parser.add_argument("--scores", metavar="A,B", default="", help="its columns to relate with volumes")
    parser.add_argument("--covariates", metavar="C,D", default="", help="its columns to adjust for")
    add_declarations(parser)
    words = (
        "table of verdicts on the sessions: participant_id, session_id, verdict (pass, fail, correct), note"
    )
    parser.add_argument("--verdicts", metavar="F.tsv", type=Path, help=words)
    words = "table of label maps by several raters: participant_id, session_id, rater, dseg"
    parser.add_argument("--raters", metavar="F.tsv", type=Path, help=words)
    parser.add_argument("-o", "--output", metavar="F.json", type=Path, help="where to write the records")


def run(args: argparse.Namespace) -> int:
    """Print every problem, or a summary.

    Raises
    ------
    UsageError
        Neither or both of SHEET and ``--bids``, or scores named without ``--phenotype``.
    UnusableData
        There are errors; all of them were printed before.
    """
    if (args.sheet is None) == (args.bids is None):
        msg = "give a samplesheet or --bids DIR, one of the two"
        raise UsageError(msg)
    named = [args.scores, args.covariates, args.categories, args.one_scale]
    if args.phenotype is None and any(named):
        msg = "--scores and --covariates name columns of --phenotype, which is not given"
        raise UsageError(msg)
    source = args.sheet or args.bids
    check_outputs([args.output], inputs=[args.sheet, args.phenotype, args.verdicts, args.raters])
    records, problems = _read(source, is_bids=args.bids is not None)
    tables = [(source, problems)]
    of_the_sheet = [str(problem) for problem in in_order(problems) if problem.doubt]
    phenotype = NOTHING
    if args.phenotype:
        phenotype, more = check_phenotype(
            args.phenotype,
            records,
            scores=names_in(args.scores),
            covariates=names_in(args.covariates),
            declared=Declared(names_in(args.categories), names_in(args.one_scale)),
        )
        tables.append((args.phenotype, more))
        notes = [str(problem) for problem in in_order(more) if problem.doubt]
        phenotype = phenotype | {"notes": notes}
    verdicts: list[dict] = []
    if args.verdicts:
        verdicts, more = check_verdicts(args.verdicts, records)
        tables.append((args.verdicts, more))
    raters: list[dict] = []
    if args.raters:
        raters, more = check_raters(args.raters, records)
        tables.append((args.raters, more))
    _report(tables)
    if args.output:
        from babyseg_py.writing import write_text

        write_text(args.output, to_json(records, phenotype, verdicts, raters, notes=of_the_sheet))
    lines = [*summary(records), *_scores_summary(phenotype), *_verdicts_summary(verdicts)]
    lines += _raters_summary(raters)
    print("\n".join([f"{source}: no errors", *lines]))
    return 0


def _read(source: Path, *, is_bids: bool) -> tuple[list[Record], list[Problem]]:
    """Read the records; a source that cannot be read at all is one problem more."""
    try:
        if not is_bids:
            return read_samplesheet(source)
        from babyseg_py.cohort.bids_input import read_bids

        return read_bids(source)
    except UnusableData as problem:
        return [], [Problem(problem.path, None, None, f"{problem.what}; {problem.advice}")]


def _report(tables: list[tuple[Path, list[Problem]]]) -> None:
    """Print all problems; raise, and name the tables, if one of them is an error."""
    problems = [problem for _, of in tables for problem in of]
    errors = in_order(problem for problem in problems if not problem.doubt)
    for problem in in_order(problem for problem in problems if problem.doubt):
        print(f"note: {problem}", file=sys.stderr)
    for problem in errors:
        print(f"error: {problem}", file=sys.stderr)
    if errors:
        count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        faulty = [str(path) for path, of in tables if any(not problem.doubt for problem in of)]
        raise UnusableData(", ".join(faulty), f"{count}, listed above", "correct all of them and start again")


def _scores_summary(phenotype: dict) -> list[str]:
    if not phenotype["file"]:
        return []
    return [
        f"scores {_listed(phenotype['scores'])}; covariates {_listed(phenotype['covariates'])}",
        f"children without scores: {_listed(phenotype['without_scores'])}",
        f"scores without children: {_listed(phenotype['without_scans'])}",
    ]


def _verdicts_summary(verdicts: list[dict]) -> list[str]:
    counts = [f"{sum(one['verdict'] == word for one in verdicts)} {word}" for word in VERDICTS]
    return [f"verdicts on sessions: {', '.join(counts)}"] if verdicts else []


def _raters_summary(raters: list[dict]) -> list[str]:
    if not raters:
        return []
    names = sorted({one["rater"] for one in raters})
    n = len({one["visit_id"] for one in raters})
    return [f"raters {_listed(names)}: {n} session{'s' if n > 1 else ''} with two or more"]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return (", ".join(names[:NAMED]) or "none") + more
