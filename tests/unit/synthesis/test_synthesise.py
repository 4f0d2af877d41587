"""Synthesis: what is drawn decides all, and labels and image stay together."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from babyseg_py.labels import LABELS, LEFT_RIGHT_PAIRS
from babyseg_py.synthesis.fields import upsample
from babyseg_py.synthesis.labelbank import load_bank, save_bank
from babyseg_py.synthesis.randomise import draw_params
from babyseg_py.synthesis.ranges import Ranges
from babyseg_py.synthesis.synthesise import apply, blur, convolve, normalise, thick_slices

GRID = (32, 40, 28)
RANGES = Ranges.from_dict({"grid": GRID, "brain_voxels": (18.0, 22.0)})


def draw(bank, seed=0, *, ranges=RANGES, hard=1.0):
    return draw_params(np.random.default_rng(seed), bank, ranges, hard=hard)


def still(params):
    """Take all motion out of the parameters."""
    zero = {"rotation_deg": [0.0] * 3, "shear": [0.0] * 3, "shift_voxels": [0.0] * 3, "stretch": [1.0] * 3}
    return {**params, "anatomy": {**params["anatomy"], **zero, "coarse_warp_mm": 0.0, "fine_warp_mm": 0.0}}


def test_parameters_survive_json_and_make_the_same_sample(bank) -> None:
    """A sample can be made again from its stored parameters."""
    for seed in range(4):
        params = draw(bank, seed)
        first, second = apply(bank, params), apply(bank, json.loads(json.dumps(params)))
        assert torch.equal(first.images, second.images)
        assert torch.equal(first.target, second.target)


def test_images_lie_between_zero_and_one_and_targets_are_channels(bank) -> None:
    """Every sample is finite, scaled and has the phantom's structures."""
    present = {LABELS.index(label) for label in (0, 2, 3, 4, 10, 41, 42, 43, 49)}
    for seed in range(12):
        sample = apply(bank, draw(bank, seed))
        assert sample.images.shape == (1, *GRID)
        assert torch.isfinite(sample.images).all()
        assert 0 <= sample.images.min() <= sample.images.max() <= 1
        assert set(sample.target.unique().tolist()) <= present


def test_two_scans_share_their_anatomy(bank) -> None:
    """Scans of one visit differ in contrast, the target is one."""
    sample = apply(bank, draw(bank, 5, ranges=replace(RANGES, two_scans=1.0)))
    assert sample.images.shape == (2, *GRID)
    assert not torch.allclose(sample.images[0], sample.images[1], atol=0.05)


def test_flip_mirrors_the_target_and_swaps_the_sides(bank) -> None:
    """Left stays left: the mirrored map has the mirrored labels."""
    params = still(draw(bank, 1))
    plain = apply(bank, {**params, "anatomy": {**params["anatomy"], "flip": False}}).target
    flipped = apply(bank, {**params, "anatomy": {**params["anatomy"], "flip": True}}).target
    swap = np.arange(len(LABELS))
    for left, right in LEFT_RIGHT_PAIRS:
        i, j = LABELS.index(left), LABELS.index(right)
        swap[[i, j]] = j, i
    assert torch.equal(torch.from_numpy(swap)[plain.flip(0).long()], flipped.long())


def test_left_lies_at_low_indices(bank) -> None:
    """The window runs from left to right along its first axis."""
    target = apply(bank, still(draw(bank, 2))).target
    left = (target == LABELS.index(2)).nonzero()[:, 0].float().mean()
    right = (target == LABELS.index(41)).nonzero()[:, 0].float().mean()
    assert left < right


def test_stripped_background_is_exactly_zero(bank) -> None:
    """Outside the brain and its rim a skull-stripped image is 0."""
    params = draw(bank, 3)
    around = {**params["surroundings"], "bare": True, "zero_background": True, "rim_mm": 0.0}
    sample = apply(bank, {**params, "surroundings": around})
    share = (sample.images[0][sample.target == 0] == 0).float().mean()
    assert share > 0.9


def test_head_has_signal_around_the_brain(bank) -> None:
    """With layers of a head the surroundings are not empty."""
    params = draw(bank, 3)
    around = {**params["surroundings"], "bare": False, "own_head": False}
    sample = apply(bank, {**params, "surroundings": around})
    assert (sample.images[0][sample.target == 0] > 0.05).float().mean() > 0.2


def test_brain_size_in_voxels_is_as_drawn(bank) -> None:
    """The drawn size is the cube root of the closed brain's volume in voxels."""
    params = still(draw(bank, 4))
    params["anatomy"]["brain_voxels"] = 20.0
    target = apply(bank, params).target
    assert np.cbrt(np.count_nonzero(target)) == pytest.approx(20.0, rel=0.05)


def test_clean_contrasts_keep_grey_and_white_apart(bank) -> None:
    """At the start of training every random contrast can be told apart."""
    for seed in range(40):
        scan = draw(bank, seed, ranges=replace(RANGES, realistic=0.0), hard=0.0)["scans"][0]
        white, cortex = scan["means"][2], scan["means"][4]
        assert abs(white - cortex) > 0.25
        assert scan["noise"] == scan["bias"] == 0


def test_bank_survives_its_file(bank, tmp_path) -> None:
    """A packed bank gives the same samples."""
    save_bank(bank, tmp_path / "bank.npz")
    again = load_bank(tmp_path / "bank.npz")
    params = draw(bank, 6)
    assert torch.equal(apply(bank, params).images, apply(again, params).images)
    assert [m.age_months for m in again.maps] == [m.age_months for m in bank.maps]


def test_polarised_images_have_bright_white_matter(bank) -> None:
    """With ``polarised`` white matter is brighter than cortex whatever the contrast; zeros stay zero."""
    ranges = replace(RANGES, polarised=True, realistic=0.0)
    for seed in range(8):
        sample = apply(bank, draw(bank, seed, ranges=ranges, hard=0.0))
        image, target = sample.images[0], sample.target
        white = torch.isin(target, torch.tensor([1, 11]))
        cortex = torch.isin(target, torch.tensor([2, 12]))
        assert image[white].mean() > image[cortex].mean()


def test_unknown_setting_is_an_error() -> None:
    """A misspelt range is not ignored."""
    with pytest.raises(ValueError, match="brane"):
        Ranges.from_dict({"brane": 1})


def test_blur_keeps_the_sum_and_thick_slices_the_mean() -> None:
    """A point spreads without loss; constant images stay constant."""
    image = torch.zeros(15, 17, 13)
    image[7, 8, 6] = 1
    assert blur(image, [1.0, 0.5, 1.5]).sum() == pytest.approx(1, abs=1e-3)
    inside = thick_slices(torch.ones(24, 24, 24), 2, 3.0)[6:-6, 6:-6, 6:-6]
    assert torch.allclose(inside, torch.ones_like(inside), atol=1e-4)


def test_normalise_ignores_the_background() -> None:
    """Zeros do not count for the quantiles and stay zero."""
    image = torch.zeros(20, 20, 20)
    image[5:15, 5:15, 5:15] = torch.linspace(100, 200, 1000).reshape(10, 10, 10)
    scaled = normalise(image)
    assert scaled[0, 0, 0] == 0
    assert scaled.max() == 1
    assert (scaled[5:15, 5:15, 5:15] == 0).float().mean() < 0.05


@pytest.mark.parametrize("points", [(2, 3, 5), (7, 8, 2)])
def test_smooth_fields_are_interpolated_as_torch_does(points: tuple[int, int, int]) -> None:
    """Axis by axis is the same as all at once, on any grid."""
    x = torch.randn(3, *points, generator=torch.Generator().manual_seed(1))
    grid = (24, 31, 1)
    expected = F.interpolate(x[None], size=grid, mode="trilinear", align_corners=True)[0]
    torch.testing.assert_close(upsample(x, grid), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("length", [1, 5, 15])
def test_blur_along_an_axis_is_a_convolution(axis: int, length: int) -> None:
    """Also where the kernel is longer than the image; outside it is zero."""
    generator = torch.Generator().manual_seed(2)
    image, kernel = torch.rand(9, 6, 12, generator=generator), torch.rand(length, generator=generator)
    shape = [1, 1, 1, 1, 1]
    shape[2 + axis] = length
    padding = [length // 2 if a == axis else 0 for a in range(3)]
    expected = F.conv3d(image[None, None], (kernel / kernel.sum()).reshape(shape), padding=padding)[0, 0]
    torch.testing.assert_close(convolve(image, kernel, axis), expected)
