"""The samplesheet: one row per scan, all of its faults in one list."""

from collections.abc import Callable
from pathlib import Path

from babyseg_py.cohort import fields
from babyseg_py.cohort.ages import REFERENCES, UNIT_DAYS, Age, make_age
from babyseg_py.cohort.agreement import completed, disagreements
from babyseg_py.cohort.problems import Problem, in_order, shown
from babyseg_py.cohort.records import Record
from babyseg_py.cohort.tables import Row, Table, is_missing, missing_columns, read_table, unknown_columns

REQUIRED = ("participant_id", "session_id", "suffix", "image")
AGE = ("age_value", "age_unit", "age_reference")
OPTIONAL = ("run", *AGE, "sex", "site", "group", "dseg")
COLUMNS = REQUIRED + OPTIONAL

_AGE_ADVICE = {
    "age_value": "the age, or n/a if it is not known",
    "age_unit": f"one of {', '.join(UNIT_DAYS)}",
    "age_reference": "birth, or conception for a postmenstrual age",
}


def read_samplesheet(path: Path | str) -> tuple[list[Record], list[Problem]]:
    """Read and check a samplesheet.

    Parameters
    ----------
    path : Path or str
        CSV or TSV with the columns of `REQUIRED` and any of `OPTIONAL`.

    Returns
    -------
    records : list of Record
        The rows that can be told apart, in the order of the sheet; complete only if there is no error.
    problems : list of Problem
        All errors and doubts, by row.

    Raises
    ------
    UnusableData
        The sheet as a whole cannot be read, or has no rows.
    """
    table = read_table(path, COLUMNS)
    problems = [*table.problems, *unknown_columns(table, COLUMNS), *missing_columns(table, REQUIRED)]
    folder = Path(path).absolute().parent
    records = [record for row in table.rows if (record := _record(row, table, folder, problems))]
    problems += disagreements(records, table.file.name)
    return completed(records), in_order(problems)


def _record(row: Row, table: Table, folder: Path, problems: list[Problem]) -> Record | None:
    """Read one row; None if it does not say which scan it is."""
    faults: list[Problem] = []

    def cell(column: str, read: Callable[[str], object], *, empty: object = None):
        text = row.cells.get(column, "")
        if column in row.faulty:
            return empty
        if column in REQUIRED and column in table.columns and not text:
            words = "the cell is empty; every row needs one"
            faults.append(Problem(table.file.name, row.number, column, words))
            return empty
        if not text or (column not in REQUIRED and is_missing(text)):
            return empty
        try:
            return read(text)
        except ValueError as error:
            faults.append(Problem(table.file.name, row.number, column, str(error)))
            return empty

    def place(text: str) -> str:
        return fields.location(text, folder)

    participant = cell("participant_id", lambda text: fields.label(text, "sub-"))
    session = cell("session_id", lambda text: fields.label(text, "ses-"))
    if participant and is_missing(participant):
        words = f"{shown(participant)} is taken as the name of a child; give each child one if it is missing"
        problems.append(Problem(table.file.name, row.number, "participant_id", words, doubt=True))
    suffix = cell("suffix", fields.suffix)
    run = cell("run", fields.run)
    unnamed = bool(faults) or not (participant and session and suffix)
    image = cell("image", place, empty="")
    age = _age(row, table, cell, faults)
    sex, site, group = (
        cell("sex", fields.sex),
        cell("site", fields.short_text),
        cell("group", fields.short_text),
    )
    dseg = cell("dseg", place)
    problems += faults
    if unnamed:
        return None
    return Record(row.number, participant, session, suffix, run, image, age, sex, site, group, dseg)


def _age(row: Row, table: Table, cell: Callable, faults: list[Problem]) -> Age | None:
    """Read the three columns of the age; a value of n/a says that it is not known, whatever its unit."""
    texts = {column: row.cells.get(column, "") for column in AGE}
    if row.faulty.intersection(AGE):
        return None
    missing = [column for column in AGE if is_missing(texts[column])]
    if len(missing) == len(AGE) or (texts["age_value"] and is_missing(texts["age_value"])):
        return None
    given = ", ".join(f"{column} {shown(texts[column])}" for column in AGE if column not in missing)
    for column in missing:
        words = f"the row has {given} but no {column}; write {_AGE_ADVICE[column]}"
        faults.append(Problem(table.file.name, row.number, column, words))
    unit = cell("age_unit", lambda text: fields.choice(text, tuple(UNIT_DAYS)))
    reference = cell("age_reference", lambda text: fields.choice(text, REFERENCES))
    comma = table.separator != ","
    age = cell(
        "age_value",
        lambda text: make_age(text, unit or "days", reference or "birth", decimal_comma=comma),
    )
    return age if unit and reference else None
