"""Rigid registration of heads whose motion is known exactly."""

import numpy as np
import pytest
from head_phantom import error_mm, grid, head, rigid

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume
from babyseg_py.registration.pyramid import prepare
from babyseg_py.registration.rigid import register

LEVELS = (8.0, 4.0, 2.0)
CASES = {
    "another contrast": ((0, 15, -10), (12, -9, 8), {"contrast": "T2w"}, grid()),
    "twenty degrees and twenty millimetres": ((-12, 9, 13), (-13, 11, 10), {}, grid()),
    "thick slices, oblique": (
        (6, 3, -8),
        (5, 5, 5),
        {"contrast": "T2w"},
        grid((2, 2, 5), turn_deg=(10, -5, 15)),
    ),
    "left-handed": ((10, 0, 5), (0, 8, -4), {}, grid(flip_x=True)),
    "skull": ((8, -6, 4), (3, 9, -9), {"skull": True}, grid()),
    "cropped": (
        (-5, 6, 9),
        (6, 4, 2),
        {"contrast": "T2w"},
        grid(size_mm=(150, 180, 70), shift_mm=(0, 0, 14)),
    ),
    "header far off": ((4, 5, -6), (300, -200, 150), {}, grid(shift_mm=(300, -200, 150))),
}


def found(a, b):
    return register(prepare(a, levels_mm=LEVELS), prepare(b, levels_mm=LEVELS)).matrix


@pytest.mark.parametrize("case", CASES)
def test_a_known_motion_is_found(case):
    rotation, shift, look, where = CASES[case]
    truth = rigid(rotation, shift)
    assert error_mm(found(head(grid()), head(where, motion=truth, seed=1, **look)), truth) < 0.6


def test_swapping_the_scans_inverts_the_result():
    a, b = (
        head(grid()),
        head(grid((2, 3, 4)), motion=rigid((5, 9, -7), (8, 2, 5)), contrast="T2w", skull=True),
    )
    assert error_mm(found(b, a) @ found(a, b), np.eye(4)) < 0.05


def test_the_same_scans_give_the_same_result():
    a, b = head(grid()), head(grid(), motion=rigid((5, 0, 0), (0, 2, 0)), seed=1)
    assert np.array_equal(found(a, b), found(a, b))


def test_the_result_is_rigid():
    matrix = found(head(grid()), head(grid(), motion=rigid((5, 0, 9), (0, 2, 0)), seed=1))
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-10)
    assert np.linalg.det(matrix[:3, :3]) > 0


def test_levels_keep_the_content_where_it_is():
    scan = prepare(head(grid((2, 1.7, 3), turn_deg=(5, 10, 3), flip_x=True)), levels_mm=LEVELS)
    centres = []
    for level in scan.levels.values():
        index = np.indices(level.shape).reshape(3, -1)
        mass = (index * level.data.ravel()).sum(axis=1) / level.data.sum()
        centres.append(level.affine[:3, :3] @ mass + level.affine[:3, 3])
    np.testing.assert_allclose(np.ptp(centres, axis=0), 0, atol=0.1)


def test_a_scan_without_content_is_refused():
    empty = Volume(np.zeros((40, 40, 40), np.float32), np.diag([2.0, 2, 2, 1]))
    with pytest.raises(UnusableData, match=r"flat\.nii"):
        prepare(empty, name="flat.nii")
