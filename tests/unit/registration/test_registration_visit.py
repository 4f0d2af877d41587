"""All scans of a visit."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from head_phantom import error_mm, grid, head, rigid

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume
from babyseg_py.registration import visit
from babyseg_py.registration.visit import align_to_first, register_visit

MOTION = rigid((0, 8, -6), (5, 7, -3))


@dataclass(frozen=True)
class NamedScan:
    """What the segmentation hands over."""

    name: str
    volume: Volume
    matrix: np.ndarray


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """Leave out the finest level, which the phantoms do not have."""
    prepare = visit.prepare
    monkeypatch.setattr(visit, "prepare", lambda v, **k: prepare(v, levels_mm=(8.0, 4.0, 2.0), **k))


def test_a_scan_alone_is_its_own_session():
    session = register_visit([head(grid())], names=["a"])
    assert session.reference == 0
    assert np.array_equal(session.placements[0].matrix, np.eye(4))
    assert session.placements[0].used


def test_the_session_is_the_finest_scan_and_threads_do_not_matter():
    volumes = [head(grid((3, 3, 3)), motion=MOTION, contrast="T2w", seed=1), head(grid())]
    session = register_visit(volumes, names="ab", threads=2)
    assert session.reference == 1
    assert error_mm(session.placements[0].matrix, MOTION) < 0.6
    again = register_visit(volumes, names="ab")
    assert np.array_equal(again.placements[0].matrix, session.placements[0].matrix)


def test_a_reference_that_no_other_scan_matches_is_passed_over():
    other = head(grid((2, 2, 2)), child=1)
    same = [head(grid(), motion=MOTION, seed=1), head(grid((2.5, 2.5, 3)), contrast="T2w", seed=2)]
    session = register_visit([other, *same], names="abc")
    assert session.reference == 1
    assert [p.used for p in session.placements] == [False, True, True]


def test_of_two_scans_that_differ_the_reference_is_used_alone_and_doubted():
    session = register_visit([head(grid()), head(grid((3, 3, 3)), child=1)], names="ab")
    assert [p.used for p in session.placements] == [True, False]
    assert session.placements[1].flags
    assert [flag.name for flag in session.placements[0].flags] == ["unconfirmed"]


def test_scans_are_aligned_to_the_first():
    scans = [
        NamedScan("a", head(grid()), np.eye(4)),
        NamedScan("b", head(grid(), motion=MOTION, seed=1), np.eye(4)),
    ]
    first, second = align_to_first(scans)
    assert np.array_equal(first.matrix, np.eye(4))
    assert error_mm(second.matrix, MOTION) < 0.6
    assert second == replace(scans[1], matrix=second.matrix)


def test_a_scan_that_does_not_match_the_first_is_refused():
    scans = [NamedScan("a", head(grid()), np.eye(4)), NamedScan("b", head(grid(), child=1), np.eye(4))]
    with pytest.raises(UnusableData, match="b: "):
        align_to_first(scans)
