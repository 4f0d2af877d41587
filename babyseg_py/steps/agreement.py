"""The step ``agreement``: raters or methods against each other, by the volumes that each of them measured."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("participant_id", "method", "structure", "volume_mm3")
NUMBERS = ("volume_mm3", "age_days")
USED = (*COLUMNS, "session_id", "age_days", "age_reference")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    words = "volumes: participant_id, method, structure, volume_mm3 and, with several visits, session_id"
    parser.add_argument("table", metavar="F.tsv", help=words)
    words = "table to write: bias, limits of agreement, ICC and paired tests"
    parser.add_argument("-o", "--output", required=True, metavar="F.tsv", help=words)
    parser.add_argument("--figures-dir", metavar="DIR", help="save a Bland–Altman figure of each pair here")


def run(args: argparse.Namespace) -> None:
    """Write how every two methods agree, and whether all of them do."""
    from pathlib import Path

    from babyseg_py.errors import UnusableData
    from babyseg_py.statistics.files import write_table
    from babyseg_py.statistics.methods import COLUMNS as AGREEMENT
    from babyseg_py.statistics.methods import compare_methods
    from babyseg_py.statistics.structures import volume_matrix
    from babyseg_py.statistics.visits import visit_facts
    from babyseg_py.writing import check_outputs, check_table

    check_outputs([args.output, Path(args.output).with_suffix(".json")], inputs=[args.table])
    check_table(args.output, AGREEMENT)
    table = _read(args.table)
    by_method = {
        str(name): volume_matrix(of.assign(volume_posterior_mm3=float("nan")), "labels")
        for name, of in table.groupby("method", sort=False)
    }
    agreement, used = compare_methods(by_method, visit_facts(table.to_dict("records")))
    if agreement.empty:
        what = f"has no three children that two of its methods ({', '.join(by_method)}) measured"
        raise UnusableData(args.table, what, "give a row per child, method and structure")
    write_table(agreement, args.output, kind="method_agreement")
    if args.figures_dir:
        _draw(agreement, used, Path(args.figures_dir))
    for row in agreement[agreement["icc_2_1"].notna()].to_dict("records"):
        bias = "" if row["comparison"] == "all" else f", bias {row['bias_mm3']:.1f} mm³"
        print(f"{row['methods']}: {row['structure']}: ICC(2,1) {row['icc_2_1']:.3f}{bias} (n = {row['n']})")


def _read(path: str) -> "pd.DataFrame":
    from babyseg_py.errors import UnusableData
    from babyseg_py.statistics.files import typed
    from babyseg_py.statistics.scores import plain_ids
    from babyseg_py.statistics.visits import VISIT

    table = typed(_cells(path), path)
    if "session_id" not in table:
        table = table.assign(session_id="1")
    table = plain_ids(table)
    keys = [*VISIT, "method", "structure"]
    if table[keys].isna().any(axis=None):
        raise UnusableData(path, "has rows without child, session, method or structure", "fill them in")
    if table["method"].str.contains(", ").any():
        raise UnusableData(path, "has a method with a comma in its name", "name it in another way")
    twice = table[table.duplicated(keys)]
    if len(twice):
        words = " ".join(str(cell) for cell in twice[keys].iloc[0])
        raise UnusableData(path, f"has more than one row for {words}", "keep one of them")
    return table


def _cells(path: str) -> "pd.DataFrame":
    """Read the columns that are used of a table that somebody made: any separator and encoding."""
    import pandas as pd

    from babyseg_py.cohort.problems import shown
    from babyseg_py.cohort.score_columns import as_number, with_points
    from babyseg_py.cohort.tables import is_missing, read_table
    from babyseg_py.errors import UnusableData

    table = with_points(read_table(path, [*COLUMNS, "session_id"]))
    faults = [str(problem) for problem in table.problems if not problem.doubt]
    if faults:
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise UnusableData(path, f"{faults[0]}{more}", "correct the table")
    lacking = [column for column in COLUMNS if column not in table.columns]
    if lacking:
        advice = f"its header has {', '.join(table.columns)}"
        raise UnusableData(path, f"has no column {', '.join(lacking)}", advice)
    cells = pd.DataFrame([row.cells for row in table.rows], columns=list(table.columns), dtype=object)
    for column in (name for name in NUMBERS if name in cells):
        cells[column] = cells[column].mask(cells[column].map(is_missing))
        for row, text in zip(table.rows, cells[column], strict=True):
            if isinstance(text, str) and as_number(text) is None:
                what = f"row {row.number}, column {column}: {shown(text)} is not a number"
                raise UnusableData(path, what, "write a number, or n/a where there is none")
    return cells[[name for name in USED if name in cells]]


def _draw(agreement: "pd.DataFrame", used: "pd.DataFrame", folder) -> None:
    import matplotlib as mpl

    from babyseg_py.report.figures import STYLE, Shelf
    from babyseg_py.report.methods_compared import draw_pair

    with mpl.rc_context(STYLE):
        for methods in agreement.loc[agreement["comparison"] == "pair", "methods"].unique():
            draw_pair(methods, agreement, used, Shelf(folder))
