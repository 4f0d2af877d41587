"""Windows and grids: what the network sees does not depend on how a file stores its axes."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume
from babyseg_py.images.geometry import reorient
from babyseg_py.labels import LABELS
from babyseg_py.models.groupnet import GroupNet, GroupNetConfig
from babyseg_py.models.weights import ModelInfo, Networks, Preprocessing
from babyseg_py.segmentation import first_look
from babyseg_py.segmentation.first_look import (
    CLEAR_GAP,
    GAP_WEIGHT,
    HARDLY_SURER,
    settle_polarity,
    white_over_grey,
)
from babyseg_py.segmentation.inference import (
    Segmenter,
    by_local_certainty,
    predict_images,
    sample_scan,
    sample_scans,
    scans_stored_alike,
    see_alone,
)
from babyseg_py.segmentation.posteriors import Posteriors, at_common_points
from babyseg_py.segmentation.sampling import probabilities_on_grid, sample_posteriors
from babyseg_py.segmentation.several import predict_several
from babyseg_py.segmentation.visit import on_own_grid, segment_visit
from babyseg_py.segmentation.window import (
    Box,
    Scan,
    Window,
    anatomical_axes,
    brain_box,
    head_box,
    window_around,
    window_at,
)

ORIENTATIONS = [
    "".join(p) for axes in itertools.permutations(("RL", "AP", "SI")) for p in itertools.product(*axes)
]


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    torch.manual_seed(0)
    config = GroupNetConfig(len(LABELS), (4, 8), (8, 8), (4,), norm=True, shared=True)
    info = ModelInfo(LABELS, config, Preprocessing(), {})
    networks = Networks(GroupNet(config).eval(), GroupNet(config).eval())
    return Segmenter(networks, info, torch.device("cpu"), "fp32")


def predict(segmenter: Segmenter, scans: list[Scan], window: Window, *, flip: bool = False) -> Posteriors:
    alike = scans_stored_alike(scans)
    images = sample_scans(segmenter, alike, window)
    between = sample_scans(segmenter, alike, window.between) if flip else None
    return predict_images(segmenter, images, between)[0]


@pytest.fixture
def blob(rng) -> Volume:
    return random_blob(rng)


def random_blob(rng) -> Volume:
    data = rng.random((22, 26, 19)).astype(np.float32) + 0.1
    affine = np.diag([2.0, 1.5, 2.5, 1.0])
    affine[:3, 3] = (-21, -19, -23)
    return Volume(data, affine)


WINDOW = Window((24, 24, 24), np.eye(3), 2.0, np.zeros(3))


@pytest.fixture(scope="module")
def upright(segmenter) -> tuple[Volume, Volume]:
    """Return an image and its labels as stored along the axes of the world."""
    blob = random_blob(np.random.default_rng(1))
    scan = Scan("T1w", blob, np.eye(4))
    return blob, on_own_grid(segmenter, predict(segmenter, [scan], WINDOW), WINDOW, scan).labels


@pytest.mark.parametrize("axcodes", ORIENTATIONS)
def test_all_48_orientations_give_the_same_labels_in_the_world(segmenter, upright, axcodes) -> None:
    """A re-oriented scan gets the re-oriented labels."""
    blob, expected = upright
    turned = Scan("T1w", reorient(blob, axcodes), np.eye(4))
    labels = on_own_grid(segmenter, predict(segmenter, [turned], WINDOW), WINDOW, turned).labels
    back = reorient(labels, blob.axcodes)
    assert np.allclose(back.affine, expected.affine)
    assert np.mean(back.data == expected.data) > 0.999


def test_matrix_places_a_scan_in_the_session(segmenter, blob) -> None:
    """A scan whose world is shifted gives the same labels through its matrix."""
    plain = Scan("T1w", blob, np.eye(4))
    shift = np.eye(4)
    shift[:3, 3] = (4, -6, 8)
    moved = Scan("T1w", Volume(blob.data, shift @ blob.affine), shift)
    a, b = predict(segmenter, [plain], WINDOW), predict(segmenter, [moved], WINDOW)
    assert torch.allclose(a.here, b.here, atol=1e-5)
    labels = on_own_grid(segmenter, a, WINDOW, plain).labels.data
    assert np.mean(labels == on_own_grid(segmenter, b, WINDOW, moved).labels.data) > 0.999


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


def test_mirrored_channels_swap_left_and_right(segmenter) -> None:
    """Left cortex and right cortex change places, the brain stem stays."""
    channels = segmenter.mirrored_channels
    assert LABELS[channels[LABELS.index(3)]] == 42
    assert LABELS[channels[LABELS.index(42)]] == 3
    assert LABELS[channels[LABELS.index(16)]] == 16


def half_spaces() -> torch.Tensor:
    """Return certain posteriors: channel 1 for x < 0, channel 2 for x > 0."""
    posteriors = torch.zeros(3, 24, 24, 24)
    posteriors[1, :12], posteriors[2, 12:] = 1, 1
    return posteriors


def boxed() -> torch.Tensor:
    """Return the same within a border of background."""
    posteriors = torch.zeros(3, 24, 24, 24)
    posteriors[0] = 1
    inner = (slice(None), slice(2, 22), slice(2, 22), slice(2, 22))
    posteriors[inner] = half_spaces()[inner]
    return posteriors


def test_posteriors_on_an_oblique_grid(oblique_affine) -> None:
    """Each voxel gets the label of the side of the world on which it lies."""
    affine = oblique_affine.copy()
    shape = (20, 18, 12)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    result = sample_posteriors(Posteriors(half_spaces()), WINDOW, (0, 2, 41), shape, affine)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    x = (index @ affine[:3, :3].T + affine[:3, 3])[..., 0]
    assert np.all(result.labels.data[x < -1] == 2)
    assert np.all(result.labels.data[x > 1] == 41)
    assert result.uncertainty.data[np.abs(x) > 2].max() < 1e-5


def test_volumes_do_not_depend_on_the_grid() -> None:
    """Posterior volumes agree between coarse and fine grids over the same space."""
    volumes = []
    for side in (1.0, 2.0):
        n = int(60 / side)
        affine = np.diag([side, side, side, 1.0])
        affine[:3, 3] = -side * (n - 1) / 2
        volumes.append(
            sample_posteriors(Posteriors(boxed()), WINDOW, (0, 2, 41), (n, n, n), affine).volumes_mm3
        )
    for label in (2, 41):
        assert volumes[0][label] == pytest.approx(volumes[1][label], rel=0.01)
        assert volumes[0][label] == pytest.approx(40**3 / 2, rel=0.01)


def test_outside_of_the_window_is_background() -> None:
    """A grid far away holds no label and no volume."""
    affine = np.eye(4)
    affine[:3, 3] = 500
    result = sample_posteriors(Posteriors(half_spaces()), WINDOW, (0, 2, 41), (5, 6, 7), affine)
    assert not result.labels.data.any()
    assert sum(result.volumes_mm3.values()) == 0
    p = probabilities_on_grid(Posteriors(half_spaces()), WINDOW, (5, 6, 7), affine)
    assert np.all(p[0] == 1)


def test_window_covers_the_box_with_a_margin() -> None:
    """The window holds the box, is centred on it, and its sides suit the network."""
    box = Box(np.eye(3), np.array([-50.0, -60, -40]), np.array([50.0, 70, 45]), 1.0)
    window = window_around(box, 1.5, 16)
    low = window.affine[:3, 3]
    high = low + 1.5 * (np.array(window.shape) - 1)
    assert np.all(low < box.low)
    assert np.all(high > box.high)
    assert np.allclose((low + high) / 2, (box.low + box.high) / 2)
    assert all(side % 16 == 0 for side in window.shape)


@pytest.mark.parametrize("reach", [(-0.4, 0.9), (0.2, 2.6), (3.3, 0.0), (30, 0), (0, 61)])
def test_voxels_are_laid_out_at_the_anchor(reach) -> None:
    """A box seen a little larger, as when a head lies otherwise, leaves what is pooled together as it is."""
    anchor = np.array([1.3, -7.7, 4.1])
    box = Box(np.eye(3), np.array([-50.0, -60, -40]) - reach[0], np.array([50.0, 70, 45]) + reach[1], 1.0)
    window = window_at(anchor, box, 1.5, 16)
    first = window.centre_mm - 1.5 * np.array(window.shape) / 2
    steps = (anchor - first) / (1.5 * 8)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)
    assert [round(step) % 2 for step in steps] == [0, 1, 1]
    assert all(side % 16 == 0 for side in window.shape)
    assert np.all(first <= box.low - 1.5)
    assert np.all(first + 1.5 * np.array(window.shape) >= box.high + 1.5)


def test_boxes_of_head_and_brain() -> None:
    """Boxes are in the world of the session."""
    data = np.zeros((40, 50, 45), dtype=np.float32)
    data[10:30, 15:40, 12:36] = 100
    affine = np.diag([-2.0, 2, 2, 1])
    affine[:3, 3] = (40, -50, -45)
    box = head_box([Scan("T1w", Volume(data, affine), np.eye(4))], anatomical_axes(affine))
    assert np.allclose(box.low, (40 - 58, -50 + 30, -45 + 24), atol=4)
    assert np.allclose(box.high, (40 - 20, -50 + 78, -45 + 70), atol=4)
    assert box.volume_mm3 == pytest.approx(20 * 25 * 24 * 8, rel=0.25)
    labels = np.zeros(WINDOW.shape, dtype=int)
    labels[4:8, 5, 6:9] = 3
    brain = brain_box(labels, WINDOW, WINDOW.axes)
    assert np.allclose([brain.low, brain.high], [[-16, -14, -12], [-8, -12, -6]])
    assert brain.volume_mm3 == 12 * 8


@pytest.mark.parametrize("axcodes", ["LIA", "PSR", "RAS", "ARS"])
def test_axes_follow_an_oblique_grid(oblique_affine, axcodes) -> None:
    """Whatever the order of a tilted grid's axes, the window runs right, anterior, superior along them."""
    volume = Volume(np.zeros((7, 8, 9)), oblique_affine)
    axes = anatomical_axes(reorient(volume, axcodes).affine)
    expected = oblique_affine[:3, :3] / volume.spacing_mm
    assert np.allclose(axes, expected)
    assert np.linalg.det(axes) == pytest.approx(1)
    window = window_around(Box(axes, np.full(3, -20.0), np.full(3, 20.0), 1.0), 2.0, 4)
    assert np.allclose(window.affine[:3, :3], expected * 2)


def test_scan_outside_the_window_is_refused(segmenter, blob) -> None:
    """A scan that shows nothing of the head is named."""
    far = np.eye(4)
    far[:3, 3] = 1000
    with pytest.raises(UnusableData, match="T2w: hardly any of it"):
        predict(segmenter, [Scan("T2w", blob, far)], WINDOW)


def test_inverted_scan_is_the_inverse_image(segmenter, blob) -> None:
    """An image turned bright to dark and marked as inverted reaches the network as the original does."""
    opposite = Scan("T1w", blob.with_data(blob.data.max() + 0.1 - blob.data), np.eye(4), inverted=True)
    a = sample_scan(Scan("T1w", blob, np.eye(4)), WINDOW, segmenter.info)
    b = sample_scan(opposite, WINDOW, segmenter.info)
    inner = (slice(6, 18),) * 3
    assert torch.allclose(a[inner], b[inner], atol=0.06)
    assert a[inner].std() > 0.05


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


@pytest.mark.parametrize("axcodes", ["LIA", "PSR", "ARI"])
def test_both_looks_are_the_same_bit_for_bit_in_any_order_of_axes(segmenter, oblique_affine, axcodes) -> None:
    """The windows of the two looks, and what the network makes of them, do not know how voxels are stored."""
    segmenter = replace(segmenter, info=replace(segmenter.info, preprocessing=Preprocessing(20, 24)))
    affine = oblique_affine.copy()
    affine[:3, :3] *= 2
    data = np.pad(np.random.default_rng(2).random((22, 26, 14)).astype(np.float32) + 0.2, 3)
    volume = Volume(data, affine)
    first, other = (segment_visit_of(segmenter, v) for v in (volume, reorient(volume, axcodes)))
    np.testing.assert_array_equal(first.window.affine, other.window.affine)
    assert torch.equal(first.posteriors.on_window, other.posteriors.on_window)
    back = reorient(other.together.labels, "".join(volume.axcodes))
    np.testing.assert_array_equal(back.data, first.together.labels.data)
    assert first.together.volumes_mm3 == other.together.volumes_mm3


def segment_visit_of(segmenter, volume: Volume):
    return segment_visit(segmenter, [Scan("T1w", volume, np.eye(4))], volume.shape, volume.affine)


def test_a_scan_given_twice_changes_nothing(segmenter, blob) -> None:
    """Together and by itself it is seen alike, so that however these are mixed the posteriors are its own."""
    scans = [Scan(name, blob, np.eye(4)) for name in ("T1w", "T1w-again")]
    alone = [see_alone(segmenter, scan, WINDOW) for scan in scans]
    one, none = predict_several(segmenter, scans[:1], WINDOW, alone[:1], flip=True)
    both, by_itself = predict_several(segmenter, scans, WINDOW, alone, flip=True)
    for look in ("here", "between"):
        expected = getattr(one.posteriors, look)
        torch.testing.assert_close(getattr(both.posteriors, look), expected, atol=1e-5, rtol=0)
        assert torch.equal(getattr(by_itself[1].posteriors, look), expected)
    np.testing.assert_allclose(both.passes.dice, one.passes.dice, atol=1e-4)
    assert both.images.shape == (2, *WINDOW.shape)
    assert none == ()


def test_a_sure_scan_outweighs_an_unsure_one_and_all_together(segmenter, blob) -> None:
    """Where the network is far surer of one scan than of another, or of both together, that one counts."""
    scans = [Scan(name, blob, np.eye(4)) for name in ("T1w", "T2w")]
    seen = see_alone(segmenter, scans[0], WINDOW)
    sure = torch.full_like(seen.posteriors, 0.0)
    sure[3] = 1.0
    unsure = torch.full_like(sure, 1 / len(sure))
    alone = [replace(seen, posteriors=posteriors) for posteriors in (unsure, sure)]
    mixed, _ = predict_several(segmenter, scans, WINDOW, alone, flip=False)
    torch.testing.assert_close(mixed.posteriors.here, sure, atol=1e-3, rtol=0)
