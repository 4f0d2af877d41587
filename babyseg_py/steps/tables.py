"""The step ``tables``: the tables of all visits, gathered into those of the cohort."""

import argparse
from pathlib import Path

DESCRIPTION = {
    "volumes": "volumes_morph.tsv of the visits",
    "scan-volumes": "scanvolumes_morph.tsv of the visits",
    "qc": "segmentation_qc.tsv of the visits",
    "surface-distance": "surfacedistance_qc.tsv of the visits",
    "longitudinal": "longitudinal_morph.tsv of the visits that are in a template",
    "parts": "fuller_morph.tsv of the visits, of a run with --labels fuller",
    "rater-performance": "raters_qc.tsv of the visits that several raters labelled",
    "rater-volumes": "raters_morph.tsv of these visits",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the step."""
    parser.add_argument(
        "--records", required=True, metavar="F.json", help="checked samplesheet (babyseg check)"
    )
    for name, words in DESCRIPTION.items():
        text = f"{words}, or folders that hold them"
        parser.add_argument(f"--{name}", nargs="*", default=[], metavar="F.tsv", help=text)
    files = {
        "--template-visits": "template_qc.tsv of the children that have a template",
        "--template-failures": "files sub-X.template.failure.json of children whose template failed",
    }
    for option, text in files.items():
        parser.add_argument(option, nargs="*", default=[], metavar="F", help=text)
    parser.add_argument("--no-templates", action="store_true", help="templates were switched off")
    parser.add_argument("--out-dir", required=True, metavar="DIR", help="folder of the cohort's tables")
    text = "table of the children (default: participants.tsv beside DIR, as BIDS has it)"
    parser.add_argument("--participants", metavar="F.tsv", help=text)


def run(args: argparse.Namespace) -> None:
    """Write the tables of the cohort and of its participants, each with its data dictionary."""
    from babyseg_py.statistics.files import read_records, read_table, write_table
    from babyseg_py.statistics.gather import cohort_tables, gather, participants
    from babyseg_py.statistics.parts import part_table
    from babyseg_py.statistics.raters import PERFORMANCE, VOLUMES
    from babyseg_py.statistics.templates import read_failures, template_table
    from babyseg_py.statistics.visits import visit_facts

    content = read_records(args.records)
    records = content["records"]
    parts = {
        "volumes": _visit_tables(args.volumes, "volumes", "morph"),
        "scanvolumes": _visit_tables(args.scan_volumes, "scanvolumes", "morph"),
        "qc": _visit_tables(args.qc, "segmentation", "qc"),
        "surfacedistance": _visit_tables(args.surface_distance, "surfacedistance", "qc"),
        "longitudinal": _visit_tables(args.longitudinal, "longitudinal", "morph"),
    }
    out, facts = Path(args.out_dir), visit_facts(records)
    tables = cohort_tables(parts, facts, verdicts=content.get("verdicts") or [])
    tables["templates"] = template_table(
        facts,
        tables["volumes"],
        [read_table(path) for path in sorted(args.template_visits)],
        read_failures(args.template_failures),
        switched_off=args.no_templates,
    )
    if args.parts:
        tables["parts"] = part_table(_visit_tables(args.parts, "fuller", "morph"), facts)
    if content.get("raters"):
        rated = {"rater_performance": (args.rater_performance, "qc", PERFORMANCE),
                 "rater_volumes": (args.rater_volumes, "morph", VOLUMES)}  # fmt: skip
        for name, (files, suffix, columns) in rated.items():
            tables[name] = gather(_visit_tables(files, "raters", suffix), columns, facts)
    for name, table in tables.items():
        write_table(table, out / f"{name}.tsv")
    beside = Path(args.participants) if args.participants else out.resolve().parent / "participants.tsv"
    write_table(participants(records, tables["volumes"]), beside, kind="participants")


def _visit_tables(paths: list[str], description: str, suffix: str) -> dict[Path, tuple[str, str]]:
    """Participant and session of every table, from its BIDS name; folders are searched."""
    from babyseg_py.errors import UnusableData
    from babyseg_py.names import visit_of

    found: dict[Path, tuple[str, str]] = {}
    for path in map(Path, paths):
        files = sorted(path.rglob(f"sub-*_desc-{description}_{suffix}.tsv")) if path.is_dir() else [path]
        for file in files:
            try:
                found[file] = visit_of(file)
            except ValueError:
                what = "the name does not say which visit it is of"
                advice = f"call it sub-X_ses-Y_desc-{description}_{suffix}.tsv"
                raise UnusableData(str(file), what, advice) from None
    return found
