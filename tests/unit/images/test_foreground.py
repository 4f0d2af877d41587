"""Where the head or the brain is."""

import numpy as np
import pytest

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume
from babyseg_py.images.background import exact_background, with_zero_background
from babyseg_py.images.foreground import foreground_mask, shrink, shrink_factors
from babyseg_py.images.geometry import reorient


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.fixture
def ball() -> np.ndarray:
    """Return a ball of 30 mm radius, off centre, in a grid of 2 mm."""
    x, y, z = np.ogrid[:44, :46, :48]
    return (x - 20) ** 2 + (y - 24) ** 2 + (z - 22) ** 2 < 15**2


AFFINE = np.diag([2.0, 2, 2, 1])


@pytest.mark.parametrize("background", [0, -1000, 37])
def test_masked_brain_is_everything_that_is_not_background(ball, rng, background):
    data = np.where(ball, rng.uniform(50, 100, ball.shape), background)
    assert dice(foreground_mask(Volume(data, AFFINE)), ball) > 0.99


def test_dark_fluid_of_a_masked_brain_belongs_to_it(ball, rng):
    data = np.where(ball, 100.0, 0)
    data[20:26, 20:28] = np.where(ball, 2.0, 0)[20:26, 20:28]
    assert dice(foreground_mask(Volume(data, AFFINE)), ball) > 0.99


@pytest.mark.parametrize("noise", [2, 8, 15])
def test_head_in_noise(ball, rng, noise):
    data = np.hypot(ball * 100 + rng.normal(0, noise, ball.shape), rng.normal(0, noise, ball.shape))
    assert dice(foreground_mask(Volume(data, AFFINE)), ball) > 0.97


def test_head_in_noise_with_corners_filled_by_resampling(ball, rng):
    data = np.hypot(ball * 100 + rng.normal(0, 5, ball.shape), rng.normal(0, 5, ball.shape))
    x, y, z = np.ogrid[:44, :46, :48]
    data[(x - 22) ** 2 + (y - 23) ** 2 + (z - 24) ** 2 > 22**2] = 0
    assert exact_background(data) == 0
    assert dice(foreground_mask(Volume(data, AFFINE)), ball) > 0.97


def test_cavities_are_filled_and_specks_dropped(ball, rng):
    data = np.where(ball, 100.0, 0)
    data[18:22, 22:26, 20:24] = 0
    data[40:42, 2:4, 2:4] = 100
    mask = foreground_mask(Volume(data, AFFINE))
    assert dice(mask, ball) > 0.99
    assert not mask[40:42, 2:4, 2:4].any()


def test_field_of_factor_four(ball, rng):
    field = np.linspace(0.5, 2, ball.shape[0])[:, None, None]
    data = np.hypot(ball * 100 * field + rng.normal(0, 3, ball.shape), rng.normal(0, 3, ball.shape))
    assert dice(foreground_mask(Volume(data, AFFINE)), ball) > 0.96


@pytest.mark.parametrize("outside", [0.0, -10.0])
def test_a_brain_that_was_brought_to_mean_zero_is_brighter_than_its_background(ball, rng, outside):
    """Inside, the values keep their differences; outside they are 0, below all of these."""
    inside = rng.normal(0, 1, ball.shape).astype(np.float32)
    found = with_zero_background(np.where(ball, inside, np.float32(outside)))
    assert np.all(found[~ball] == 0)
    assert np.count_nonzero(found[ball] <= 0) <= 1
    np.testing.assert_allclose(found[ball] - found[ball].min(), inside[ball] - inside[ball].min(), atol=1e-5)


def test_a_few_negative_values_of_interpolation_move_nothing(ball, rng):
    data = np.where(ball, rng.uniform(50, 100, ball.shape), 0).astype(np.float32)
    data[ball & (rng.uniform(size=ball.shape) < 0.1)] = -3
    assert with_zero_background(data) is data


def test_nan_background(ball, rng):
    data = np.where(ball, rng.uniform(50, 100, ball.shape), np.nan)
    assert dice(foreground_mask(Volume(data, AFFINE)), ball) > 0.99


def test_thick_slices(ball, rng):
    data = np.where(ball, rng.uniform(50, 100, ball.shape), 0)[:, :, ::4]
    mask = foreground_mask(Volume(data, np.diag([2.0, 2, 8, 1])))
    assert dice(mask, ball[:, :, ::4]) > 0.97


def test_head_cut_by_the_field_of_view_reaches_its_edge(ball, rng):
    data = np.where(ball, rng.uniform(50, 100, ball.shape), 0)[20:]
    assert foreground_mask(Volume(data, AFFINE))[0].sum() > 0.95 * ball[20].sum()


def test_orientation_plays_no_part(head):
    volume, _ = head
    mask = volume.with_data(foreground_mask(volume))
    turned = foreground_mask(reorient(volume, "PIR"))
    assert dice(reorient(mask, "PIR").data, turned) > 0.99


def test_head_of_the_phantom(head):
    volume, _ = head
    volume_cm3 = foreground_mask(volume).sum() * volume.voxel_volume_mm3 / 1000
    assert volume_cm3 == pytest.approx(4 / 3 * np.pi * 4.1 * 5.3 * 4.4, rel=0.08)


@pytest.mark.parametrize("kind", ["noise", "constant", "speck", "nan"])
def test_nothing_stands_out(rng, kind):
    data = np.zeros((20, 22, 24))
    if kind == "speck":
        data[9:11, 9:11, 9:11] = 7
    elif kind == "nan":
        data[:] = np.nan
    elif kind == "noise":
        data = np.where(rng.random(data.shape) < 0.001, 100.0, 0)
    with pytest.raises(UnusableData, match=r"scan\.nii: no head or brain"):
        foreground_mask(Volume(data, np.eye(4)), name="scan.nii")


def test_shrink_averages_and_places_blocks(oblique_affine):
    data = np.arange(7 * 4 * 2, dtype=np.float32).reshape(7, 4, 2)
    small = shrink(Volume(data, oblique_affine), (3, 2, 1))
    assert small.shape == (3, 2, 2)
    assert small.data[0, 1, 1] == data[:3, 2:4, 1].mean()
    assert small.data[2, 0, 0] == data[6:, :2, 0].mean()
    centre = oblique_affine @ (1, 2.5, 1, 1)
    assert np.allclose(small.affine @ (0, 1, 1, 1), centre)


def test_shrink_factors_leave_thick_axes_alone():
    assert shrink_factors(np.array([0.3, 1.0, 6.0]), 2.0) == (7, 2, 1)
