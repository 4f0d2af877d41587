"""The table of scores: who has which, and is every score a number."""

import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from babyseg_py.cohort import fields
from babyseg_py.cohort.problems import Problem, nearest, shown
from babyseg_py.cohort.records import Record
from babyseg_py.cohort.score_agreement import column_doubts
from babyseg_py.cohort.score_columns import (
    NAMED,
    as_number,
    empty_columns,
    is_numeric,
    mixed_units,
    nearly_numbers,
    not_numbers,
    with_points,
)
from babyseg_py.cohort.tables import Row, Table, is_missing, missing_columns, read_table
from babyseg_py.errors import UnusableData
from babyseg_py.statistics.partial import FEWEST
from babyseg_py.statistics.scorechecks import likely_ids
from babyseg_py.statistics.scores import UNDECLARED, Declared

IDENTIFIERS = ("participant_id", "session_id")
OF_THE_SHEET = ("sex", "site", "group", "age", "age_days", "age_months", "age_weeks_pma")

NOTHING: dict = {"file": None, "scores": [], "covariates": [], "without_scores": [], "without_scans": []}

Key = tuple[str, str | None]


def check_phenotype(
    path: Path | str,
    records: Sequence[Record],
    *,
    scores: Sequence[str] = (),
    covariates: Sequence[str] = (),
    declared: Declared = UNDECLARED,
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
    declared : Declared
        Covariates whose numbers are categories, and scores that are of one scale whatever they look like.

    Returns
    -------
    phenotype : dict
        file, scores, covariates, categories, one_scale, and the
        children (and visits, where both tables tell them) without scores
        and without scans, as ``records.json`` holds them.
    problems : list of Problem
        Errors are what leaves open which table or column is meant: no such file, no participant_id, a name of
        a column that is not there. All else is a doubt: the rows or the column that it is about are left
        out, and every other analysis goes on.
    """
    try:
        table = with_points(read_table(path, IDENTIFIERS))
    except UnusableData as problem:
        return NOTHING, [Problem(problem.path, None, None, f"{problem.what}; {problem.advice}")]
    problems = [*table.problems, *missing_columns(table, ["participant_id"]), *_near_misses(table)]
    free = [column for column in table.columns if column not in IDENTIFIERS]
    numeric = [column for column in free if is_numeric(table, column)]
    chosen = list(dict.fromkeys(scores)) or [column for column in numeric if column not in covariates]
    wanted = [name for name in dict.fromkeys(covariates) if name not in chosen]
    problems += _unknown_names(table, chosen, wanted, declared)
    problems += _named_twice(table, [name for name in dict.fromkeys(covariates) if name in chosen])
    if not chosen:
        words = "no column holds numbers, so that there is no score to relate; name one with --scores"
        problems.append(Problem(table.file.name, None, None, words, doubt=True))
    problems += empty_columns(table, [name for name in (chosen if scores else free) if name not in wanted])
    problems += nearly_numbers(table, (name for name in free if name not in [*chosen, *wanted]))
    for column in [*chosen, *(name for name in wanted if name in numeric)]:
        problems += not_numbers(table, column, covariate=column in wanted)
    problems += column_doubts(table, records, scores=chosen, covariates=wanted, declared=declared)
    problems += mixed_units(table, records)
    keys = _keys(table, problems, {record.participant_id for record in records})
    found = {"file": str(Path(path).absolute()), "scores": chosen, "covariates": wanted}
    found |= {"categories": list(declared.categories), "one_scale": list(declared.one_scale)}
    if records and "participant_id" in table.columns:
        found |= _unmatched(keys, records)
        problems += [*_nobody(table, keys, records), *_few(table, keys, records)]
        problems += _unlisted_sessions(table, keys, records)
    return NOTHING | found, problems


def _near_misses(table: Table) -> list[Problem]:
    """Tell of a column that is surely meant as session_id."""
    spellings = {"session", "ses", "ses_id", "session id", "visit", "visit_id", "timepoint"}
    likely = [name for name in table.columns if name.lower() in spellings]
    if "session_id" in table.columns or not likely:
        return []
    words = "is not read as the session; call it session_id if scores belong to visits"
    return [Problem(table.file.name, 1, likely[0], words, doubt=True)]


def _unknown_names(
    table: Table, scores: Collection[str], covariates: Collection[str], declared: Declared
) -> list[Problem]:
    free = [name for name in table.columns if name not in IDENTIFIERS]
    problems = []
    for option, names, known in (
        ("--scores", scores, free),
        ("--covariates", covariates, [*free, *OF_THE_SHEET]),
        ("--categories", declared.categories, covariates),
        ("--one_scale", declared.one_scale, scores),
    ):
        for name in names:
            if name not in known:
                where = {"--categories": "no covariate", "--one_scale": "no score"}.get(option, "not there")
                owner = {"--categories": "--covariates", "--one_scale": "--scores"}.get(option)
                addable = owner and name in free and name not in covariates
                advice = f"name it in {owner} too" if addable else nearest(name, known)
                words = f"{option} names {shown(name)}, which is {where}; {advice}"
                problems.append(Problem(table.file.name, 1, None, words))
    return problems


def _named_twice(table: Table, names: Iterable[str]) -> list[Problem]:
    words = "is named in --scores and in --covariates: it is a score, and no other score is adjusted for it"
    return [Problem(table.file.name, 1, name, words, doubt=True) for name in names if name in table.columns]


def _keys(table: Table, problems: list[Problem], scanned: Collection[str]) -> dict[Key, int]:
    """Return the row of each child, or child and session; tell what is wrong with identifiers."""
    rows: dict[Key, int] = {}
    name = table.file.name
    if "participant_id" not in table.columns:
        return rows
    for row in table.rows:
        found: list[str | None] = []
        for column, prefix in zip(IDENTIFIERS, ("sub-", "ses-"), strict=True):
            text = row.cells.get(column, "")
            if column in row.faulty:
                continue
            optional = column == "session_id" and is_missing(text)
            try:
                found.append(None if optional else fields.label(text, prefix))
            except ValueError as error:
                message = str(error) if text else "the cell is empty"
                message += f"; the row is left out{_meant(text, scanned) if prefix == 'sub-' else ''}"
                problems.append(Problem(name, row.number, column, message, doubt=True))
        if len(found) == len(IDENTIFIERS):
            key = str(found[0]), found[1]
            if rows.setdefault(key, row.number) != row.number:
                problems.append(_again(table, key, rows[key], row))
    return rows


def _meant(text: str, scanned: Collection[str]) -> str:
    """Ask for the scanned child that text which is no label is likely to stand for."""
    bare = re.sub(r"^sub-|\.0$|[^a-z0-9.]", "", text.strip(), flags=re.IGNORECASE)
    likely = bare if bare in scanned else likely_ids([bare], scanned).get(bare)
    return f"; is {shown(likely)} meant?" if likely and bare else ""


def _again(table: Table, key: Key, first: int, row: Row) -> Problem:
    """Tell of a child, or visit, that has a row already: the same once more, or another one."""
    before = next(one for one in table.rows if one.number == first).cells
    free = [name for name in table.columns if name not in IDENTIFIERS]
    other = [name for name in free if _unlike(before[name], row.cells[name])]
    who = f"sub-{key[0]}" + (f" ses-{key[1]}" if key[1] else "")
    if not other and any(is_missing(before[name]) != is_missing(row.cells[name]) for name in free):
        words = f"{who} is already in row {first}, with values of other columns; the rows are put together"
    elif not other:
        words = f"{who} is already in row {first} with the same values; it counts once"
    else:
        unlike = f"{', '.join(other[:NAMED])}{_more(other)}"
        words = (
            f"{who} is already in row {first} with other values of {unlike}; the child is left out where they"
            f" are used, and nowhere else: keep one row"
        )
        words += "" if "session_id" in table.columns else ", or add a column session_id"
    return Problem(table.file.name, row.number, "participant_id", words, doubt=True)


def _unlike(one: str, other: str) -> bool:
    """Say whether two cells contradict each other: both are there and neither the same text nor number."""
    if is_missing(one) or is_missing(other):
        return False
    numbers = as_number(one), as_number(other)
    return numbers[0] != numbers[1] if None not in numbers else one != other


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
    found = []
    if scored and not set(scanned) & set(scored):
        words = (
            f"no child of the table was scanned, so that no score can be related: it has"
            f" {', '.join(scored[:NAMED])}{_more(scored)}, the scans are of"
            f" {', '.join(scanned[:NAMED])}{_more(scanned)}; write identifiers alike"
        )
        found.append(Problem(table.file.name, None, "participant_id", words, doubt=True))
    meant = likely_ids(scored, scanned)
    for (child, _), row in keys.items():
        if child in meant:
            words = f"{shown(child)} was not scanned; is {shown(meant[child])} meant?"
            found.append(Problem(table.file.name, row, "participant_id", words, doubt=True))
    return found


def _unlisted_sessions(table: Table, keys: dict[Key, int], records: Sequence[Record]) -> list[Problem]:
    """Tell of scores of sessions that no scan of any child has: when they were taken is not known."""
    listed = {record.session_id for record in records}
    children = {record.participant_id for record in records}
    rows: dict[str, list[int]] = {}
    for (child, session), row in keys.items():
        if session is not None and session not in listed and child in children:
            rows.setdefault(session, []).append(row)
    found = []
    others = f"{', '.join(sorted(listed)[:NAMED])}{_more(sorted(listed))}"
    for session, of in rows.items():
        words = (
            f"ses-{session} is no session of the scans, which have {others} ({len(of)} rows): at what age its"
            " scores were taken is not known, and they go with a visit of the child whatever its age; write"
            " sessions alike if they are the same"
        )
        found.append(Problem(table.file.name, of[0], "session_id", words, doubt=True))
    return found


def _few(table: Table, keys: Iterable[Key], records: Sequence[Record]) -> list[Problem]:
    """Tell of too few children for an association, and of one visit each."""
    visits: dict[str, set[str]] = {}
    for record in records:
        visits.setdefault(record.participant_id, set()).add(record.session_id)
    both = {child for child, _ in keys} & visits.keys()
    found = []
    if 0 < len(both) < FEWEST:
        words = (
            f"{len(both)} children have scans and scores; associations need {FEWEST}, and are not estimated"
        )
        found.append(words.replace("1 children have", "1 child has"))
    if both and all(len(visits[child]) == 1 for child in both):
        words = (
            "every child with scores has one visit: nothing is said of change, nor of a child against itself"
        )
        found.append(words)
    return [Problem(table.file.name, None, None, words, doubt=True) for words in found]


def _more(names: Sequence[str]) -> str:
    return ", …" if len(names) > NAMED else ""
