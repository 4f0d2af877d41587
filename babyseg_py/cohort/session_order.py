"""Which of two sessions came first, as far as their labels say it.

Labels are put in order where that is beyond doubt: the same words around different numbers (``V1``, ``V2``;
``3mo``, ``12mo``; dates as ``20240131``), ages in different units (``2wk``, ``3mo``, ``1yr``), one letter or
one word with a letter at its end (``A``, ``B``; ``visitA``, ``visitB``), and words such as ``baseline`` and
``followup``. Other labels have no order, nor have long numbers, which may be anything.
"""

import re
from collections.abc import Iterable
from datetime import date
from itertools import groupby

from babyseg_py.cohort.ages import UNIT_DAYS

FIRST_WORDS = frozenset(
    {
        "baseline",
        "bl",
        "birth",
        "neo",
        "neonatal",
        "neonate",
        "newborn",
        "pre",
        "screening",
        "first",
        "initial",
    }
)
LAST_WORDS = frozenset({"followup", "fu", "post", "last", "final"})

_UNITS = {
    "d": "days", "day": "days", "days": "days",
    "w": "weeks", "wk": "weeks", "wks": "weeks", "week": "weeks", "weeks": "weeks",
    "m": "months", "mo": "months", "mos": "months", "mon": "months", "month": "months", "months": "months",
    "y": "years", "yr": "years", "yrs": "years", "year": "years", "years": "years",
}  # fmt: skip
_DURATION = re.compile(r"(?:age)?(\d+)([a-z]+)|([a-z]+)(\d+)")
_LETTER = re.compile(r"(.*?)([A-Z]|(?<![a-z])[a-z])")

Position = tuple[float, ...]


def chains(labels: Iterable[str]) -> list[list[list[str]]]:
    """Put session labels into chains of known order.

    Parameters
    ----------
    labels : iterable of str
        The sessions of one child.

    Returns
    -------
    list of list of list of str
        Chains of two or more steps, earliest first; a step holds the labels that the chain leaves side by
        side (``1`` and ``01``). A label may be in several chains.
    """
    distinct = sorted(set(labels))
    first = [label for label in distinct if label.lower() in FIRST_WORDS]
    last = [label for label in distinct if label.lower() in LAST_WORDS]
    placed: dict[str, list[tuple[Position, str]]] = {"": []}
    for label in distinct:
        if label not in first and label not in last:
            for chain, position in _positions(label):
                placed.setdefault(chain, []).append((position, label))
    found = []
    for members in placed.values():
        members.sort()
        steps = [[label for _, label in step] for _, step in groupby(members, key=lambda member: member[0])]
        whole = [step for step in (first, *steps, last) if step]
        if len(whole) > 1:
            found.append(whole)
    return found


def _positions(label: str) -> Iterable[tuple[str, Position]]:
    """Yield the chains that a label belongs to, with its place there."""
    words = re.split(r"(\d+)", label)
    if len(words) > 1 and all(_is_count(digits) for digits in words[1::2]):
        yield "#".join(words[::2]), tuple(float(digits) for digits in words[1::2])
    duration = _DURATION.fullmatch(label.lower())
    if duration:
        digits, unit = (duration[1], duration[2]) if duration[1] else (duration[4], duration[3])
        if unit in _UNITS:
            yield "an age", (float(digits) * UNIT_DAYS[_UNITS[unit]],)
    letter = _LETTER.fullmatch(label)
    if letter:
        case = "upper" if letter[2].isupper() else "lower"
        yield f"{letter[1]} and a letter, {case}", (float(ord(letter[2])),)


def _is_count(digits: str) -> bool:
    """Say whether digits are a visit's number, an age or a date with the year first."""
    if len(digits) <= 4:
        return True
    try:
        return len(digits) == 8 and date.fromisoformat(digits).year >= 1980
    except ValueError:
        return False
