"""Behavioural scores and covariates: read as numbers or categories, and coded for a model."""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import stats

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
        "_gestation_days",
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


@dataclass(frozen=True)
class Declared:
    """What a user says of columns that their values do not tell.

    Parameters
    ----------
    categories : tuple of str
        Covariates whose numbers are categories.
    one_scale : tuple of str
        Scores that are of one scale at all sessions, whatever they look like.
    """

    categories: tuple[str, ...] = ()
    one_scale: tuple[str, ...] = ()


UNDECLARED = Declared()


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


def is_number(values: pd.Series, categories: Collection[str] = ()) -> bool:
    """Say whether a covariate is one of numbers: more than half of what is there can be read as one."""
    if values.name in SHEET_COLUMNS or values.name in categories:
        return False
    there = values.dropna()
    return bool(pd.to_numeric(there, errors="coerce").notna().mean() > 0.5) if len(there) else True


def code_covariates(table: pd.DataFrame, categories: Collection[str] = ()) -> Covariates:
    """Code the covariates of a set of children.

    Sex, site and group of the samplesheet are categories, and so is a column that is declared as one, or of
    which half or more of the values are not numbers. The reference is the most frequent level (the first in
    order if equal). A covariate without any value, or with one only, is left out with a note.

    Parameters
    ----------
    table : pandas.DataFrame
        One column per covariate, one row per child.
    categories : collection of str
        Covariates whose numbers are categories.

    Returns
    -------
    Covariates
    """
    columns: dict[str, np.ndarray] = {}
    described, notes = [], []
    for name in table.columns:
        why = unusable(table[name], categories) if len(table) else ""
        if why:
            notes.append(f"not adjusted for {name}: {why}")
            continue
        if is_number(table[name], categories):
            numbers, note = as_numbers(table[name])
            columns[name] = numbers.to_numpy()
            described.append(name)
            notes += [note] if note else []
            continue
        values = as_levels(table[name], categories)
        reference = most_common(values.dropna())
        levels = sorted(set(values.dropna()) - {reference}, key=_in_order if name in categories else None)
        for level in levels:
            columns[f"{name}={level}"] = np.where(values.isna(), np.nan, (values == level).astype(float))
        described.append(f"{name} ({', '.join(levels) or 'no other level'}; reference {reference})")
    matrix = np.stack(list(columns.values()), axis=1) if columns else np.zeros((len(table), 0))
    return Covariates(matrix, tuple(columns), tuple(described), tuple(notes))


def unusable(values: pd.Series, categories: Collection[str] = ()) -> str:
    """Say why nothing can be adjusted for a covariate: no value, or one only; empty if it can be used."""
    there = as_numbers(values)[0] if is_number(values, categories) else as_levels(values, categories)
    there = there.dropna()
    if there.empty:
        return "it has no value"
    value = there.iloc[0]
    if (there != value).any():
        return ""
    return f"all {len(there)} values are {value if isinstance(value, str) else format(value, 'g')}"


def as_levels(values: pd.Series, categories: Collection[str] = ()) -> pd.Series:
    """Return categories as text; in a column that is declared as one of categories 1 and 1.0 are the same."""
    text = values.map(str, na_action="ignore").astype(object)
    if values.name not in categories:
        return text
    numbers, _ = as_numbers(values)
    return text.where(numbers.isna(), numbers.map("{:g}".format))


def _in_order(level: str) -> tuple[float, str]:
    try:
        return float(level), level
    except ValueError:
        return np.inf, level


def distinct_names(table: pd.DataFrame, *lists: list[str]) -> tuple[pd.DataFrame, *tuple[list[str], ...]]:
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


def one_row_each(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, set[str]]]:
    """Put rows for one session together; take the values out of which two rows contradict each other.

    Rows of one session may each fill other columns, as where every instrument has a row of its own. They
    contradict each other where two of them have unlike values of one column; 100 and 100.0 are alike. That
    costs the child this column, at all its sessions.

    Returns
    -------
    (table, contradicted) : tuple of pandas.DataFrame and dict of str to set of str
        One row per child and session, and the children whose rows contradict each other, by column.
    """
    names = [name for name in table.columns if name not in VISIT]
    values = pd.DataFrame({name: _comparable(table[name]) for name in names}, index=table.index)
    keys = [table[name].astype(object).fillna("") for name in VISIT]
    unlike = values.groupby(keys).transform("nunique") > 1
    filled = table.copy()
    filled[names] = table[names].groupby(keys).transform("first")
    once = filled.drop_duplicates(VISIT)
    contradicted = {}
    for name in names:
        children = set(table.loc[unlike[name], "participant_id"])
        if children:
            contradicted[name] = children
            once = once.assign(**{name: once[name].mask(once["participant_id"].isin(children))})
    return once, contradicted


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


def share_of_equal(values: np.ndarray, /) -> float:
    """Return the share of the most frequent value; 0 without any."""
    return float(np.unique(values, return_counts=True)[1].max() / len(values)) if len(values) else 0.0


def normal_quantiles(values: np.ndarray, /) -> np.ndarray:
    """Return the normal quantiles of the ranks (Blom 1958), mean ranks for ties."""
    return stats.norm.ppf((stats.rankdata(values) - 0.375) / (len(values) + 0.25))


def normal_scores(values: np.ndarray, /) -> np.ndarray:
    """Return the normal quantiles of the ranks with the mean and standard deviation of the values."""
    quantiles = normal_quantiles(values)
    return values.mean() + (quantiles - quantiles.mean()) / quantiles.std() * values.std()
