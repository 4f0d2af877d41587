"""Planted failures are flagged, true pairs are not."""

from dataclasses import replace

import numpy as np
import pytest
from head_phantom import error_mm, grid, head, rigid

from babyseg_py.registration.checks import Limits, judge
from babyseg_py.registration.evidence import Evidence, gather, local_mismatch
from babyseg_py.registration.pyramid import prepare
from babyseg_py.registration.rigid import register

LEVELS = (8.0, 4.0, 2.0)
MOTION = rigid((6, -5, 8), (9, -6, 7))
GOOD = Evidence(
    similarity=0.3,
    null=0.05,
    null_spread=0.02,
    fine_similarity=0.3,
    mirror_similarity=0.1,
    local_mm=0.5,
    overlap=0.95,
    gap=0.05,
    height=0.9,
    masked=True,
    rotation_deg=5,
    shift_mm=5,
)
LIMITS = Limits()


@pytest.fixture(scope="module")
def reference():
    return prepare(head(grid()), levels_mm=LEVELS)


def flags(reference, volume):
    scan = prepare(volume, levels_mm=LEVELS)
    return {flag.name for flag in judge(gather(reference, scan, register(reference, scan)))}


def test_a_true_pair_has_no_flag(reference):
    crop = grid((2, 2, 3), size_mm=(150, 180, 100), shift_mm=(0, 0, 10))
    assert flags(reference, head(crop, motion=MOTION, contrast="T2w", seed=1)) == set()


def test_another_child_is_flagged(reference):
    assert "other_anatomy" in flags(reference, head(grid(), motion=MOTION, child=1, seed=1))


def test_a_flipped_scan_is_flagged(reference):
    volume = head(grid(), motion=MOTION, seed=1)
    assert "mirrored" in flags(reference, volume.with_data(volume.data[::-1].copy()))


@pytest.mark.parametrize("axis", range(3))
def test_half_a_brain_is_flagged(reference, axis):
    volume = head(grid(), motion=MOTION, seed=1)
    data = volume.data.copy()
    data[(slice(None),) * axis + (slice(data.shape[axis] // 2),)] = 0
    scan = prepare(volume.with_data(data), levels_mm=LEVELS)
    match = register(reference, scan)
    assert error_mm(match.matrix, MOTION) < 0.6
    assert "partial" in {flag.name for flag in judge(gather(reference, scan, match))}


def test_local_mismatch_sees_a_wrong_pose(reference):
    pose = register(reference, reference).pose
    assert local_mismatch(reference, reference, pose) < 0.3
    wrong = replace(pose, shift_mm=pose.shift_mm + np.array([0, 4, 0]))
    assert local_mismatch(reference, reference, wrong) == pytest.approx(4, abs=0.5)


def test_good_evidence_has_no_flag():
    assert judge(GOOD) == ()


@pytest.mark.parametrize(
    ("change", "name", "excludes"),
    [
        ({"similarity": 0.1}, "no_match", True),
        ({"mirror_similarity": 0.31}, "mirrored", True),
        ({"local_mm": LIMITS.max_local_mm + 0.1}, "other_anatomy", True),
        ({"gap": LIMITS.max_gap + 0.1}, "partial", True),
        ({"height": LIMITS.min_height_masked - 0.1}, "partial", True),
        ({"height": LIMITS.min_height_head - 0.1, "masked": False}, "partial", True),
        ({"overlap": LIMITS.min_overlap - 0.1}, "little_overlap", True),
        ({"rotation_deg": LIMITS.max_rotation_deg + 1}, "large_motion", False),
        ({"shift_mm": LIMITS.max_shift_mm + 1}, "large_motion", False),
    ],
)
def test_each_limit_has_its_flag(change, name, excludes):
    (flag,) = judge(replace(GOOD, **change))
    assert (flag.name, flag.excludes) == (name, excludes)
    assert flag.message[0].islower()


def test_a_brain_too_small_for_blocks_is_not_blamed():
    assert judge(replace(GOOD, local_mm=np.nan)) == ()
