"""The picture to scale: known extents and places are where a ruler on it finds them."""

from io import BytesIO

import numpy as np
import pytest
from nibabel.eulerangles import euler2mat
from PIL import Image

from babyseg_py.images import Volume
from babyseg_py.labels.table import STRUCTURES
from babyseg_py.report.canvas import HEADER_PX
from babyseg_py.report.to_scale import FRAME_MM, PX_PER_MM, draw_to_scale
from babyseg_py.segmentation.head_axes import PLACES

COLOURS = {s.id: np.array(s.colour) for s in STRUCTURES}
AXIAL = slice(HEADER_PX, HEADER_PX + round(FRAME_MM[1] * PX_PER_MM))
CORONAL = slice(AXIAL.stop, AXIAL.stop + round(FRAME_MM[2] * PX_PER_MM))


def _pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)).convert("RGB")).astype(int)


def _where(pixels: np.ndarray, label: int) -> np.ndarray:
    return np.argwhere(np.abs(pixels - COLOURS[label]).sum(axis=-1) < 60)


def _middle(marks: np.ndarray) -> np.ndarray:
    return (marks.min(axis=0) + marks.max(axis=0)) / 2


def _world(shape, affine):
    return np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]


def _box(size_mm, *, spacing_mm=1.0, label=10) -> tuple[Volume, Volume]:
    """Return a grey image and a labelled box about (7, -4, 9) mm, whose edges lie between voxels."""
    shape = np.ceil(np.array([120, 130, 110]) / spacing_mm).astype(int)
    affine = np.diag([spacing_mm] * 3 + [1.0])
    affine[:3, 3] = np.array([7, -4, 9]) - spacing_mm * (shape - 1) / 2
    inside = (np.abs(_world(shape, affine) - (7, -4, 9)) < np.array(size_mm) / 2).all(axis=-1)
    return Volume(np.full(shape, 9.0, np.float32), affine), Volume(inside * np.int32(label), affine)


def _head(rotation, mm=1.6) -> tuple[Volume, Volume]:
    """Return balls of 6 mm where a head of cube root 90 mm has its structures, turned about the origin."""
    affine = np.diag([mm, mm, mm, 1.0])
    shape = (60, 60, 60)
    affine[:3, 3] = -mm * 59 / 2
    world = _world(shape, affine) @ rotation
    labels = np.zeros(shape, np.int32)
    for label in sorted(PLACES, reverse=True):
        labels[((world - 90 * PLACES[label]) ** 2).sum(axis=-1) < 36] = label
    return Volume(100.0 * (labels > 0).astype(np.float32), affine), Volume(labels, affine)


@pytest.mark.parametrize("spacing_mm", [1.0, 2.0])
@pytest.mark.parametrize("size_mm", [(40, 64, 20), (80, 96, 60)])
def test_a_millimetre_is_as_many_pixels_in_every_visit(size_mm, spacing_mm):
    pixels = _pixels(draw_to_scale(*_box(size_mm, spacing_mm=spacing_mm)))
    for panel, up in ((AXIAL, 1), (CORONAL, 2)):
        marks = _where(pixels[panel], 10)
        height, width = np.ptp(marks, axis=0)
        assert width == pytest.approx(size_mm[0] * PX_PER_MM, abs=3)
        assert height == pytest.approx(size_mm[up] * PX_PER_MM, abs=3)


def test_all_pictures_have_one_size_with_the_brain_in_the_middle():
    small, large = (_pixels(draw_to_scale(*_box(size))) for size in ((30, 30, 30), (90, 90, 90)))
    assert small.shape == large.shape
    for pixels in (small, large):
        middle = [FRAME_MM[1] * PX_PER_MM / 2, pixels.shape[1] / 2]
        assert _middle(_where(pixels[AXIAL], 10)) == pytest.approx(middle, abs=2)


@pytest.mark.parametrize("angles", [(0.4, 0, 0), (0, -0.3, 0.3), (0, 0, -0.6)])
def test_a_head_that_lies_otherwise_is_shown_as_if_it_lay_upright(angles):
    upright = _pixels(draw_to_scale(*_head(np.eye(3))))
    turned = _pixels(draw_to_scale(*_head(euler2mat(*angles))))
    middle = upright.shape[1] // 2
    for panel, label in ((AXIAL, 169), (CORONAL, 17)):
        for side in (slice(middle), slice(middle, None)):
            expected = _where(upright[panel, side], label)
            assert len(expected) > 10
            found = _where(turned[panel, side], label)
            assert _middle(found) == pytest.approx(_middle(expected), abs=4)


def test_a_head_that_faces_backwards_by_its_header_is_shown_as_the_header_says():
    image, dseg = _head(np.eye(3))
    flipped = dseg.affine.copy()
    flipped[1] *= -1
    backwards = _pixels(draw_to_scale(Volume(image.data, flipped), Volume(dseg.data, flipped)))
    rows = [
        _middle(_where(pixels[AXIAL], 169))[0] for pixels in (_pixels(draw_to_scale(image, dseg)), backwards)
    ]
    height = AXIAL.stop - AXIAL.start
    assert rows[0] < height / 2 - 5
    assert rows[1] == pytest.approx(height - rows[0], abs=4)


@pytest.mark.parametrize("y", [-30, 0, 30])
def test_the_coronal_slice_goes_through_the_hippocampi_wherever_they_are(y):
    image, dseg = _box((80, 100, 60), label=2)
    near = (np.abs(_world(dseg.shape, dseg.affine) - (-15, y, 9)) < 5).all(axis=-1)
    pixels = _pixels(draw_to_scale(image, dseg.with_data(np.where(near, 17, dseg.data).astype(np.int32))))
    assert len(_where(pixels[CORONAL], 17)) > 20


def test_nothing_labelled_and_a_brain_that_does_not_fit_are_said():
    image, dseg = _box((80, 80, 60))
    plain = _pixels(draw_to_scale(image, dseg, title="sub-01_ses-A"))
    empty = _pixels(draw_to_scale(image, dseg.with_data(np.zeros_like(dseg.data)), title="sub-01_ses-A"))
    huge = dseg.affine @ np.diag([2.5, 2.5, 2.5, 1])
    cut = _pixels(draw_to_scale(image, Volume(dseg.data, huge), title="sub-01_ses-A"))
    ends = [np.argwhere(picture[:HEADER_PX].max(axis=(0, 2)) > 100).max() for picture in (plain, empty, cut)]
    assert ends[1] > ends[0] + 40
    assert ends[2] > ends[0] + 40
    assert not len(_where(empty[AXIAL], 10))
