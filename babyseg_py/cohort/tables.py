"""Reading of small tables as people save them: any separator, any encoding, any spreadsheet."""

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from babyseg_py.cohort import fields
from babyseg_py.cohort.problems import Problem, nearest, shown
from babyseg_py.errors import UnusableData

MISSING = frozenset({"", "n/a", "na", "nan", "#n/a", "null"})
SEPARATORS = (",", ";", "\t")
LONGEST_CELL = 4096

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TOLD_SEPARATOR = re.compile(r"sep=([,;\t])\r?\n", re.IGNORECASE)  # as Excel writes it
_BYTE_ORDER_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
)
_NOT_A_TABLE = (
    (b"PK\x03\x04", "a spreadsheet or zip archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file"),
    (b"\x1f\x8b", "compressed"),
    (b"%PDF", "a PDF document"),
)


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Parameters
    ----------
    number : int
        The line in the file.
    cells : dict of str to str
        By column; empty also where the cell cannot be read.
    faulty : frozenset of str
        The columns whose cell cannot be read, which is told among the problems of the table.
    """

    number: int
    cells: dict[str, str]
    faulty: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Table:
    """A table as text, with what was wrong with its form.

    Parameters
    ----------
    file : Path
        Where it was read from.
    columns : tuple of str
        The named columns, in order.
    rows : tuple of Row
        The rows that hold anything at all; cells are stripped, absent ones empty.
    separator : str
        The character between cells.
    problems : tuple of Problem
        Faults of form: columns without name or twice, too many cells, invisible characters, encoding.
    """

    file: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    separator: str
    problems: tuple[Problem, ...]


def read_table(path: Path | str, known: Collection[str] = ()) -> Table:
    """Read a table of text.

    Commas, semicolons and tabs separate; the separator is the one under which the header names most known
    columns, or that of a line ``sep=;`` above it. UTF-8, UTF-16 and UTF-32 with or without byte order mark
    are read, anything else as Windows-1252 (with a doubt noted). Line ends may be of any system. Empty lines
    and empty cells at the end of a line are passed over; the first line that is not empty is the header.

    Parameters
    ----------
    path : Path or str
        The file.
    known : collection of str
        Names of columns to expect.

    Returns
    -------
    Table

    Raises
    ------
    UnusableData
        The file is absent, unreadable, empty, has no row beneath the header or is no text.
    """
    file = Path(path)
    text, encoding = decode(_content(file), file)
    problems = []
    if encoding == "cp1252":
        words = (
            "is not UTF-8 and was read as Windows-1252 (Latin-1); check names with accents, or save as UTF-8"
        )
        problems.append(Problem(file.name, None, None, words, doubt=True))
    told = _TOLD_SEPARATOR.match(text)
    text = text[told.end() :] if told else text
    separator = told[1] if told else find_separator(text, known)
    lines = _lines(text, separator, file.name, problems, above=1 if told else 0)
    header = next((cells for _, cells in lines if any(cells)), None)
    if header is None:
        what = str(problems[-1]) if problems else "no line has more than separators"
        raise UnusableData(str(file), what, "write the names of the columns into the first line")
    columns, column_problems = _columns(header, file.name)
    rows = tuple(_rows(lines, columns, file.name, problems))
    if not rows:
        what = "there is a header but no row beneath it" if not problems else str(problems[-1])
        raise UnusableData(str(file), what, "add one row for each entry")
    named = tuple(name for name in columns if name)
    return Table(file, named, rows, separator, (*column_problems, *problems))


def is_missing(text: str) -> bool:
    """Say whether a cell stands for no value: empty, n/a, NA, NaN, null in any case."""
    return text.lower() in MISSING


def decode(content: bytes, file: Path) -> tuple[str, str]:
    """Return the text of a file and the encoding that it was in."""
    marked = (encoding for mark, encoding in _BYTE_ORDER_MARKS if content.startswith(mark))
    encoding = next(marked, None) or _without_mark(content)
    try:
        return content.decode(encoding), encoding
    except UnicodeDecodeError:
        if encoding != "utf-8":
            what = f"the file says that it is {encoding.upper()}, but is not"
            raise UnusableData(str(file), what, "save it as UTF-8") from None
    try:
        return content.decode("cp1252"), "cp1252"
    except UnicodeDecodeError:
        what = "the file is neither UTF-8 nor UTF-16 nor Latin-1 text"
        raise UnusableData(str(file), what, "save it as CSV or TSV in UTF-8") from None


def find_separator(text: str, known: Collection[str]) -> str:
    """Return the separator under which the first line that is not empty names most known columns, or most."""

    def merit(separator: str) -> tuple[int, int]:
        header = next(csv.reader([first], delimiter=separator, skipinitialspace=True), [])
        return sum(name.strip() in known for name in header), len(header)

    lines = (line for line in text.splitlines() if line.strip("".join(SEPARATORS) + " "))
    first = next(lines, "")[: 64 * LONGEST_CELL // 4]
    return max(SEPARATORS, key=merit)


def _content(file: Path) -> bytes:
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise UnusableData(str(file), "there is no such file", "check the path") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnusableData(str(file), f"it cannot be read ({reason})", "check the path") from None
    for magic, kind in _NOT_A_TABLE:
        if content.startswith(magic):
            raise UnusableData(str(file), f"it is {kind}, not text", "save it as CSV or TSV in UTF-8")
    if not content.strip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"):
        raise UnusableData(str(file), "the file is empty", "write a header and one row for each entry")
    return content


def _without_mark(content: bytes) -> str:
    """Guess UTF-16 from zeros at every other place, as in the ASCII letters of a header."""
    head = content[:64]
    if head[1::2].count(0) > len(head) // 4:
        return "utf-16-le"
    if head[0::2].count(0) > len(head) // 4:
        return "utf-16-be"
    return "utf-8"


def _lines(
    text: str, separator: str, name: str, problems: list[Problem], *, above: int
) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each entry's first line, and its cells; so many lines were read before."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    while True:
        start = above + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            words = f"the line cannot be read ({error}); look for a quotation mark that is not closed"
            problems.append(Problem(name, start, None, words))
            return
        yield start, [cell.strip() for cell in cells]


def _columns(header: list[str], name: str) -> tuple[list[str], list[Problem]]:
    while header and not header[-1]:
        header = header[:-1]
    twice = [column for column, count in Counter(header).items() if column and count > 1]
    problems = [Problem(name, 1, shown(column), "the column comes twice; remove one") for column in twice]
    problems += [
        Problem(name, 1, None, f"the name {shown(column)} has invisible characters; type it again")
        for column in header
        if not column.isprintable()
    ]
    return header, problems


def _rows(
    lines: Iterator[tuple[int, list[str]]], columns: list[str], name: str, problems: list[Problem]
) -> Iterator[Row]:
    for number, cells in lines:
        if not any(cells):
            continue
        surplus = [cell for cell in cells[len(columns) :] if cell]
        if surplus:
            words = (
                f"the row has {len(cells)} cells but the header {len(columns)} columns, beyond them"
                f" {shown(surplus[0])}; put values that hold the separator in quotation marks"
            )
            problems.append(Problem(name, number, None, words))
        padded = cells[: len(columns)] + [""] * (len(columns) - len(cells))
        row = {column: cell for column, cell in zip(columns, padded, strict=True) if column}
        faulty = set()
        for column, cell in zip(columns, padded, strict=True):
            fault = _fault(column, cell)
            if fault:
                problems.append(Problem(name, number, column or None, fault))
                row[column] = ""
                faulty.add(column)
        yield Row(number, row, frozenset(faulty))


def _fault(column: str, cell: str) -> str | None:
    if not column and cell:
        return f"{shown(cell)} stands in a column without a name; name the column or remove it"
    if len(cell) > LONGEST_CELL:
        return f"the cell has {len(cell)} characters, more than {LONGEST_CELL}"
    if "\n" in cell or "\r" in cell:
        return f"{shown(cell)} has a line break; look for a quotation mark that is not closed"
    if _CONTROL.search(cell):
        return f"{shown(cell)} has control characters; type it again"
    return None


def read_labels(
    table: Table, row: Row, prefixes: Mapping[str, str], problems: list[Problem]
) -> dict[str, str] | None:
    """Read the identifiers of a row, by column with the prefix that each may have.

    Returns
    -------
    dict or None
        Labels without prefix; None, and a problem more for each, if one cannot be read.
    """
    read = {}
    for column, prefix in prefixes.items():
        try:
            read[column] = fields.label(row.cells.get(column, ""), prefix)
        except ValueError as error:
            problems.append(Problem(table.file.name, row.number, column, str(error)))
    return read if len(read) == len(prefixes) else None


def unknown_columns(table: Table, known: Collection[str]) -> list[Problem]:
    """Return one problem for each column that is not among the known ones, with the nearest of them."""
    return [
        Problem(table.file.name, 1, column, f"the column is not known; {nearest(column, known)}")
        for column in dict.fromkeys(table.columns)
        if column not in known
    ]


def missing_columns(table: Table, required: Collection[str]) -> list[Problem]:
    """Return one problem for each required column that the table lacks."""
    return [
        Problem(table.file.name, 1, column, f"the column is missing; {_has(table)}")
        for column in required
        if column not in table.columns
    ]


def _has(table: Table) -> str:
    if len(table.columns) == 1:
        return f"the header is {shown(table.columns[0])}; columns are separated by commas, semicolons or tabs"
    return f"the header has {', '.join(shown(name)[1:-1] for name in table.columns)}"
