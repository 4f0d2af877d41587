"""What is odd about the columns of a score table; each fault is told, none stops the run."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from babyseg_py.cohort import fields
from babyseg_py.cohort.age_units import other_units
from babyseg_py.cohort.ages import UNIT_DAYS, number
from babyseg_py.cohort.problems import Problem, shown
from babyseg_py.cohort.records import Record
from babyseg_py.cohort.tables import Row, Table, is_missing
from babyseg_py.statistics.codes import suspected_codes

CODES_FOR_MISSING = frozenset({-9, -99, -999, -9999, -8888, -7777, 999, 9999, 8888, 7777})
NAMED = 5
_COMMA = re.compile(r"^([+-]?\d+),(\d+)$")
_LIKE_A_NUMBER = re.compile(r"^[<>~]?\s*[+-]?\d+([.,]\d+)?\s*%?$")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_AGE = re.compile(
    r"(test|scan|visit|assessment|exam|mri|session|child|chron|corrected)?age"
    r"(s|at\w*|in\w*|when\w*|(in)?(d|days?|w|wks?|weeks?|m|mos?|mths?|months?|y|yrs?|years?)|test\w*|scan|visit)?"
)
_NOT_OF_THE_SCAN = re.compile(r"mother|matern|father|patern|parent|gest|birth", re.IGNORECASE)
_NEAR_DAYS, _NEAR_SHARE = 10.0, 0.1


def with_points(table: Table) -> Table:
    """Write decimal commas as points in a table that commas do not separate."""
    if table.separator == ",":
        return table
    rows = [
        replace(row, cells={name: _COMMA.sub(r"\1.\2", text) for name, text in row.cells.items()})
        for row in table.rows
    ]
    return replace(table, rows=tuple(rows))


def values(table: Table, column: str) -> list[tuple[int, str]]:
    """Return row and text of the values that are there."""
    cells = ((row.number, row.cells.get(column, "")) for row in table.rows)
    return [(row, text) for row, text in cells if not is_missing(text)]


def as_number(text: str) -> float | None:
    """Return the number that a text is, None if it is none."""
    try:
        return number(text)
    except ValueError:
        return None


def is_numeric(table: Table, column: str) -> bool:
    """Say whether more than half of the values that are there are numbers."""
    there = values(table, column)
    return 2 * sum(as_number(text) is not None for _, text in there) > len(there)


def nearly_numbers(table: Table, columns: Iterable[str]) -> list[Problem]:
    """Tell of columns whose values are numbers to the eye, but too few as they are written."""
    found = []
    for name in columns:
        there = [text for _, text in values(table, name)]
        odd = [text for text in there if as_number(text) is None and _LIKE_A_NUMBER.match(text)]
        if not is_numeric(table, name) and 2 * len(odd) > len(there):
            words = f"{shown(odd[0])} and the like are no numbers, so that this is no score; write as 88.5"
            found.append(Problem(table.file.name, 1, name, words, doubt=True))
    return found


def empty_columns(table: Table, columns: Iterable[str]) -> list[Problem]:
    """Tell of columns without any value."""
    words = "the column has no value at all, so that nothing can be related to it"
    empty = [name for name in columns if name in table.columns and not values(table, name)]
    return [Problem(table.file.name, 1, name, words, doubt=True) for name in empty]


def not_numbers(table: Table, column: str, *, covariate: bool = False) -> list[Problem]:
    """Tell of text among numbers, of numbers that may be codes for a missing value, and of no spread.

    Of more than `NAMED` values that are no numbers the others are told in one sentence. That all values of a
    covariate are equal is told elsewhere.
    """
    there = values(table, column)
    if column not in table.columns or not there:
        return []
    name = table.file.name
    numbers = {row: as_number(text) for row, text in there}
    if not any(value is not None for value in numbers.values()) and not covariate:
        words = (
            f"the column has no number, only values such as {shown(there[0][1])}; nothing is related to it"
        )
        return [Problem(name, 1, column, words, doubt=True)]
    return [*_text(name, column, there), *_odd_numbers(name, column, there, covariate=covariate)]


def _text(name: str, column: str, there: Sequence[tuple[int, str]]) -> list[Problem]:
    text = [(row, cell) for row, cell in there if as_number(cell) is None]
    problems = []
    for row, cell in text[:NAMED]:
        hint = "a decimal point, not a comma" if "," in cell else "a number, or n/a if it is missing"
        words = f"{shown(cell)} is not a number and is taken as missing; write {hint}"
        problems.append(Problem(name, row, column, words, doubt=True))
    if len(text) > NAMED:
        row, cell = text[NAMED]
        words = (
            f"{shown(cell)} and {len(text) - NAMED - 1} more below are no numbers and are taken as missing"
        )
        problems.append(Problem(name, row, column, words, doubt=True))
    return problems


def _odd_numbers(
    name: str, column: str, there: Sequence[tuple[int, str]], *, covariate: bool
) -> list[Problem]:
    known = [(text, value) for _, text in there if (value := as_number(text)) is not None]
    numbers = np.array([value for _, value in known])
    suspects = CODES_FOR_MISSING | set(suspected_codes(numbers))
    codes = sorted({text for text, value in known if value in suspects})
    problems = []
    if not covariate and len(known) > 2 and np.ptp(numbers) == 0:
        words = f"all {len(known)} values are {known[0][0]}, so that nothing can be related to it"
        problems.append(Problem(name, None, column, words, doubt=True))
    if codes:
        words = f"{', '.join(codes)} is taken as a value; write n/a if it stands for a missing one"
        problems.append(Problem(name, None, column, words, doubt=True))
    return problems


def mixed_units(table: Table, records: Sequence[Record]) -> list[Problem]:
    """Tell of columns with ages that are in one unit in most rows and in another in some.

    An age is compared with those of the samplesheet: of the visit that the row names, else of all visits of
    the child. It fits a unit if it is within 10 days or 10 % of one of them. One that does not fit the unit
    of most is also compared with the others of the column, those of one session by themselves
    (`babyseg_py.cohort.age_units.other_units`). Ages of a parent, at birth or of gestation are not looked at,
    judged by the name of the column.

    Parameters
    ----------
    table : Table
        The table of scores.
    records : sequence of Record
        The scans.

    Returns
    -------
    list of Problem
        Doubts, one for each column.
    """
    ages = _ages(records)
    problems = []
    for column in table.columns:
        if not is_age(column) or _NOT_OF_THE_SCAN.search(column):
            continue
        fits = {row.number: _fitting(row, column, ages) for row in table.rows}
        count = {unit: sum(unit in units for units in fits.values()) for unit in UNIT_DAYS}
        main = max(count, key=lambda unit: count[unit])
        others = {row: units for row, units in fits.items() if units and main not in units}
        if others:
            row, units = next(iter(others.items()))
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            words = (
                f"ages in mixed units: beside the samplesheet's ages {count[main]} values are {main}, but row"
                f" {row}{more} would be {' or '.join(sorted(units))}; write all in one unit"
            )
            problems.append(Problem(table.file.name, row, column, words, doubt=True))
            continue
        unit = main if count[main] else None
        far = _far_off(table, column, unit, fits)
        if far:
            row, meant = next(iter(far.items()))
            more = f" and {len(far) - 1} more" if len(far) > 1 else ""
            words = (
                f"ages in mixed units: row {row}{more} would be {' or '.join(meant)} beside the others of the"
                " column; write all in one unit"
            )
            problems.append(Problem(table.file.name, row, column, words, doubt=True))
    return problems


def is_age(column: str) -> bool:
    """Say whether a column holds ages, by its name: age, age_bayley, AgeMonths, ageattest; not language."""
    words = _WORD.findall(column)
    return any(_AGE.fullmatch(word.lower()) for word in words)


def _far_off(
    table: Table, column: str, unit: str | None, fits: Mapping[int, set[str]]
) -> dict[int, list[str]]:
    """Find rows whose age another unit would put among those of their session."""
    groups: dict[str, dict[str, float]] = {}
    for row in table.rows:
        value = as_number(row.cells.get(column, ""))
        if value is not None:
            groups.setdefault(row.cells.get("session_id", ""), {})[str(row.number)] = value
    found = {}
    for ages in groups.values():
        for place, meant in other_units(ages, unit).items():
            if not fits[int(place)]:
                found[int(place)] = meant
    return found


def _ages(records: Sequence[Record]) -> dict[tuple[str, str | None], list[float]]:
    """Return ages in days by child and session, and of all its visits by child and None."""
    ages: dict[tuple[str, str | None], list[float]] = {}
    for record in records:
        if record.age:
            for session in (record.session_id, None):
                ages.setdefault((record.participant_id, session), []).append(record.age.days)
    return ages


def _fitting(row: Row, column: str, ages: Mapping[tuple[str, str | None], list[float]]) -> set[str]:
    value = as_number(row.cells.get(column, ""))
    try:
        child = fields.label(row.cells.get("participant_id", ""), "sub-")
        text = row.cells.get("session_id", "")
        session = None if is_missing(text) else fields.label(text, "ses-")
    except ValueError:
        return set()
    near = ages.get((child, session), [])
    if value is None:
        return set()
    return {
        unit
        for unit, days in UNIT_DAYS.items()
        if any(abs(value * days - age) <= max(_NEAR_DAYS, _NEAR_SHARE * age) for age in near)
    }
