"""All scans of one visit in one session space."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from babyseg_py.images.volume import Volume
from babyseg_py.registration.checks import Flag, judge, judge_noise, judge_wrapped
from babyseg_py.registration.evidence import Evidence, gather
from babyseg_py.registration.motion import mean_displacement_mm
from babyseg_py.registration.pyramid import Scan, prepare
from babyseg_py.registration.rigid import register
from babyseg_py.registration.session_space import Rank, rank

OTHER_HEAD = {"no_match", "mirrored", "other_anatomy"}
UNCONFIRMED = "unconfirmed"  # concerns the visit as a whole, not a scan
# Mean motion of the foreground that counts as none. Found between scans that do lie on each other: 0.08 to
# 0.17 mm, T1w and T2w of five age templates, with and without noise of a tenth of the intensity. Scans that
# were aligned before keep their place, and the result does not depend on which of them is named first.
SMALLEST_MOTION_MM = 0.25


@dataclass(frozen=True)
class Placement:
    """One scan in the session.

    Parameters
    ----------
    matrix : (4, 4) np.ndarray
        World of the session to world of the scan, RAS mm.
    evidence : Evidence or None
        Measures of the registration; None for the reference.
    flags : tuple of Flag
        Findings.
    """

    matrix: np.ndarray
    evidence: Evidence | None
    flags: tuple[Flag, ...]

    @property
    def used(self) -> bool:
        """Whether no flag excludes the scan."""
        return not any(flag.excludes for flag in self.flags)


@dataclass(frozen=True)
class Session:
    """Result for a visit.

    Parameters
    ----------
    reference : int
        Position of the scan whose grid is the session's.
    placements : tuple of Placement
        One for each scan, in the order given.
    ranks : tuple of Rank
        What the choice of the reference rests on, likewise.
    """

    reference: int
    placements: tuple[Placement, ...]
    ranks: tuple[Rank, ...]


def register_visit(
    volumes: Sequence[Volume], /, *, names: Sequence[str], threads: int = 1, lead: int | None = None
) -> Session:
    """Choose the session space of a visit and bring every scan into it.

    A scan that is left out does not touch the rest: they are placed as if it had not been given.

    Parameters
    ----------
    volumes : sequence of Volume
        At least one scan, any contrasts. Their order breaks ties in the choice of the reference.
    names : sequence of str
        Their files, for messages.
    threads : int
        Scans to register at a time; the result does not depend on it.
    lead : int, optional
        Scan to be tried as reference before those that `rank` prefers.

    Returns
    -------
    Session
        Placements with their checks. A scan alone gets the identity.

    Raises
    ------
    UnusableData
        If a scan has no foreground.
    """
    scans = [prepare(volume, name=name) for volume, name in zip(volumes, names, strict=True)]
    poor = dict(judge_wrapped(scans))
    whole = [i for i in range(len(scans)) if i not in poor]
    poor |= {whole[i]: flag for i, flag in judge_noise([scans[i] for i in whole])}
    found: dict[int, Placement] = {i: Placement(np.eye(4), None, (flag,)) for i, flag in poor.items()}
    pairs: dict[tuple[int, int], Placement] = {}
    _, ranks = rank(volumes, scans)
    left = [i for i in range(len(scans)) if i not in found]
    kept: list[int] = []
    while kept != left:
        kept = left
        order, ranked = rank([volumes[i] for i in kept], [scans[i] for i in kept])
        ranks = [ranked[kept.index(i)] if i in kept else one for i, one in enumerate(ranks)]
        candidates = sorted((kept[i] for i in order), key=lambda i: i != lead)
        reference = _agreed_reference(scans, candidates, pairs, threads)
        found |= {i: pairs[reference, i] for i in kept}
        left = [i for i in kept if found[i].used]
    placements = [_seen_from(reference, scans, i, found[i], pairs) for i in range(len(scans))]
    if len(left) == 1:
        placements = _doubted(placements, reference)
    return Session(reference, tuple(placements), tuple(ranks))


def _agreed_reference(
    scans: Sequence[Scan],
    candidates: Sequence[int],
    pairs: dict[tuple[int, int], Placement],
    threads: int,
) -> int:
    """First candidate that at least half of the others match, else the one that most of them match.

    What is found of pairs of scans is added to ``pairs``, by reference and scan.
    """
    best: tuple[int, int] | None = None
    for candidate in candidates:
        wanted = [i for i in candidates if (candidate, i) not in pairs]
        with ThreadPoolExecutor(max_workers=threads) as pool:
            placed = pool.map(lambda i, to=candidate: _place(scans, to, i), wanted)
            pairs.update({(candidate, i): one for i, one in zip(wanted, placed, strict=True)})
        agreeing = sum(pairs[candidate, i].used for i in candidates) - 1
        if best is None or agreeing > best[0]:
            best = agreeing, candidate
        if 2 * agreeing >= len(candidates) - 1 or len(candidates) == 2:
            break  # Of two that differ none can be told wrong.
    assert best is not None  # There is at least one scan.
    return best[1]


def _seen_from(
    reference: int,
    scans: Sequence[Scan],
    position: int,
    placement: Placement,
    pairs: dict[tuple[int, int], Placement],
) -> Placement:
    """Give a scan that was left out its place from the reference that was settled on, and keep its flags."""
    if placement.used or placement.evidence is None:
        return placement
    known = pairs.get((reference, position)) or _place(scans, reference, position)
    return replace(placement, matrix=known.matrix)


def _doubted(placements: list[Placement], reference: int) -> list[Placement]:
    """Flag a reference that stands alone against scans of what looks like another head."""
    found = {flag.name for placement in placements for flag in placement.flags}
    if not found & OTHER_HEAD:
        return placements
    what = "no other scan of the visit matches it; which of them is of this child cannot be told"
    doubted = replace(placements[reference], flags=(Flag(UNCONFIRMED, what, excludes=False),))
    return [doubted if place == reference else p for place, p in enumerate(placements)]


def _place(scans: Sequence[Scan], reference: int, position: int) -> Placement:
    if position == reference:
        return Placement(np.eye(4), None, ())
    fixed, moving = scans[reference], scans[position]
    match = register(fixed, moving)
    evidence = gather(fixed, moving, match)
    still = mean_displacement_mm(match.matrix, fixed.foreground_points) < SMALLEST_MOTION_MM
    return Placement(np.eye(4) if still else match.matrix, evidence, judge(evidence))
