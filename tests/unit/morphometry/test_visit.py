"""Agreement within a visit."""

import numpy as np
import pytest

from babyseg_py.images import Volume
from babyseg_py.images.geometry import crop_or_pad
from babyseg_py.morphometry.visit import ScanLabels, compare_visit, compare_with_manual


@pytest.fixture
def session(oblique_affine):
    data = np.zeros((30, 28, 20), dtype=np.int32)
    data[6:14, 5:22, 4:16], data[14:23, 5:22, 4:16] = 2, 41
    data[10:14, 9:15, 8:12] = 10
    return Volume(data, oblique_affine)


def _motion(degrees, shift):
    angle = np.deg2rad(degrees)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = shift
    return matrix


def _moved(session, name, matrix):
    """Return the same voxels in a world that the head has moved in."""
    return ScanLabels(name, Volume(session.data.copy(), matrix @ session.affine), matrix)


def _dice(comparison):
    return {a.label: a.dice for a in comparison.agreements}


def test_moved_scans_agree_once_they_are_carried_back(session):
    scans = [
        _moved(session, "T1w", np.eye(4)),
        _moved(session, "T2w", _motion(12, (9, -4, 15))),
        _moved(session, "run-2_T1w", _motion(-7, (0, 30, 2))),
    ]
    found = list(compare_visit(session, scans, tolerance_mm=1.0))
    assert [(c.reference, c.candidate) for c in found] == [
        ("session", "T1w"),
        ("session", "T2w"),
        ("session", "run-2_T1w"),
        ("T1w", "T2w"),
        ("T1w", "run-2_T1w"),
        ("T2w", "run-2_T1w"),
    ]
    assert all(min(_dice(c).values()) == 1 for c in found)


def test_a_scan_that_differs_is_seen_in_its_own_rows(session):
    other = _moved(session, "T2w", np.eye(4))
    other.labels.data[10:14, 9:15, 8:12] = 2
    found = list(compare_visit(session, [_moved(session, "T1w", np.eye(4)), other], tolerance_mm=1.0))
    assert [_dice(c)[10] for c in found] == [1, 0, 0]
    assert _dice(found[1])[2] < 1
    assert _dice(found[1])[41] == 1


def test_scans_are_compared_where_both_have_been(session):
    low = ScanLabels("T1w", crop_or_pad(session, (0, 0, 0), (16, 28, 20)), np.eye(4))
    high = ScanLabels("T2w", crop_or_pad(session, (8, 0, 0), (22, 28, 20)), np.eye(4))
    found = list(compare_visit(session, [low, high], tolerance_mm=1.0))
    assert all(min(_dice(c).values()) == 1 for c in found)
    assert all(a.hd95_mm == 0 for c in found for a in c.agreements)


def test_reference_in_session_space(session):
    found = compare_with_manual(session, "f", session, [], tolerance_mm=1.0)
    assert (found.reference, found.candidate) == ("manual", "session")
    assert min(_dice(found).values()) == 1


def test_a_reference_of_some_structures_is_compared_in_these_alone(session):
    """What was not drawn is no error of the segmentation, nor agreement where neither has it."""
    data = np.where(session.data == 10, session.data, 0)
    found = compare_with_manual(session.with_data(data), "f", session, [], tolerance_mm=1.0)
    assert _dice(found) == {10: 1.0}


def test_reference_on_another_grid_of_session_space(session):
    window = crop_or_pad(session, (-3, -2, 1), (40, 35, 22))
    assert min(_dice(compare_with_manual(window, "f", session, [], tolerance_mm=1.0)).values()) == 1


def test_reference_on_the_grid_of_a_scan_moves_with_it(session):
    scan = _moved(session, "T2w", _motion(10, (25, 0, -40)))
    found = compare_with_manual(
        scan.labels, "f", session, [_moved(session, "T1w", np.eye(4)), scan], tolerance_mm=1.0
    )
    assert min(_dice(found).values()) == 1


def test_scans_with_one_header_are_told_apart_by_overlap(session):
    """The head moved between two scans of the same grid; the reference was drawn on the second."""
    matrix = np.eye(4)
    matrix[:3, 3] = session.affine[:3, :3] @ (5, -3, 2)
    drawn = Volume(np.roll(session.data, (5, -3, 2), axis=(0, 1, 2)), session.affine)
    scans = [ScanLabels("T1w", session, np.eye(4)), ScanLabels("T2w", drawn, matrix)]
    assert min(_dice(compare_with_manual(drawn, "f", session, scans, tolerance_mm=1.0)).values()) == 1
