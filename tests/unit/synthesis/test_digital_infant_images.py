"""Scans of the digital infant: contrast by age, geometry, surroundings."""

from dataclasses import replace

import numpy as np
import pytest

from babyseg_py.images import Volume
from babyseg_py.synthesis.digital_infant import grow, load_model, mean_child
from babyseg_py.synthesis.digital_infant_images import Scan, label_scan, make_scene, pose, take_scan

QUIET = Scan("T1w", (2.0, 2.0, 2.0), bias=0.0, noise=0.0)


@pytest.fixture(scope="module")
def model():
    return load_model()


def scene_of(model, age, *, with_head=False, spacing_mm=2.0):
    anatomy = grow(model, mean_child(model), age, spacing_mm=spacing_mm)
    return anatomy, make_scene(anatomy, age, np.random.default_rng(0), with_head=with_head)


def contrast(anatomy, scene, suffix):
    """Mean of white matter, relative to that of cortex."""
    scan = replace(QUIET, suffix=suffix)
    image = take_scan(scene, scan)
    labels = label_scan(anatomy, scan, image)
    return image.data[np.isin(labels.data, (2, 41))].mean() / image.data[np.isin(labels.data, (3, 42))].mean()


def test_contrast_inverts_with_age(model):
    newborn, year = scene_of(model, 0.5), scene_of(model, 14.0)
    assert contrast(*newborn, "T1w") < 0.97
    assert contrast(*newborn, "T2w") > 1.1
    adult_like = contrast(*year, "T1w")
    assert adult_like > 1.15
    assert contrast(*year, "T2w") < 0.85
    assert 1 < contrast(*scene_of(model, 6.0), "T1w") < 0.5 + 0.5 * adult_like


def test_a_stripped_scan_has_a_background_of_zero_and_a_head_does_not(model):
    anatomy, bare = scene_of(model, 3.0)
    labels = label_scan(anatomy, QUIET, take_scan(bare, QUIET))
    image = take_scan(bare, replace(QUIET, noise=0.03))
    assert (image.data[labels.data > 0] > 0).mean() > 0.97
    assert (image.data == 0).mean() > 0.35

    _, whole = scene_of(model, 3.0, with_head=True)
    with_head = take_scan(whole, QUIET)
    assert with_head.data.size > 1.4 * image.data.size
    covered = label_scan(anatomy, QUIET, with_head).data > 0
    assert np.percentile(with_head.data[~covered], 99) > 0.5 * with_head.data[covered].mean()


def test_a_moved_head_is_where_its_pose_says(model):
    _, scene = scene_of(model, 3.0)
    moved = replace(QUIET, rotation_deg=(5.0, -8.0, 12.0), shift_mm=(4.0, -3.0, 9.0))
    still_image, moved_image = take_scan(scene, QUIET), take_scan(scene, moved)
    expected = pose(moved) @ np.append(centre(still_image), 1)
    np.testing.assert_allclose(centre(moved_image), expected[:3], atol=0.3)


def test_the_order_of_storage_leaves_the_world_alone(model):
    _, scene = scene_of(model, 3.0)
    plain = take_scan(scene, QUIET)
    for axes in ("LPS", "PSR", "IRA"):
        other = take_scan(scene, replace(QUIET, axes=axes))
        assert "".join(other.axcodes) == axes
        np.testing.assert_allclose(centre(other), centre(plain), atol=1e-3)
        assert sorted(other.shape) == sorted(plain.shape)


def test_thick_slices_are_thick_where_asked(model):
    _, scene = scene_of(model, 3.0)
    image = take_scan(scene, replace(QUIET, spacing_mm=(2.0, 2.0, 4.0)))
    np.testing.assert_allclose(image.spacing_mm, (2, 2, 4))
    assert centre(image) == pytest.approx(centre(take_scan(scene, QUIET)), abs=0.5)


def test_equal_seeds_give_equal_scans_and_noise_differs_between_others(model):
    _, scene = scene_of(model, 3.0)
    noisy = replace(QUIET, noise=0.03, bias=0.1)
    one, same, other = (take_scan(scene, replace(noisy, seed=seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.data, same.data)
    assert not np.array_equal(one.data, other.data)


def test_labels_on_a_scan_keep_their_volume(model):
    anatomy, scene = scene_of(model, 3.0, spacing_mm=1.5)
    scan = replace(QUIET, rotation_deg=(8.0, 0.0, -6.0))
    labels = label_scan(anatomy, scan, take_scan(scene, scan))
    for number in (2, 3, 16):
        true = (anatomy.data == number).sum() * anatomy.voxel_volume_mm3
        assert (labels.data == number).sum() * labels.voxel_volume_mm3 == pytest.approx(true, rel=0.02)


def centre(image: Volume) -> np.ndarray:
    """Centre of the brightness in mm."""
    weights = image.data.ravel()
    index = np.indices(image.shape).reshape(3, -1)
    mean = (index * weights).sum(1) / weights.sum()
    return image.affine[:3, :3] @ mean + image.affine[:3, 3]
