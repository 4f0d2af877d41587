"""Distances between sets of cells."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from babyseg_py.morphometry.nearest import grid_axes, nearest_mm


@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.8, 1.1, 2.3), (5, 0.5, 0.5), (0.9, 6, 0.9)])
@pytest.mark.parametrize("density", [0.5, 0.02, 0.0005])
def test_equal_to_a_distance_map(rng, spacing, density):
    mask = rng.random((31, 24, 40)) < density
    mask[3, 4, 5] = True
    expected = distance_transform_edt(~mask, sampling=spacing)
    cells = np.array(np.nonzero(np.ones_like(mask)))
    found = nearest_mm(cells, np.array(np.nonzero(mask)), np.diag(spacing))
    np.testing.assert_allclose(found, expected.ravel(), atol=1e-9)


def test_cells_far_from_all_others():
    others = np.array([[0, 200], [0, 0], [0, 0]])
    cells = np.array([[90, 110, 0], [50, 0, 40], [7, 0, 0]])
    expected = [np.sqrt(90**2 + 50**2 + 7**2), 90, 40]
    np.testing.assert_allclose(nearest_mm(cells, others, np.eye(3)), expected)
    columns_of_600 = np.array([[0], [0], [600]])
    assert nearest_mm(columns_of_600, np.zeros((3, 1), dtype=int), np.eye(3)) == pytest.approx(600)


def test_high_columns_of_thin_slices():
    others = np.array([[0, 0], [8, 0], [0, 300]])  # at 40 mm across, at 30 mm in the same column
    cell = np.zeros((3, 1), dtype=int)
    assert nearest_mm(cell, others, np.diag([5.0, 5.0, 0.1])) == pytest.approx(30)


def test_sheared_axes(rng):
    axes = np.array([[1.0, 0.4, 0], [0, 1, 0.2], [0, 0, 1.5]])
    cells, others = rng.integers(0, 20, (3, 60)), rng.integers(0, 20, (3, 25))
    pairs = (axes @ cells)[:, :, None] - (axes @ others)[:, None]
    np.testing.assert_allclose(nearest_mm(cells, others, axes), np.linalg.norm(pairs, axis=0).min(axis=1))


def test_empty_sets():
    none, one = np.zeros((3, 0), dtype=int), np.ones((3, 1), dtype=int)
    assert nearest_mm(none, one, np.eye(3)).shape == (0,)
    assert nearest_mm(one, none, np.eye(3)).tolist() == [np.inf]


def test_axes_are_turned_to_the_world_unless_sheared(oblique_affine):
    np.testing.assert_allclose(grid_axes(oblique_affine), np.diag([0.8, 1.1, 2.0]))
    sheared = oblique_affine.copy()
    sheared[0, 1] += 0.2
    np.testing.assert_array_equal(grid_axes(sheared), sheared[:3, :3])
