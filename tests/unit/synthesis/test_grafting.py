"""Heads of other maps around a brain, brains off the middle, and myelination that differs between places."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from babyseg_py.images import Volume
from babyseg_py.synthesis.anatomy import sample_map, window_positions
from babyseg_py.synthesis.labelbank_build import describe_map, make_bank
from babyseg_py.synthesis.randomise import draw_params
from babyseg_py.synthesis.ranges import Ranges
from babyseg_py.synthesis.synthesise import apply, graft
from babyseg_py.synthesis.tissues import tissue_table

GRID = (96, 96, 96)
SKULL, SCALP = 515, 516
BRAIN_MM, SKULL_MM, SCALP_MM = 20.0, 24.0, 30.0
CPU = torch.device("cpu")


def ball(semi_axes_mm: tuple[float, float, float], *, head: bool) -> Volume:
    """Draw an ellipsoid of white matter; with a head, balls of skull and of scalp around it."""
    grid = np.stack(np.meshgrid(*[np.arange(81) - 40.0] * 3, indexing="ij"), axis=-1)
    radius = np.linalg.norm(grid, axis=-1)
    labels = np.zeros((81, 81, 81), dtype=np.int32)
    if head:
        labels[radius < SCALP_MM] = SCALP
        labels[radius < SKULL_MM] = SKULL
    inside = np.linalg.norm(grid / semi_axes_mm, axis=-1) < 1
    labels[inside] = np.where(grid[..., 0] < 0, 2, 41)[inside]
    affine = np.eye(4)
    affine[:3, 3] = -40
    return Volume(labels, affine)


@pytest.fixture(scope="module")
def heads():
    """Bank of an infant's long brain without head and of an adult's round one with it."""
    infant = describe_map(ball((15, 21, 18), head=False), name="age-3mo", age_months=3.0)
    adult = describe_map(ball((BRAIN_MM,) * 3, head=True), name="adult", age_months=None)
    return make_bank([infant, adult])


def drawn(bank, seed=0, **changes):
    """Draw parameters at 1 mm without motion, of the infant's map."""
    size = bank.maps[0].size_mm
    settings = {"grid": GRID, "brain_voxels": (size, size), "grafted": 1.0, "adult_weight": 0.0} | changes
    params = draw_params(np.random.default_rng(seed), bank, Ranges.from_dict(settings))
    still = {"rotation_deg": [0.0] * 3, "shear": [0.0] * 3, "stretch": [1.0] * 3, "flip": False}
    still |= {"coarse_warp_mm": 0.0, "fine_warp_mm": 0.0, "shift_voxels": [0.0] * 3}
    return params | {"map": 0, "anatomy": params["anatomy"] | still}


def grafted_tissue(bank, params):
    """Tissues with the grafted head, and the distance to the brain, (I, J, K) each."""
    positions = window_positions(bank, params, CPU)
    classes, distance_mm = sample_map(bank.maps[0], positions)
    tissue = torch.from_numpy(bank.tissue.astype(np.uint8))[classes.long()]
    return graft(bank, params, positions, tissue.clone(), distance_mm).numpy(), tissue.numpy(), distance_mm


def test_a_grafted_head_is_stretched_with_the_brain(heads) -> None:
    """Skull and scalp begin, along every axis, where the donor has them in proportion to the brain."""
    params = drawn(heads) | {"graft": {"map": 1, "gap_mm": 0.0, "thinner": 1.0}}
    tissue, _, _ = grafted_tissue(heads, params)
    table, middle = tissue_table(), (np.array(GRID) - 1) // 2
    for axis, semi_axis in enumerate((15, 21, 18)):
        line = np.moveaxis(tissue, axis, 0)[:, *np.delete(middle, axis)][middle[axis] :]
        for label, outer_mm in ((SKULL, SKULL_MM), (SCALP, SCALP_MM)):
            last = np.flatnonzero(line == table.labels[label])[-1]
            assert last == pytest.approx(semi_axis * outer_mm / BRAIN_MM, abs=2)


def test_fluid_fills_the_gap_and_layers_get_thinner(heads) -> None:
    """Nearer than the gap there is fluid alone; thinner layers end earlier."""
    params = drawn(heads) | {"graft": {"map": 1, "gap_mm": 3.0, "thinner": 1.0}}
    tissue, before, distance_mm = grafted_tissue(heads, params)
    assert np.array_equal(tissue[distance_mm.numpy() == 0], before[distance_mm.numpy() == 0])
    near = (distance_mm.numpy() > 0) & (distance_mm.numpy() <= 1.5)
    assert np.mean(tissue[near] == tissue_table().number("csf")) > 0.95
    thin, _, _ = grafted_tissue(heads, params | {"graft": {"map": 1, "gap_mm": 3.0, "thinner": 2.0}})
    assert np.count_nonzero(thin) < 0.8 * np.count_nonzero(tissue)


def test_a_graft_changes_the_surroundings_and_not_the_target(heads) -> None:
    """The head is background; a bare brain keeps at most a rim of it."""
    params = drawn(heads, bare_brain=0.0)
    assert params["graft"]["map"] == 1
    with_head, without = apply(heads, params), apply(heads, params | {"graft": None})
    assert torch.equal(with_head.target, without.target)
    assert not torch.equal(with_head.images, without.images)
    bare = params["surroundings"] | {"bare": True, "rim_mm": 0.0, "zero_background": True}
    stripped = apply(heads, params | {"surroundings": bare})
    assert (stripped.images[0][stripped.target == 0] == 0).float().mean() > 0.95


def test_without_donors_nothing_is_grafted(heads) -> None:
    """A bank without heads, and a map that keeps its own head, draw no graft."""
    alone = replace(heads, maps=heads.maps[:1])
    assert drawn(alone)["graft"] is None
    settings = {"grid": GRID, "grafted": 1.0, "own_head": 1.0}
    adult = replace(heads, maps=heads.maps[1:])
    assert draw_params(np.random.default_rng(0), adult, Ranges.from_dict(settings))["graft"] is None


def test_the_brain_lies_as_far_off_the_middle_as_was_drawn(heads) -> None:
    """Shifts are in voxels of the window, with or without a flip and a turn."""
    for flip, turn in ((False, 0.0), (True, 20.0)):
        params = drawn(heads)
        params["anatomy"] |= {"shift_voxels": [4.0, -3.0, 2.0], "flip": flip, "rotation_deg": [turn] * 3}
        target = apply(heads, params).target.numpy()
        off = np.argwhere(target > 0).mean(axis=0) - (np.array(GRID) - 1) / 2
        np.testing.assert_allclose(off, [4, -3, 2], atol=0.3)


def test_myelination_goes_from_the_middle_outwards(heads) -> None:
    """White matter of a half mature T1w scan is brighter in the middle; by how much, the slope tells."""
    params = drawn(heads, bare_brain=1.0, realistic=1.0, inverted=0.0, myelination=1.0)
    scan = params["scans"][0]
    white = tissue_table().number("white_matter")
    slopes = np.zeros(len(tissue_table().names))
    slopes[[white, tissue_table().number("deep_white_matter")]] = 0.4
    quiet = dict.fromkeys(("noise", "bias", "ghost"), 0.0) | {"thick_axis": -1, "gamma": 1.0}
    quiet |= {"means": [0.0] + [0.5] * (len(slopes) - 1), "spreads": [0.0] * len(slopes)}
    quiet |= {"textures": [0.0] * len(slopes), "seconds": None}
    size, out = heads.maps[0].size_mm, 0.7
    gradient = {"maturity": 0.5, "slopes": slopes.tolist(), "weights": [out, 0.0, 0.0, 0.0]}
    gradient |= {"brain_voxels": size, "shift": [0.0] * 3}
    image = apply(heads, params | {"scans": [scan | quiet | {"myelination": gradient}]}).images[0].numpy()
    flat = apply(heads, params | {"scans": [scan | quiet | {"myelination": None}]}).images[0].numpy()
    x, y, z = 47, 47, 47
    assert flat[x, y, z] == pytest.approx(flat[x, y + 12, z], abs=0.02)
    profile = image[x, y + 5 : y + 16 : 3, z]
    assert np.all(np.diff(profile) < 0)
    np.testing.assert_allclose(np.diff(profile, 2), 0, atol=0.03)


def test_effects_that_are_off_leave_samples_as_they_were(heads) -> None:
    """Switching on a graft or myelination draws nothing from the others."""
    plain = drawn(heads, grafted=0.0)
    changed = drawn(heads, grafted=1.0, myelination=1.0)
    for one in (plain, changed):
        one["graft"] = None
        one["scans"][0]["myelination"] = None
        one["maps"] = {str(one["map"]): one["maps"][str(one["map"])]}  # the donor is told besides
    assert plain == changed
