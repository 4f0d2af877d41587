"""Evidence on a segmentation: features of volumes whose answer is known by hand."""

import numpy as np
import pytest
import torch

from babyseg_py.labels import LABELS
from babyseg_py.segmentation.evidence import FEATURES, NUMBERS, Passes, compare_passes, gather_evidence

SHAPE = (20, 12, 10)
LEFT, RIGHT = NUMBERS.index(17), NUMBERS.index(53)


def boxes(*, certainty: float = 0.9) -> torch.Tensor:
    """Return posteriors of two boxes, 17 and 53, of 4 × 6 × 5 voxels each, in background."""
    channel = torch.zeros(SHAPE, dtype=torch.int64)
    channel[4:8, 3:9, 2:7] = LABELS.index(17)
    channel[12:16, 3:9, 2:7] = LABELS.index(53)
    posteriors = torch.full((len(LABELS), *SHAPE), (1 - certainty) / (len(LABELS) - 1))
    return posteriors.scatter_(0, channel[None], certainty)


def evidence(
    posteriors: torch.Tensor,
    image: torch.Tensor,
    passes: Passes | None = None,
    left: dict[int, float] | None = None,
) -> dict:
    """Return the features by name, each (21,)."""
    passes = passes or compare_passes(zip(posteriors, posteriors, strict=True))
    table = gather_evidence(posteriors, passes, image[None], LABELS, left or {})
    return dict(zip(FEATURES, table.T, strict=True))


def image_of(posteriors: torch.Tensor, *, noise: float = 0.0) -> torch.Tensor:
    """Return an image of .2 outside the boxes, .6 in the left one and .8 in the right one."""
    grey = torch.full((len(LABELS),), 0.2)
    grey[LABELS.index(17)], grey[LABELS.index(53)] = 0.6, 0.8
    image = grey[posteriors.argmax(dim=0)]
    return image + noise * torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))


def test_passes_that_agree():
    passes = compare_passes(zip(boxes(), boxes(), strict=True))
    assert passes.dice == pytest.approx(1)
    assert passes.log_ratio == pytest.approx(0)


def test_passes_of_which_one_is_half_as_large():
    """Half of the probability of one structure is missing in the second pass."""
    whole = boxes(certainty=1.0)
    half = whole.clone()
    half[LABELS.index(17)] /= 2
    passes = compare_passes(zip(whole, half, strict=True))
    assert passes.dice[LABELS.index(17)] == pytest.approx(2 / 3)
    assert passes.log_ratio[LABELS.index(17)] == pytest.approx(np.log(2))
    assert passes.dice[LABELS.index(53)] == pytest.approx(1)


def test_expected_dice_of_known_posteriors():
    """120 voxels at .9, and the rest of the label's probability elsewhere: 2 · 108 / (120 + sum)."""
    posteriors = boxes()
    found = evidence(posteriors, image_of(posteriors))
    total = 120 * 0.9 + (np.prod(SHAPE) - 120) * 0.1 / 21
    expected = 2 * 108 / (120 + total)
    assert found["expected_dice"][LEFT] == pytest.approx(np.log(expected / (1 - expected)), rel=1e-4)


def test_a_structure_of_which_a_third_is_left():
    """If all that is left were right, its Dice with the whole one would be 2 · ⅓ / (1 + ⅓)."""
    posteriors = boxes(certainty=1.0)
    found = evidence(posteriors, image_of(posteriors), left={17: 1 / 3})
    assert found["expected_dice"][LEFT] == pytest.approx(0, abs=1e-6)
    assert found["expected_dice"][RIGHT] > 6


def test_shares_and_middles_of_two_equal_boxes():
    posteriors = boxes()
    found = evidence(posteriors, image_of(posteriors))
    assert found["share"][LEFT] == pytest.approx(np.log(0.5))
    assert found["asymmetry"][LEFT] == pytest.approx(0)
    assert found["size"][RIGHT] == pytest.approx(np.log(120))
    assert (found["right"][LEFT], found["right"][RIGHT]) == pytest.approx((-4 / 11, 4 / 11))
    assert (found["front"][LEFT], found["up"][LEFT]) == pytest.approx((0, 0), abs=1e-6)


def test_image_that_the_labels_explain():
    posteriors = boxes()
    sharp = evidence(posteriors, image_of(posteriors))
    noisy = evidence(posteriors, image_of(posteriors, noise=0.2))
    assert sharp["explained"][0] == pytest.approx(1, abs=1e-6)
    assert noisy["explained"][0] < 0.5
    assert noisy["noise"][0] > sharp["noise"][0]
    assert sharp["edge"][LEFT] == pytest.approx(np.log(0.401 / 0.001), rel=1e-3)
    assert noisy["edge"][LEFT] < sharp["edge"][LEFT]


def test_labels_beside_the_image_have_no_edge():
    posteriors = boxes()
    shifted = image_of(posteriors).roll(3, dims=1)
    assert (
        evidence(posteriors, shifted)["edge"][LEFT] < evidence(posteriors, image_of(posteriors))["edge"][LEFT]
    )


def test_order_of_scans_does_not_matter():
    posteriors = boxes()
    passes = compare_passes(zip(posteriors, posteriors, strict=True))
    images = torch.stack([image_of(posteriors, noise=noise) for noise in (0.0, 0.1, 0.03)])
    one, other = (gather_evidence(posteriors, passes, i, LABELS, {}) for i in (images, images.flip(0)))
    assert np.array_equal(one, other)


@pytest.mark.parametrize("channel", [0, LABELS.index(2)])
def test_evidence_is_finite_when_structures_are_missing(channel):
    """An empty brain, and one of a single structure."""
    posteriors = torch.zeros((len(LABELS), *SHAPE))
    posteriors[channel] = 1
    passes = compare_passes(zip(posteriors, posteriors, strict=True))
    assert np.isfinite(gather_evidence(posteriors, passes, torch.zeros((1, *SHAPE)), LABELS, {})).all()
