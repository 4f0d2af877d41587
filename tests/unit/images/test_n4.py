"""Bias field correction against known fields."""

import numpy as np
import pytest

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume
from babyseg_py.images.geometry import reorient
from babyseg_py.images.n4 import correct_bias, cv_within_tissue


def left_over(log_field: np.ndarray, estimate: np.ndarray, brain: np.ndarray) -> float:
    """Coefficient of variation of the field that is left in the brain."""
    left = np.exp((log_field - estimate)[brain])
    return float(left.std() / left.mean())


def inside(volume: Volume) -> np.ndarray:
    """Inside of the phantom, a little off its surface."""
    axes = [np.arange(n) * s - 60 for n, s in zip(volume.shape, volume.spacing_mm, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    return (x / 41) ** 2 + (y / 53) ** 2 + (z / 44) ** 2 < 0.95**2


@pytest.fixture(scope="module")
def brain(head) -> np.ndarray:
    return inside(head[0])


@pytest.fixture(scope="module")
def fine_result(fine_head):
    return correct_bias(fine_head[0])


def test_known_field_is_recovered(fine_head, fine_result):
    volume, log_field = fine_head
    before = left_over(log_field, np.zeros_like(log_field), inside(volume))
    assert before > 0.12
    assert left_over(log_field, fine_result.log_field.data, inside(volume)) < 0.2 * before


def test_report_tells_what_happened(fine_head, fine_result):
    field = np.exp(fine_head[1][inside(fine_head[0])])
    assert fine_result.field_strength == pytest.approx(field.std() / field.mean(), rel=0.15)
    low, high = np.percentile(field, [2, 98])
    assert fine_result.field_range == pytest.approx(high / low, rel=0.2)
    assert fine_result.cv_after < 0.7 * fine_result.cv_before
    assert "antspyx" in fine_result.method


def test_grid_and_scale_are_kept(fine_head, fine_result):
    volume, brain = fine_head[0], inside(fine_head[0])
    assert np.array_equal(fine_result.corrected.affine, volume.affine)
    assert fine_result.corrected.shape == volume.shape
    assert fine_result.corrected.data.dtype == np.float32
    ratio = fine_result.corrected.data[brain] / volume.data[brain]
    assert np.log(ratio).mean() == pytest.approx(0, abs=0.02)


def test_flat_image_stays_as_it_is(head):
    volume, log_field = head
    flat = volume.with_data((volume.data * np.exp(-log_field)).astype(np.float32))
    assert correct_bias(flat).field_strength < 0.03


@pytest.mark.parametrize("axcodes", ["PIR", "SLA"])
def test_orientation_plays_no_part(head, brain, axcodes):
    volume, log_field = head
    turned = reorient(volume, axcodes)
    result = correct_bias(turned)
    truth = reorient(volume.with_data(log_field), axcodes).data
    within = reorient(volume.with_data(brain), axcodes).data
    assert left_over(truth, result.log_field.data, within) < 0.04


def test_oblique_sheared_left_handed_grid(head, brain, oblique_affine):
    volume, log_field = head
    affine = oblique_affine.copy()
    shear = np.array([[1, 0.1, 0], [0, 1, 0], [0, 0, 1]])
    affine[:3, :3] = oblique_affine[:3, :3] / (0.8, 1.1, 2.0) @ shear @ np.diag([-3.8, 3.6, 4.2])
    result = correct_bias(volume.on_grid(volume.data, affine))
    assert np.array_equal(result.corrected.affine, affine)
    assert left_over(log_field, result.log_field.data, brain) < 0.04


def test_masked_brain_keeps_its_background(head, brain):
    volume, log_field = head
    result = correct_bias(volume.with_data(np.where(brain, volume.data, 0)))
    assert (result.corrected.data[~brain] == 0).all()
    assert left_over(log_field, result.log_field.data, brain) < 0.04


@pytest.mark.parametrize("offset", [-60])
def test_intensities_below_zero(head, brain, offset):
    volume, log_field = head
    data = np.where(brain, volume.data, 0) + np.float32(offset)
    result = correct_bias(volume.with_data(data))
    assert (result.corrected.data[~brain] == offset).all()
    assert left_over(log_field, result.log_field.data, brain) < 0.06


def test_a_few_values_below_zero_change_nothing_but_themselves(head, brain):
    volume, log_field = head
    data = volume.data - 2
    assert (data < 0).any()
    result = correct_bias(volume.with_data(data))
    assert np.array_equal(np.sign(result.corrected.data), np.sign(data))
    assert left_over(log_field, result.log_field.data, brain) < 0.05


def test_thick_slices(head, brain):
    volume, log_field = head
    thick = Volume(np.ascontiguousarray(volume.data[:, :, ::2]), volume.affine @ np.diag([1, 1, 2, 1]))
    result = correct_bias(thick)
    assert left_over(log_field[:, :, ::2], result.log_field.data, brain[:, :, ::2]) < 0.06


def test_same_input_same_output(fine_head, fine_result):
    assert np.array_equal(correct_bias(fine_head[0]).corrected.data, fine_result.corrected.data)


def test_no_foreground(rng):
    with pytest.raises(UnusableData, match="no head or brain"):
        correct_bias(Volume(np.zeros((9, 9, 9), np.float32), np.eye(4)))


def test_cv_within_tissue_of_known_classes(rng):
    """Three classes of equal size, each with a spread of 5 %, are told apart and measured."""
    flat = np.repeat([30.0, 80.0, 200.0], 20_000) * rng.normal(1, 0.05, 60_000)
    before, after = cv_within_tissue(flat, flat)
    assert before == after == pytest.approx(0.05, abs=0.002)
    biased = flat * np.exp(rng.normal(0, 0.1, flat.size))
    before, after = cv_within_tissue(biased, flat)
    assert before == pytest.approx(np.hypot(0.05, 0.1), rel=0.05)
    assert after == pytest.approx(0.05, rel=0.1)


def test_cv_within_tissue_of_nothing():
    assert np.isnan(cv_within_tissue(np.zeros(500), np.ones(500))).all()
