"""Tables on disk: tab-separated UTF-8 with ``n/a`` for what is missing, with BIDS data dictionaries."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from babyseg_py.errors import UnusableData
from babyseg_py.statistics.dictionary import describe
from babyseg_py.writing import tsv_text, write_json, write_text

MISSING = "n/a"
_WITH_FLOATS = {"floating", "mixed", "mixed-integer", "mixed-integer-float"}
_NUMBERS = (
    "age_days", "age_months", "age_weeks_pma", "volume_mm3", "volume_posterior_mm3", "left_mm3", "right_mm3",
    "left_posterior_mm3", "right_posterior_mm3", "asymmetry", "asymmetry_posterior", "value", "low", "high",
    "volume_ci_low", "volume_ci_high", "flag", "label", "run", "dice", "assd_mm", "hd95_mm", "nsd",
    "tolerance_mm", "volume_jacobian_mm3", "jacobian", "strength", "used", "consensus_volume_mm3",
    "sensitivity", "specificity", "predictive_value",
)  # fmt: skip


def read_records(path: Path | str) -> dict:
    """Read the validated samplesheet that the step ``check`` wrote."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if isinstance(content["records"], list):
            return content
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError):
        pass
    raise UnusableData(
        str(path), "is not a list of checked records", "write it with: babyseg check SHEET -o F.json"
    )


def read_lines(path: Path | str) -> list[list[str]]:
    """Read the cells of a tab-separated file, header first; no quoting, no guessing of types."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise UnusableData(
            str(path), f"cannot be read ({problem})", "run the step that makes it again"
        ) from None
    lines = [line.rstrip("\r").split("\t") for line in text.split("\n") if line.strip("\r")]
    if not lines:
        raise UnusableData(str(path), "is empty", "run the step that makes it again")
    for number, cells in enumerate(lines[1:], start=2):
        if len(cells) != len(lines[0]):
            raise _cut_off(path, number, len(cells), len(lines[0]))
    return lines


def read_table(path: Path | str) -> pd.DataFrame:
    """Read one table of the cohort; identifiers stay text, ``n/a`` becomes missing."""
    return typed(read_cells(path), str(path))


def read_cells(path: Path | str) -> pd.DataFrame:
    """Read the cells of a tab-separated file as text, as `read_lines` does, in less memory."""
    width = None
    try:
        with Path(path).open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip(b"\r\n"):
                    continue
                cells = line.count(b"\t") + 1
                width = width or cells
                if cells != width:
                    raise _cut_off(path, number, cells, width)
        options: dict = {"dtype": object, "na_filter": False, "quoting": csv.QUOTE_NONE}
        if width:
            return pd.read_csv(path, sep="\t", encoding="utf-8-sig", low_memory=False, **options)
    except (OSError, UnicodeDecodeError) as problem:
        raise UnusableData(
            str(path), f"cannot be read ({problem})", "run the step that makes it again"
        ) from None
    raise UnusableData(str(path), "is empty", "run the step that makes it again")


def _cut_off(path: Path | str, number: int, cells: int, width: int) -> UnusableData:
    what = f"line {number} has {cells} cells, the header has {width}"
    advice = "the file is cut off or was edited; run the step that makes it again"
    return UnusableData(str(path), what, advice)


def typed(cells: pd.DataFrame, path: str) -> pd.DataFrame:
    """Turn the text of the columns that are known to hold numbers into numbers, ``n/a`` into missing."""
    table = cells.mask(cells.isin([MISSING, ""]))
    for column in table.columns.intersection(list(_NUMBERS)):
        try:
            table[column] = pd.to_numeric(table[column]).astype(float)
        except ValueError as problem:
            raise UnusableData(
                path, f"column {column}: {problem}", "run the step that makes it again"
            ) from None
    return table


def write_table(table: pd.DataFrame, path: Path | str, *, kind: str = "") -> None:
    """Write a table as `tsv_text` does and, beside it, the BIDS data dictionary of its columns.

    An empty text is missing, and numbers in a column of any objects have ten digits too.

    Parameters
    ----------
    table : pandas.DataFrame
        The table.
    path : Path or str
        Where to write it; the dictionary has the same name with ``.json``.
    kind : str
        Name of the table in the dictionaries, if it is not the name of the file.
    """
    target = Path(path)
    write_text(target, tsv_text(_plain(table)))
    write_dictionary(target, kind or target.stem)


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    clean = table.copy()
    for column in clean.select_dtypes(exclude="number"):
        cells = clean[column]
        if pd.api.types.infer_dtype(cells, skipna=True) in _WITH_FLOATS:
            cells = cells.map(lambda cell: f"{cell:.10g}" if isinstance(cell, float) else cell, "ignore")
        clean[column] = cells.mask(cells == "")
    return clean


def write_dictionary(path: Path | str, kind: str) -> None:
    """Write the BIDS data dictionary of a table that is there, beside it.

    Parameters
    ----------
    path : Path or str
        The table; the dictionary has the same name with ``.json``.
    kind : str
        Name of the table in the dictionaries.
    """
    target = Path(path)
    with target.open(encoding="utf-8") as file:
        header = file.readline().rstrip("\r\n").split("\t")
    columns = {column: describe(kind, column) for column in header}
    write_json(target.with_suffix(".json"), columns)


def missing_columns(path: Path | str, header: Iterable[str], wanted: Iterable[str]) -> None:
    """Raise `UnusableData` where a table lacks a column."""
    lacking = [column for column in wanted if column not in set(header)]
    if lacking:
        what = f"has no column {', '.join(lacking)}"
        raise UnusableData(str(path), what, "run the step that makes it again")
