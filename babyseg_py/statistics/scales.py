"""Raw, T and standard scores: is a column of one scale at all sessions, and in all children."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from babyseg_py.statistics.codes import suspected_codes
from babyseg_py.statistics.scores import as_numbers

FEWEST = 5
_LEAST_SHARE = 0.1
_MOST_EQUAL = 0.5
_EDGE = 0.05
_GAP = 2.0
_OF_ONE_GROUP = 0.9


@dataclass(frozen=True)
class Scale:
    """A scale that many instruments are standardised to.

    Parameters
    ----------
    name : str
    mean, sd : float
        Of the norm.
    low, high : float
        What no instrument goes below or above.
    """

    name: str
    mean: float
    sd: float
    low: float
    high: float

    def fits(self, values: np.ndarray, /) -> bool:
        """Say whether (n,) values can be of this scale: their range, mean within 2 SD, SD by half or so."""
        inside = self.low <= values.min() and values.max() <= self.high
        near = abs(values.mean() - self.mean) <= 2 * self.sd
        return bool(inside and near and 0.5 * self.sd <= values.std(ddof=1) <= 1.5 * self.sd)

    def holds_few(self, values: np.ndarray, /) -> bool:
        """Say whether most of the values cannot be of this scale, as they are outside of its range."""
        return not self.low <= float(np.median(values)) <= self.high

    @property
    def words(self) -> str:
        """The scale in words."""
        return f"{self.name} (mean {self.mean:g}, SD {self.sd:g})"


SCALES = (Scale("T scores", 50, 10, 20, 100), Scale("standard scores", 100, 15, 40, 160))


@dataclass(frozen=True)
class UnlikeScales:
    """Sessions whose scores are of another scale than those of the others.

    Parameters
    ----------
    why : str
        A sentence.
    left_out : frozenset of str
        The sessions of the scale that fewer children have, which are not analysed with the others.
    """

    why: str
    left_out: frozenset[str]

    @property
    def words(self) -> str:
        """What follows for the analyses, and what to do."""
        return (
            f"{self.why}: not analysed across sessions, and other analyses leave out session "
            f"{', '.join(sorted(self.left_out))}; write raw and standardised scores into two columns, or "
            "name the score in --one_scale if it is of one scale"
        )


def unlike_scales(answers: pd.DataFrame, name: str, /) -> UnlikeScales | None:
    """Find sessions of a score that are of unlike scales, such as raw scores in one and T scores in another.

    Two sessions of 5 values or more are, if 95 % of the one lie below 95 % of the other and only one of them
    can be T scores, or standard scores (`Scale.fits`). Values that may be codes for missing ones do not
    count.

    Parameters
    ----------
    answers : pandas.DataFrame
        participant_id, session_id and the score, as text.
    name : str
        Column of the score.

    Returns
    -------
    UnlikeScales or None
    """
    known = _known(answers, name)
    known = known[known["session_id"].notna()]
    sessions = [(str(key), of) for key, of in known.groupby("session_id") if len(of) >= FEWEST]
    sessions.sort(key=lambda one: float(one[1]["_score"].median()))
    for place, ((low, a), (high, b)) in enumerate(pairwise(sessions), start=1):
        x, y = a["_score"].to_numpy(), b["_score"].to_numpy()
        scale = next((s for s in SCALES if s.fits(x) != s.fits(y)), None)
        if scale is None or np.quantile(x, 1 - _EDGE) >= np.quantile(y, _EDGE):
            continue
        which = low if scale.fits(x) else high
        words = (
            f"session {low} has values of {x.min():g} to {x.max():g} and session {high} of {y.min():g} to "
            f"{y.max():g}, and only those of {which} look like {scale.words}"
        )
        below, above = sessions[:place], sessions[place:]
        fewer = above if _children(below) >= _children(above) else below
        return UnlikeScales(words, frozenset(key for key, _ in fewer))
    return None


def _known(answers: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the rows with a score in ``_score``, without values that may be codes."""
    numbers, _ = as_numbers(answers[name])
    good = numbers.notna() & ~numbers.isin(suspected_codes(numbers.to_numpy()))
    return answers.loc[good, ["participant_id", "session_id"]].assign(_score=numbers[good])


def _children(sessions: list[tuple[str, pd.DataFrame]]) -> int:
    return len({child for _, of in sessions for child in of["participant_id"]})


def mixed_children(answers: pd.DataFrame, name: str, groups: Mapping[str, str] | None = None, /) -> str:
    """Say if the children of one session seem to have scores of unlike scales; empty if none do.

    Values fall into two clusters that are further apart than twice the larger of their standard deviations,
    each of 5 values and 10 % of all at least. One can be T scores, or standard scores; more than half of the
    other are outside of what that scale can have, and it is of neither scale. A cluster of which half are
    equal, a floor, does not count, nor do clusters that are the groups of the samplesheet.

    Parameters
    ----------
    answers, name
        As of `unlike_scales`.
    groups : mapping of str to str, optional
        The group of each child.

    Returns
    -------
    str
        A sentence.
    """
    for session, of in _known(answers, name).groupby("session_id", dropna=False):
        ordered = of.sort_values("_score", kind="stable")
        found = two_scales(ordered["_score"].to_numpy())
        if found and not _are_groups(ordered["participant_id"].map(groups or {}), found.cut):
            return (f"session {session}: " if isinstance(session, str) else "") + found.words
    return ""


@dataclass(frozen=True)
class TwoScales:
    """Sorted values that fall into two clusters of unlike scales: where they part, and a sentence."""

    cut: int
    words: str


def two_scales(values: np.ndarray, /) -> TwoScales | None:
    """Find clusters of unlike scales among (n,) sorted values (see `mixed_children`)."""
    least = max(FEWEST, int(np.ceil(_LEAST_SHARE * len(values))))
    if len(values) < 2 * least:
        return None
    gaps = np.diff(values)[least - 1 : len(values) - least]
    cut = least + int(gaps.argmax())
    low, high = values[:cut], values[cut:]
    if gaps.max() <= _GAP * max(low.std(ddof=1), high.std(ddof=1)):
        return None
    for scaled, other in ((low, high), (high, low)):
        scale = next((s for s in SCALES if s.fits(scaled) and s.holds_few(other)), None)
        if scale and not any(s.fits(other) for s in SCALES) and not _floored(other):
            words = (
                f"{len(other)} values of {other[0]:g} to {other[-1]:g} lie apart from {len(scaled)} of "
                f"{scaled[0]:g} to {scaled[-1]:g}, and only the latter look like {scale.words}: were raw and "
                "standardised scores of different children mixed? They were analysed as one score"
            )
            return TwoScales(cut, words)
    return None


def _floored(values: np.ndarray) -> bool:
    _, counts = np.unique(values, return_counts=True)
    return bool(counts.max() >= _MOST_EQUAL * len(values))


def _are_groups(groups: pd.Series, cut: int) -> bool:
    """Say whether two clusters of children, the first ``cut`` and the others, are of different groups."""
    low, high = groups.iloc[:cut].dropna(), groups.iloc[cut:].dropna()
    if low.empty or high.empty:
        return False
    either = (low.mode().iloc[0], high.mode().iloc[0])
    pure = [(of == group).mean() >= _OF_ONE_GROUP for of, group in zip((low, high), either, strict=True)]
    return either[0] != either[1] and all(pure)
