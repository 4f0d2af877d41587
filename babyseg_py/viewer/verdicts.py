"""Verdicts that are given in the viewer: read from and saved to ``qc_verdicts.tsv``."""

import csv
import io
import re
from pathlib import Path

from babyseg_py.cohort import fields
from babyseg_py.cohort.tables import Row, read_table
from babyseg_py.cohort.verdicts import COLUMNS, VERDICTS
from babyseg_py.errors import UnusableData
from babyseg_py.writing import write_json, write_text

FILE = "qc_verdicts.tsv"
LONGEST_NOTE = 1000
DESCRIPTIONS: dict[str, dict] = {
    "participant_id": {"Description": "participant label"},
    "session_id": {"Description": "session label"},
    "verdict": {
        "Description": "what was said of the session by eye; the next run of the pipeline obeys it",
        "Levels": {
            "pass": "used, whatever quality control flagged",
            "fail": "left out of all statistics",
            "correct": "left out until it is corrected and passed",
        },
    },
    "note": {"Description": "why, in words"},
}
OTHER = {"Description": "not used by the pipeline"}


def read_verdicts(folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Read the verdict and note of each session; the last of several counts, unreadable rows are left out.

    Raises
    ------
    UnusableData
        The table as a whole cannot be read.
    """
    if not (folder / FILE).exists():
        return {}
    found = {}
    for row in _rows(folder)[1]:
        key, verdict = _key(row), row.cells.get("verdict", "").lower()
        if key and verdict in VERDICTS:
            note = row.cells.get("note", "")
            found[key] = {"verdict": verdict, "note": "" if note.lower() in {"n/a", "na"} else note}
    return found


def save_verdict(folder: Path, participant: str, session: str, *, verdict: str, note: str) -> None:
    """Put one verdict into the table; rows of other sessions and further columns stay as they are.

    Parameters
    ----------
    folder : Path
        The results.
    participant, session : str
        Labels without prefix.
    verdict : str
        ``pass``, ``fail`` or ``correct``; empty takes the verdict back.
    note : str
        Words; line ends and tabs become spaces.

    Raises
    ------
    UnusableData
        The table that is there cannot be read, or the new one not be written. Nothing is changed then.
    ValueError
        Another verdict, a label that is none, or a note of more than `LONGEST_NOTE` characters.
    """
    key = fields.label(participant, "sub-"), fields.label(session, "ses-")
    if verdict not in {*VERDICTS, ""}:
        raise ValueError(f"{verdict!r} is no verdict")
    if len(note) > LONGEST_NOTE:
        raise ValueError(f"the note has {len(note)} characters, more than {LONGEST_NOTE}")
    columns, rows = _rows(folder) if (folder / FILE).exists() else (COLUMNS, [])
    columns = (*columns, *(name for name in COLUMNS if name not in columns))
    kept = [row.cells for row in rows if _key(row) != key]
    old: dict[str, str] = next((row.cells for row in reversed(rows) if _key(row) == key), {})
    if verdict:
        plain = re.sub(r"[\x00-\x1f\x7f-\x9f\s]+", " ", note).strip()
        kept.append(old | dict(zip(COLUMNS, (*key, verdict, plain), strict=True)))
    _write(folder, columns, kept)


def _write(folder: Path, columns: tuple[str, ...], rows: list[dict[str, str]]) -> None:
    if not rows:  # A table of a header alone is an error to the next run.
        for path in (folder / FILE, (folder / FILE).with_suffix(".json")):
            path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row.get(name, "") or "n/a" for name in columns] for row in rows)
    dictionary = {name: DESCRIPTIONS.get(name, OTHER) for name in columns}
    write_json((folder / FILE).with_suffix(".json"), dictionary)
    write_text(folder / FILE, text.getvalue())


def _rows(folder: Path) -> tuple[tuple[str, ...], list[Row]]:
    """Columns and rows; a table with faults of form is not touched, as mending it would lose something."""
    table = read_table(folder / FILE, COLUMNS)
    fault = next((problem for problem in table.problems if not problem.doubt), None)
    if fault or not set(COLUMNS[:3]) <= set(table.columns):
        what = str(fault) if fault else f"it lacks one of the columns {', '.join(COLUMNS[:3])}"
        raise UnusableData(str(table.file), what, "mend it by hand, or move it away")
    return table.columns, list(table.rows)


def _key(row: Row) -> tuple[str, str] | None:
    try:
        child = fields.label(row.cells.get("participant_id", ""), "sub-")
        return child, fields.label(row.cells.get("session_id", ""), "ses-")
    except ValueError:
        return None
