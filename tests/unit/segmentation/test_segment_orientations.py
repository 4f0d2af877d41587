"""Windows and grids: what the network sees does not depend on how a file stores its axes."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from random_network import WINDOW, predict, random_blob

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume
from babyseg_py.images.geometry import reorient
from babyseg_py.labels import LABELS
from babyseg_py.models.weights import Preprocessing
from babyseg_py.segmentation.inference import (
    sample_scan,
)
from babyseg_py.segmentation.posteriors import Posteriors
from babyseg_py.segmentation.sampling import probabilities_on_grid, sample_posteriors
from babyseg_py.segmentation.visit import on_own_grid, segment_visit
from babyseg_py.segmentation.window import (
    HALVES,
    Box,
    Scan,
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
    assert tuple(round(step) % 2 for step in steps) == HALVES
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
    a = sample_scan(Scan("T1w", blob, np.eye(4)), [WINDOW], segmenter.info)[0]
    b = sample_scan(opposite, [WINDOW], segmenter.info)[0]
    inner = (slice(6, 18),) * 3
    assert torch.allclose(a[inner], b[inner], atol=0.06)
    assert a[inner].std() > 0.05


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
