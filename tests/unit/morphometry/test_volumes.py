"""Volumes and totals."""

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume
from babyseg_py.labels import BRAIN_LABELS, LABELS, STRUCTURES
from babyseg_py.morphometry.volumes import (
    intracranial_mm3,
    label_volumes_mm3,
    posterior_volumes_mm3,
    volume_table,
)


def _ball(radius_mm, affine, shape, label=3, hole_mm=0.0):
    inverse_centre = (np.array(shape) - 1) / 2
    steps = np.moveaxis(np.indices(shape), 0, -1) - inverse_centre
    distance = np.linalg.norm(steps @ affine[:3, :3].T, axis=-1)
    return Volume(np.where((distance <= radius_mm) & (distance >= hole_mm), label, 0), affine)


def test_known_counts_on_an_oblique_grid(oblique_affine):
    data = np.zeros((7, 8, 9), dtype=np.int32)
    data[:2, :3, :4], data[5:, 6:, 7:] = 2, 176
    found = label_volumes_mm3(Volume(data, oblique_affine))
    assert found[2] == pytest.approx(24 * 0.8 * 1.1 * 2.0)
    assert found[176] == pytest.approx(8 * 0.8 * 1.1 * 2.0)
    assert found[41] == 0
    assert list(found) == list(BRAIN_LABELS)


def test_sheared_voxels_count_by_determinant():
    sheared = np.array([[1.0, 0.7, 0, 0], [0, 1, 0.4, 0], [0, 0, 2, 0], [0, 0, 0, 1]])
    assert label_volumes_mm3(Volume(np.full((2, 3, 4), 10), sheared))[10] == pytest.approx(48)


def test_ball_has_its_analytic_volume(oblique_affine):
    ball = _ball(12.0, oblique_affine, (41, 33, 19))
    assert label_volumes_mm3(ball)[3] == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.02)


def test_totals(rng, oblique_affine):
    labels = Volume(rng.choice(LABELS, size=(12, 11, 10)), oblique_affine)
    posterior = {label: float(label) for label in BRAIN_LABELS}
    rows = volume_table(labels, posterior_mm3=posterior)
    by_name = {row.structure: row for row in rows}
    assert [row.label for row in rows[: len(BRAIN_LABELS)]] == list(BRAIN_LABELS)
    assert all(row.label is None for row in rows[len(BRAIN_LABELS) :])
    assert len(by_name) == len(rows)

    ventricles = by_name["Lateral-Ventricle"]
    whole = by_name["Total-Brain-Volume"]
    every = sum(row.volume_mm3 for row in rows if row.label is not None)
    assert whole.volume_mm3 == pytest.approx(every - ventricles.volume_mm3)
    assert whole.volume_posterior_mm3 == pytest.approx(sum(BRAIN_LABELS) - 4 - 43)
    assert by_name["Cerebral-Cortex"].volume_posterior_mm3 == 3 + 42
    assert (ventricles.side, whole.side, by_name["Left-Caudate"].side) == ("both", "none", "left")


def test_posterior_volumes_that_are_not_known():
    rows = volume_table(Volume(np.full((2, 2, 2), 3), np.eye(4)), posterior_mm3={3: 7.5})
    by_name = {row.structure: row.volume_posterior_mm3 for row in rows}
    assert by_name["Left-Cerebral-Cortex"] == 7.5
    assert by_name["Right-Cerebral-Cortex"] is None
    assert by_name["Cerebral-Cortex"] is None
    assert by_name["Intracranial-Estimate"] is None


def test_intracranial_volume_of_a_ball_is_its_own():
    ball = _ball(15.0, np.diag([0.8, 1.0, 1.6, 1]), (43, 35, 23))
    assert intracranial_mm3(ball) == pytest.approx(label_volumes_mm3(ball)[3], rel=0.02)


def test_intracranial_volume_fills_holes_and_fissures():
    affine = np.diag([1.0, 1.0, 1.5, 1])
    whole = label_volumes_mm3(_ball(22.0, affine, (51, 51, 35)))[3]
    split = _ball(22.0, affine, (51, 51, 35), hole_mm=13.0)  # a hole wider than the closing
    split.data[24:27] = 0  # and a fissure
    assert label_volumes_mm3(split)[3] < 0.8 * whole
    assert intracranial_mm3(split) == pytest.approx(whole, rel=0.03)


def test_intracranial_volume_does_not_depend_on_position_and_axes():
    labels = _ball(9.0, np.diag([1.0, 1.2, 2.0, 1]), (25, 21, 13))
    moved = Volume(np.pad(labels.data, ((0, 5), (9, 0), (2, 3))), labels.affine)
    turned = Volume(labels.data.transpose(2, 0, 1)[::-1], np.diag([2.0, 1.0, 1.2, 1]))
    expected = intracranial_mm3(labels)
    assert intracranial_mm3(moved) == pytest.approx(expected)
    assert intracranial_mm3(turned) == pytest.approx(expected)


def test_intracranial_volume_equals_plain_morphology():
    generator = np.random.default_rng(0)
    data = (generator.random((9, 10, 11)) < 0.01) * 2
    data[4, 5, 5] = 2
    padded = np.pad(data > 0, 14)
    dilated = ndimage.distance_transform_edt(~padded) <= 10
    closed = ndimage.binary_fill_holes(ndimage.distance_transform_edt(dilated) > 10)
    assert intracranial_mm3(Volume(data, np.eye(4))) == np.count_nonzero(closed)


def test_empty_map():
    empty = Volume(np.zeros((3, 4, 5), dtype=np.int32), np.eye(4))
    assert intracranial_mm3(empty) == 0
    assert all(row.volume_mm3 == 0 for row in volume_table(empty))


def test_posteriors_file(tmp_path, rng, oblique_affine):
    data = rng.random((5, 6, 7, len(STRUCTURES)), dtype=np.float32)
    nib.save(nib.Nifti1Image(data, oblique_affine), tmp_path / "p.nii.gz")
    found = posterior_volumes_mm3(tmp_path / "p.nii.gz")
    expected = data.sum(axis=(0, 1, 2), dtype=np.float64) * 0.8 * 1.1 * 2.0
    np.testing.assert_allclose(list(found.values()), expected[1:], rtol=1e-5)
    assert list(found) == list(BRAIN_LABELS)


def test_posteriors_that_cannot_be_used(tmp_path):
    text = tmp_path / "text.nii.gz"
    text.write_text("not an image")
    nib.save(nib.Nifti1Image(np.ones((3, 4, 5), np.float32), np.eye(4)), tmp_path / "three.nii")
    cut = tmp_path / "cut.nii.gz"
    nib.save(nib.Nifti1Image(np.random.default_rng(0).random((5, 6, 7, 22)), np.eye(4)), cut)
    cut.write_bytes(cut.read_bytes()[:3000])
    nan = np.full((2, 2, 2, 22), np.nan, np.float32)
    nib.save(nib.Nifti1Image(nan, np.eye(4)), tmp_path / "nan.nii")
    for name, message in (
        ("text.nii.gz", "cannot be read"),
        ("absent.nii", "cannot be read"),
        ("three.nii", "shape"),
        ("cut.nii.gz", "cannot be read"),
        ("nan.nii", "finite"),
    ):
        with pytest.raises(UnusableData, match=message):
            posterior_volumes_mm3(tmp_path / name)
