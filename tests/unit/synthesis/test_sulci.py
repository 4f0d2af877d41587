"""Open sulci: cortex that is far from white matter gives way to fluid, in image and target alike."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from still import still

from babyseg_py.images import Volume
from babyseg_py.labels import LABELS
from babyseg_py.synthesis.anatomy import sample_map, taken_cortex, window_positions
from babyseg_py.synthesis.labelbank import DISTANCE_STEP_MM
from babyseg_py.synthesis.labelbank_build import describe_map, make_bank
from babyseg_py.synthesis.randomise import draw_params
from babyseg_py.synthesis.ranges import Ranges
from babyseg_py.synthesis.synthesise import apply
from babyseg_py.synthesis.tissues import tissue_table

SIDE = 64
OUTER_MM, INNER_MM, SULCUS_MM = 28, 22, 4  # brain, white matter, and half the width of a cut into it
CPU = torch.device("cpu")
CORTEX = [LABELS.index(label) for label in (3, 42)]


@pytest.fixture(scope="module")
def folded():
    """Bank of a ball of white matter in cortex, with one deep sulcus from above that is full of cortex."""
    grid = np.stack(np.meshgrid(*[np.arange(SIDE)] * 3, indexing="ij"), axis=-1) - (SIDE - 1) / 2
    radius, right = np.linalg.norm(grid, axis=-1), grid[..., 0] > 0
    white = (radius < INNER_MM) & ~((np.abs(grid[..., 1]) < SULCUS_MM) & (grid[..., 2] > 0))
    labels = np.where(radius < OUTER_MM, np.where(right, 42, 3), 0)
    labels[white] = np.where(right, 41, 2)[white]
    affine = np.eye(4)
    affine[:3, 3] = -(SIDE - 1) / 2
    return make_bank([describe_map(Volume(labels, affine), name="age-1mo", age_months=1.0)])


def drawn(bank, share: float | None):
    """Parameters without motion, with so much of the cortex lost."""
    return still(bank, SIDE, sulci=None if share is None else {"share": share, "seed": 7})


def lost(bank, share: float):
    """Lost voxels, and depth of the cortex in mm, (I, J, K) each."""
    params = drawn(bank, share)
    positions = window_positions(bank, params, CPU)
    classes, _ = sample_map(bank.maps[0], positions)
    tissue = torch.from_numpy(bank.tissue.astype(np.uint8))[classes.long()]
    index = tuple(positions.long().clamp(0, min(bank.maps[0].depth.shape) - 1))
    depth_mm = bank.maps[0].depth[tuple(i.numpy() for i in index)] * DISTANCE_STEP_MM
    return taken_cortex(bank.maps[0], positions, tissue, params)[1].numpy(), depth_mm


def test_depth_is_the_distance_from_white_matter(folded) -> None:
    """In the middle of the sulcus cortex is as deep as half its width, at the outer border as it is thick."""
    middle = (np.array(folded.maps[0].depth.shape) - 1) // 2
    depth_mm = folded.maps[0].depth * DISTANCE_STEP_MM
    assert depth_mm[middle[0], middle[1], middle[2] + 12] == pytest.approx(SULCUS_MM, abs=1)
    outer = depth_mm[middle[0], middle[1], middle[2] - OUTER_MM + 1]
    assert outer == pytest.approx(OUTER_MM - INNER_MM, abs=1)


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_so_much_of_the_cortex_is_lost_where_it_is_deepest(folded, share) -> None:
    """The share is that which was drawn; what is lost is deeper than what stays."""
    gone, depth_mm = lost(folded, share)
    cortex = depth_mm > 0
    assert gone.sum() / cortex.sum() == pytest.approx(share, abs=0.01)
    assert depth_mm[gone].mean() > depth_mm[cortex & ~gone].mean() + 1


def test_image_and_target_lose_the_same_cortex(folded) -> None:
    """What is lost is background in the target and fluid in the image; all else stays what it was."""
    gone, _ = lost(folded, 0.3)
    before, after = (apply(folded, drawn(folded, share)) for share in (None, 0.3))
    changed = (before.target != after.target).numpy()
    np.testing.assert_array_equal(changed, gone)
    assert set(before.target[torch.from_numpy(gone)].tolist()) <= set(CORTEX)
    assert (after.target.numpy()[gone] == 0).all()

    params = drawn(folded, 0.3)
    scan, table = params["scans"][0], tissue_table()
    bright = scan["means"][table.number("csf")] > scan["means"][table.number("cortex")]
    difference = (after.images - before.images)[0].numpy()[gone].mean()
    assert difference > 0 if bright else difference < 0


def test_off_changes_no_sample(folded) -> None:
    """Samples of a seed stay what they were when open sulci are switched on."""
    off = Ranges.from_dict({"grid": (32,) * 3, "brain_voxels": (15.0, 20.0), "lesions": 0.5, "grafted": 0.5})
    for seed in range(5):
        first, second = (
            draw_params(np.random.default_rng(seed), folded, ranges)
            for ranges in (off, replace(off, open_sulci=1.0))
        )
        assert first.pop("sulci") is None
        assert 0.02 <= second.pop("sulci")["share"] <= 0.35
        assert first == second


def test_a_brain_without_cortex_loses_nothing() -> None:
    """A map of the cerebellum alone can be shown."""
    grid = np.stack(np.meshgrid(*[np.arange(40)] * 3, indexing="ij"), axis=-1) - 19.5
    labels = np.where(np.linalg.norm(grid, axis=-1) < 15, np.where(grid[..., 0] > 0, 47, 8), 0)
    affine = np.eye(4)
    affine[:3, 3] = -19.5
    bank = make_bank([describe_map(Volume(labels, affine), name="age-1mo", age_months=1.0)])
    assert apply(bank, drawn(bank, 0.3)).target.any()
