"""The table of scores: who has which, and is every score a number."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from babyseg_py.cohort import fields
from babyseg_py.cohort.ages import number
from babyseg_py.cohort.problems import Problem, nearest, shown
from babyseg_py.cohort.records import Record
from babyseg_py.cohort.tables import Table, is_missing, missing_columns, read_table
from babyseg_py.errors import UnusableData
from babyseg_py.statistics.scorechecks import likely_ids, suspected_codes

IDENTIFIERS = ("participant_id", "session_id")
OF_THE_SHEET = ("sex", "site", "group", "age", "age_days", "age_months", "age_weeks_pma")
CODES_FOR_MISSING = frozenset({-9, -99, -999, -9999, -8888, -7777, 999, 9999, 8888, 7777})
NAMED = 5

NOTHING: dict = {"file": None, "scores": [], "covariates": [], "without_scores": [], "without_scans": []}

Key = tuple[str, str | None]


def check_phenotype(
    path: Path | str,
    records: Sequence[Record],
    *,
    scores: Sequence[str] = (),
    covariates: Sequence[str] = (),
) -> tuple[dict, list[Problem]]:
    """Check a table of scores and covariates against the children who were scanned.

    Parameters
    ----------
    path : Path or str
        Text with participant_id, optionally session_id (empty or n/a where a row is about the child as a
        whole), and any further columns; identifiers with or without ``sub-`` and ``ses-``.
    records : sequence of Record
        The scans; without any, nobody is looked for.
    scores : sequence of str
        The columns with scores. If none is named, every column is taken of which more than half of the
        values are numbers and that is no covariate.
    covariates : sequence of str
        The columns to adjust for; sex, site, group and age may be those of the samplesheet. One of which
        more than half of the values are numbers is one of numbers, any other holds categories.

    Returns
    -------
    phenotype : dict
        file, scores, covariates, and the children (and visits, where both tables tell them) without scores
        and without scans, as ``records.json`` holds them.
    problems : list of Problem
        Errors and doubts.
    """
    try:
        table = read_table(path, IDENTIFIERS)
    except UnusableData as problem:
        return NOTHING, [Problem(problem.path, None, None, f"{problem.what}; {problem.advice}")]
    problems = [*table.problems, *missing_columns(table, ["participant_id"]), *_near_misses(table)]
    numeric = [column for column in table.columns if column not in IDENTIFIERS and _is_numeric(table, column)]
    chosen = list(dict.fromkeys(scores)) or [column for column in numeric if column not in covariates]
    wanted = [name for name in dict.fromkeys(covariates) if name not in chosen]
    problems += _unknown_names(table, chosen, wanted)
    if not chosen:
        problems.append(Problem(table.file.name, None, None, "no column holds numbers; name scores"))
    for column in chosen:
        problems += _not_numbers(table, column)
    for column in wanted:
        problems += _not_numbers(table, column) if column in numeric else []
    problems += _copies(table, chosen, wanted)
    keys = _keys(table, problems)
    found = {"file": str(Path(path).absolute()), "scores": chosen, "covariates": wanted}
    if records and keys:
        found |= _unmatched(keys, records)
        problems += _nobody(table, keys, records)
    return NOTHING | found, problems


def _near_misses(table: Table) -> list[Problem]:
    """Tell of a column that is surely meant as session_id."""
    spellings = {"session", "ses", "ses_id", "session id", "visit", "visit_id", "timepoint"}
    likely = [name for name in table.columns if name.lower() in spellings]
    if "session_id" in table.columns or not likely:
        return []
    words = "is not read as the session; call it session_id if scores belong to visits"
    return [Problem(table.file.name, 1, likely[0], words, doubt=True)]


def _unknown_names(table: Table, scores: Iterable[str], covariates: Iterable[str]) -> list[Problem]:
    free = [name for name in table.columns if name not in IDENTIFIERS]
    problems = []
    for option, names, known in (
        ("--scores", scores, free),
        ("--covariates", covariates, [*free, *OF_THE_SHEET]),
    ):
        for name in names:
            if name not in known:
                words = f"{option} names {shown(name)}, which is not there; {nearest(name, known)}"
                problems.append(Problem(table.file.name, 1, None, words))
    return problems


def _values(table: Table, column: str) -> list[tuple[int, str]]:
    """Return row and text of the values that are there."""
    cells = ((row.number, row.cells.get(column, "")) for row in table.rows)
    return [(row, text) for row, text in cells if not is_missing(text)]


def _as_number(text: str) -> float | None:
    try:
        return number(text)
    except ValueError:
        return None


def _is_numeric(table: Table, column: str) -> bool:
    values = _values(table, column)
    return 2 * sum(_as_number(text) is not None for _, text in values) > len(values)


def _not_numbers(table: Table, column: str) -> list[Problem]:
    """Tell of text among numbers, and of numbers that may be codes for a missing value."""
    if column not in table.columns:
        return []
    name, values = table.file.name, _values(table, column)
    if not values:
        return [Problem(name, 1, column, "the column has no value at all", doubt=True)]
    if all(_as_number(text) is None for _, text in values):
        words = f"the column has no number, only values such as {shown(values[0][1])}; name another"
        return [Problem(name, 1, column, words)]
    problems = []
    for row, text in values:
        value = _as_number(text)
        if value is None:
            hint = "a decimal point, not a comma" if "," in text else "a number, or n/a if it is missing"
            problems.append(Problem(name, row, column, f"{shown(text)} is not a number; write {hint}"))
    numbers = np.array([_as_number(text) for _, text in values], dtype=float)
    suspects = CODES_FOR_MISSING | set(suspected_codes(numbers))
    codes = sorted({text for _, text in values if _as_number(text) in suspects})
    if len(values) > 2 and len(set(numbers)) == 1:
        words = f"all {len(values)} values are {values[0][1]}, so that nothing can be related to it"
        problems.append(Problem(name, None, column, words, doubt=True))
    if codes:
        words = f"{', '.join(codes)} is taken as a value; write n/a if it stands for a missing one"
        problems.append(Problem(name, None, column, words, doubt=True))
    return problems


def _copies(table: Table, scores: Iterable[str], covariates: Iterable[str]) -> list[Problem]:
    """Tell of a covariate that is a score under another name."""
    cells = {name: tuple(row.cells.get(name, "") for row in table.rows) for name in table.columns}
    return [
        Problem(
            table.file.name,
            None,
            covariate,
            f"the covariate has the same values as the score {score}, which leaves nothing of it to relate",
            doubt=True,
        )
        for covariate in covariates
        for score in scores
        if covariate in cells and cells[covariate] == cells.get(score) and any(cells[covariate])
    ]


def _keys(table: Table, problems: list[Problem]) -> dict[Key, int]:
    """Return the row of each child, or child and session; tell what is wrong with identifiers."""
    rows: dict[Key, int] = {}
    name = table.file.name
    if "participant_id" not in table.columns:
        return rows
    for row in table.rows:
        found: list[str | None] = []
        for column, prefix in zip(IDENTIFIERS, ("sub-", "ses-"), strict=True):
            text = row.cells.get(column, "")
            optional = column == "session_id" and is_missing(text)
            try:
                found.append(None if optional else fields.label(text, prefix))
            except ValueError as error:
                message = str(error) if text else "the cell is empty; every row needs one"
                problems.append(Problem(name, row.number, column, message))
        if len(found) == len(IDENTIFIERS):
            key = str(found[0]), found[1]
            if rows.setdefault(key, row.number) != row.number:
                who = f"sub-{key[0]}" + (f" ses-{key[1]}" if key[1] else "")
                words = f"{who} is already in row {rows[key]}; keep one row"
                advice = "" if "session_id" in table.columns else ", or add a column session_id"
                problems.append(Problem(name, row.number, "participant_id", words + advice))
    return rows


def _unmatched(keys: Iterable[Key], records: Sequence[Record]) -> dict:
    scanned = dict.fromkeys(record.participant_id for record in records)
    scored = dict.fromkeys(child for child, _ in keys)
    visits = {(record.participant_id, record.session_id) for record in records}
    scored_visits = {key for key in keys if key[1] is not None}
    whole = {child for child, session in keys if session is None}
    children = scanned.keys() & scored.keys()
    without_scores = {v for v in visits - scored_visits if v[0] in children - whole}
    without_scans = {v for v in scored_visits - visits if v[0] in children}
    return {
        "without_scores": sorted(scanned.keys() - scored.keys()),
        "without_scans": sorted(scored.keys() - scanned.keys()),
        "visits_without_scores": sorted(f"sub-{child}_ses-{session}" for child, session in without_scores),
        "visits_without_scans": sorted(f"sub-{child}_ses-{session}" for child, session in without_scans),
    }


def _nobody(table: Table, keys: dict[Key, int], records: Sequence[Record]) -> list[Problem]:
    """Tell of a table of other children, or of the right ones spelled in another way."""
    scanned = list(dict.fromkeys(record.participant_id for record in records))
    scored = list(dict.fromkeys(child for child, _ in keys))
    if not set(scanned) & set(scored):
        words = (
            f"no child of the table was scanned: it has {', '.join(scored[:NAMED])}{_more(scored)},"
            f" the scans are of {', '.join(scanned[:NAMED])}{_more(scanned)}; write identifiers alike"
        )
        return [Problem(table.file.name, None, "participant_id", words)]
    found = []
    meant = likely_ids(scored, scanned)
    for (child, _), row in keys.items():
        if child in meant:
            words = f"{shown(child)} was not scanned; is {shown(meant[child])} meant?"
            found.append(Problem(table.file.name, row, "participant_id", words, doubt=True))
    return found


def _more(names: Sequence[str]) -> str:
    return ", …" if len(names) > NAMED else ""
