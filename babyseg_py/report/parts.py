"""What a section of the report can be made of; the template knows one form for each kind."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True)
class Absent:
    """A part that could not be made, and why."""

    reason: str
    kind: ClassVar[str] = "absent"


@dataclass(frozen=True)
class Picture:
    """An image as a data URI, with its alternative text and size in CSS pixels."""

    source: str
    alt: str
    width: int
    height: int
    title: str = ""


@dataclass(frozen=True)
class Prose:
    """Paragraphs, points below them, and figures below both.

    Parameters
    ----------
    paragraphs, points : tuple of str
        Plain text; the template escapes it.
    pictures : tuple of Picture
    """

    paragraphs: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    kind: ClassVar[str] = "prose"


@dataclass(frozen=True)
class Titled:
    """Paragraphs that begin with a title each, as (title, text), and numbered references below them."""

    paragraphs: tuple[tuple[str, str], ...]
    references: tuple[str, ...] = ()
    kind: ClassVar[str] = "titled"


@dataclass(frozen=True)
class Facts:
    """A few numbers in large type: value, what it counts, and ``ok``, ``flagged``, ``failed`` or nothing."""

    items: tuple[tuple[str, str, str], ...]
    kind: ClassVar[str] = "facts"


@dataclass(frozen=True)
class Table:
    """A table of text.

    Parameters
    ----------
    columns : tuple of str
        Headings.
    rows : sequence of tuple of str
        Cells.
    numeric : frozenset of int
        Columns that are set flush right.
    folded : str
        When not empty, the table is closed behind these words.
    note : str
        A sentence below it.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    numeric: frozenset[int] = frozenset()
    folded: str = ""
    note: str = ""
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Plot:
    """One or more figures under one caption."""

    pictures: tuple[Picture, ...]
    note: str = ""
    kind: ClassVar[str] = "plot"


@dataclass(frozen=True)
class Card:
    """One session of the contact sheet; ``page`` is the address of the child's own page."""

    title: str
    status: str
    details: str
    messages: tuple[str, ...] = ()
    picture: Picture | None = None
    page: str = ""


@dataclass(frozen=True)
class Cards:
    """The contact sheet: cards to look at first, and the others behind a fold."""

    first: list[Card]
    rest: list[Card] = field(default_factory=list)
    fold: bool = False
    note: str = ""
    kind: ClassVar[str] = "cards"


@dataclass(frozen=True)
class Swatches:
    """Names with their colours as CSS hex strings."""

    items: tuple[tuple[str, str], ...]
    kind: ClassVar[str] = "swatches"


Part = Absent | Prose | Titled | Facts | Table | Plot | Cards | Swatches
