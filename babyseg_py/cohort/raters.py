"""The table of raters: whose label map is of which session."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from babyseg_py.cohort import fields
from babyseg_py.cohort.agreement import real_place
from babyseg_py.cohort.problems import Problem, shown
from babyseg_py.cohort.records import Record
from babyseg_py.cohort.tables import Table, missing_columns, read_labels, read_table, unknown_columns
from babyseg_py.errors import UnusableData
from babyseg_py.names import visit_id
from babyseg_py.statistics.raters import AUTOMATIC

COLUMNS = ("participant_id", "session_id", "rater", "dseg")
PREFIXES = {"participant_id": "sub-", "session_id": "ses-", "rater": ""}
FEWEST = 2


@dataclass(frozen=True)
class Rating:
    """A row: the label map of a session by a rater; labels without prefix, an absolute path or a URI."""

    row: int
    participant_id: str
    session_id: str
    rater: str
    dseg: str

    @property
    def visit_id(self) -> str:
        """The visit's id, such as ``sub-01_ses-A``."""
        return visit_id(self.participant_id, self.session_id)

    def as_json(self) -> dict:
        """Return the row as ``records.json`` holds it."""
        content = {name: getattr(self, name) for name in COLUMNS}
        return content | {"visit_id": self.visit_id}


def check_raters(path: Path | str, records: Sequence[Record]) -> tuple[list[dict], list[Problem]]:
    """Read which label map is of which rater and session.

    Parameters
    ----------
    path : Path or str
        Table with participant_id, session_id, rater and dseg; relative paths begin in its folder.
    records : sequence of Record
        The scans; without any, no session is looked for.

    Returns
    -------
    raters : list of dict
        participant_id, session_id, rater, dseg and visit_id of the sessions of the samplesheet that have two
        raters or more, by session and rater.
    problems : list of Problem
        Errors are a table that cannot be read, a missing or unknown column, an impossible identifier, a map
        that is not there, one rater twice for a session, one map in two rows, and raters whose names differ
        in capital letters alone. A session that is not in the samplesheet, and one with a single rater, are
        doubts: their maps are not used.
    """
    try:
        table = read_table(path, COLUMNS)
    except UnusableData as problem:
        return [], [Problem(problem.path, None, None, f"{problem.what}; {problem.advice}")]
    problems = [*table.problems, *unknown_columns(table, COLUMNS), *missing_columns(table, COLUMNS)]
    if any(not problem.doubt for problem in problems):
        return [], problems
    ratings = _ratings(table, Path(path).absolute().parent, records, problems)
    for rating, column, message in [*_twice(ratings), *_spellings(ratings)]:
        problems.append(Problem(table.file.name, rating.row, column, message))
    counts = Counter(rating.visit_id for rating in ratings)
    for rating in ratings:
        if counts[rating.visit_id] < FEWEST:
            words = f"{rating.rater} is the only rater of {_who(rating)}: a consensus needs two"
            words += ", and the map is not used (a reference goes into column dseg of the samplesheet)"
            problems.append(Problem(table.file.name, rating.row, None, words, doubt=True))
    used = [rating for rating in ratings if counts[rating.visit_id] >= FEWEST]
    return [one.as_json() for one in sorted(used, key=lambda one: (one.visit_id, one.rater))], problems


def _ratings(table: Table, folder: Path, records: Sequence[Record], problems: list[Problem]) -> list[Rating]:
    """Read the rows of the sessions that there are."""
    visits = {(record.participant_id, record.session_id) for record in records}
    found = []
    for row in table.rows:
        labels = read_labels(table, row, PREFIXES, problems)
        if labels is None:
            continue
        if labels["rater"].lower() == AUTOMATIC:
            words = f"{shown(labels['rater'])} stands for the segmentation itself; call the rater otherwise"
            problems.append(Problem(table.file.name, row.number, "rater", words))
        if visits and (labels["participant_id"], labels["session_id"]) not in visits:
            who = f"sub-{labels['participant_id']} ses-{labels['session_id']}"
            words = f"{who} is not in the samplesheet; the map is not used"
            problems.append(Problem(table.file.name, row.number, None, words, doubt=True))
            continue
        try:
            place = fields.location(row.cells["dseg"], folder)
        except ValueError as error:
            problems.append(Problem(table.file.name, row.number, "dseg", str(error)))
            continue
        found.append(Rating(row.number, **labels, dseg=place))
    return found


def _who(rating: Rating) -> str:
    return f"sub-{rating.participant_id} ses-{rating.session_id}"


def _twice(ratings: Sequence[Rating]) -> Iterator[tuple[Rating, str, str]]:
    """Yield the rows that repeat a rater of a session, or the map of another row."""
    raters: dict[tuple[str, str], Rating] = {}
    maps: dict[str, Rating] = {}
    links: dict[str, str] = {}
    for rating in ratings:
        first = raters.setdefault((rating.visit_id, rating.rater), rating)
        if first is not rating:
            words = f"{rating.rater} has a map of {_who(rating)} in row {first.row} already; keep one of them"
            yield rating, "rater", words
            continue
        owner = maps.setdefault(real_place(rating.dseg, links), rating)
        if owner is not rating:
            words = f"{shown(rating.dseg)} is also the map of row {owner.row}, {owner.rater} {_who(owner)}"
            yield rating, "dseg", f"{words}; each rater and session needs its own"


def _spellings(ratings: Sequence[Rating]) -> Iterator[tuple[Rating, str, str]]:
    seen: dict[str, Rating] = {}
    told = set()
    for rating in ratings:
        first = seen.setdefault(rating.rater.lower(), rating)
        if first.rater != rating.rater and rating.rater not in told:
            told.add(rating.rater)
            words = f"{shown(rating.rater)} and, in row {first.row}, {shown(first.rater)} differ in capital"
            yield rating, "rater", f"{words} letters alone; write both alike or choose another name"
