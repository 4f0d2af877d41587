"""What shapes are compared by: groups of children, scores, and left against right."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd

from babyseg_py.statistics.groups import FEWEST_PER_GROUP, draw_groups
from babyseg_py.statistics.partial import centred_ranks
from babyseg_py.statistics.sample import Cohort, draw_sample
from babyseg_py.statistics.visits import VISIT, nearest_visits

FEWEST = 10
SIDES = ("left", "right")
ASYMMETRY = "asymmetry"


@dataclass(frozen=True)
class Contrast:
    """What shapes are compared by: one visit of every child, with a number that it may go with.

    Parameters
    ----------
    name, kind : str
        For example ``B - A``, a ``group``; a column of the score table, a ``score``; or ``left - right``, an
        ``asymmetry``.
    visits : pandas.MultiIndex
        participant_id, session_id of n children.
    response : (n,) np.ndarray
        1 in the second group and 0 in the first; the ranks of a score over their standard deviation; or 1 for
        all, where a mean is compared with zero.
    design : (n, k) np.ndarray
        Covariates.
    covariates, rule : str
        In words.
    notes : tuple of str
    key : str
        Its name in letters and digits, as names of files have it; from `with_keys`.
    """

    name: str
    kind: str
    visits: pd.MultiIndex
    response: np.ndarray
    design: np.ndarray
    covariates: str
    rule: str
    notes: tuple[str, ...]
    key: str = ""

    @property
    def sides(self) -> tuple[str, ...]:
        """What is compared of a structure: its sides, and the difference between them."""
        return (ASYMMETRY,) if self.kind == ASYMMETRY else (*SIDES, ASYMMETRY)

    def enough(self, there: np.ndarray) -> bool:
        """Say whether those children, (n,) of bool, are enough to be compared."""
        groups = self.response[there]
        fewest = min(groups.sum(), len(groups) - groups.sum())
        return len(groups) >= FEWEST and (self.kind != "group" or fewest >= FEWEST_PER_GROUP)


@dataclass(frozen=True)
class NoContrast:
    """A contrast that there is not: its name, if it has one, its kind, and why."""

    name: str | None
    kind: str
    why: str


def group_contrasts(facts: pd.DataFrame, matrix: pd.DataFrame, /) -> list[Contrast | NoContrast]:
    """Make a contrast of every pair of groups.

    Parameters
    ----------
    facts : pandas.DataFrame
        Of `babyseg_py.statistics.visits.visit_facts`.
    matrix : pandas.DataFrame
        A row for every visit that can be used, as of `babyseg_py.statistics.structures.volume_matrix`.

    Returns
    -------
    list of Contrast, or of one NoContrast
    """
    sample = draw_groups(facts, matrix, ("sex", "site"))
    if isinstance(sample, str):
        return [NoContrast(None, "group", sample)]
    contrasts: list[Contrast | NoContrast] = []
    for first, second in combinations(sorted(set(sample.groups)), 2):
        there = np.isin(sample.groups, [first, second])
        contrasts.append(
            Contrast(
                f"{second} - {first}",
                "group",
                pd.MultiIndex.from_frame(sample.visits.loc[there, VISIT]),
                (sample.groups[there] == second).astype(float),
                sample.design[there],
                "; ".join(sample.described) or "none",
                sample.rule,
                sample.notes,
            )
        )
    return contrasts


def score_contrast(score: str, covariates: list[str], cohort: Cohort, /) -> Contrast | NoContrast:
    """Make the contrast of a score, which enters by its ranks.

    Parameters
    ----------
    score : str
        Column of the score table.
    covariates : list of str
        Their names.
    cohort : Cohort
        Its ``segmented`` visits are those with surfaces.

    Returns
    -------
    Contrast or NoContrast
    """
    sample, _ = draw_sample(score, covariates, cohort)
    if len(sample.score) < FEWEST or np.ptp(sample.score) == 0:
        n = len(sample.score)
        return NoContrast(score, "score", f"{n} children with surfaces and all covariates, or one value only")
    ranks = centred_ranks(sample.score[:, None])[:, 0]
    return Contrast(
        score,
        "score",
        pd.MultiIndex.from_frame(sample.visits[VISIT]),
        ranks / ranks.std(),
        sample.covariates.design,
        "; ".join(sample.covariates.described) or "none",
        sample.rule.words,
        sample.notes,
    )


def asymmetry_contrast(facts: pd.DataFrame, visits: pd.Index, /) -> Contrast | NoContrast:
    """Make the contrast of left with right in all children, whatever their group or score.

    Parameters
    ----------
    facts : pandas.DataFrame
        Of `babyseg_py.statistics.visits.visit_facts`.
    visits : pandas.Index
        participant_id, session_id of those with surfaces that can be used.

    Returns
    -------
    Contrast or NoContrast
    """
    name = " - ".join(SIDES)
    known = facts[pd.MultiIndex.from_frame(facts[VISIT]).isin(visits)]
    n = known["participant_id"].nunique()
    if n < FEWEST:
        return NoContrast(name, ASYMMETRY, f"{n} children with surfaces: left is not compared with right")
    chosen, rule = nearest_visits(known)
    keys = pd.MultiIndex.from_frame(chosen[VISIT])
    return Contrast(name, ASYMMETRY, keys, np.ones(n), np.zeros((n, 0)), "none", rule, ())


def with_keys(contrasts: Sequence[Contrast], /) -> list[Contrast]:
    """Give every contrast a key of letters and digits, which differ in more than capital letters.

    ``B - A`` becomes ``BMinusA``, ``iq_total`` becomes ``iqTotal``; one that is taken gets a number.
    """
    taken: set[str] = set()
    named = []
    for contrast in contrasts:
        words = re.findall("[A-Za-z0-9]+", contrast.name.replace(" - ", " minus ")) or ["contrast"]
        stem = words[0] + "".join(word[0].upper() + word[1:] for word in words[1:])
        key, number = stem, 1
        while key.lower() in taken:
            number += 1
            key = f"{stem}{number}"
        taken.add(key.lower())
        named.append(replace(contrast, key=key))
    return named
