"""What looks wrong with a score: codes for missing values, raw and T scores beside each other, no spread."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from itertools import combinations

import numpy as np
import pandas as pd

from babyseg_py.statistics.codes import suspected_codes
from babyseg_py.statistics.sample import Cohort
from babyseg_py.statistics.scales import UnlikeScales, mixed_children
from babyseg_py.statistics.scores import as_numbers

_NEAR, _NAMED = 0.7, 3
_SAME, _FEWEST_ALIKE, _FEWEST_UNLIKE = 0.999, 10, 5
_KIND = re.compile(
    r"(?:^|[_\-. ])(raw|rs|rawscore|t|tscore|ts|std|ss|standard|scaled|percentile|pct)(?=$|[_\-. ])"
)


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


def twin_notes(names: list[str], table: pd.DataFrame) -> dict[str, list[str]]:
    """Name pairs of scores that look like the raw and the standardised form of one scale.

    Parameters
    ----------
    names : list of str
        Columns with scores.
    table : pandas.DataFrame
        The score table, as text.

    Returns
    -------
    dict of str to list of str
        A sentence for each pair that a score is of. Two columns are a pair where their names are the same but
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
    return notes


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


def same_as_score(covariate: str, score: str, answers: pd.DataFrame, /) -> str:
    """Say if a covariate tells the same as a score, up to its unit or order; empty if it does not.

    Where both have a number, either all are equal, or the correlation of the values or of their ranks is
    beyond .999 in 10 children or more, of whom 5 or more do not have the value that is most frequent.

    Parameters
    ----------
    covariate, score : str
        Columns of the answers.
    answers : pandas.DataFrame
        One row per child and session, as text.

    Returns
    -------
    str
        The sentence without the name of the covariate.
    """
    x, y = (as_numbers(answers[name])[0] for name in (covariate, score))
    both = x.notna() & y.notna()
    x, y, n = x[both], y[both], answers.loc[both, "participant_id"].nunique()
    if len(x) > 1 and (x != x.iloc[0]).any() and (x == y).all():
        return f"has the same values as the score {score}, which leaves nothing of it to relate"
    if n < _FEWEST_ALIKE or min((of != of.mode().iloc[0]).sum() for of in (x, y)) < _FEWEST_UNLIKE:
        return ""
    straight, ranked = x.corr(y), x.rank().corr(y.rank())
    if max(abs(straight), abs(ranked)) <= _SAME:
        return ""
    kind, r = ("correlation", straight) if abs(straight) > _SAME else ("rank correlation", ranked)
    words = f"tells the same as the score {score} ({kind} {r:.3f} over {n} children)"
    return f"{words}, which leaves nothing of it to relate"


def score_notes(names: list[str], covariates: list[str], cohort: Cohort) -> dict[str, list[str]]:
    """Gather the notes on every score and its covariates; a score without any has an empty list."""
    answers = cohort.answers
    own = [name for name in covariates if name in answers]
    twins = twin_notes(names, answers)
    strangers = id_note(answers["participant_id"], cohort.facts["participant_id"])
    groups = children_of_groups(cohort.facts)
    return {
        name: [
            note
            for note in (
                strangers,
                code_note(name, answers[name]),
                *twins.get(name, []),
                scale_note(name, answers, cohort.unlike_scales.get(name), groups),
                *(code_note(covariate, answers[covariate]) for covariate in own),
                *(_same_note(covariate, name, answers) for covariate in own),
                cohort.age_note,
            )
            if note
        ]
        for name in names
    }


def _same_note(covariate: str, score: str, answers: pd.DataFrame) -> str:
    same = same_as_score(covariate, score, answers)
    return f"the covariate {covariate} {same}" if same else ""


def children_of_groups(facts: pd.DataFrame) -> dict[str, str]:
    """Return the group of every child that has one."""
    known = facts.dropna(subset="group").drop_duplicates("participant_id")
    return dict(zip(known["participant_id"], known["group"], strict=True))


def scale_note(name: str, answers: pd.DataFrame, found: UnlikeScales | None, groups: dict[str, str]) -> str:
    """Say if sessions, or children of one session, may have scores of unlike scales; empty if not."""
    if found:
        return f"{name}: {found.words}"
    mixed = mixed_children(answers, name, groups)
    return f"{name}: {mixed}" if mixed else session_note(name, answers)


def with_notes(table: pd.DataFrame, notes: dict[str, list[str]]) -> pd.DataFrame:
    """Add the notes on each score to the column ``notes`` of all its rows."""
    added = table["score"].map(lambda score: "; ".join(notes.get(score, [])))
    both = table["notes"].fillna("") + np.where((added != "") & table["notes"].notna(), "; ", "") + added
    return table.assign(notes=both.where(both != "", None).astype(object))
