"""Structures divided into parts: the parts make up the whole, on any grid."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from babyseg_py.errors import UsageError
from babyseg_py.images import Volume
from babyseg_py.labels import LABELS, LEFT_RIGHT_PAIRS
from babyseg_py.labels.fuller import fuller_structures, mirrored_parts, parts
from babyseg_py.models.groupnet import GroupNet, GroupNetConfig
from babyseg_py.models.refiner import Refiner, RefinerInfo, save_refiner
from babyseg_py.models.weights import FixedGrid, ModelInfo, Networks, Preprocessing
from babyseg_py.segmentation.fuller import divide, with_refiner
from babyseg_py.segmentation.inference import Segmenter
from babyseg_py.segmentation.outputs import volume_frame
from babyseg_py.segmentation.posteriors import Posteriors
from babyseg_py.segmentation.sampling import sample_posteriors
from babyseg_py.segmentation.visit import VisitResult
from babyseg_py.segmentation.window import Scan, Window

WINDOW = Window((16, 20, 16), np.eye(3), 2.0, np.zeros(3))
WHOLE_OF = {part.label: part.parent for part in parts() if part.label != 172}
MIRRORED = {s.id: s.id for s in fuller_structures()}
for here, there in zip(parts(), mirrored_parts(), strict=True):
    MIRRORED[here.label] = parts()[there].label
for left, right in LEFT_RIGHT_PAIRS:
    if left in MIRRORED:
        MIRRORED[left], MIRRORED[right] = right, left


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory) -> Segmenter:
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("refiner") / "refiner.safetensors"
    save_refiner(Refiner((4, 6, 8)), RefinerInfo({}), path)
    config = GroupNetConfig(len(LABELS), (4, 8), (8, 8), (4,), norm=True, shared=True)
    info = ModelInfo(LABELS, config, Preprocessing(), {})
    networks = Networks(GroupNet(config).eval(), GroupNet(config).eval())
    return with_refiner(Segmenter(networks, info, torch.device("cpu"), "fp32"), path)


def visit_on(shape, affine, *, mirrored: bool = False, segmenter: Segmenter) -> VisitResult:
    """Return a visit of random posteriors, or of their mirror image."""
    rng = torch.Generator().manual_seed(1)
    channels = (3 * torch.randn(len(LABELS), *WINDOW.shape, generator=rng)).softmax(dim=0)
    image = torch.rand(WINDOW.shape, generator=rng).numpy() + 0.1
    if mirrored:
        channels, image = channels[segmenter.mirrored_channels].flip(1), image[::-1].copy()
    scan = Scan("T1w", Volume(image, WINDOW.affine), np.eye(4))
    posteriors = Posteriors(channels)
    together = sample_posteriors(posteriors, WINDOW, LABELS, shape, affine)
    return VisitResult(together, WINDOW, posteriors, [scan])


def grids():
    fine = np.diag([1.1, 1.3, 0.9, 1.0])
    fine[:3, 3] = (-15, -18, -12)
    left_handed = np.diag([-2.0, 2.0, 2.0, 1.0])
    left_handed[:3, 3] = (19, -22, -20)
    return [(WINDOW.shape, WINDOW.affine), ((30, 30, 30), fine), ((20, 23, 21), left_handed)]


@pytest.mark.parametrize(("shape", "affine"), grids())
def test_parts_merge_into_the_whole_voxel_by_voxel(segmenter, shape, affine) -> None:
    visit = visit_on(shape, affine, segmenter=segmenter)
    divided = divide(segmenter, visit, visit.together)
    whole, labels = visit.together.labels.data, divided.labels.data
    assert {14, 15, 24, 5, 12, 13, 58, 172} & set(np.unique(labels).tolist())
    vermis = labels == 172
    assert np.isin(whole[vermis], (8, 47)).all()
    merged = np.vectorize(lambda n: WHOLE_OF.get(n, n))(labels)
    np.testing.assert_array_equal(merged[~vermis], whole[~vermis])
    np.testing.assert_array_equal(divided.brain_mask.data > 0, labels > 0)


def test_volumes_of_the_parts_add_up(segmenter) -> None:
    visit = visit_on(*grids()[1], segmenter=segmenter)
    divided = divide(segmenter, visit, visit.together)
    whole, part = visit.together.volumes_mm3, divided.volumes_mm3
    assert sum(part[n] for n in (12, 13, 26)) == pytest.approx(whole[169], rel=1e-5)
    assert part[4] + part[5] == pytest.approx(whole[4], rel=1e-5)
    cerebellum = sum(part[n] for n in (7, 8, 46, 47, 172))
    assert cerebellum == pytest.approx(whole[8] + whole[47], rel=1e-5)
    assert part[10] == whole[10]
    frame = volume_frame(divided).set_index("label")
    assert list(frame.index) == [s.id for s in fuller_structures() if s.id]
    assert frame.loc[13, "structure"] == "Left-Pallidum"


def test_the_mirror_image_is_divided_alike(segmenter) -> None:
    upright, mirrored = (
        divide(segmenter, visit, visit.together).labels.data
        for visit in (
            visit_on(WINDOW.shape, WINDOW.affine, mirrored=flip, segmenter=segmenter)
            for flip in (False, True)
        )
    )
    expected = np.vectorize(MIRRORED.get)(upright[::-1])
    assert np.mean(mirrored == expected) > 0.999


def test_weights_of_another_recipe_are_refused(segmenter, tmp_path) -> None:
    other = replace(segmenter, info=replace(segmenter.info, preprocessing=FixedGrid()))
    with pytest.raises(UsageError, match="--labels fuller"):
        with_refiner(other, tmp_path / "none")
