"""The step ``statistics``: reliability, growth, and associations with behaviour."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from babyseg_py.steps.arguments import add_declarations, names_in

if TYPE_CHECKING:
    import pandas as pd

    from babyseg_py.statistics.scores import Declared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the step."""
    parser.add_argument(
        "--records", required=True, metavar="F.json", help="checked samplesheet (babyseg check)"
    )
    parser.add_argument("--tables", required=True, metavar="DIR", help="folder that babyseg tables wrote")
    parser.add_argument("--phenotype", metavar="F.tsv", help="scores and covariates of the children")
    parser.add_argument(
        "--scores", metavar="A,B", help="columns with scores (default: as babyseg check found them)"
    )
    parser.add_argument("--covariates", metavar="C,D", help="covariates beside age (default: as checked)")
    add_declarations(parser)
    words = "volumes that are associated with scores (default: labels)"
    parser.add_argument("--volume-source", choices=("labels", "posteriors"), default="labels", help=words)
    words = (
        "use also what quality control flagged: visits, scans and structures; not what a verdict keeps out"
    )
    parser.add_argument("--include-flagged", action="store_true", help=words)
    words = "use volumes harmonised between the sites of the samplesheet (ComBat) in all analyses that can"
    parser.add_argument("--harmonise", action="store_true", help=words)
    words = "folder with the coefficients of the surfaces that babyseg shape wrote; switches shape on"
    parser.add_argument("--shapes", metavar="DIR", help=words)
    parser.add_argument("--out-dir", required=True, metavar="DIR", help="folder of the results")


def run(args: argparse.Namespace) -> None:
    """Write every table of results as TSV with its JSON, what ran as analyses.tsv, and maps on surfaces."""
    from babyseg_py.statistics.analysis import analyse
    from babyseg_py.statistics.files import read_records, write_table
    from babyseg_py.statistics.inputs import Inputs
    from babyseg_py.statistics.parts import COLUMNS as PARTS
    from babyseg_py.statistics.raters import VOLUMES as RATED
    from babyseg_py.statistics.surface_maps import write_surface_maps
    from babyseg_py.statistics.verdicts import METRIC as VERDICT
    from babyseg_py.statistics.visits import visit_facts

    content = read_records(args.records)
    tables, out = Path(args.tables), Path(args.out_dir)
    volumes, scans, qc = (_table(tables, name, _columns(name)) for name in ("volumes", "scanvolumes", "qc"))
    phenotype, scores, covariates, declared = _phenotype(args, content.get("phenotype") or {})
    inputs = Inputs(
        facts=visit_facts(content["records"]),
        volumes=volumes,
        scans=scans,
        qc=qc[qc["metric"] == VERDICT] if args.include_flagged else qc,
        phenotype=phenotype,
        scores=scores,
        covariates=covariates,
        source=args.volume_source,
        declared=declared,
        harmonise=args.harmonise,
        longitudinal=_if_there(tables, "longitudinal", _columns("longitudinal")),
        parts=_if_there(tables, "parts", PARTS),
        raters=_if_there(tables, "rater_volumes", RATED),
        shapes=Path(args.shapes) if args.shapes else None,
    )
    results = analyse(inputs)
    for name, table in results.tables.items():
        write_table(table, out / f"{name}.tsv")
    write_surface_maps(results.surfaces, out)
    print(results.left_out)
    for row in results.tables["analyses"].to_dict("records"):
        print(f"{row['analysis']}: {row['reason']}")
    twice = sorted(set(names_in(args.covariates)) & set(scores))
    for note in [*(f"{name} is a score and not adjusted for" for name in twice), *results.notes]:
        print(f"note: {note}")


def _columns(name: str) -> list[str]:
    """Columns that ``babyseg tables`` gives every table of this name; intervals of volumes may be missing."""
    from babyseg_py.statistics.gather import COLUMNS, INTERVAL

    of_a_scan = ["run", "suffix"] if name == "scanvolumes" else []
    return [*of_a_scan, *(column for column in COLUMNS[name] if column not in INTERVAL)]


def _table(folder: Path, name: str, columns: list[str]) -> "pd.DataFrame":
    """One table of the cohort, in which these columns have to be."""
    from babyseg_py.statistics.files import missing_columns, read_table
    from babyseg_py.statistics.visits import VISIT

    path = folder / f"{name}.tsv"
    table = read_table(path)
    missing_columns(path, table.columns, [*VISIT, *columns])
    return table


def _if_there(folder: Path, name: str, columns: list[str]) -> "pd.DataFrame | None":
    """One table of the cohort that only some runs have, None without it."""
    return _table(folder, name, columns) if (folder / f"{name}.tsv").is_file() else None


def _phenotype(
    args: argparse.Namespace, checked: dict
) -> "tuple[pd.DataFrame | None, list[str], list[str], Declared]":
    """Score table as text, names of scores, names of covariates, what is said of them."""
    from babyseg_py.cohort.score_agreement import as_frame
    from babyseg_py.cohort.score_columns import with_points
    from babyseg_py.cohort.tables import read_table
    from babyseg_py.errors import UnusableData
    from babyseg_py.statistics.scores import SHEET_COLUMNS, UNDECLARED, Declared, distinct_names
    from babyseg_py.statistics.study import AGE_NAMES

    if not args.phenotype:
        return None, [], [], UNDECLARED
    file = with_points(read_table(args.phenotype, ("participant_id", "session_id")))
    faults = [str(problem) for problem in file.problems if not problem.doubt]
    if faults:
        raise UnusableData(args.phenotype, "; ".join(faults), "correct it; babyseg check tells all faults")
    scores, covariates, categories, one_scale = (
        list(names_in(given) or checked.get(key) or [])
        for key, given in (
            ("scores", args.scores),
            ("covariates", args.covariates),
            ("categories", args.categories),
            ("one_scale", args.one_scale),
        )
    )
    if not scores:
        scores = [c for c in file.columns if c not in {"participant_id", "session_id", *covariates}]
    _require(args.phenotype, file.columns, ["participant_id", *scores], set())
    _require(args.phenotype, file.columns, covariates, {*SHEET_COLUMNS, *AGE_NAMES})
    _require(args.phenotype, tuple(covariates), categories, set(), what="covariate")
    _require(args.phenotype, tuple(scores), one_scale, set(), what="score")
    covariates = [name for name in dict.fromkeys(covariates) if name not in scores]
    scores = list(dict.fromkeys(scores))
    table, *lists = distinct_names(as_frame(file), scores, covariates, categories, one_scale)
    return table, lists[0], lists[1], Declared(tuple(lists[2]), tuple(lists[3]))


def _require(
    path: str, columns: tuple[str, ...], names: list[str], elsewhere: set[str], *, what: str = "column"
) -> None:
    from babyseg_py.cohort.problems import nearest
    from babyseg_py.errors import UnusableData

    for name in names:
        if name not in columns and name not in elsewhere:
            known = sorted({*columns, *elsewhere})
            raise UnusableData(path, f"there is no {what} {name}", nearest(name, known))
