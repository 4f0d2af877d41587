"""Which visit of a child goes with which of its scores: one visit per child and score."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from babyseg_py.statistics.visits import REFERENCES, VISIT, age_on, common_reference, most_common, target_age


@dataclass(frozen=True)
class Rule:
    """How a visit is chosen.

    Parameters
    ----------
    reference : str or None
        ``birth`` or ``conception``, on which ages are counted; None where the sheet has no ages.
    target : float
        Age in days that a visit should be near; NaN without ages.
    session : str or None
        Session that a visit should be of where there are no ages.
    by_session : bool
        Whether the scores name the session that they belong to.
    """

    reference: str | None
    target: float
    session: str | None
    by_session: bool

    @property
    def words(self) -> str:
        """The rule in words."""
        if self.reference is None:
            near = f"session {self.session}, which most children have, else the first by name"
        else:
            near = f"nearest to {self.target:.0f} days {REFERENCES[self.reference]}"
        if not self.by_session:
            return f"one visit per child: {near}"
        own = "the score's own session, else the nearest to it in age, else (a session without age) any"
        return f"one visit per child: {own}; among several, {near}"


def choose_rule(visits: pd.DataFrame, *, by_session: bool) -> Rule:
    """Find the rule for a set of usable visits (columns of `visit_facts`)."""
    reference = common_reference(visits)
    if reference is None:
        return Rule(None, np.nan, most_common(visits["session_id"]), by_session)
    target = target_age(visits["participant_id"].to_numpy(), age_on(visits, reference).to_numpy())
    return Rule(reference, np.nan if target is None else target, None, by_session)


def pair_visits(visits: pd.DataFrame, answers: pd.DataFrame, facts: pd.DataFrame, rule: Rule) -> pd.DataFrame:
    """Choose one visit, and one of its scores, for every child.

    Among all pairs of a usable visit and a score of the child the one is taken with, in this order: the
    smallest difference in age between the visit and the session of the score (0 for the same session, and for
    a score without session; the largest for a session whose age is not known); of sessions whose age is not
    known the one that most children have; the smallest distance from the target age; the lowest age; the
    first name.

    Parameters
    ----------
    visits : pandas.DataFrame
        Usable visits, with the columns of `visit_facts`.
    answers : pandas.DataFrame
        participant_id, session_id (missing where the score has none), and anything else.
    facts : pandas.DataFrame
        All visits of the samplesheet, to know the age at a session without usable scan.
    rule : Rule

    Returns
    -------
    pandas.DataFrame
        One row per child with both: the columns of ``answers``, session_id renamed score_session_id, and
        session_id and age (days on the reference of the rule) of the visit; sorted by participant_id.
    """
    answers = answers.rename(columns={"session_id": "score_session_id"})
    pairs = visits[VISIT].assign(age=_age(visits, rule)).merge(answers, on="participant_id")
    ages = facts[VISIT].assign(score_age=_age(facts, rule)).rename(columns={"session_id": "score_session_id"})
    pairs = pairs.merge(ages, on=["participant_id", "score_session_id"], how="left")
    here = (pairs["score_session_id"] == pairs["session_id"]) | pairs["score_session_id"].isna()
    gap = (pairs["age"] - pairs["score_age"]).abs().where(~here, 0.0).fillna(np.inf)
    if rule.reference is None:
        off = (pairs["session_id"] != rule.session).astype(float)
    else:
        off = (pairs["age"] - rule.target).abs().fillna(np.inf)
    children = pairs[np.isinf(gap)].groupby("score_session_id")["participant_id"].nunique()
    unlisted = -pairs["score_session_id"].map(children).where(np.isinf(gap), 0.0).astype(float)
    ranked = pairs.assign(_gap=gap, _unlisted=unlisted, _off=off).sort_values(
        ["participant_id", "_gap", "_unlisted", "_off", "age", "session_id", "score_session_id"],
        kind="stable",
    )
    chosen = ranked.drop_duplicates("participant_id").reset_index(drop=True)
    return chosen.drop(columns=["_gap", "_unlisted", "_off", "score_age"])


def unlisted_note(pairs: pd.DataFrame, facts: pd.DataFrame) -> str:
    """Say how many scores are of sessions that the samplesheet does not have; empty if none is."""
    sessions = pairs["score_session_id"]
    unknown = sessions[sessions.notna() & ~sessions.isin(facts["session_id"])]
    if unknown.empty:
        return ""
    words = ", ".join(f"{n} of {session}" for session, n in unknown.value_counts().items())
    return (
        f"scores of sessions that the samplesheet does not have, taken at an age that is not known: {words}"
    )


def _age(visits: pd.DataFrame, rule: Rule) -> pd.Series:
    return age_on(visits, rule.reference) if rule.reference else pd.Series(np.nan, index=visits.index)
