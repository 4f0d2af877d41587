from io import BytesIO

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from simulated_cohort import phantom

from babyseg_py.cli import main
from babyseg_py.images import Volume
from babyseg_py.labels.table import STRUCTURES
from babyseg_py.report.canvas import MAX_BYTES
from babyseg_py.report.snapshot import WIDTH_PX, draw_snapshot
from babyseg_py.report.to_scale import FRAME_MM, PX_PER_MM

YELLOW = next(s.colour for s in STRUCTURES if s.id == 17)


def _pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)).convert("RGB")).astype(int)


def _where(pixels: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.argwhere(np.abs(pixels - colour).sum(axis=-1) < 40)


def test_the_left_front_structure_is_drawn_left_and_in_front(rng):
    pixels = _pixels(draw_snapshot(*phantom(rng)))
    axial = pixels[: pixels.shape[0] // 3, : WIDTH_PX // 5 * 4]
    marks = _where(axial, YELLOW)
    assert len(marks) > 20
    panel = WIDTH_PX // 5
    rows, columns = (marks % [axial.shape[0], panel]).mean(axis=0)
    assert columns < panel / 2, "left of the picture is left of the child"
    assert rows < axial.shape[0] / 2, "the front is up"


@pytest.mark.parametrize("diagonal", [(-2, 2, 2.5), (2, -2, -2.5)])
def test_a_flipped_grid_gives_the_same_picture(diagonal):
    affine = np.diag([*map(float, diagonal), 1.0])
    affine[:3, 3] = -np.sign(diagonal) * (30, 42, 35)
    drawn = _pixels(draw_snapshot(*phantom(np.random.default_rng(0), affine)))
    first = _pixels(draw_snapshot(*phantom(np.random.default_rng(0))))
    marks, expected = _where(drawn, YELLOW), _where(first, YELLOW)
    assert marks.mean(axis=0) == pytest.approx(expected.mean(axis=0), abs=3)


def test_small_pictures_have_no_outlines(rng):
    image, dseg = phantom(rng)
    pixels = _pixels(draw_snapshot(image, dseg))
    coloured = np.argwhere(np.ptp(pixels[20:], axis=-1) > 60)
    assert len(coloured) > 100
    assert coloured[:, 1].max() < WIDTH_PX * 4 / 5


def test_an_empty_segmentation_gives_a_picture_that_says_so(rng):
    image, dseg = phantom(rng)
    empty = dseg.with_data(np.zeros_like(dseg.data))
    pixels = _pixels(draw_snapshot(image, empty, title="sub-01_ses-A"))
    assert not len(np.argwhere(np.ptp(pixels, axis=-1) > 60))
    assert pixels[30:].max() > 150


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan, np.inf])
def test_an_image_without_content_is_drawn_all_the_same(rng, value):
    image, dseg = phantom(rng)
    nothing = Volume(np.full(image.shape, value, np.float32), image.affine)
    assert _pixels(draw_snapshot(nothing, dseg.with_data(np.zeros_like(dseg.data)))).shape[1] == WIDTH_PX


def test_image_and_labels_may_be_on_different_grids(rng, oblique_affine):
    image, _ = phantom(rng)
    affine = oblique_affine.copy()
    affine[:3, 3] -= (affine @ [15, 21, 14, 1])[:3]
    _, dseg = phantom(rng, affine)
    assert len(_where(_pixels(draw_snapshot(image, dseg)), YELLOW)) > 20


def test_noise_stays_within_the_size_limit(rng):
    shape = (60, 70, 60)
    image = Volume(rng.normal(100, 40, shape).astype(np.float32), np.eye(4))
    dseg = Volume(np.where(rng.random(shape) > 0.5, 2, 41).astype(np.int32), np.eye(4))
    picture = draw_snapshot(image, dseg)
    assert len(picture) <= MAX_BYTES
    assert picture == draw_snapshot(image, dseg), "the same input gives the same bytes"


def test_the_step_writes_the_pictures(rng, tmp_path):
    image, dseg = phantom(rng)
    nib.save(nib.Nifti1Image(image.data, image.affine), tmp_path / "i.nii.gz")
    nib.save(nib.Nifti1Image(dseg.data.astype(np.uint16), dseg.affine), tmp_path / "d.nii.gz")
    target = tmp_path / "deep er" / "sub-01_ses-A_desc-contours_snapshot.png"
    scaled = target.with_name("sub-01_ses-A_desc-toscale_snapshot.png")
    words = ["--image", str(tmp_path / "i.nii.gz"), "--dseg", str(tmp_path / "d.nii.gz")]
    words += ["-o", str(target), "--to-scale", str(scaled)]
    assert main(["snapshot", "--visit", "sub-01_ses-A", *words]) == 0
    assert sorted(path.name for path in target.parent.iterdir()) == [target.name, scaled.name]
    assert _pixels(target.read_bytes()).shape[1] == WIDTH_PX
    assert _pixels(scaled.read_bytes()).shape[1] == round(FRAME_MM[1] * PX_PER_MM)
