"""What looks wrong with a score: codes for missing values, raw and T scores beside each other, no spread."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from itertools import combinations

import numpy as np
import pandas as pd

from babyseg_py.statistics.scores import as_numbers

CODES = (
    *(-9999, -999, -99, -98, -97, -88, -77, -9, -8, -7, -1, 77, 88, 97, 98, 99),
    *(777, 888, 997, 998, 999, 7777, 8888, 9997, 9998, 9999),
)
_LEAST_APART = 0.5
_NEAR, _NAMED = 0.7, 3
_KIND = re.compile(
    r"(?:^|[_\-. ])(raw|rs|rawscore|t|tscore|ts|std|ss|standard|scaled|percentile|pct)(?=$|[_\-. ])"
)


def suspected_codes(values: np.ndarray, /) -> list[float]:
    """Find values that are written as codes for missing ones and lie apart from all others.

    Parameters
    ----------
    values : (n,) array of float
        Scores; missing ones are left out.

    Returns
    -------
    list of float
        Values of `CODES` that lie at an end of the scale, at least half of the range of all other values away
        from the nearest of these.
    """
    there = np.unique(np.asarray(values, float)[np.isfinite(values)])
    codes = np.array(CODES)
    high = _codes_above(there, codes)
    low = [-code for code in _codes_above(-there[~np.isin(there, high)][::-1], -codes)]
    return sorted({*high, *low})


def _codes_above(there: np.ndarray, codes: np.ndarray) -> list[float]:
    """Find the values at the upper end that are codes and lie apart from all below; several may be near."""
    ends = 0
    while ends < len(there) and there[-1 - ends] in codes:
        ends += 1
    for count in range(ends, 0, -1):
        found, rest = there[-count:], there[:-count]
        if len(rest) > 1 and found[0] - rest[-1] >= _LEAST_APART * (rest[-1] - rest[0]):
            return [float(code) for code in found]
    return []


def code_note(name: str, values: pd.Series) -> str:
    """Say in a sentence which values of a score may be codes; empty if none is."""
    numbers, _ = as_numbers(values)
    codes = suspected_codes(numbers.to_numpy())
    if not codes:
        return ""
    count = int(numbers.isin(codes).sum())
    words = ", ".join(f"{code:g}" for code in codes)
    return (
        f"{name}: {count} values of {words} lie apart from all others and may be codes for missing ones; "
        "they were used as numbers, write n/a if they are codes"
    )


def twin_notes(names: list[str], table: pd.DataFrame) -> dict[str, str]:
    """Name pairs of scores that look like the raw and the standardised form of one scale.

    Parameters
    ----------
    names : list of str
        Columns with scores.
    table : pandas.DataFrame
        The score table, as text.

    Returns
    -------
    dict of str to str
        A sentence for each score of such a pair. Two columns are a pair where their names are the same but
        for a word like raw, T or percentile.
    """
    stems = {name: _KIND.sub("", name.lower()) for name in names}
    notes: dict[str, list[str]] = {}
    for one, other in combinations(names, 2):
        if stems[one] == stems[other] and _KIND.search(one.lower() + " ") is not None:
            x, y = (as_numbers(table[name])[0] for name in (one, other))
            both = x.notna() & y.notna()
            rho = x[both].rank().corr(y[both].rank()) if both.sum() > 2 else np.nan
            agree = f" (rank correlation {rho:.2f})" if np.isfinite(rho) else ""
            for name in (one, other):
                notes.setdefault(name, []).append(
                    f"{one} and {other} look like two forms of one scale{agree}, such as raw and T scores: "
                    "they were analysed apart, and count twice wherever scores are counted"
                )
    return {name: "; ".join(words) for name, words in notes.items()}


def session_note(name: str, answers: pd.DataFrame) -> str:
    """Say if the values of two sessions do not overlap, as where raw and T scores were mixed in a column."""
    numbers, _ = as_numbers(answers[name])
    known = answers.assign(_score=numbers)[numbers.notna() & answers["session_id"].notna()]
    spans = known.groupby("session_id")["_score"].agg(["min", "max", "size"])
    spans = spans[spans["size"] >= 5].sort_values("min")
    for (low, a), (high, b) in zip(spans.iterrows(), spans.iloc[1:].iterrows(), strict=False):
        if b["min"] > a["max"]:
            return (
                f"{name}: session {low} has values of {a['min']:g} to {a['max']:g} and session {high} of "
                f"{b['min']:g} to {b['max']:g}; if one holds raw and the other T scores, they must not be "
                "analysed as one score"
            )
    return ""


def likely_ids(scored: Iterable[str], scanned: Iterable[str]) -> dict[str, str]:
    """Find for children of a score table that were not scanned the scanned child that is likely meant.

    Parameters
    ----------
    scored, scanned : iterable of str
        Children of the score table and of the samplesheet.

    Returns
    -------
    dict of str to str
        The child that differs in leading zeros, capital letters or a ``sub`` before it only, else the nearest
        among those without a score; nothing for a child that none is near to.
    """
    scored, scanned = list(dict.fromkeys(scored)), list(dict.fromkeys(scanned))
    plain = {_plain(child): child for child in scanned}
    free = sorted(set(scanned) - set(scored))
    found = {}
    for child in scored:
        if child in scanned:
            continue
        close = get_close_matches(child, free, n=1, cutoff=_NEAR) if free else []
        meant = plain.get(_plain(child)) or next(iter(close), None)
        if meant:
            found[child] = meant
    return found


def _plain(label: str) -> str:
    """Return a label without capital letters, ``sub`` in front and leading zeros."""
    return label.lower().removeprefix("sub").lstrip("-_ 0")


def id_note(scored: Iterable[str], scanned: Iterable[str]) -> str:
    """Name children of the score table that are likely scanned ones spelled in another way."""
    meant = likely_ids(scored, scanned)
    pairs = [f"{child} (is {other} meant?)" for child, other in list(meant.items())[:_NAMED]]
    more = f" and {len(meant) - _NAMED} more" if len(meant) > _NAMED else ""
    return f"not in the samplesheet: {', '.join(pairs)}{more}" if pairs else ""


def score_notes(
    names: list[str], answers: pd.DataFrame, scanned: Iterable[str] = (), *, covariates: Iterable[str] = ()
) -> dict[str, list[str]]:
    """Gather the notes on every score and its covariates; a score without any has an empty list."""
    of_covariates = [code_note(name, answers[name]) for name in covariates if name in answers]
    twins = twin_notes(names, answers)
    strangers = id_note(answers["participant_id"], scanned) if "participant_id" in answers else ""
    return {
        name: [
            note
            for note in (
                strangers,
                code_note(name, answers[name]),
                twins.get(name, ""),
                session_note(name, answers),
                *of_covariates,
            )
            if note
        ]
        for name in names
    }


def with_notes(table: pd.DataFrame, notes: dict[str, list[str]]) -> pd.DataFrame:
    """Add the notes on each score to the column ``notes`` of all its rows."""
    added = table["score"].map(lambda score: "; ".join(notes.get(score, [])))
    both = table["notes"].fillna("") + np.where((added != "") & table["notes"].notna(), "; ", "") + added
    return table.assign(notes=both.where(both != "", None).astype(object))
