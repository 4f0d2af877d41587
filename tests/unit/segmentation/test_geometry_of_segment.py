"""From file to labels: the same head gives the same labels in the world, however a file stores it.

The network is narrow and untrained, so that its labels mean nothing, but they follow the intensities: a voxel
that came to lie elsewhere would change them.
"""

import itertools

import nibabel as nib
import numpy as np
import pytest
import torch
from nibabel.eulerangles import euler2mat
from scipy.ndimage import gaussian_filter

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume, save_image
from babyseg_py.images.geometry import crop_or_pad, reorient, reorient_like
from babyseg_py.labels import LABELS
from babyseg_py.models.groupnet import GroupNet, GroupNetConfig
from babyseg_py.models.weights import FixedGrid, ModelInfo, Networks
from babyseg_py.segmentation.from_files import segment_files
from babyseg_py.segmentation.inference import Segmenter
from babyseg_py.segmentation.posteriors import Posteriors
from babyseg_py.segmentation.sampling import sample_posteriors
from babyseg_py.segmentation.window import Window

ORIENTATIONS = [
    "".join(p) for axes in itertools.permutations(("RL", "AP", "SI")) for p in itertools.product(*axes)
]
TYPES = ("u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")
OBLIQUE = euler2mat(0.25, -0.15, 0.2)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    """Return a network that sees voxels of 3 mm and tells the intensities and a side apart."""
    torch.manual_seed(11)
    config = GroupNetConfig(len(LABELS), (1, 4), (6, 6))
    net = GroupNet(config).eval()
    for parameter in net.parameters():
        parameter.data *= 2.5
    info = ModelInfo(LABELS, config, FixedGrid(voxel_mm=3.0, multiple=8, smallest=16, largest=64), {})
    return Segmenter(Networks(net), info, torch.device("cpu"), "fp32")


@pytest.fixture(scope="module")
def head() -> Volume:
    """Return whole numbers up to 250, smooth and asymmetric, in a rim of zeros on an oblique grid."""
    noise = gaussian_filter(np.random.default_rng(8).normal(size=(24, 30, 26)), 2)
    data = np.zeros((30, 36, 34), dtype=np.float32)
    data[3:27, 3:33, 4:30] = np.round(125 + 120 * noise / np.abs(noise).max())
    affine = np.eye(4)
    affine[:3, :3] = OBLIQUE @ np.diag([3.0, 3.0, 3.0])
    affine[:3, 3] = (-40, -50, -48)
    return Volume(data, affine)


def assert_same(labels: np.ndarray, expected: Volume, head: Volume, *, share: float = 1.0) -> None:
    """Compare labels within the head; an untrained network knows no background for the rim of its grid."""
    inner = head.data > 0
    assert np.mean(labels[inner] == expected.data[inner]) >= share


@pytest.fixture(scope="module")
def expected(segmenter, head, tmp_path_factory) -> Volume:
    labels = labels_of(segmenter, head, tmp_path_factory.mktemp("head") / "t1.nii")
    counts = np.bincount(labels.data[head.data > 0])
    assert np.count_nonzero(counts > 100) >= 4, "the test would see nothing"
    return labels


def labels_of(segmenter: Segmenter, volume: Volume, path) -> Volume:
    save_image(volume, path)
    return segment_files(segmenter, [path]).visit.together.labels


@pytest.mark.parametrize("axcodes", ORIENTATIONS)
def test_flips_and_permutations_change_nothing(segmenter, head, expected, tmp_path, axcodes) -> None:
    """All 48 orientations, half of them left-handed, of an oblique grid: exact."""
    labels = labels_of(segmenter, reorient(head, axcodes), tmp_path / "t1.nii")
    assert "".join(labels.axcodes) == axcodes
    assert_same(reorient_like(labels, expected).data, expected, head)


@pytest.mark.parametrize("box", [((-5, -9, 0), (7, 11, 3)), ((3, 2, 4), (-2, -2, -3))])
def test_padding_and_cropping_of_emptiness_change_nothing(segmenter, head, expected, tmp_path, box) -> None:
    start, more = box
    shape = tuple(n - s + m for n, s, m in zip(head.shape, start, more, strict=True))
    cut = crop_or_pad(head, start, shape)
    assert np.count_nonzero(cut.data) == np.count_nonzero(head.data)
    labels = labels_of(segmenter, cut, tmp_path / "t1.nii")
    back = crop_or_pad(labels, [-s for s in start], head.shape)
    assert_same(back.data, expected, head)


def test_world_that_moves_takes_the_labels_along(segmenter, head, expected, tmp_path) -> None:
    """The same voxels with a header that is rotated and shifted: the same labels, in the new world."""
    move = np.eye(4)
    move[:3, :3] = euler2mat(-0.2, 0.3, 0.1)
    move[:3, 3] = (31, -17, 12)
    labels = labels_of(segmenter, Volume(head.data, move @ head.affine), tmp_path / "t1.nii")
    assert_same(labels.data, expected, head)
    np.testing.assert_allclose(labels.affine, move @ head.affine, atol=1e-4)


@pytest.mark.parametrize("kind", [order + dtype for order in "<>" for dtype in TYPES])
def test_types_and_byte_orders_change_nothing(segmenter, head, expected, tmp_path, kind) -> None:
    """Integers, signed or not, and floats, of either byte order; a byte that is too small is scaled."""
    order, dtype = kind[0], kind[1:]
    header = nib.Nifti1Header(endianness=order)
    header.set_data_dtype(np.dtype(kind))
    data = head.data if dtype != "i1" else np.clip(head.data - 128, -128, 127)
    image = nib.Nifti1Image(data.astype(np.dtype(kind)), head.affine, header)
    if dtype == "i1":
        image.header.set_slope_inter(1.0, 128.0)
    path = tmp_path / "t1.nii.gz"
    nib.save(image, path)
    if dtype == "i1":
        write_scaling(path, order)
    labels = segment_files(segmenter, [path]).visit.together.labels
    assert_same(labels.data, expected, head)


def write_scaling(path, order) -> None:
    """Set scl_slope and scl_inter in the header of a gzipped file, which nibabel resets on saving."""
    content = bytearray(nib.openers.Opener(str(path)).read())
    content[112:120] = np.array([1.0, 128.0], dtype=f"{order}f4").tobytes()
    with nib.openers.Opener(str(path), "wb") as file:
        file.write(bytes(content))


@pytest.mark.parametrize("codes", [(1, 1), (1, 0), (0, 1), (2, 4)])
def test_either_form_places_the_labels(segmenter, head, expected, tmp_path, codes) -> None:
    sform, qform = codes
    image = nib.Nifti1Image(head.data, head.affine)
    image.set_sform(head.affine if sform else None, sform)
    image.set_qform(head.affine if qform else None, qform)
    nib.save(image, tmp_path / "t1.nii")
    labels = segment_files(segmenter, [tmp_path / "t1.nii"]).visit.together.labels
    assert_same(labels.data, expected, head, share=0.999)
    np.testing.assert_allclose(labels.affine, head.affine, atol=1e-3)


@pytest.mark.parametrize(("forms", "message"), [("none", "neither sform nor qform"), ("both", "contradict")])
def test_forms_that_lack_or_disagree_are_refused(segmenter, head, tmp_path, forms, message) -> None:
    image = nib.Nifti1Image(head.data, head.affine)
    image.set_sform(head.affine, int(forms == "both"))
    image.set_qform(np.diag([-1, 1, 1, 1]) @ head.affine, int(forms == "both"))
    nib.save(image, tmp_path / "t1.nii")
    with pytest.raises(UnusableData, match=message):
        segment_files(segmenter, [tmp_path / "t1.nii"])


def test_mgz_gives_what_nifti_gives(segmenter, head, expected, tmp_path) -> None:
    nib.save(nib.MGHImage(head.data, head.affine), tmp_path / "t1.mgz")
    labels = segment_files(segmenter, [tmp_path / "t1.mgz"]).visit.together.labels
    assert_same(labels.data, expected, head, share=0.999)


def thin_structures() -> tuple[torch.Tensor, Window]:
    """Return posteriors of a tilted disc of 4 mm, as a ventricle, and a bent tube of 6 mm, as a caudate."""
    window = Window((64, 64, 64), np.eye(3), 1.0, np.zeros(3))
    place = np.stack(np.meshgrid(*[np.arange(64) - 31.5] * 3, indexing="ij"), axis=-1)
    disc = (place - (-14, 0, 0)) @ euler2mat(0.5, 0.4, 0.3)
    from_disc = np.maximum(np.abs(disc[..., 0]) - 2, np.hypot(disc[..., 1], disc[..., 2]) - 20)
    tube = (place - (14, 0, 0)) @ euler2mat(-0.4, 0.6, 0.5)
    from_tube = np.hypot(np.hypot(tube[..., 1], tube[..., 2]) - 18, tube[..., 0]) - 3
    posteriors = torch.zeros(len(LABELS), 64, 64, 64)
    for label, distance in ((4, from_disc), (11, from_tube)):
        posteriors[LABELS.index(label)] = torch.from_numpy(1 / (1 + np.exp(distance / 0.3))).float()
    posteriors[0] = 1 - posteriors.sum(dim=0)
    return posteriors.clamp(0, 1), window


@pytest.mark.parametrize("thick", range(3))
def test_thin_structures_survive_a_thick_output(segmenter, thick) -> None:
    """A sheet of 4 mm and a bent tube of 6 mm keep their volume on slices of 6.4 mm across 0.8 mm."""
    posteriors, window = thin_structures()
    spacing = np.full(3, 0.8)
    spacing[thick] = 6.4
    affine = np.diag([*spacing, 1.0])
    shape = np.ceil(60 / spacing).astype(int)
    affine[:3, 3] = -spacing * (shape - 1) / 2
    grid = (int(shape[0]), int(shape[1]), int(shape[2]))
    result = sample_posteriors(Posteriors(posteriors), window, LABELS, grid, affine)
    for label in (4, 11):
        true = float(posteriors[LABELS.index(label)].sum()) * window.voxel_mm**3
        counted = np.count_nonzero(result.labels.data == label) * result.labels.voxel_volume_mm3
        assert counted == pytest.approx(true, rel=0.25)
        assert result.volumes_mm3[label] == pytest.approx(true, rel=0.15)
