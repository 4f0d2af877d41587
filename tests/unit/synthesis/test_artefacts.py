"""Artefacts and the other effects that a recipe may switch on: known answers, and what must not change."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from babyseg_py.labels import LABELS
from babyseg_py.synthesis import artefacts
from babyseg_py.synthesis.contrast import merge_alike
from babyseg_py.synthesis.randomise import draw_params
from babyseg_py.synthesis.ranges import Ranges
from babyseg_py.synthesis.synthesise import apply, slice_profile, thick_slices

SMALL = Ranges.from_dict({"grid": (32, 40, 28), "brain_voxels": (18.0, 22.0)})
EFFECTS = ("lesions", "shared", "merged", "split", "box_profile", "gibbs", "spikes", "lines", "dropout")
EVERYTHING = replace(SMALL, **dict.fromkeys((*EFFECTS, "crop", "masked"), 1.0))


def draw(bank, ranges, seed=0, hard=1.0):
    return draw_params(np.random.default_rng(seed), bank, ranges, hard=hard)


def test_gibbs_ringing_rings_at_an_edge_and_keeps_the_mean() -> None:
    """A step overshoots by about 9 % on both sides; all frequencies kept change nothing."""
    step = torch.zeros(64, 3, 2)
    step[16:48] = 1
    ringing = artefacts.gibbs_ringing(step, axis=0, kept=0.5)
    assert ringing.mean() == pytest.approx(0.5, abs=1e-6)
    assert ringing.max() == pytest.approx(1.09, abs=0.04)
    assert ringing.min() == pytest.approx(-0.09, abs=0.04)
    assert torch.allclose(artefacts.gibbs_ringing(step, axis=0, kept=1.0), step, atol=1e-6)


def test_spike_is_one_point_of_k_space() -> None:
    """Nothing but one frequency and its mirror image is added, with half the amplitude each."""
    wave = artefacts.spike(torch.zeros(8, 10, 12), waves=[2.0, -3.0, 1.0], phase=0.4, size=0.2)
    spectrum = torch.fft.fftn(wave).abs() / wave.numel()
    assert spectrum[2, -3, 1] == pytest.approx(0.1, abs=1e-5)
    assert spectrum[-2, 3, -1] == pytest.approx(0.1, abs=1e-5)
    assert spectrum.sum() == pytest.approx(0.2, abs=1e-4)


def test_lines_change_planes_of_one_axis_alone() -> None:
    """First and last plane of the second axis get their factors."""
    image = torch.ones(3, 5, 4)
    changed = artefacts.changed_lines(image, axis=1, places=[0.0, 0.99999], factors=[0.5, 1.5])
    assert changed[0, :, 0].tolist() == [0.5, 1, 1, 1.5, 1]
    whole = artefacts.changed_lines(image, axis=1, places=[1.0], factors=[0.0])
    assert whole[2, :, 3].tolist() == [1, 1, 1, 1, 0]


def test_dropout_is_deepest_at_its_place() -> None:
    """All is lost at the centre, exp(-1/2) of it one sigma away, hardly any far off."""
    image = artefacts.signal_dropout(torch.ones(21, 11, 11), centre=[0.0, 0.5, 0.5], voxels=3, depth=1.0)
    assert image[0, 5, 5] == 0
    assert image[3, 5, 5] == pytest.approx(1 - np.exp(-0.5), abs=1e-6)
    assert image[20, 5, 5] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("edge", [0.0, 0.05, 0.2])
def test_slice_profile_has_its_thickness_at_half_maximum(edge) -> None:
    """Eight voxels thick: half as sensitive four voxels from the middle, a box flat in between."""
    profile = slice_profile(8.0, edge, torch.device("cpu"))
    middle = len(profile) // 2
    assert torch.allclose(profile, profile.flip(0), atol=1e-6)
    assert profile[middle + 4] / profile[middle] == pytest.approx(0.5, abs=0.03)
    if edge == 0.05:
        assert profile[middle + 3] / profile[middle] > 0.95
        assert profile[middle + 5] / profile[middle] < 0.05
    inside = thick_slices(torch.ones(40, 24, 24), 0, 3.0, edge)[8:-8]
    assert torch.allclose(inside, torch.ones_like(inside), atol=1e-4)


def test_merged_tissues_share_one_mean() -> None:
    """Priors of .30 and .35 are one class, .60 another; air stays by itself."""
    means = np.array([0.0, 0.2, 0.4, 0.7, 0.1])
    merged = merge_alike(means, np.array([0.0, 0.30, 0.35, 0.60, 0.02]))
    assert merged.tolist() == pytest.approx([0.0, 0.3, 0.3, 0.7, 0.1])


def test_everything_at_once_can_be_made_again(bank) -> None:
    """All effects together: finite, scaled, and the same from JSON."""
    for seed in range(3):
        params = draw(bank, replace(EVERYTHING, two_scans=1.0, most_scans=4), seed)
        first, second = apply(bank, params), apply(bank, json.loads(json.dumps(params)))
        assert 2 <= len(first.images) <= 4
        assert torch.isfinite(first.images).all()
        assert 0 <= first.images.min() <= first.images.max() <= 1
        assert torch.equal(first.images, second.images)
        assert torch.equal(first.target, second.target)


def test_an_effect_changes_no_other_draw(bank) -> None:
    """Seeds keep their anatomy, contrast and noise when further effects are switched on."""
    plain, more = draw(bank, SMALL, 3), draw(bank, replace(EVERYTHING, merged=0.0, shared=0.0), 3)
    assert plain["anatomy"] == more["anatomy"]
    assert plain["surroundings"] == more["surroundings"]
    same = ("means", "noise", "bias", "thick_axis", "ghost", "gamma", "seed")
    assert {k: plain["scans"][0][k] for k in same} == {k: more["scans"][0][k] for k in same}
    assert [a["kind"] for a in more["scans"][0]["artefacts"]] == ["gibbs", "spikes", "lines", "dropout"]
    assert plain["scans"][0]["artefacts"] == []


def test_clean_samples_have_no_artefacts(bank) -> None:
    """At the start of training nothing of it happens."""
    params = draw(bank, EVERYTHING, hard=0.0)
    scan = params["scans"][0]
    assert (params["lesions"], scan["artefacts"], scan["crop"], scan["masked"]) == (None, [], 0.0, False)


def test_lesions_lie_in_white_matter_and_keep_its_label(bank) -> None:
    """A share of the white matter gets another intensity; the target is the same."""
    params = draw(bank, replace(SMALL, lesions=1.0, lesion_share=(0.1, 0.1)), 2, hard=1.0)
    params["scans"][0] |= {"noise": 0.0, "bias": 0.0, "ghost": 0.0, "thick_axis": -1, "gamma": 1.0}
    params["scans"][0] |= {"blur_voxels": [1e-3] * 3, "lesion_mean": 3.0}
    with_lesions, without = apply(bank, params), apply(bank, {**params, "lesions": None})
    assert torch.equal(with_lesions.target, without.target)
    white = torch.isin(without.target, torch.tensor([LABELS.index(2), LABELS.index(41)]))
    brightest = with_lesions.images[0] > 0.9
    assert brightest[white].float().mean() == pytest.approx(0.1, abs=0.02)
    assert not brightest[~white].any()


def test_what_no_scan_reaches_has_no_label(bank) -> None:
    """Cropped planes are empty in the image, and background in the target unless another scan has them."""
    params = draw(bank, replace(SMALL, two_scans=1.0), 4)
    params["scans"][0] |= {"crop": 0.5, "crop_axis": 1, "crop_end": False}
    both = apply(bank, params)
    assert not both.images[0][:, :20].any()
    assert both.target[:, :20].any()
    alone = apply(bank, {**params, "scans": params["scans"][:1]})
    assert not alone.target[:, :20].any()
    assert torch.equal(alone.target[:, 20:], both.target[:, 20:])


def test_masked_scan_has_no_head(bank) -> None:
    """One scan of a visit within a head is skull-stripped, the other is not."""
    params = draw(bank, replace(SMALL, two_scans=1.0, bare_brain=0.0, own_head=0.0), 5)
    params["scans"][0]["masked"] = True
    sample = apply(bank, params)
    shares = [(image[sample.target == 0] > 0).float().mean() for image in sample.images]
    assert shares[0] < 0.5 * shares[1]


@pytest.mark.parametrize(
    "wrong", [{"gibbs": "often"}, {"crop_share": 0.2}, {"grid": [8, 8]}, {"polarised": 1}]
)
def test_a_range_of_another_kind_is_an_error(wrong) -> None:
    """A number for a pair, two sides for three, a word for a number."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Ranges.from_dict(wrong)
