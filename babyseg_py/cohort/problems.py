"""What is wrong with an input table, said so that its owner can mend it."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

SHOWN = 60


@dataclass(frozen=True)
class Problem:
    """One fault of a table.

    Parameters
    ----------
    file : str
        The table, or the file of a dataset, that is at fault.
    row : int or None
        The line in the file, its header being line 1; None if the whole file is meant.
    column : str or None
        The column at fault.
    message : str
        A sentence with the offending value and what to do about it.
    doubt : bool
        True if it may well be right: it is told, but stops nothing.
    """

    file: str
    row: int | None
    column: str | None
    message: str
    doubt: bool = False

    def __str__(self) -> str:
        place = [self.file]
        if self.row is not None:
            place.append(f"row {self.row}")
        if self.column is not None:
            place.append(f"column {self.column}")
        return f"{', '.join(place)}: {self.message}"


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems by file and row, each once."""
    return sorted(dict.fromkeys(problems), key=lambda problem: (problem.file, problem.row or 0))


def shown(value: str, longest: int = SHOWN) -> str:
    """Return a value as a message may show it: quoted, with escapes, never longer than a line."""
    text = value if len(value) <= longest else f"{value[:longest]}…"
    return repr(text)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the words that name the nearest known value, or all of them if none is near."""
    names = {name.lower(): name for name in known}
    close = get_close_matches(word.lower()[:SHOWN], names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {names[close[0]]!r}?"
    return f"known are {', '.join(names.values())}" if names else "none is known"
