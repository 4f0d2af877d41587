"""White matter that a label map takes for cortex: it grows where cortex is far too thick."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from still import still

from babyseg_py.images import Volume
from babyseg_py.labels import LABELS
from babyseg_py.synthesis.labelbank import DISTANCE_STEP_MM
from babyseg_py.synthesis.labelbank_build import describe_map, make_bank
from babyseg_py.synthesis.randomise import draw_params
from babyseg_py.synthesis.ranges import Ranges
from babyseg_py.synthesis.synthesise import apply
from babyseg_py.synthesis.tissues import tissue_table

SIDE = 64
WHITE_MM, BRAIN_MM = 18, 26
CHANNEL = {label: LABELS.index(label) for label in (2, 3, 41, 42)}


def ball_bank(cortex_mm: float):
    """Bank of a ball of white matter within a shell of cortex, the left and the right half labelled apart."""
    grid = np.stack(np.meshgrid(*[np.arange(SIDE)] * 3, indexing="ij"), axis=-1) - (SIDE - 1) / 2
    radius, right = np.linalg.norm(grid, axis=-1), grid[..., 0] > 0
    labels = np.where(radius < BRAIN_MM, np.where(right, 42, 3), 0)
    white = radius < BRAIN_MM - cortex_mm
    labels[white] = np.where(right, 41, 2)[white]
    affine = np.eye(4)
    affine[:3, 3] = -(SIDE - 1) / 2
    return make_bank([describe_map(Volume(labels, affine), name="age-6mo", age_months=6.0)])


@pytest.fixture(scope="module")
def thick():
    """Bank whose cortex is 8 mm thick."""
    return ball_bank(BRAIN_MM - WHITE_MM)


def test_maps_are_told_by_the_depth_of_their_cortex(thick) -> None:
    """A shell of 8 mm is far too thick, one of 3 mm is not; no cortex is not too thick either."""
    assert thick.maps[0].thick == 1
    assert ball_bank(3).maps[0].thick == 0
    assert ball_bank(0).maps[0].thick == 0


def test_distance_is_that_from_white_matter(thick) -> None:
    """It grows by a millimetre in a millimetre through the shell, and is out of reach everywhere else."""
    steps = thick.maps[0].from_white
    middle = (np.array(steps.shape) - 1) // 2
    through = steps[middle[0], middle[1], middle[2] + WHITE_MM + 1 : middle[2] + BRAIN_MM]
    np.testing.assert_allclose(np.diff(through * DISTANCE_STEP_MM), 1, atol=0.26)
    assert steps[tuple(middle)] == 255
    assert steps[0, 0, 0] == 255


@pytest.mark.parametrize("mm", [1.0, 2.5])
def test_white_matter_grows_by_so_much(thick, mm) -> None:
    """The ball's radius grows by that length on average, into cortex alone, and each side keeps its side."""
    before = apply(thick, still(thick, SIDE, white=None)).target
    after = apply(thick, still(thick, SIDE, white={"mm": mm, "seed": 4})).target
    radius = (3 * torch.isin(after, torch.tensor([CHANNEL[2], CHANNEL[41]])).sum() / (4 * np.pi)) ** (1 / 3)
    assert float(radius) == pytest.approx(WHITE_MM + mm, abs=0.5)
    changed = before != after
    pairs = {(int(a), int(b)) for a, b in zip(before[changed], after[changed], strict=True)}
    assert pairs == {(CHANNEL[3], CHANNEL[2]), (CHANNEL[42], CHANNEL[41])}


def test_the_image_follows(thick) -> None:
    """What became white matter looks like it."""
    params = [still(thick, SIDE, white=white) for white in (None, {"mm": 2.0, "seed": 4})]
    before, after = (apply(thick, one) for one in params)
    gained = before.target != after.target
    means, table = params[0]["scans"][0]["means"], tissue_table()
    brighter = means[table.number("white_matter")] > means[table.number("cortex")]
    difference = float((after.images - before.images)[0][gained].mean())
    assert difference > 0 if brighter else difference < 0


def test_only_maps_that_need_it_are_changed(thick) -> None:
    """Switched on, it changes nothing else of a sample, and nothing at all of a map with ordinary cortex."""
    off = Ranges.from_dict({"grid": (32,) * 3, "brain_voxels": (15.0, 20.0), "open_sulci": 0.5})
    on, ordinary = replace(off, white_gain=1.0), ball_bank(3)
    for seed in range(5):
        first, second = (draw_params(np.random.default_rng(seed), thick, ranges) for ranges in (off, on))
        assert first.pop("white") is None
        assert 0.2 <= second.pop("white")["mm"] <= 0.8
        assert first == second
        assert draw_params(np.random.default_rng(seed), ordinary, on)["white"] is None
