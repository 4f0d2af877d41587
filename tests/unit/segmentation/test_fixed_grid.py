"""The recipe of the published network: its grid, what the network sees on it, and the way back."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch
from nibabel.processing import resample_from_to
from scipy.ndimage import gaussian_filter

from babyseg_py.cli import main
from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume, load_image, load_labels, save_image
from babyseg_py.images.geometry import reorient, resample
from babyseg_py.labels import LABELS
from babyseg_py.models.groupnet import GroupNet, GroupNetConfig
from babyseg_py.models.weights import FixedGrid, ModelInfo, Networks, save_weights
from babyseg_py.segmentation.fixed_grid import sample_on, window_of
from babyseg_py.segmentation.inference import load_segmenter
from babyseg_py.segmentation.visit import segment_scan, segment_visit
from babyseg_py.segmentation.window import Scan

TINY = FixedGrid(voxel_mm=2.0, multiple=8, smallest=16, largest=40)


@pytest.fixture
def head(rng) -> Volume:
    """Return an asymmetric head of 44 x 54 x 50 mm, oblique and anisotropic, in a field of zeros."""
    data = np.zeros((36, 44, 28), dtype=np.float32)
    data[7:29, 8:35, 3:23] = 50 + np.abs(gaussian_filter(rng.normal(0, 300, (22, 27, 20)), 1.5))
    data[7:12, 8:15, 3:8] += 60
    turn = nib.eulerangles.euler2mat(0.2, -0.1, 0.15)
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([2.0, 2.0, 2.5])
    affine[:3, 3] = -affine[:3, :3] @ (18, 22, 14)
    return Volume(data, affine)


def alone(volume: Volume) -> Scan:
    return Scan("T1w", volume, np.eye(4))


@pytest.fixture
def weights(tmp_path):
    """Return a weights file of a narrow network whose recipe asks for a tiny grid."""
    torch.manual_seed(4)
    config = GroupNetConfig(len(LABELS), (1, 4), (4, 4))
    net = GroupNet(config)
    for parameter in net.parameters():
        parameter.data *= 3
    path = tmp_path / "narrow.safetensors"
    save_weights(Networks(net), ModelInfo(LABELS, config, TINY, {}), path, dtype=torch.float32)
    return path


@pytest.mark.parametrize(
    ("filled", "sides"),
    [((60, 60, 60), (128, 128, 128)), ((100, 130, 90), (192, 192, 192)), ((200, 224, 10), (320, 320, 128))],
)
def test_sides_are_multiples_of_64_from_128_to_320(filled, sides) -> None:
    """Content of so many mm gives so many voxels of 0.7 mm, by the published rule."""
    data = np.zeros((230, 230, 230), dtype=np.float32)
    data[tuple(slice(3, 3 + n) for n in filled)] = 1
    window, notes = window_of(alone(Volume(data, np.diag([-1.0, -1.0, 1.0, 1.0]))), FixedGrid())
    assert sorted(window.shape) == sorted(sides)
    assert window.voxel_mm == 0.7
    assert "".join(nib.aff2axcodes(window.affine)) == "LIA"
    assert not notes


@pytest.mark.parametrize("axcodes", ["LIA", "RAS", "PSR", "AIL"])
def test_window_sees_the_same_whatever_the_order_of_axes(head, axcodes) -> None:
    window, _ = window_of(alone(head), TINY)
    turned = alone(reorient(head, axcodes))
    other, _ = window_of(turned, TINY)
    assert other.shape == window.shape
    np.testing.assert_allclose(other.affine, window.affine, atol=1e-6)
    expected = sample_on(window, alone(head), TINY)
    np.testing.assert_allclose(sample_on(other, turned, TINY), expected, atol=1e-4)


def test_images_are_those_of_the_published_steps(head) -> None:
    """Crop to non-zero, linear interpolation by another library, scaled between quantiles of all voxels."""
    window, _ = window_of(alone(head), TINY)
    image = nib.Nifti1Image(head.data, head.affine)
    sampled = resample_from_to(
        image, (window.shape, window.affine), order=1, mode="grid-constant"
    ).get_fdata()
    low, high = np.quantile(sampled, (0.01, 0.99))
    expected = (sampled.clip(low, high) - low) / (high - low)
    np.testing.assert_allclose(sample_on(window, alone(head), TINY), expected, atol=1e-4)


def test_posteriors_are_sampled_back_and_nothing_else_is_done(head, weights, tmp_path) -> None:
    """Labels are the argmax of the network's own posteriors, brought back by another library."""
    save_image(head, tmp_path / "t1.nii.gz")
    words = [
        "segment",
        str(tmp_path / "t1.nii.gz"),
        "-o",
        str(tmp_path / "dseg.nii.gz"),
        "--weights",
        str(weights),
    ]
    assert main([*words, "--precision", "fp32", "--threads", "1"]) == 0
    found = load_labels(tmp_path / "dseg.nii.gz")
    assert found.shape == head.shape
    np.testing.assert_allclose(found.affine, head.affine, atol=1e-5)

    window, _ = window_of(alone(load_image(tmp_path / "t1.nii.gz")), TINY)
    network = load_segmenter(weights, device="cpu", precision="fp32").networks.segment
    with torch.inference_mode():
        posteriors = network(sample_on(window, alone(head), TINY)[None, None])[0].softmax(dim=0).numpy()
    back = [
        resample_from_to(
            nib.Nifti1Image(p, window.affine), (head.shape, head.affine), order=1, mode="grid-constant"
        ).get_fdata()
        for p in posteriors
    ]
    expected = np.array(LABELS)[np.argmax(back, axis=0)]
    assert len(np.unique(expected)) > 3
    inside = head.data != 0
    assert np.mean((expected == found.data)[inside]) > 0.999


def test_first_scan_leads(head, weights) -> None:
    """The grid follows the scan whose world is the session's; the order of the others does not matter."""
    segmenter = load_segmenter(weights, device="cpu", precision="fp32")
    shift = np.eye(4)
    shift[:3, 3] = (3, -2, 5)
    inverted = Volume((200 - head.data) * (head.data > 0), shift @ head.affine)
    scans = [alone(head), Scan("T2w", inverted, shift), Scan("FLAIR", inverted, shift)]
    one, other = (
        segment_visit(segmenter, order, head.shape, head.affine)
        for order in (scans, [scans[i] for i in (2, 0, 1)])
    )
    np.testing.assert_array_equal(one.together.labels.data, other.together.labels.data)
    np.testing.assert_allclose(one.window.affine, window_of(scans[0], TINY)[0].affine)
    own = segment_scan(segmenter, scans[1], one.window)
    by_itself = segment_visit(
        segmenter, [replace(scans[1], matrix=np.eye(4))], inverted.shape, inverted.affine
    )
    assert np.mean(own.labels.data == by_itself.together.labels.data) > 0.999


def test_large_field_of_view_is_laid_around_the_head_and_said(head, weights, tmp_path, capsys) -> None:
    """Noise fills a field larger than the weights see: nothing of the head is lost, and the user is told."""
    noise = np.random.default_rng(2).uniform(0.5, 2, (60, 72, 56)).astype(np.float32)
    noise[20:56, 10:54, 25:53] += head.data
    affine = head.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ (20, 10, 25)
    window, notes = window_of(alone(Volume(noise, affine)), TINY)
    assert window.shape == (40, 40, 40)
    assert "around the head" in notes[0]
    mask = head.with_data((head.data != 0).astype(np.float32))
    seen = resample(mask, window.shape, window.affine).data
    assert seen.sum() * 8 == pytest.approx(mask.data.sum() * head.voxel_volume_mm3, rel=0.02)

    save_image(Volume(noise, affine), tmp_path / "wide.nii.gz")
    words = [
        "segment",
        str(tmp_path / "wide.nii.gz"),
        "-o",
        str(tmp_path / "d.nii.gz"),
        "--weights",
        str(weights),
    ]
    assert main([*words, "--threads", "1"]) == 0
    assert "around the head were used" in capsys.readouterr().err
    assert "around the head" in (tmp_path / "d.json").read_text()


def test_head_that_does_not_fit_is_refused(head) -> None:
    """A head is never cut in silence."""
    big = Volume(head.data, np.diag([2.5, 2.5, 2.5, 1]) @ head.affine)
    with pytest.raises(UnusableData, match="these weights see 80 mm"):
        window_of(alone(big), TINY)


def test_scan_beside_the_grid_is_refused(head) -> None:
    window, _ = window_of(alone(head), TINY)
    far = np.eye(4)
    far[:3, 3] = 500
    with pytest.raises(UnusableData, match="T1w: hardly any of it"):
        sample_on(window, Scan("T1w", head, far), TINY)
