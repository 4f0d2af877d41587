"""Ages, sex, site and group from participants.tsv and sessions.tsv of a BIDS dataset.

The age is looked for under several names, first of all those of the samplesheet (``age_value``, ``age_unit``,
``age_reference``), then ``age_days``, ``age_weeks``, ``age_months``, ``age_years``, the ``scan_age`` of the
developing Human Connectome Project (weeks since conception), and ``age``. The unit of ``age`` is what
``Units`` says in the JSON file beside the table, else years as BIDS has it. An age counts from birth, unless
its name or its description in that file says postmenstrual, conception or gestation.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from babyseg_py.cohort import fields
from babyseg_py.cohort.ages import REFERENCES, UNIT_DAYS, Age, make_age
from babyseg_py.cohort.problems import Problem
from babyseg_py.cohort.tables import Row, is_missing, read_table
from babyseg_py.errors import UnusableData

UNIT_WORDS = {
    "days": re.compile(r"d|days?", re.IGNORECASE),
    "weeks": re.compile(r"w|wks?|weeks?", re.IGNORECASE),
    "months": re.compile(r"m|mos?|mons?|months?", re.IGNORECASE),
    "years": re.compile(r"y|yrs?|a|years?", re.IGNORECASE),
}
AGE_COLUMNS = (
    *(f"age_{unit}" for unit in UNIT_DAYS),
    "scan_age",
    *(f"postmenstrual_age_{unit}" for unit in UNIT_DAYS),
    "postmenstrual_age",
    "age",
)
_SINCE_CONCEPTION = re.compile(r"post-?\s?menstrual|conception|gestation|\bpma\b", re.IGNORECASE)


@dataclass(frozen=True)
class Facts:
    """What a table says of a child or a visit."""

    age: Age | None = None
    sex: str | None = None
    site: str | None = None
    group: str | None = None


def child_facts(folder: Path, problems: list[Problem]) -> dict[tuple[str, ...], Facts]:
    """Read participants.tsv, if there is one.

    Returns
    -------
    dict of tuple to Facts
        What it says of each (child,), or of each (child, session) if it has a column session_id.
    """
    return _facts(
        folder / "participants.tsv", folder, {"participant_id": "sub-", "session_id": "ses-"}, problems
    )


def session_facts(folder: Path, child: str, problems: list[Problem]) -> dict[tuple[str, ...], Facts]:
    """Read the sessions.tsv of one child, if there is one: what it says of each (session,)."""
    return _facts(
        folder / f"sub-{child}" / f"sub-{child}_sessions.tsv", folder, {"session_id": "ses-"}, problems
    )


def _facts(
    file: Path, folder: Path, identifiers: dict[str, str], problems: list[Problem]
) -> dict[tuple[str, ...], Facts]:
    if not file.exists():
        return {}
    name = str(file.relative_to(folder))
    try:
        table = read_table(file, (*identifiers, "age", "sex"))
        meaning = _sidecar(file.with_suffix(".json"), folder)
    except UnusableData as problem:
        problems.append(Problem(name, None, None, f"{problem.what}; {problem.advice}"))
        return {}
    first = next(iter(identifiers))
    if first not in table.columns:
        problems.append(Problem(name, 1, first, "the column is missing; the table is not used"))
        return {}
    problems += [replace(problem, file=name) for problem in table.problems]
    if "age" in table.columns and _unit("age", meaning) is None and not _stated_unit("age", meaning):
        words = "has no Units in the JSON file beside it; read as years, as BIDS has it"
        problems.append(Problem(name, None, "age", words, doubt=True))
    read = {*identifiers, *AGE_COLUMNS, "age_value", "age_unit", "age_reference", "sex", "site", "group"}
    for column in table.columns:
        if column not in read and column.lower() in read and column.lower() not in table.columns:
            words = f"is not read; BIDS writes names of columns in small letters: {column.lower()}"
            problems.append(Problem(name, 1, column, words, doubt=True))
    there = {column: prefix for column, prefix in identifiers.items() if column in table.columns}
    found: dict[tuple[str, ...], Facts] = {}
    for row in table.rows:
        key = _key(row, there, name, problems)
        if key in found:
            words = f"{' '.join(row.cells[column] for column in there)} comes twice; keep one row"
            problems.append(Problem(name, row.number, first, words))
        elif key:
            found[key] = _row_facts(row, meaning, name, problems)
    return found


def _key(row: Row, identifiers: dict[str, str], name: str, problems: list[Problem]) -> tuple[str, ...]:
    """Return the labels of a row; nothing if one is at fault."""
    key = []
    for column, prefix in identifiers.items():
        try:
            key.append(fields.label(row.cells[column], prefix))
        except ValueError as error:
            problems.append(Problem(name, row.number, column, str(error)))
    return tuple(key) if len(key) == len(identifiers) else ()


def _row_facts(row: Row, meaning: dict, name: str, problems: list[Problem]) -> Facts:
    found: dict = {}
    readers = {"sex": fields.sex, "site": fields.short_text, "group": fields.short_text}
    for column, read in readers.items():
        text = row.cells.get(column, "")
        if not is_missing(text):
            try:
                found[column] = read(text)
            except ValueError as error:
                problems.append(Problem(name, row.number, column, str(error)))
    stated = [column for column in ("age_value", *AGE_COLUMNS) if not is_missing(row.cells.get(column, ""))]
    if stated:
        try:
            found["age"] = _age(stated[0], row, meaning)
        except ValueError as error:
            problems.append(Problem(name, row.number, stated[0], str(error)))
    return Facts(**found)


def _age(column: str, row: Row, meaning: dict) -> Age:
    if column == "age_value":
        unit = fields.choice(row.cells.get("age_unit", ""), tuple(UNIT_DAYS))
        reference = fields.choice(row.cells.get("age_reference", ""), REFERENCES)
        return make_age(row.cells[column], unit, reference)
    default = "weeks" if column in {"scan_age", "postmenstrual_age"} else "years"
    found, stated = _unit(column, meaning), _stated_unit(column, meaning)
    if found is None and stated:
        raise ValueError(f"its Units in the JSON file, {stated!r}, are not days, weeks, months or years")
    unit = found or default
    about = meaning.get(column)
    described = " ".join(map(str, about.values())) if isinstance(about, dict) else ""
    since_conception = column == "scan_age" or _SINCE_CONCEPTION.search(f"{column} {described}")
    return make_age(row.cells[column], unit, "conception" if since_conception else "birth")


def _unit(column: str, meaning: dict) -> str | None:
    """Return the unit that the column's name or description states."""
    last = column.rpartition("_")[2]
    if last in UNIT_DAYS:
        return last
    words = re.split(r"[^a-zA-Z]+", _stated_unit(column, meaning))
    found = {unit for unit, names in UNIT_WORDS.items() if any(map(names.fullmatch, words))}
    return found.pop() if len(found) == 1 else None


def _stated_unit(column: str, meaning: dict) -> str:
    """Return what the description of a column says of its unit; empty without any."""
    about = meaning.get(column)
    return str(about.get("Units", "")).strip() if isinstance(about, dict) else ""


def _sidecar(file: Path, folder: Path) -> dict:
    """Read the data dictionary of a table; that of the sessions may stand once in the top folder."""
    candidates: Iterable[Path] = (file, folder / "sessions.json") if "sessions" in file.name else (file,)
    for candidate in candidates:
        if candidate.exists():
            try:
                content = json.loads(candidate.read_text(encoding="utf-8-sig"))
            except (OSError, ValueError) as error:
                what = f"{candidate.name} cannot be read ({error})"
                raise UnusableData(str(candidate), what, "correct it, as the unit of ages is in it") from None
            return content if isinstance(content, dict) else {}
    return {}
