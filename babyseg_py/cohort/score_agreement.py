"""Do the columns of a score table agree with each other, and with the samplesheet; each doubt is told."""

from collections.abc import Collection, Iterable, Sequence

import pandas as pd

from babyseg_py.cohort.problems import Problem
from babyseg_py.cohort.records import Record
from babyseg_py.cohort.tables import Table, is_missing
from babyseg_py.names import is_label
from babyseg_py.statistics.scales import unlike_scales
from babyseg_py.statistics.scorechecks import children_of_groups, same_as_score, scale_note, twin_notes
from babyseg_py.statistics.scores import (
    SHEET_COLUMNS,
    Declared,
    one_row_each,
    plain_ids,
    unusable,
)
from babyseg_py.statistics.visits import counted_as_asked, visit_facts


def as_frame(table: Table) -> pd.DataFrame:
    """Return the score table as text, None where a value is missing; a child may be called NA."""
    cells = [{name: _said(name, text) for name, text in row.cells.items()} for row in table.rows]
    return pd.DataFrame(cells, columns=list(table.columns), dtype=object)


def _said(column: str, text: str) -> str | None:
    return None if is_missing(text) and not (column == "participant_id" and is_label(text)) else text


def column_doubts(
    table: Table,
    records: Sequence[Record],
    *,
    scores: Sequence[str],
    covariates: Sequence[str],
    declared: Declared,
) -> list[Problem]:
    """Tell of scores of unlike scales, and of covariates that nothing can be adjusted for.

    Parameters
    ----------
    table : Table
        The score table.
    records : sequence of Record
        The scans.
    scores, covariates : sequence of str
        Columns of it; a covariate may also be one of the samplesheet.
    declared : Declared
        What the user says of them.

    Returns
    -------
    list of Problem
        Doubts: raw and standardised scores in unlike sessions, in unlike children, or in two columns; a
        covariate that tells the same as a score, has no value or one only, or asks for an age that is not
        known.
    """
    frame = as_frame(table)
    if "participant_id" not in frame or not frame.columns.is_unique:
        return []
    answers, _ = one_row_each(plain_ids(frame))
    facts = visit_facts(record.as_json() for record in records)
    scores = [name for name in scores if name in table.columns]
    doubts = [
        *_scales(scores, answers, facts, declared),
        *_useless(covariates, answers, facts, declared.categories),
        *_copies(scores, covariates, answers),
    ]
    _, note = counted_as_asked(facts, [name for name in covariates if name not in answers])
    doubts += [(None, note)] if note else []
    return [Problem(table.file.name, None, column, words, doubt=True) for column, words in doubts]


def _scales(
    scores: Sequence[str], answers: pd.DataFrame, facts: pd.DataFrame, declared: Declared
) -> Iterable[tuple[str | None, str]]:
    groups = children_of_groups(facts)
    for name in scores:
        found = None if name in declared.one_scale else unlike_scales(answers, name)
        words = scale_note(name, answers, found, groups)
        if words:
            yield name, words.removeprefix(f"{name}: ")
    twins = twin_notes(list(scores), answers)
    for words in dict.fromkeys(pair for of in twins.values() for pair in of):
        yield None, words


def _useless(
    covariates: Sequence[str], answers: pd.DataFrame, facts: pd.DataFrame, categories: Collection[str]
) -> Iterable[tuple[str, str]]:
    for name in covariates:
        of = answers if name in answers else facts if name in SHEET_COLUMNS and len(facts) else None
        why = "" if of is None else unusable(of[name], categories)
        if why:
            yield name, f"nothing is adjusted for this covariate, as {why}"


def _copies(
    scores: Sequence[str], covariates: Sequence[str], answers: pd.DataFrame
) -> Iterable[tuple[str, str]]:
    for covariate in covariates:
        for score in scores:
            same = same_as_score(covariate, score, answers) if covariate in answers else ""
            if same:
                yield covariate, f"the covariate {same}"
