"""Surface elements and their areas."""

import numpy as np
import pytest
from surface_distance import lookup_tables

from babyseg_py.morphometry.surfels import CORNERS, find_surfels, surfel_areas


def _their_codes():
    kernel = lookup_tables.ENCODE_NEIGHBOURHOOD_3D_KERNEL
    return [sum(int(kernel[c]) for bit, c in enumerate(CORNERS) if code >> bit & 1) for code in range(256)]


@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.8, 1.1, 2.3), (3, 0.5, 1.7), (0.7, 0.7, 5)])
def test_areas_equal_the_published_table(spacing):
    theirs = lookup_tables.create_table_neighbour_code_to_surface_area(spacing)[_their_codes()]
    np.testing.assert_allclose(surfel_areas(np.diag(spacing)), theirs, atol=1e-12)


def test_areas_of_known_pieces():
    areas = surfel_areas(np.diag([1.0, 2.0, 3.0]))
    assert areas[0] == areas[255] == 0
    assert areas[0b00001111] == pytest.approx(6)  # the half with i = 0: a 2 x 3 rectangle
    assert areas[0b00110011] == pytest.approx(3)  # j = 0
    assert areas[0b01010101] == pytest.approx(2)  # k = 0
    corner = np.linalg.norm(np.cross([-0.5, 1, 0], [-0.5, 0, 1.5])) / 2
    assert areas[1] == areas[128] == pytest.approx(corner)


def test_areas_do_not_change_under_complement_and_rotation(rng):
    axes = np.diag([0.8, 1.1, 2.3])
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    areas = surfel_areas(axes)
    np.testing.assert_allclose(areas, areas[::-1])
    np.testing.assert_allclose(areas, surfel_areas(rotation @ axes))
    np.testing.assert_allclose(surfel_areas(2 * axes), 4 * areas)


def test_sheared_cell():
    sheared = np.array([[1.0, 0.5, 0], [0, 1, 0], [0, 0, 1]])
    assert surfel_areas(sheared)[0b01010101] == pytest.approx(1)
    assert surfel_areas(sheared)[0b00001111] == pytest.approx(np.sqrt(1.25))


def test_single_voxel_has_eight_corners():
    data = np.zeros((3, 4, 5), dtype=int)
    data[1, 2, 3] = 17
    found = find_surfels(data, labels=[17])[17]
    cells = {tuple(cell) for cell in found.cells.T.tolist()}
    assert cells == {(i, j, k) for i in (1, 2) for j in (2, 3) for k in (3, 4)}
    assert sorted(found.codes.tolist()) == [1 << bit for bit in range(8)]


def test_surfaces_are_closed_at_the_border():
    found = find_surfels(np.full((2, 3, 4), 5), labels=[5])[5]
    assert found.cells.shape == (3, 3 * 4 * 5 - 1 * 2 * 3)


def test_touching_structures_each_have_their_own_surface(rng):
    data = rng.choice([0, 2, 3, 300], size=(7, 8, 9))
    found = find_surfels(data, labels=[3, 2])
    for label in (2, 3):
        padded = np.pad(data == label, 1).astype(int)
        i, j, k = (n - 1 for n in padded.shape)
        codes = sum(padded[a : a + i, b : b + j, c : c + k] << n for n, (a, b, c) in enumerate(CORNERS))
        place = np.nonzero((codes > 0) & (codes < 255))
        order = np.lexsort(found[label].cells[::-1])
        np.testing.assert_array_equal(found[label].cells[:, order], place)
        np.testing.assert_array_equal(found[label].codes[order], codes[place])


@pytest.mark.parametrize(
    "data", [np.zeros((3, 4, 5), dtype=int), np.full((2, 2, 2), 9), np.zeros((0, 4, 5), int)]
)
def test_structure_that_is_not_there(data):
    found = find_surfels(data, labels=[2])[2]
    assert found.cells.shape == (3, 0)
    assert len(found.codes) == 0


def test_too_many_labels():
    with pytest.raises(ValueError, match="256 labels"):
        find_surfels(np.zeros((2, 2, 2), dtype=int), labels=range(256))
