"""Grids and the way from one to another."""

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine, voxel_sizes
from scipy import ndimage

from babyseg_py.images import Volume
from babyseg_py.images.geometry import (
    antialias,
    bounding_box,
    crop_or_pad,
    grid_distance_mm,
    grid_with_spacing,
    reorient,
    reorient_like,
    resample,
    same_grid,
)

ORIENTATIONS = [
    "".join(code)
    for order in permutations(range(3))
    for signs in product(range(2), repeat=3)
    for code in [[("LR", "PA", "IS")[axis][signs[axis]] for axis in order]]
]


@pytest.fixture
def scan(rng, oblique_affine) -> Volume:
    return Volume(rng.random((7, 8, 9), dtype=np.float32), oblique_affine, space_code=4)


def positions(volume: Volume) -> dict[float, np.ndarray]:
    """World coordinates by value; values are unique."""
    index = np.stack(np.indices(volume.shape), axis=-1).reshape(-1, 3)
    return dict(zip(volume.data.ravel().tolist(), apply_affine(volume.affine, index), strict=True))


def test_there_are_48_orientations():
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("axcodes", ORIENTATIONS)
def test_reorient_keeps_every_voxel_in_its_place(scan, axcodes):
    turned = reorient(scan, axcodes)
    assert "".join(turned.axcodes) == axcodes
    assert turned.space_code == 4
    before, after = positions(scan), positions(turned)
    assert all(np.allclose(before[value], after[value], atol=1e-9) for value in before)


@pytest.mark.parametrize("axcodes", ORIENTATIONS)
def test_reorient_like_is_the_exact_way_back(scan, axcodes):
    back = reorient_like(reorient(scan, axcodes), scan)
    assert np.array_equal(back.data, scan.data)
    assert np.array_equal(back.affine, scan.affine)


def test_reorient_like_knows_axes_at_45_degrees(scan):
    """Axis codes are a matter of rounding there, and may differ on the way back."""
    c = np.sqrt(0.5)
    affine = np.eye(4)
    affine[:3, :3] = [[c, -c, 0], [c, c, 0], [0, 0, 1]]
    oblique = scan.on_grid(scan.data, affine)
    assert np.array_equal(reorient_like(reorient(oblique, "LIA"), oblique).data, oblique.data)


def test_reorient_like_refuses_another_grid(scan):
    with pytest.raises(ValueError, match="flips and permutations"):
        reorient_like(crop_or_pad(scan, (1, 0, 0), scan.shape), scan)


def test_reorient_agrees_with_nibabel(scan):
    expected = nib.as_closest_canonical(nib.Nifti1Image(scan.data, scan.affine))
    result = reorient(scan, "RAS")
    assert np.array_equal(result.data, np.asarray(expected.dataobj))
    assert np.allclose(result.affine, expected.affine)


def test_crop_or_pad_and_back(scan):
    window = crop_or_pad(scan, (-2, 3, 1), (6, 4, 12), fill=-1)
    assert window.data[2, 0, 0] == scan.data[0, 3, 1]
    assert (window.data[:2] == -1).all()
    assert np.allclose(apply_affine(window.affine, (2, 0, 0)), apply_affine(scan.affine, (0, 3, 1)))
    back = crop_or_pad(window, (2, -3, -1), scan.shape, fill=-1)
    assert np.allclose(back.affine, scan.affine)
    assert np.array_equal(back.data[:4, 3:7, 1:], scan.data[:4, 3:7, 1:])


def test_crop_beyond_the_image_is_all_fill(scan):
    assert (crop_or_pad(scan, (20, 0, 0), (2, 3, 4), fill=5).data == 5).all()


def test_bounding_box_with_margin_stays_inside():
    mask = np.zeros((7, 8, 9), bool)
    mask[2:4, 0, 5] = True
    assert bounding_box(mask) == ((2, 0, 5), (2, 1, 1))
    assert bounding_box(mask, margin=(3, 1, 1)) == ((0, 0, 4), (7, 2, 3))


def test_bounding_box_refuses_an_empty_mask():
    with pytest.raises(ValueError, match="empty"):
        bounding_box(np.zeros((2, 3, 4)))


def test_same_grid_sees_a_shift_and_a_shape(scan):
    moved = scan.affine.copy()
    moved[0, 3] += 0.01
    assert same_grid(scan, scan)
    assert not same_grid(scan, scan.on_grid(scan.data, moved))
    assert same_grid(scan, scan.on_grid(scan.data, moved), tolerance_mm=0.02)
    assert not same_grid(scan, scan.on_grid(scan.data[1:], scan.affine))
    assert grid_distance_mm(scan.affine, moved, scan.shape) == pytest.approx(0.01)


def test_grid_with_spacing_keeps_centre_and_field_of_view(scan):
    shape, affine = grid_with_spacing(scan.shape, scan.affine, (0.4, 2.2, 1.0))
    assert shape == (14, 4, 18)
    assert np.allclose(voxel_sizes(affine), (0.4, 2.2, 1.0))
    edges = [apply_affine(a, (-0.5, -0.5, -0.5)) for a in (scan.affine, affine)]
    assert np.allclose(*edges)


def test_resample_onto_itself_is_identity(scan):
    for order in (0, 1, 3):
        assert np.array_equal(resample(scan, scan.shape, scan.affine, order=order).data, scan.data)


def test_resample_finds_a_linear_function_of_the_world(scan, oblique_affine):
    """Trilinear interpolation is exact for one, on any grid and through any matrix."""
    gradient = np.array([0.3, -0.7, 1.1])
    index = np.stack(np.indices(scan.shape), axis=-1)
    ramp = scan.with_data(apply_affine(scan.affine, index) @ gradient)
    inner = np.array([2.0, 2.5, 3.0])
    target = np.eye(4)
    target[:3, :3] = np.array([[0, -0.5, 0.1], [0.4, 0, 0], [0.1, 0.1, 0.6]])
    motion = np.eye(4)
    motion[:3, :3] = [[0.98, -0.199, 0], [0.199, 0.98, 0], [0, 0, 1]]
    motion[:3, 3] = (1, -2, 0.5)
    target[:3, 3] = apply_affine(np.linalg.inv(motion), apply_affine(scan.affine, inner))
    result = resample(ramp, (4, 3, 2), target, world_matrix=motion)
    world = apply_affine(motion @ target, np.stack(np.indices((4, 3, 2)), axis=-1))
    assert np.allclose(result.data, world @ gradient, atol=1e-4)
    assert np.array_equal(result.affine, target)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("axcodes", ["RAS", "ASL", "PIR"])
def test_resample_along_axes_equals_the_general_way(scan, order, axcodes):
    turned = reorient(scan, axcodes)
    shape, affine = grid_with_spacing(turned.shape, turned.affine, 0.7)
    affine[:3, 3] += affine[:3, :3] @ (0.013, 0.017, 0.019)  # No sample lies midway between two voxels.
    expected = ndimage.affine_transform(
        scan.data,
        np.linalg.solve(scan.affine, affine),
        output_shape=shape,
        order=order,
        mode="grid-constant",
        cval=-3,
    )
    result = resample(scan, shape, affine, order=order, cval=-3)
    assert np.allclose(result.data, expected, atol=1e-5)


def test_resample_of_labels_keeps_type_and_values(scan):
    labels = scan.with_data((scan.data * 3).astype(np.int16))
    shape, affine = grid_with_spacing(scan.shape, scan.affine, 0.9)
    result = resample(labels, shape, affine, order=0, world_matrix=np.diag([1.01, 1, 1, 1]))
    assert result.data.dtype == np.int16
    assert set(np.unique(result.data)) <= {0, 1, 2}


def test_resample_shifted_by_whole_voxels_is_a_window(scan):
    window = crop_or_pad(scan, (1, -2, 3), (5, 5, 5), fill=9)
    assert np.array_equal(resample(scan, (5, 5, 5), window.affine, cval=9).data, window.data)


def test_resample_does_not_alter_its_input(scan):
    before = scan.data.copy()
    shape, affine = grid_with_spacing(scan.shape, scan.affine, 0.5)
    resample(scan, shape, affine)
    antialias(scan, np.diag([4.0, 4, 4, 1]))
    assert np.array_equal(scan.data, before)


def test_antialias_blurs_coarser_axes_only(scan):
    coarse = scan.affine.copy()
    coarse[:3, 1] *= 3
    blurred = antialias(scan, coarse).data
    sigma = np.sqrt(9 - 1) / np.sqrt(8 * np.log(2))
    expected = ndimage.gaussian_filter1d(scan.data, sigma, axis=1, mode="nearest", truncate=3)
    assert np.allclose(blurred, expected)
    assert np.array_equal(antialias(scan, scan.affine).data, scan.data)


def test_antialias_looks_through_the_matrix(scan):
    """A coarse axis of the target that a rotation lays along the third axis of the source blurs that one."""
    cube = scan.on_grid(scan.data, np.eye(4))
    turn = np.array([[0, 0, -1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    blurred = antialias(cube, np.diag([3.0, 1, 1, 1]), world_matrix=turn).data
    assert np.allclose(blurred, antialias(cube, np.diag([1.0, 1, 3, 1])).data)
