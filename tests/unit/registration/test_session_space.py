"""The choice of the session space."""

import numpy as np
import pytest
from head_phantom import grid, head

from babyseg_py.images.geometry import resample
from babyseg_py.registration.pyramid import prepare
from babyseg_py.registration.session_space import effective_voxel_mm, rank


def order(*volumes):
    return rank(volumes, [prepare(v, levels_mm=(4.0,)) for v in volumes])[0]


def test_the_finest_scan_comes_first():
    assert order(head(grid((3, 3, 3))), head(grid((2, 2, 2))), head(grid((2, 2, 5)))) == [1, 0, 2]


def test_thick_slices_lose_against_a_coarser_cube():
    assert order(head(grid((1.5, 1.5, 6))), head(grid((2.5, 2.5, 2.5)))) == [1, 0]


def test_equal_voxels_keep_the_order_given():
    volume = head(grid())
    assert order(volume, volume, volume) == [0, 1, 2]


def test_a_scan_of_half_the_brain_is_no_reference():
    half = head(grid((2, 2, 2), size_mm=(150, 180, 50), shift_mm=(0, 0, 30)))
    assert order(half, head(grid((3, 3, 3)))) == [1, 0]


def test_a_stripped_scan_is_not_taken_for_half_a_head():
    stripped, whole = head(grid((2, 2, 2))), head(grid((3, 3, 3)), skull=True)
    assert order(whole, stripped) == [1, 0]


def test_a_sharp_scan_has_the_effective_voxel_of_its_grid(rng):
    volume = head(grid((2, 2, 2)), skull=True, noise=0.05)
    assert effective_voxel_mm(volume) == pytest.approx(2, rel=0.05)


def test_interpolation_to_smaller_voxels_gains_nothing():
    thick = head(grid((2, 2, 6)), skull=True)
    shape, affine = grid((2, 2, 2))
    fine = resample(thick, shape, affine, order=3)
    assert effective_voxel_mm(fine) > 1.3 * 2
    assert effective_voxel_mm(thick) == pytest.approx(np.sqrt((4 + 4 + 36) / 3), rel=0.05)
