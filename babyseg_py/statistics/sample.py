"""The children of one analysis: which visit of whom is in it, and why the others are not."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from babyseg_py.statistics.pairing import Rule, choose_rule, pair_visits, unlisted_note
from babyseg_py.statistics.scales import UnlikeScales
from babyseg_py.statistics.scores import SHEET_COLUMNS, Covariates, as_numbers, code_covariates
from babyseg_py.statistics.visits import REFERENCES, VISIT

VISIT_COLUMNS = [
    "score", "participant_id", "session_id", "score_session_id", "age_days", "age_reference", "used",
    "reason",
]  # fmt: skip


@dataclass(frozen=True)
class Cohort:
    """What is known of all children.

    Parameters
    ----------
    facts : pandas.DataFrame
        All visits of the samplesheet, from `visit_facts`.
    segmented : pandas.Index
        (participant_id, session_id) of the visits that have volumes.
    flagged : set of (participant_id, session_id)
        Visits that are not used.
    answers : pandas.DataFrame
        participant_id, session_id (missing where scores have none), scores and covariates, as text; one row
        per child and session.
    contradicted : dict of str to set of str
        By column of the answers the children whose rows contradict each other; they have no value of it.
    categories : tuple of str
        Covariates whose numbers are categories.
    unlike_scales : dict of str to UnlikeScales
        Scores that are of unlike scales at different sessions.
    age_note : str
        Why ages do not count from what a covariate asks for; empty if they do, or none asks.
    """

    facts: pd.DataFrame
    segmented: pd.Index
    flagged: set[tuple[str, str]]
    answers: pd.DataFrame
    contradicted: dict[str, set[str]]
    categories: tuple[str, ...] = ()
    unlike_scales: dict[str, UnlikeScales] = field(default_factory=dict)
    age_note: str = ""


@dataclass(frozen=True)
class Sample:
    """The children of one score, one visit each, nothing missing but perhaps a volume.

    Parameters
    ----------
    visits : pandas.DataFrame
        participant_id, session_id, age (days) of n children.
    score : (n,) array of float
        Their scores.
    covariates : Covariates
        Age first, if the sheet has ages.
    rule : Rule
        How the visits were chosen.
    notes : tuple of str
        What to know about all results from this sample.
    """

    visits: pd.DataFrame
    score: np.ndarray
    covariates: Covariates
    rule: Rule
    notes: tuple[str, ...]


def usable_visits(cohort: Cohort) -> pd.DataFrame:
    """Return the visits that have volumes and are not flagged, with the columns of `visit_facts`."""
    keys = pd.MultiIndex.from_frame(cohort.facts[VISIT])
    return cohort.facts[keys.isin(cohort.segmented) & ~keys.isin(list(cohort.flagged))]


def draw_sample(score: str, covariates: list[str], cohort: Cohort) -> tuple[Sample, pd.DataFrame]:
    """Take one visit of every child that has the score, all covariates and a visit that can be used.

    Parameters
    ----------
    score : str
        Column of the answers.
    covariates : list of str
        Columns of the answers or of the samplesheet; age is always added where there are ages.
    cohort : Cohort

    Returns
    -------
    sample : Sample
    visits : pandas.DataFrame
        Columns `VISIT_COLUMNS`, one row per child of the samplesheet or of the score table.
    """
    numbers, odd = as_numbers(cohort.answers[score])
    scored = cohort.answers.assign(_score=numbers)[numbers.notna()]
    other = cohort.unlike_scales[score].left_out if score in cohort.unlike_scales else frozenset()
    scored = scored[~scored["session_id"].isin(other)]
    facts, keys = cohort.facts, pd.MultiIndex.from_frame(cohort.facts[VISIT])
    candidates = keys.isin(cohort.segmented) & facts["participant_id"].isin(scored["participant_id"])
    unflagged = ~keys.isin(list(cohort.flagged))
    rule = choose_rule(facts[candidates & unflagged], by_session=bool(scored["session_id"].notna().any()))
    pairs = pair_visits(facts[candidates & unflagged], scored, facts, rule)
    sheet = [name for name in SHEET_COLUMNS if name not in pairs]
    pairs = pairs.merge(facts[[*VISIT, *sheet]], on=VISIT, how="left")
    coded = _with_age(
        code_covariates(pairs[covariates], cohort.categories), pairs["age"].to_numpy(float), rule
    )
    reasons = _first_missing(coded, pairs["participant_id"], cohort.contradicted)
    visits = _visits_used(pairs, reasons, _why_not(score, scored, cohort, set(pairs["participant_id"])), rule)
    notes = [odd, *coded.notes, unlisted_note(pairs, facts)]
    if other:
        notes.append(f"scores of session {', '.join(sorted(other))} left out, as they are of another scale")
    if rule.reference is None and len(pairs):
        notes.append("no ages in the sheet: not adjusted for age")
    dropped = sorted(Counter(visits.loc[visits["used"] == 0, "reason"]).items())
    if dropped:
        notes.append("children not used: " + ", ".join(f"{n} {reason}" for reason, n in dropped))
    if (candidates & ~unflagged).any():
        notes.append(f"{int((candidates & ~unflagged).sum())} flagged visits left out")
    complete = reasons == ""
    sample = Sample(
        pairs.loc[complete, [*VISIT, "age"]].reset_index(drop=True),
        pairs.loc[complete, "_score"].to_numpy(float),
        Covariates(coded.design[complete], coded.names, coded.described, coded.notes),
        rule,
        tuple(filter(None, notes)),
    )
    return sample, visits.assign(score=score)[VISIT_COLUMNS]


def _with_age(coded: Covariates, age: np.ndarray, rule: Rule) -> Covariates:
    if rule.reference is None:
        return coded
    words = f"age (days {REFERENCES[rule.reference]})"
    design = np.column_stack([age, coded.design])
    return Covariates(design, ("age", *coded.names), (words, *coded.described), coded.notes)


def _first_missing(
    coded: Covariates, children: pd.Series, contradicted: Mapping[str, set[str]]
) -> np.ndarray:
    """Name the first covariate that a child lacks; empty for a child that lacks none."""
    reasons = np.full(len(coded.design), "", dtype=object)
    for column_name, column in zip(coded.names, coded.design.T, strict=True):
        name = column_name.split("=")[0]
        lacking = np.isnan(column) & (reasons == "")
        unlike = children.isin(contradicted.get(name, set())).to_numpy(bool)
        reasons[lacking & unlike] = f"with contradicting rows of {name} in the score table"
        reasons[lacking & ~unlike] = f"without {name}"
    return reasons


def _why_not(score: str, scored: pd.DataFrame, cohort: Cohort, paired: set[str]) -> dict[str, str]:
    """Say of each child that has no pair of visit and score why."""
    answered = set(cohort.answers["participant_id"])
    in_sheet = set(cohort.facts["participant_id"])
    segmented = set(map(tuple, cohort.segmented))
    clean = {child for child, _ in segmented - cohort.flagged}
    contradicted = cohort.contradicted.get(score, set())
    tests = (
        (contradicted, "with contradicting rows in the score table"),
        (answered - in_sheet, "not in the samplesheet"),
        (in_sheet - answered, "not in the score table"),
        (answered - set(scored["participant_id"]), f"without {score}"),
        (in_sheet - {child for child, _ in segmented}, "without a segmented visit"),
        (in_sheet - clean, "with every segmented visit flagged"),
    )
    children = sorted((in_sheet | answered) - paired)
    return {child: next(words for group, words in tests if child in group) for child in children}


def _visits_used(
    pairs: pd.DataFrame, reasons: np.ndarray, others: dict[str, str], rule: Rule
) -> pd.DataFrame:
    inside = pairs[["participant_id", "session_id", "score_session_id"]].assign(
        age_days=pairs["age"].astype(float), age_reference=rule.reference, used=1, reason=reasons
    )
    outside = pd.DataFrame({"participant_id": list(others), "reason": list(others.values())}, dtype=object)
    both = pd.concat([inside.astype(object), outside], ignore_index=True)
    both["used"] = (both["reason"] == "").astype(int)
    both["reason"] = both["reason"].mask(both["reason"] == "")
    return both.sort_values("participant_id", kind="stable", ignore_index=True)
