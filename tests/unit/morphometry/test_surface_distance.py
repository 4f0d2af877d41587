"""Agreement of label maps, against known answers and against the reference implementation."""

import nibabel as nib
import numpy as np
import pytest
import surface_distance as reference_implementation
from scipy.ndimage import rotate

from babyseg_py.labels import BRAIN_LABELS
from babyseg_py.labels.merge import merge_labels
from babyseg_py.morphometry.surface_distance import compare_labels, compare_surfaces, find_surfaces

pytestmark = pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")


def _grid(spacing):
    return np.diag([*spacing, 1.0])


def _agreement(reference, candidate, spacing=(1, 1, 1), **options):
    pair = [np.asarray(mask).astype(int) * 2 for mask in (reference, candidate)]
    return compare_labels(*pair, _grid(spacing), labels=[2], **options)[0]


def _reference_values(reference, candidate, spacing, tolerance_mm):
    distances = reference_implementation.compute_surface_distances(reference, candidate, spacing)
    return [
        reference_implementation.compute_dice_coefficient(reference, candidate),
        np.mean(reference_implementation.compute_average_surface_distance(distances)),
        reference_implementation.compute_robust_hausdorff(distances, 95),
        reference_implementation.compute_surface_dice_at_tolerance(distances, tolerance_mm),
    ]


def _values(agreement):
    return [agreement.dice, agreement.assd_mm, agreement.hd95_mm, agreement.nsd]


def _box(shape, low, high):
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


def _ball(shape, centre, radius_mm, spacing):
    grid = np.moveaxis(np.indices(shape), 0, -1)
    return (((grid - centre) * spacing) ** 2).sum(axis=-1) <= radius_mm**2


def test_identical_maps(rng):
    mask = rng.random((7, 8, 9)) < 0.4
    assert _values(_agreement(mask, mask)) == [1, 0, 0, 1]


def test_slab_shifted_by_known_distance():
    shape = (12, 60, 61)
    one, other = _box(shape, (2, 0, 0), (4, 60, 61)), _box(shape, (6, 0, 0), (8, 60, 61))
    found = _agreement(one, other, (0.5, 1, 1), tolerance_mm=1.0)
    assert found.dice == 0
    assert found.hd95_mm == pytest.approx(2.0)
    assert found.assd_mm == pytest.approx(1.5, abs=0.03)  # half of the surface at 1 mm, half at 2 mm
    assert found.nsd == pytest.approx(0.5, abs=0.02)


def test_concentric_balls():
    spacing = np.array([0.5, 0.6, 0.8])
    shape = (61, 51, 41)
    one, other = (_ball(shape, (30, 25, 20), radius, spacing) for radius in (8.0, 11.0))
    found = _agreement(one, other, spacing, tolerance_mm=2.0)
    assert found.dice == pytest.approx(2 * 8**3 / (8**3 + 11**3), abs=0.01)
    # Elements stand for cells as large as a voxel, of which the nearest counts: a little less than 3 mm.
    assert 3.0 - 0.7 < found.assd_mm < 3.0
    assert found.hd95_mm == pytest.approx(3.0, abs=0.7)
    assert found.nsd < 0.01


@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.8, 1.1, 2.3), (0.7, 0.7, 5), (3, 1, 1)])
@pytest.mark.parametrize("tolerance_mm", [0.0, 0.9, 2.5])
def test_equal_to_the_reference_on_phantoms(spacing, tolerance_mm):
    shape = (28, 24, 20)
    pairs = [
        (_ball(shape, (14, 12, 10), 7, spacing), _ball(shape, (12, 13, 10), 6, spacing)),
        (_box(shape, (3, 4, 5), (9, 14, 11)), _box(shape, (5, 4, 8), (13, 12, 17))),
        (_box(shape, (0, 0, 0), (9, 24, 20)), _box(shape, (0, 3, 0), (11, 24, 17))),  # at the border
        (_box(shape, (1, 1, 1), (2, 2, 2)), _box(shape, (26, 22, 18), (28, 24, 20))),
    ]
    for one, other in pairs:
        found = _values(_agreement(one, other, spacing, tolerance_mm=tolerance_mm))
        np.testing.assert_allclose(
            found, _reference_values(one, other, spacing, tolerance_mm), rtol=0, atol=1e-9
        )


@pytest.mark.parametrize("density", [0.02, 0.5])
def test_equal_to_the_reference_on_noise(rng, density):
    one, other = rng.random((2, 11, 12, 13)) < density
    found = _values(_agreement(one, other, (0.8, 1.1, 2.3), tolerance_mm=1.0))
    np.testing.assert_allclose(found, _reference_values(one, other, (0.8, 1.1, 2.3), 1.0), rtol=0, atol=1e-9)


@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.8, 1.0, 1.7)])
def test_equal_to_the_reference_on_real_maps(shared_data, spacing):
    image = nib.load(shared_data / "labelmaps/infant/age-8mo_dseg.nii.gz")
    one = merge_labels(np.asarray(image.dataobj), image.affine)[30:95, 40:100, 30:80]
    other = rotate(np.roll(one, (1, 0, -1), axis=(0, 1, 2)), 4, axes=(1, 2), reshape=False, order=0)
    labels = (3, 4, 41, 54)
    found = compare_labels(one, other, _grid(spacing), labels=labels, tolerance_mm=1.0)
    for agreement in found:
        expected = _reference_values(one == agreement.label, other == agreement.label, spacing, 1.0)
        np.testing.assert_allclose(_values(agreement), expected, rtol=0, atol=1e-9)


def test_swapping_the_maps_changes_nothing(rng, oblique_affine):
    one, other = rng.choice([0, 2, 3, 41], size=(2, 7, 8, 9))
    there = compare_labels(one, other, oblique_affine, labels=[2, 3, 41])
    back = compare_labels(other, one, oblique_affine, labels=[2, 3, 41])
    for a, b in zip(there, back, strict=True):
        np.testing.assert_allclose(_values(a), _values(b), rtol=1e-12)


def test_flips_and_axis_permutations_change_nothing(rng):
    one, other = rng.choice([0, 2, 3], size=(2, 7, 8, 9))
    spacing = np.array([0.8, 1.1, 2.3])
    plain = compare_labels(one, other, _grid(spacing), labels=[2, 3])
    turned = (np.flip(np.transpose(data, (2, 0, 1)), axis=(0, 2)) for data in (one, other))
    for a, b in zip(plain, compare_labels(*turned, _grid(spacing[[2, 0, 1]]), labels=[2, 3]), strict=True):
        np.testing.assert_allclose(_values(a), _values(b), rtol=1e-12)


def test_voxel_size_scales_distances(rng):
    one, other = rng.random((2, 7, 8, 9)) < 0.3
    small = _agreement(one, other, (0.8, 1.1, 2.3), tolerance_mm=0.9)
    large = _agreement(one, other, (1.6, 2.2, 4.6), tolerance_mm=1.8)
    expected = [small.dice, 2 * small.assd_mm, 2 * small.hd95_mm, small.nsd]
    np.testing.assert_allclose(_values(large), expected, rtol=1e-12)


def test_oblique_grid_is_measured_along_its_axes(rng, oblique_affine):
    one, other = rng.choice([0, 2], size=(2, 7, 8, 9))
    oblique = compare_labels(one, other, oblique_affine, labels=[2])[0]
    straight = compare_labels(one, other, _grid((0.8, 1.1, 2.0)), labels=[2])[0]
    np.testing.assert_allclose(_values(oblique), _values(straight), rtol=1e-9)


def test_sheared_grid_is_measured_in_the_world():
    data = [np.zeros((40, 41, 8), dtype=int) for _ in range(2)]
    data[0][:, :, 1:3], data[1][:, :, 3:5] = 2, 2
    sheared = np.array([[1.0, 0, 0.5, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    found = compare_labels(*data, sheared, labels=[2])[0]
    assert found.hd95_mm == pytest.approx(2.0, abs=0.15)


def test_rounding_of_the_header_does_not_decide():
    one, other = _box((9, 9, 9), (2, 2, 2), (6, 6, 6)), _box((9, 9, 9), (3, 2, 2), (7, 6, 6))
    spacing = np.full(3, 1 + 5e-8)
    assert _agreement(one, other, spacing, tolerance_mm=1.0).nsd == 1


def test_structures_that_are_empty():
    nothing, something = np.zeros((5, 6, 7), dtype=bool), _box((5, 6, 7), (1, 1, 1), (3, 3, 3))
    assert _values(_agreement(nothing, nothing)) == [1, 0, 0, 1]
    for pair in ((nothing, something), (something, nothing)):
        found = _agreement(*pair)
        assert (found.dice, found.nsd) == (0, 0)
        assert np.isnan([found.assd_mm, found.hd95_mm]).all()


def test_structure_that_fills_the_grid():
    found = _agreement(np.ones((5, 6, 7)), _box((5, 6, 7), (0, 0, 0), (4, 6, 7)))
    assert found.hd95_mm == 1
    assert found.dice == pytest.approx(2 * 4 / 9)


def test_all_structures_come_back_in_order():
    data = np.zeros((4, 5, 6), dtype=np.uint8)
    data[1:3, 1:3, 1:3] = 17
    found = compare_labels(data, data, np.eye(4))
    assert [agreement.label for agreement in found] == list(BRAIN_LABELS)
    assert all(agreement.dice == 1 for agreement in found)


def test_surfaces_that_were_found_before_give_the_same(rng, oblique_affine):
    maps = rng.choice([0, 2, 3], size=(3, 7, 8, 9))
    surfaces = [find_surfaces(data, labels=[2, 3]) for data in maps]
    for n in (1, 2):
        again = compare_surfaces(surfaces[0], surfaces[n], oblique_affine, labels=[2, 3])
        assert again == compare_labels(maps[0], maps[n], oblique_affine, labels=[2, 3])


def test_illegal_input():
    data = np.zeros((3, 4, 5), dtype=int)
    with pytest.raises(ValueError, match="shapes"):
        compare_labels(data, data[1:], np.eye(4))
    with pytest.raises(ValueError, match="negative"):
        compare_labels(data, data, np.eye(4), tolerance_mm=-1)
