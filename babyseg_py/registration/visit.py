"""All scans of one visit in one session space."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np

from babyseg_py.errors import UnusableData
from babyseg_py.images.volume import Volume
from babyseg_py.registration.checks import Flag, judge
from babyseg_py.registration.evidence import Evidence, gather
from babyseg_py.registration.pyramid import Scan, prepare
from babyseg_py.registration.rigid import register
from babyseg_py.registration.session_space import Rank, rank

OTHER_HEAD = {"no_match", "mirrored", "other_anatomy"}
UNCONFIRMED = "unconfirmed"  # concerns the visit as a whole, not a scan


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


def register_visit(volumes: Sequence[Volume], /, *, names: Sequence[str], threads: int = 1) -> Session:
    """Choose the session space of a visit and bring every scan into it.

    Parameters
    ----------
    volumes : sequence of Volume
        At least one scan, any contrasts.
    names : sequence of str
        Their files, for messages.
    threads : int
        Scans to register at a time; the result does not depend on it.

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
    order, ranks = rank(volumes, scans)
    best: tuple[int, int, tuple[Placement, ...]] | None = None
    for candidate in order:
        placements = _place(scans, candidate, threads)
        agreeing = sum(placement.used for placement in placements) - 1
        if best is None or agreeing > best[0]:
            best = agreeing, candidate, placements
        if 2 * agreeing >= len(scans) - 1 or len(scans) == 2:  # Of two that differ none can be told wrong.
            break
    assert best is not None  # There is at least one scan.
    agreeing, reference, placements = best
    if agreeing == 0:
        placements = _doubted(placements, reference)
    return Session(reference, placements, tuple(ranks))


def _doubted(placements: tuple[Placement, ...], reference: int) -> tuple[Placement, ...]:
    """Flag a reference that stands alone against scans of what looks like another head."""
    found = {flag.name for placement in placements for flag in placement.flags}
    if not found & OTHER_HEAD:
        return placements
    what = "no other scan of the visit matches it; which of them is of this child cannot be told"
    doubted = replace(placements[reference], flags=(Flag(UNCONFIRMED, what, excludes=False),))
    return tuple(doubted if place == reference else p for place, p in enumerate(placements))


def _place(scans: Sequence[Scan], reference: int, threads: int) -> tuple[Placement, ...]:
    def place(position: int) -> Placement:
        if position == reference:
            return Placement(np.eye(4), None, ())
        match = register(scans[reference], scans[position])
        evidence = gather(scans[reference], scans[position], match)
        return Placement(match.matrix, evidence, judge(evidence))

    with ThreadPoolExecutor(max_workers=threads) as pool:
        return tuple(pool.map(place, range(len(scans))))


class Placed(Protocol):
    """A dataclass with the fields that `align_to_first` reads and replaces."""

    @property
    def name(self) -> str: ...
    @property
    def volume(self) -> Volume: ...
    @property
    def matrix(self) -> np.ndarray: ...


T = TypeVar("T", bound=Placed)


def align_to_first(scans: Sequence[T], /) -> list[T]:
    """Give each scan the matrix from the world of the first scan to its own.

    Parameters
    ----------
    scans : sequence of dataclass
        Scans with ``name``, ``volume`` and ``matrix``.

    Returns
    -------
    list
        Copies with other matrices; that of the first is the identity.

    Raises
    ------
    UnusableData
        If a scan has no foreground, or does not match the first one.
    """
    prepared = [prepare(scan.volume, name=scan.name) for scan in scans]
    placements = _place(prepared, 0, threads=1)
    for scan, placement in zip(scans, placements, strict=True):
        for flag in placement.flags:
            if flag.excludes:
                raise UnusableData(scan.name, flag.message, "leave it out, or segment it by itself")
    return [replace(s, matrix=p.matrix) for s, p in zip(scans, placements, strict=True)]  # type: ignore[type-var]
