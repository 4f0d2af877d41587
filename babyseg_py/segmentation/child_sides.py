"""Whether one of a child's visits has left and right exchanged, as a measure of quality of each visit."""

from collections.abc import Mapping
from itertools import pairwise

from babyseg_py.images import Volume
from babyseg_py.registration.sides import EXCHANGED, compare_sides, odd_ones
from babyseg_py.segmentation.quality import Measure

METRIC = "sides_fit"
MESSAGE = (
    "left and right look exchanged against the other visits of this child: check the header of its scans, "
    "or, if there are two visits, of the other one's"
)


def judge_sides(visits: Mapping[str, Volume]) -> dict[str, Measure]:
    """Compare each visit with the next one.

    Parameters
    ----------
    visits : mapping of str to Volume
        Label maps in the 22 labels by session, in the order of the sessions; two or more.

    Returns
    -------
    dict of str to Measure
        By session: how much better it fits than its mirror image (mean Dice of white matter and cortex),
        negative for a visit whose sides do not go with those of most others. Of two visits that disagree both
        are flagged, as either may be the wrong one.
    """
    sessions = list(visits)
    fits = [compare_sides(visits[a], visits[b]) for a, b in pairwise(sessions)]
    pairs = [(i, i + 1, fit.exchanged) for i, fit in enumerate(fits)]
    odd = odd_ones(pairs, len(sessions))
    measures = {}
    for place, session in enumerate(sessions):
        own = [fits[i] for i in (place - 1, place) if 0 <= i < len(fits)]
        margins = [fit.direct - fit.mirrored for fit in own]
        if place in odd:
            value = min(margins)
        else:
            value = max(-m if fit.exchanged else m for m, fit in zip(margins, own, strict=True))
        measures[session] = Measure("n/a", "n/a", METRIC, value, -EXCHANGED, 1.0, MESSAGE)
    return measures
