"""Behavioural scores and covariates: read as numbers or categories, and coded for a model."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from babyseg_py.statistics.visits import VISIT, most_common

SHEET_COLUMNS = ("sex", "site", "group")


# Columns of visits and pairs of visits, and what the analyses call a score.
TAKEN = frozenset(
    [
        "age",
        "age_days",
        "age_months",
        "age_weeks_pma",
        "age_reference",
        "score",
        "score_age",
        "score_session_id",
        "later_age",
        "later_score",
        "later_session_id",
        "_age",
        "_gap",
        "_last",
        "_off",
        "_score",
        "_unlisted",
    ]
)


@dataclass(frozen=True)
class Covariates:
    """Covariates of a set of children, coded.

    Parameters
    ----------
    design : (n, k) array of float
        Numbers as they are, categories as 0 and 1 for every level but the reference; NaN where missing.
    names : tuple of str
        A name for every column, ``site=B`` for a level.
    described : tuple of str
        Every covariate in words, with the reference level of a categorical one.
    notes : tuple of str
        What was odd about them.
    """

    design: np.ndarray
    names: tuple[str, ...] = ()
    described: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


def as_numbers(values: pd.Series) -> tuple[pd.Series, str]:
    """Read a column as numbers; what is not a number is missing, and said.

    Returns
    -------
    (numbers, note) : tuple of pandas.Series and str
        The note is empty if every value that is there is a finite number.
    """
    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    numbers = numbers.where(np.isfinite(numbers))
    text = values[values.notna() & numbers.isna()]
    if text.empty:
        return numbers, ""
    return (
        numbers,
        f"{values.name}: {len(text)} values such as {str(text.iloc[0])[:20]!r} are no numbers and missing",
    )


def is_number(values: pd.Series) -> bool:
    """Say whether a covariate is one of numbers: more than half of what is there can be read as one."""
    if values.name in SHEET_COLUMNS:
        return False
    there = values.dropna()
    return bool(pd.to_numeric(there, errors="coerce").notna().mean() > 0.5) if len(there) else True


def code_covariates(table: pd.DataFrame) -> Covariates:
    """Code the covariates of a set of children.

    Sex, site and group of the samplesheet are categories, and so is a column of which half or more of the
    values are not numbers. The reference is the most frequent level (the first in order if equal).

    Parameters
    ----------
    table : pandas.DataFrame
        One column per covariate, one row per child.

    Returns
    -------
    Covariates
    """
    columns: dict[str, np.ndarray] = {}
    described, notes = [], []
    for name in table.columns:
        if is_number(table[name]):
            numbers, note = as_numbers(table[name])
            columns[name] = numbers.to_numpy()
            described.append(name)
            notes += [note] if note else []
            continue
        values = table[name].astype(object)
        reference = most_common(values.dropna().astype(str))
        levels = sorted(set(values.dropna().astype(str)) - {str(reference)})
        for level in levels:
            columns[f"{name}={level}"] = np.where(
                values.isna(), np.nan, (values.astype(str) == level).astype(float)
            )
        if not levels:
            columns[name] = np.where(values.isna(), np.nan, 0.0)
        described.append(f"{name} ({', '.join(levels) or 'no other level'}; reference {reference})")
    matrix = np.stack(list(columns.values()), axis=1) if columns else np.zeros((len(table), 0))
    return Covariates(matrix, tuple(columns), tuple(described), tuple(notes))


def named_apart(table: pd.DataFrame, *lists: list[str]) -> tuple[pd.DataFrame, *tuple[list[str], ...]]:
    """Rename columns of a score table that are called like a column of the visits, ``age`` for one.

    Parameters
    ----------
    table : pandas.DataFrame
        The score table.
    *lists : list of str
        Names of scores and of covariates; names that are not in the table stay.

    Returns
    -------
    tuple
        The table and the lists, with ``age`` called ``age (score table)``.
    """
    columns = [str(name) for name in table]
    taken = TAKEN | {f"{name}_later" for name in columns}
    names: dict[str, str] = {}
    for name in columns:
        if name in taken:
            names[name] = f"{name} (score table)"
            while names[name] in columns:
                names[name] += "'"
    return table.rename(columns=names), *([names.get(name, name) for name in of] for of in lists)


def plain_ids(table: pd.DataFrame) -> pd.DataFrame:
    """Take ``sub-`` and ``ses-`` off the identifiers of a score table; drop rows without a child."""
    table = table[table["participant_id"].notna()]
    table = table.assign(participant_id=table["participant_id"].str.strip().str.removeprefix("sub-"))
    if "session_id" in table:
        table = table.assign(session_id=table["session_id"].str.strip().str.removeprefix("ses-"))
    else:
        table = table.assign(session_id=None)
    return table


def one_row_each(table: pd.DataFrame) -> tuple[pd.DataFrame, set[str]]:
    """Put rows for one session together; name the children whose rows contradict each other.

    Rows of one session may each fill other columns, as where every instrument has a row of its own. They
    contradict each other where two of them have unlike values of one column; 100 and 100.0 are alike.

    Returns
    -------
    (table, contradicted) : tuple of pandas.DataFrame and set of str
        The table is without the children who are named.
    """
    names = [name for name in table.columns if name not in VISIT]
    values = pd.DataFrame({name: _comparable(table[name]) for name in names}, index=table.index)
    keys = [table[name].astype(object).fillna("") for name in VISIT]
    unlike = (values.groupby(keys).transform("nunique") > 1).any(axis=1)
    contradicted = set(table.loc[unlike, "participant_id"])
    filled = table.copy()
    filled[names] = table[names].groupby(keys).transform("first")
    once = filled.drop_duplicates(VISIT)
    return once[~once["participant_id"].isin(contradicted)], contradicted


def _comparable(values: pd.Series) -> pd.Series:
    """Return numbers as numbers and all else as it is."""
    numbers = pd.to_numeric(values, errors="coerce")
    return numbers.astype(object).where(numbers.notna(), values)


def fill_constant(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Give a covariate that a child has in some rows only, always the same, to all rows of the child."""
    table = table.copy()
    for name in names:
        by_child = table.groupby("participant_id")[name]
        single = by_child.transform("first").where(by_child.transform("nunique") == 1)
        table[name] = table[name].where(table[name].notna(), single)
    return table
