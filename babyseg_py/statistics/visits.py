"""Visits of the children: their ages, which of them are used, and how one of them is chosen for a child."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

DAYS_PER_MONTH = 30.4375
DAYS_PER_WEEK = 7.0
VISIT = ["participant_id", "session_id"]
FACTS = ["age_days", "age_reference", "age_months", "age_weeks_pma", "sex", "site", "group"]
GESTATION = "_gestation_days"
ASKED = {"age_months": "birth", "age_weeks_pma": "conception"}
REFERENCES = {"birth": "after birth", "conception": "postmenstrual"}
_CANDIDATES = 501


def visit_facts(records: Iterable[dict]) -> pd.DataFrame:
    """One row per visit of the samplesheet: ages and covariates.

    Ages are never converted from one reference to the other: ``age_months`` (chronological) is there only
    where the sheet counts from birth, ``age_weeks_pma`` (postmenstrual) only where it counts from conception.
    A visit whose scans state both has both, and its ``age_days`` counts from birth.

    Parameters
    ----------
    records : iterable of dict
        Rows of the checked samplesheet. Within a visit the first row that states a value counts.

    Returns
    -------
    pandas.DataFrame
        Columns participant_id, session_id, age_days (days), age_reference (``birth`` or ``conception``),
        age_months (30.4375 days), age_weeks_pma, sex, site, group, and `GESTATION`, the gestation at
        birth (days), where any visit's is known; sorted by participant and session.
    """
    visits: dict[tuple[str, str], dict] = {}
    for record in records:
        key = (str(record["participant_id"]), str(record["session_id"]))
        visit = visits.setdefault(key, {})
        for name in ("sex", "site", "group"):
            if visit.get(name) is None:
                visit[name] = record.get(name)
        if record.get("gestation_days") is not None:
            visit.setdefault("gestation", float(record["gestation_days"]))
        if record.get("age_days") is not None and record.get("age_reference") in REFERENCES:
            visit.setdefault(record["age_reference"], float(record["age_days"]))
    rows = [
        [*key, *_ages(visit), visit["sex"], visit["site"], visit["group"], visit.get("gestation")]
        for key, visit in visits.items()
    ]
    table = pd.DataFrame(rows, columns=[*VISIT, *FACTS, GESTATION])
    numbers = ["age_days", "age_months", "age_weeks_pma", GESTATION]
    table = table.astype(dict.fromkeys(numbers, float)).sort_values(VISIT, ignore_index=True)
    return table if table[GESTATION].notna().any() else table.drop(columns=GESTATION)


def _ages(visit: dict) -> tuple[float, str | None, float, float]:
    birth, conception = visit.get("birth", np.nan), visit.get("conception", np.nan)
    reference = "birth" if "birth" in visit else "conception" if "conception" in visit else None
    days = birth if "birth" in visit else conception
    return days, reference, birth / DAYS_PER_MONTH, conception / DAYS_PER_WEEK


def age_on(visits: pd.DataFrame, reference: str) -> pd.Series:
    """Ages in days on one reference, missing where a visit does not state that one."""
    if reference == "birth":
        return visits["age_months"] * DAYS_PER_MONTH
    return visits["age_weeks_pma"] * DAYS_PER_WEEK


def common_reference(visits: pd.DataFrame) -> str | None:
    """Return the age reference that most of these visits state; birth if equal, None if none states any."""
    counts = {reference: int(age_on(visits, reference).notna().sum()) for reference in REFERENCES}
    best = max(counts, key=lambda reference: counts[reference])
    return best if counts[best] else None


def counted_as_asked(facts: pd.DataFrame, names: Iterable[str]) -> tuple[pd.DataFrame, str]:
    """Count ages from what a covariate asks for by its name, where most visits tell it.

    Parameters
    ----------
    facts : pandas.DataFrame
        From `visit_facts`.
    names : iterable of str
        Covariates that are none of the score table: ``age_weeks_pma`` asks for postmenstrual ages,
        ``age_months`` for those since birth.

    Returns
    -------
    facts : pandas.DataFrame
        If more than half of the visits with an age state the one asked for, or the gestation at birth that
        leads to it, all of these count from there and the others have no age. Else as they were.
    note : str
        Why nothing was changed; empty if nothing had to be, or it was.
    """
    asked = sorted(set(names) & set(ASKED))
    used = common_reference(facts)
    if not asked or used is None:
        return facts, ""
    if len(asked) > 1:
        return facts, f"{' and '.join(asked)}: one of the two can count, which is age {REFERENCES[used]}"
    reference = ASKED[asked[0]]
    if used == reference:
        return facts, ""
    gestation = facts[GESTATION] if GESTATION in facts else pd.Series(np.nan, index=facts.index)
    sign = 1 if reference == "conception" else -1
    days = age_on(facts, reference).fillna(age_on(facts, used) + sign * gestation)
    known, dated = int(days.notna().sum()), int(facts["age_days"].notna().sum())
    if 2 * known <= dated:
        return facts, (
            f"{asked[0]}: {known} of {dated} visits with an age tell it, or the gestation at birth (an age "
            f"from birth and one from conception at one visit): adjusted for age {REFERENCES[used]} instead"
        )
    if reference == "conception":
        return facts.assign(age_weeks_pma=days / DAYS_PER_WEEK, age_months=np.nan), ""
    return facts.assign(age_months=days / DAYS_PER_MONTH, age_weeks_pma=np.nan), ""


def target_age(children: np.ndarray, ages: np.ndarray) -> float | None:
    r"""Find the age at which one visit of every child can be had with the smallest differences in age.

    It is the observed age :math:`t` that minimises :math:`\sum_c \min_v |a_{cv} - t|` over the children
    :math:`c` and their visits :math:`v`; the younger one if equal. A median over all visits would lie between
    two waves of visits, where there is nobody.

    Parameters
    ----------
    children : (n,) array
        Which child each visit belongs to.
    ages : (n,) array of float
        Ages in days on one reference; missing ones are left out.

    Returns
    -------
    float or None
        Age in days, None without any. Above 501 different ages, 501 of them at even ranks are tried.
    """
    known = np.isfinite(ages)
    if not known.any():
        return None
    _, codes = np.unique(np.asarray(children)[known].astype(str), return_inverse=True)
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    sorted_ages = np.asarray(ages, float)[known][order]
    candidates = np.unique(sorted_ages)
    if candidates.size > _CANDIDATES:
        candidates = candidates[np.linspace(0, candidates.size - 1, _CANDIDATES).round().astype(int)]
    cost = [np.minimum.reduceat(np.abs(sorted_ages - t), starts).sum() for t in candidates]
    return float(candidates[int(np.argmin(cost))])


def nearest_visits(visits: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Choose one visit for each child: the one nearest to the age that `target_age` finds.

    Parameters
    ----------
    visits : pandas.DataFrame
        One row per visit, with the columns of `visit_facts`.

    Returns
    -------
    chosen : pandas.DataFrame
        Rows of ``visits``, one per child; the younger visit if two are as near. Without any age it is the
        visit of the session that most children have, else the first by name.
    rule : str
        What was done, in words.
    """
    reference = common_reference(visits)
    if reference is None:
        shared = most_common(visits["session_id"])
        distance = (visits["session_id"] != shared).astype(float)
        rule = f"session {shared}, which most children have, else the first by name"
        age = pd.Series(0.0, index=visits.index)
    else:
        age = age_on(visits, reference)
        target = target_age(visits["participant_id"].to_numpy(), age.to_numpy()) or 0.0
        distance = (age - target).abs()
        rule = f"visit nearest to {target:.0f} days {REFERENCES[reference]}"
    ranked = visits.assign(_distance=distance.fillna(np.inf), _age=age)
    ranked = ranked.sort_values(["participant_id", "_distance", "_age", "session_id"])
    return ranked.drop_duplicates("participant_id").drop(columns=["_distance", "_age"]), rule


def most_common(values: pd.Series) -> str | None:
    """Return the value that comes most often, the first in order if equal, None without any."""
    counts = values.value_counts()
    return min(counts.index[counts == counts.max()]) if len(counts) else None
