"""The visits of a child side by side, from the youngest to the oldest, all to one scale."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from babyseg_py.report.figures import data_uri
from babyseg_py.report.parts import Picture
from babyseg_py.report.results import Results
from babyseg_py.report.thumbnails import Setting, shrunk, size_of
from babyseg_py.report.words import age, count, text

REASONS = 2
# From conception to a birth at term, by last menstrual period: only for the order of ages of two references.
TERM_DAYS = 280.0


@dataclass(frozen=True)
class Column:
    """A visit among those of its child.

    Parameters
    ----------
    title, status, age : str
        Session, ``ok``, ``flagged`` or ``failed``, and the age in words.
    picture : Picture or None
        Its slices to scale.
    reasons : tuple of str
        Why it was flagged or left out.
    """

    title: str
    status: str
    age: str
    picture: Picture | None
    reasons: tuple[str, ...]


def youngest_first(visits: pd.DataFrame) -> pd.DataFrame:
    """Sort visits by child and age, those without an age last; postmenstrual ages count from term."""
    from_term = visits["age_days"] - TERM_DAYS * (visits["age_reference"] == "conception")
    order = visits.assign(from_term=from_term).sort_values(["participant_id", "from_term"], kind="stable")
    return order.drop(columns="from_term")


def side_by_side(
    own: pd.DataFrame,
    results: Results,
    flags: dict[str, list[str]],
    *,
    whole: dict[str, str],
    setting: Setting | None,
) -> Iterator[Column]:
    """Make a column for each visit of a child.

    Parameters
    ----------
    own : pd.DataFrame
        Its visits, in order.
    results : Results
    flags : dict of str to list of str
        Messages of each visit.
    whole : dict of str to str
        Why a session is flagged as a whole, from `flagged_as_a_whole`.
    setting : Setting or None
        Width and quality of all pictures, so that their scale is one.
    """
    shown = [visit for visit in own["visit_id"] if visit in results.to_scale]
    contents = [shrunk(results.to_scale[visit], setting) for visit in shown]
    pictures = dict(zip(shown, contents, strict=True))
    for row in own.to_dict("records"):
        when = age(row["age_days"], row["age_reference"])
        picture = None
        if row["visit_id"] in pictures:
            content, mime = pictures[row["visit_id"]]
            alt = (
                f"Axial, coronal and sagittal slice through the brain at session {row['session_id']}, "
                f"{when}, with outlines of the labels, to the scale of the other sessions"
            )
            picture = Picture(data_uri(content, mime), alt, *size_of(content))
        reasons = _reasons(row, flags.get(row["visit_id"], []), whole.get(row["session_id"]))
        yield Column(f"Session {row['session_id']}", row["status"], when, picture, reasons)


def flagged_as_a_whole(qc: pd.DataFrame) -> dict[str, str]:
    """Say of each session that is flagged as a whole why, from the flagged rows of one child."""
    if qc.empty:
        return {}
    whole = qc[qc["scan"].isna() & qc["structure"].isna()]
    return {
        str(session): "; ".join(dict.fromkeys(text(message, "flagged") for message in of["message"]))
        for session, of in whole.groupby("session_id", sort=False)
    }


def _reasons(row: dict, flags: list[str], whole: str | None) -> tuple[str, ...]:
    """First reasons in words; how many more there are."""
    if whole:
        return (f"Left out of the statistics: {whole}",)
    new = [flag for flag in flags if not any(flag in reason for reason in row["reasons"])]
    reasons = list(dict.fromkeys([*row["reasons"], *new]))
    if len(reasons) > REASONS:
        reasons[REASONS - 1 :] = [f"{count(len(reasons) - REASONS + 1, 'more reason')} below"]
    return tuple(reasons)
