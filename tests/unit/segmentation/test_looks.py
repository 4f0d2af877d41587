"""Looks at the voxels and between them, both polarities of a scan, and several scans: what each counts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from random_network import WINDOW, predict

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume
from babyseg_py.segmentation import first_look
from babyseg_py.segmentation.first_look import (
    CLEAR_GAP,
    GAP_WEIGHT,
    HARDLY_SURER,
    find_brain,
    settle_polarity,
    white_over_grey,
)
from babyseg_py.segmentation.inference import by_local_certainty, see_alone
from babyseg_py.segmentation.posteriors import (
    Posteriors,
    at_common_points,
    packed,
    sharpened_,
    unpacked,
)
from babyseg_py.segmentation.sampling import probabilities_on_grid
from babyseg_py.segmentation.several import predict_several
from babyseg_py.segmentation.window import Scan


def test_the_second_look_is_at_the_mirror_image_between_the_voxels(segmenter, blob) -> None:
    """It is what the mirror image of a scan gives half a voxel on, with the sides swapped."""
    data = np.zeros((24, 24, 24), dtype=np.float32)
    data[1:23, :, 2:21] = blob.data[:, :24]
    scan, mirrored = (Scan("T1w", Volume(d, WINDOW.affine), np.eye(4)) for d in (data, data[::-1].copy()))
    both = predict(segmenter, [scan], WINDOW, flip=True)
    moved = replace(WINDOW, centre_mm=np.array([-1.0, 1.0, 1.0]))
    other = predict(segmenter, [mirrored], moved).here
    assert torch.allclose(both.between, other[segmenter.mirrored_channels].flip(1), atol=1e-5)
    assert torch.equal(both.here, predict(segmenter, [scan], WINDOW).here)


def test_two_looks_are_averaged_where_they_lie() -> None:
    """A ramp seen at the voxels and between them is the same ramp on the window and on a finer grid."""
    index = torch.arange(24.0)
    ramp = (index[:, None, None] + 2 * index[:, None] + 3 * index + 1) / 200
    here, between = (torch.stack([1 - x, x]) for x in (ramp, ramp + 6 * 0.5 / 200))
    both = Posteriors(here, between)
    inside = (slice(None), *(slice(1, 24),) * 3)
    assert torch.allclose(both.on_window[inside], here[inside], atol=1e-6)
    for one, other in at_common_points(here, between):
        assert torch.allclose(one, other, atol=1e-6)
    assert torch.allclose(one, here[1, 1:-1, 1:-1, 1:-1] + 6 * 0.25 / 200, atol=1e-6)
    affine = np.diag([0.7, 0.7, 0.7, 1.0])
    affine[:3, 3] = (-9.3, -6.1, -7.7)
    found, expected = (
        probabilities_on_grid(one, WINDOW, (21, 17, 19), affine) for one in (both, Posteriors(here))
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_sharpening_keeps_the_labels_and_adds_up_to_one() -> None:
    """Odds of two labels are raised to the power of 1.5; what is certain, or as likely as the rest, stays."""
    two = sharpened_(torch.tensor([0.8, 0.2, 0.0, 0.0]).reshape(4, 1, 1, 1)).flatten()
    assert float(two[0] / two[1]) == pytest.approx(4**1.5, rel=1e-6)
    assert two[2:].tolist() == [0, 0]
    for kept in ([1.0, 0.0], [0.25] * 4):
        assert sharpened_(torch.tensor(kept).reshape(-1, 1, 1, 1)).flatten().tolist() == pytest.approx(kept)
    given = torch.rand((5, 6, 7, 8), generator=torch.Generator().manual_seed(1)).softmax(dim=0)
    sharp = sharpened_(given.clone())
    assert torch.equal(sharp.argmax(dim=0), given.argmax(dim=0))
    assert torch.allclose(sharp.sum(dim=0), torch.ones(6, 7, 8), atol=1e-6)
    assert bool((sharp.max(dim=0).values >= given.max(dim=0).values - 1e-7).all())


LABELS_SEEN = np.repeat([2, 3, 10, 41, 42, 49], 50)


def levels(white: float, cortex: float, deep: float) -> np.ndarray:
    """Image in which white matter, cortex and thalamus have these intensities."""
    return np.repeat([white, cortex, deep] * 2, 50)


def test_white_matter_is_compared_with_cortex_and_deep_grey() -> None:
    """Fluid in a fifth of the cortex does not matter; what is not there is not compared."""
    image = levels(0.4, 0.7, 0.8)
    assert white_over_grey(image, LABELS_SEEN) == pytest.approx([-0.3, -0.4])
    assert white_over_grey(1 - image, LABELS_SEEN) == pytest.approx([0.3, 0.4])
    fluid = image.copy()
    fluid[50:70] = 0.1
    assert white_over_grey(fluid, LABELS_SEEN) == pytest.approx([-0.3, -0.4])
    assert white_over_grey(image[:100], LABELS_SEEN[:100]) == pytest.approx([-0.3])
    assert white_over_grey(image, np.full(300, 3)) == []


def test_a_clear_polarity_needs_no_second_opinion(segmenter, blob) -> None:
    """White matter far from both is told by its medians alone, and nothing is segmented for it."""
    scan = Scan("T1w", blob, np.eye(4))
    for image, darker in ((levels(0.4, 0.7, 0.6), True), (levels(0.9, 0.7, 0.6), False)):
        assert settle_polarity(segmenter, scan, image, LABELS_SEEN, WINDOW) == (darker, None)


@pytest.mark.parametrize(
    "image",
    [
        levels(0.55, 0.5, 0.7),
        levels(0.5, 0.5 + CLEAR_GAP - 0.01, 0.8),
        levels(0.7, 0.7 - CLEAR_GAP + 0.01, 0.2),
    ],
    ids=["between", "hardly darker", "hardly brighter"],
)
def test_an_open_polarity_is_settled_by_certainty_and_what_was_seen_is_kept(segmenter, blob, image) -> None:
    """Kept is what the scan alone gives, bit for bit, both ways where the network is hardly surer of one."""
    scan = Scan("T1w", blob, np.eye(4))
    ways = {way: see_alone(segmenter, replace(scan, inverted=way), WINDOW) for way in (False, True)}
    gap = white_over_grey(image, LABELS_SEEN)[0]
    surer_turned = ways[True].certainty - ways[False].certainty - GAP_WEIGHT * gap
    surer = surer_turned > 0
    inverted, alone = settle_polarity(segmenter, scan, image, LABELS_SEEN, WINDOW)
    assert inverted == surer
    assert torch.equal(alone.posteriors, ways[surer].posteriors)
    assert torch.equal(alone.images, ways[surer].images)
    if abs(surer_turned) < HARDLY_SURER:
        assert torch.equal(alone.other.posteriors, ways[not surer].posteriors)
    else:
        assert alone.other is None


def test_a_way_that_is_much_surer_is_taken_alone(segmenter, blob, monkeypatch) -> None:
    """Where the network is far surer of one way the other one is not mixed in."""
    monkeypatch.setattr(first_look, "HARDLY_SURER", 0.0)
    scan = Scan("T1w", blob, np.eye(4))
    _, alone = settle_polarity(segmenter, scan, levels(0.55, 0.5, 0.7), LABELS_SEEN, WINDOW)
    assert alone.other is None


def test_every_place_follows_the_way_that_is_surer_there() -> None:
    """Left one way, right the other; probabilities still sum to one, and equal certainty shares evenly."""
    sure, unsure = torch.tensor([0.1, 0.9]), torch.tensor([0.4, 0.6])
    one, other = torch.zeros(2, 40, 8, 8), torch.zeros(2, 40, 8, 8)
    one[:, :20], one[:, 20:] = sure[:, None, None, None], unsure[:, None, None, None]
    other[:, :20], other[:, 20:] = unsure.flip(0)[:, None, None, None], sure.flip(0)[:, None, None, None]
    mixed = by_local_certainty([Posteriors(one), Posteriors(other)]).here
    assert torch.allclose(mixed.sum(dim=0), torch.ones(40, 8, 8))
    assert torch.allclose(mixed[:, 0, 4, 4], sure, atol=1e-4)
    assert torch.allclose(mixed[:, -1, 4, 4], sure.flip(0), atol=1e-4)
    even = by_local_certainty([Posteriors(one, one), Posteriors(one.flip(0), one.flip(0))])
    assert torch.allclose(torch.stack([even.here, even.between]), torch.full((2, 2, 40, 8, 8), 0.5))
    three = by_local_certainty([Posteriors(x) for x in (other, torch.full_like(one, 0.5), one)])
    assert torch.allclose(three.here, mixed, atol=1e-3)
    assert three.between is None


def test_packed_probabilities_come_back() -> None:
    """Within half a step of 1/65535, and 0 and 1 exactly."""
    probabilities = torch.linspace(0, 1, 100_001)
    steps = packed(probabilities)
    assert steps.element_size() == 2
    torch.testing.assert_close(unpacked(steps), probabilities, atol=0.51 / 65535, rtol=0)
    assert torch.equal(unpacked(packed(torch.tensor([0.0, 1.0]))), torch.tensor([0.0, 1.0]))


def test_a_scan_given_twice_changes_nothing(segmenter, blob) -> None:
    """Together and by itself it is seen alike, so that however these are mixed the posteriors are its own."""
    scans = [Scan(name, blob, np.eye(4)) for name in ("T1w", "T1w-again")]
    alone = [see_alone(segmenter, scan, WINDOW) for scan in scans]
    one, none = predict_several(segmenter, scans[:1], WINDOW, alone[:1], flip=True)
    both, by_itself = predict_several(segmenter, scans, WINDOW, alone, flip=True)
    assert not alone
    for look in ("here", "between"):
        expected = getattr(one.posteriors, look)
        torch.testing.assert_close(getattr(both.posteriors, look), expected, atol=1e-5, rtol=0)
        assert torch.equal(getattr(by_itself[1].posteriors, look), packed(expected))
    np.testing.assert_allclose(both.passes.dice, one.passes.dice, atol=1e-4)
    assert both.images.shape == (2, *WINDOW.shape)
    assert none == ()


def test_a_sure_scan_outweighs_an_unsure_one_and_all_together(segmenter, blob) -> None:
    """Where the network is far surer of one scan than of another, or of both together, that one counts."""
    scans = [Scan(name, blob, np.eye(4)) for name in ("T1w", "T2w")]
    seen = see_alone(segmenter, scans[0], WINDOW)
    sure = torch.zeros(seen.posteriors.shape)
    sure[3] = 1.0
    unsure = torch.full_like(sure, 1 / len(sure))
    alone = [replace(seen, posteriors=packed(posteriors)) for posteriors in (unsure, sure)]
    mixed, _ = predict_several(segmenter, scans, WINDOW, alone, flip=False)
    torch.testing.assert_close(mixed.posteriors.here, sure, atol=1e-3, rtol=0)


def test_voxels_ten_times_too_large_are_refused_before_memory_is_asked_for(segmenter, blob) -> None:
    """Centimetres taken for millimetres make a window of a thousand times as many voxels."""
    large = Volume(blob.data, blob.affine @ np.diag([10.0, 10.0, 10.0, 1.0]))
    with pytest.raises(UnusableData, match="litres, which is no head; check the voxel size"):
        find_brain(segmenter, [Scan("T1w", large, np.eye(4))], large.affine)
