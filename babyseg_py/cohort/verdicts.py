"""The verdicts of those who looked at the sessions: ``qc_verdicts.tsv``."""

from collections.abc import Sequence
from pathlib import Path

from babyseg_py.cohort.problems import Problem, nearest, shown
from babyseg_py.cohort.records import Record
from babyseg_py.cohort.tables import Row, Table, missing_columns, read_labels, read_table
from babyseg_py.errors import UnusableData

COLUMNS = ("participant_id", "session_id", "verdict", "note")
VERDICTS = ("pass", "fail", "correct")


def check_verdicts(path: Path | str, records: Sequence[Record]) -> tuple[list[dict], list[Problem]]:
    """Read the verdicts on the sessions.

    Parameters
    ----------
    path : Path or str
        Table with participant_id, session_id, verdict (pass, fail or correct) and, if wanted, note.
    records : sequence of Record
        The scans; without any, no session is looked for.

    Returns
    -------
    verdicts : list of dict
        participant_id, session_id, verdict and note of each session of the samplesheet; of several rows for
        one session the last counts.
    problems : list of Problem
        Errors are a table that cannot be read, a missing column, an impossible identifier and an unknown
        verdict: a mistyped verdict must not be passed over. A session that is not in the samplesheet and a
        row that is replaced by a later one are doubts.
    """
    try:
        table = read_table(path, COLUMNS)
    except UnusableData as problem:
        return [], [Problem(problem.path, None, None, f"{problem.what}; {problem.advice}")]
    problems = [*table.problems, *missing_columns(table, COLUMNS[:3])]
    if any(not problem.doubt for problem in problems):
        return [], problems
    visits = {(record.participant_id, record.session_id) for record in records}
    found: dict[tuple[str, str], tuple[int, dict]] = {}
    for row in table.rows:
        verdict = _verdict(table, row, problems)
        if verdict is None:
            continue
        key = verdict["participant_id"], verdict["session_id"]
        who = f"sub-{key[0]} ses-{key[1]}"
        if visits and key not in visits:
            words = f"{who} is not in the samplesheet; the verdict is kept for nothing"
            problems.append(Problem(table.file.name, row.number, None, words, doubt=True))
            continue
        if key in found and found[key][1] != verdict:
            words = f"the verdict on {who} replaces that of row {found[key][0]}"
            problems.append(Problem(table.file.name, row.number, None, words, doubt=True))
        found[key] = row.number, verdict
    return [verdict for _, verdict in found.values()], problems


def _verdict(table: Table, row: Row, problems: list[Problem]) -> dict | None:
    """Read one row; None, and a problem more, if it cannot be read."""
    cells = {name: row.cells.get(name, "") for name in COLUMNS}
    read = read_labels(table, row, {"participant_id": "sub-", "session_id": "ses-"}, problems)
    verdict = cells["verdict"].lower()
    if verdict not in VERDICTS:
        words = f"{shown(cells['verdict'])} is no verdict; {nearest(cells['verdict'], VERDICTS)}"
        problems.append(Problem(table.file.name, row.number, "verdict", words))
    note = "" if cells["note"].lower() in {"n/a", "na"} else cells["note"]
    return read | {"verdict": verdict, "note": note} if read and verdict in VERDICTS else None
