"""All scans of a visit."""

import numpy as np
import pytest
from head_phantom import error_mm, grid, head, rigid

from babyseg_py.images import Volume
from babyseg_py.registration import pyramid, visit
from babyseg_py.registration.checks import Flag, judge_noise, judge_wrapped
from babyseg_py.registration.evidence import neighbour_correlation
from babyseg_py.registration.visit import register_visit

MOTION = rigid((0, 8, -6), (5, 7, -3))


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """Leave out the finest level, which the phantoms do not have."""
    monkeypatch.setattr(visit, "prepare", prepare)


def prepare(volume, **options):
    """Make coarse copies only."""
    return pyramid.prepare(volume, levels_mm=(8.0, 4.0, 2.0), **options)


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


def test_scans_that_lie_on_each_other_are_not_moved():
    """Registration finds a tenth of a millimetre between them; the header's zero is the better answer."""
    volumes = [head(grid(), seed=1), head(grid(), contrast="T2w", seed=2)]
    session = register_visit(volumes, names="ab")
    assert all(np.array_equal(p.matrix, np.eye(4)) for p in session.placements)
    assert session.placements[1 - session.reference].evidence is not None


def test_a_scan_of_noise_is_found_among_others_only(rng):
    shape, affine = grid((2, 2, 2))
    good = prepare(head((shape, affine)))
    brain = head((shape, affine)).data > 0
    noise = [
        prepare(Volume(where * rng.rayleigh(300, shape), affine), name="a")
        for where in (brain, rng.random(shape) < 0.9)
    ]
    assert neighbour_correlation(good) > 0.7
    assert max(neighbour_correlation(scan) for scan in noise) < 0.05  # also with the outline of a brain
    found = judge_noise([noise[0], good, noise[1]])
    assert [(i, flag.name) for i, flag in found] == [(0, "noise"), (2, "noise")]
    assert judge_noise(noise) == judge_noise([good]) == []


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_wrapped_scan_is_found_among_others_only(axis):
    """The head is moved by a third of the field of view; a slab of it, cut at both ends, is not wrapped."""
    good = head(grid((2, 2, 2)))
    padding = [(12, 12)] * 3
    affine = good.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ [12, 12, 12]
    roomy = Volume(np.pad(good.data, padding, mode="edge"), affine)
    rolled = prepare(roomy.with_data(np.roll(roomy.data, roomy.shape[axis] // 3, axis=axis)))
    content = np.flatnonzero((good.data > 0.3 * good.data.max()).any(axis=tuple({0, 1, 2} - {axis})))
    cut = [slice(None)] * 3
    cut[axis] = slice(content[len(content) // 5], content[-len(content) // 5])
    slab = prepare(Volume(np.ascontiguousarray(good.data[tuple(cut)]), good.affine))
    found = judge_wrapped([prepare(roomy), rolled, slab])
    assert [(i, flag.name) for i, flag in found] == [(1, "wrapped")]
    assert judge_wrapped([rolled, rolled]) == judge_wrapped([rolled]) == []


def test_a_wrapped_scan_and_one_of_noise_leave_the_third(rng):
    """Each is left out for its own reason, and the result is that of the good one alone."""
    good = head(grid((2, 2, 2)))
    rolled = good.with_data(np.roll(good.data, good.shape[1] // 2, axis=1))
    noise = good.with_data(rng.rayleigh(300, good.shape).astype(np.float32))
    session = register_visit([rolled, good, noise], names="abc")
    assert session.reference == 1
    assert [[f.name for f in p.flags if f.excludes] for p in session.placements] == [
        ["wrapped"],
        [],
        ["noise"],
    ]


@pytest.fixture
def matching(monkeypatch):
    """Replace registration by a table of which of the scans 0, 1, 2 … match, told by their size."""

    def install(*heads):
        def place(scans, reference, position):
            same = heads[reference] == heads[position]
            matrix = rigid((0, 0, 0), (position - reference, 0, 0))
            flags = () if same else (Flag("other_anatomy", "differs"),)
            return visit.Placement(matrix, None if reference == position else object(), flags)

        monkeypatch.setattr(visit, "_place", place)
        monkeypatch.setattr(visit, "judge_noise", lambda scans: [])
        return [head(grid((2.5 + 0.3 * i,) * 3)) for i in range(len(heads))]

    return install


def test_what_is_left_out_does_not_touch_the_rest(matching):
    volumes = matching("x", "y", "y", "y")
    session = register_visit(volumes, names="abcd")
    assert [p.used for p in session.placements] == [False, True, True, True]
    assert session.reference == 1
    volumes = matching("y", "y", "y")
    without = register_visit(volumes, names="bcd")
    for one, other in zip(session.placements[1:], without.placements, strict=True):
        assert np.array_equal(one.matrix, other.matrix)


def test_the_leader_is_the_reference_unless_the_others_do_not_match_it(matching):
    assert register_visit(matching("y", "y", "y"), names="abc").reference == 0
    assert register_visit(matching("y", "y", "y"), names="abc", lead=2).reference == 2
    assert register_visit(matching("y", "y", "x"), names="abc", lead=2).reference == 0


def test_a_scan_that_was_left_out_is_seen_from_the_reference_in_the_end(matching):
    """Without the scan that does not match the choice may fall on another reference."""
    session = register_visit(matching("y", "x", "y", "y"), names="abcd", lead=2)
    assert session.reference == 2
    assert session.placements[1].matrix[0, 3] == -1
    assert [flag.name for flag in session.placements[1].flags] == ["other_anatomy"]
