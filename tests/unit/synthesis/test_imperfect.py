"""Bites, hair, more fluid, motion between scans, low resolution: known answers, and what must not change."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from still import still

from babyseg_py.synthesis.fields import Fields
from babyseg_py.synthesis.imperfect import bitten, moved, strands
from babyseg_py.synthesis.randomise import draw_params
from babyseg_py.synthesis.ranges import Ranges
from babyseg_py.synthesis.synthesise import apply, low_resolution

SMALL = Ranges.from_dict({"grid": (32, 40, 28), "brain_voxels": (18.0, 22.0)})
EFFECTS = ("bitten", "more_fluid", "hair", "misregistered", "low_resolution")
NEW = ("bites", "hair", "motion", "resolution_voxels")
FLUID = ("rim_mm", "csf_mm", "gap_mm")


def draw(bank, ranges, seed=0, hard=1.0):
    return draw_params(np.random.default_rng(seed), bank, ranges, hard=hard)


def without(drawn, names):
    """Take some names out of parameters, however deep they lie."""
    if isinstance(drawn, dict):
        return {key: without(value, names) for key, value in drawn.items() if key not in names}
    return [without(value, names) for value in drawn] if isinstance(drawn, list) else drawn


def blobs(shape=(40, 44, 36)):
    return Fields(3, shape, torch.device("cpu")).smooth(5)[0]


def lag(first, second):
    """Shift of the second image against the first in voxels, by the peak of their cross-correlation."""
    spectra = [torch.fft.fftn(image - image.mean()) for image in (first, second)]
    peak = torch.fft.ifftn(spectra[0].conj() * spectra[1]).real
    places = np.unravel_index(int(peak.argmax()), peak.shape)
    return [
        place - side if place > side / 2 else place for place, side in zip(places, peak.shape, strict=True)
    ]


@pytest.mark.parametrize("effect", EFFECTS)
def test_an_effect_changes_no_other_draw(bank, effect) -> None:
    """Seeds keep all else, of other new effects too, when one is switched on."""
    base = replace(SMALL, two_scans=1.0, most_scans=3, bare_brain=0.5, **dict.fromkeys(EFFECTS, 0.5))
    own = {"bitten": ("bites",), "more_fluid": FLUID, "hair": ("hair",), "misregistered": ("motion",)}
    names = own.get(effect, ("resolution_voxels",))
    changed = 0
    for seed in range(8):
        on, off = (draw(bank, replace(base, **{effect: value}), seed) for value in (1.0, 0.0))
        assert without(on, names) == without(off, names)
        changed += on != off
    assert changed


def test_all_of_them_can_be_made_again(bank) -> None:
    """Finite, scaled and the same from JSON; at the start of training there are no faults."""
    ranges = replace(SMALL, two_scans=1.0, **dict.fromkeys(EFFECTS, 1.0))
    for seed in range(4):
        params = draw(bank, ranges, seed)
        first, second = apply(bank, params), apply(bank, json.loads(json.dumps(params)))
        assert torch.equal(first.images, second.images)
        assert torch.equal(first.target, second.target)
        assert torch.isfinite(first.images).all()
        assert 0 <= first.images.min() <= first.images.max() <= 1
        clean = draw(bank, ranges, seed, hard=0.0)
        assert clean["surroundings"]["bites"] == []
        assert {(scan["motion"], scan["resolution_voxels"]) for scan in clean["scans"]} == {(None, 1.0)}


def test_parameters_of_before_make_the_images_of_before(bank) -> None:
    """What lacks the new names is a sample without the new effects."""
    params = draw(bank, replace(SMALL, two_scans=1.0), 2)
    assert torch.equal(apply(bank, params).images, apply(bank, without(params, NEW)).images)


def test_a_shift_is_found_again_and_a_turn_is_undone() -> None:
    """Whole voxels are exact in image and labels; a turn by 90° is that of the array."""
    image = blobs()
    labels = (image > 0).to(torch.uint8)
    shifted, tissue = moved(image, labels, {"rotation_deg": [0.0] * 3, "shift_voxels": [3.0, -2.0, 1.0]})
    assert lag(image, shifted) == [3, -2, 1]
    inner = (slice(5, -5),) * 3
    torch.testing.assert_close(shifted[inner], image.roll((3, -2, 1), (0, 1, 2))[inner], rtol=0, atol=1e-4)
    assert torch.equal(tissue[inner], labels.roll((3, -2, 1), (0, 1, 2))[inner])
    cube = blobs((33, 33, 33))
    turned, _ = moved(cube, cube, {"rotation_deg": [0.0, 0.0, 90.0], "shift_voxels": [0.0] * 3})
    torch.testing.assert_close(turned, torch.rot90(cube, 1, (0, 1)), rtol=0, atol=1e-4)


def test_only_later_scans_lie_off_the_target(bank) -> None:
    """The second scan of a visit lies where it was moved to, the first and the target as without."""
    ranges = replace(SMALL, two_scans=1.0, misregistered=1.0)
    assert [scan["motion"] is None for scan in draw(bank, ranges, 1)["scans"]] == [True, False]
    params = still(bank, 56)
    scan = params["scans"][0] | {"noise": 0.0, "bias": 0.0, "ghost": 0.0, "thick_axis": -1}
    motion = {"rotation_deg": [0.0] * 3, "shift_voxels": [0.0, 4.0, -3.0]}
    sample = apply(bank, params | {"scans": [scan, scan | {"motion": motion}]})
    plain = apply(bank, params | {"scans": [scan]})
    assert lag(*sample.images) == [0, 4, -3]
    assert torch.equal(sample.images[0], plain.images[0])
    assert torch.equal(sample.target, plain.target)


def test_low_resolution_takes_high_frequencies_alone() -> None:
    """What is finer than the larger voxels falls by more than nine tenths, what is coarse is kept."""
    image = torch.randn(48, 48, 48, generator=torch.Generator().manual_seed(0))
    power = [torch.fft.fftn(x).abs().square() for x in (image, low_resolution(image, 2.5))]
    wave = torch.fft.fftfreq(48)
    radius = (wave[:, None, None] ** 2 + wave[:, None] ** 2 + wave**2).sqrt()
    fine, coarse = (
        float(power[1][band].sum() / power[0][band].sum()) for band in (radius > 0.3, radius < 0.05)
    )
    assert fine < 0.1
    assert coarse > 0.75
    inside = low_resolution(torch.ones(32, 32, 32), 2.0)[8:-8, 8:-8, 8:-8]
    assert torch.allclose(inside, torch.ones_like(inside), atol=1e-4)


def test_a_bite_is_as_deep_as_drawn_and_on_its_side() -> None:
    """Along its direction so many voxels are gone; the other side is whole."""
    axes = [torch.arange(side) - (side - 1) / 2 for side in (41, 41, 41)]
    ball = axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2 <= 15**2
    lost = bitten(ball, [{"direction": [1.0, 0.0, 0.0], "radius": 8.0, "depth": 4.0}])
    column = ball[:, 20, 20] & lost[:, 20, 20]
    assert column.nonzero().flatten().tolist() == [32, 33, 34, 35]
    assert not (ball & lost)[:30].any()
    assert not bitten(
        torch.zeros_like(ball), [{"direction": [1.0, 0.0, 0.0], "radius": 8.0, "depth": 4.0}]
    ).any()


def test_what_is_bitten_off_is_lost_in_image_and_target(bank) -> None:
    """Both are 0 there, and as without the bite elsewhere."""
    params = still(bank, 56)
    params["scans"][0] |= {"noise": 0.0, "bias": 0.0, "ghost": 0.0, "thick_axis": -1}
    around = params["surroundings"] | {"zero_background": True, "bites": []}
    bites = [{"direction": [0.0, 1.0, 0.0], "radius": 9.0, "depth": 5.0}]
    whole = apply(bank, params | {"surroundings": around})
    less = apply(bank, params | {"surroundings": around | {"bites": bites}})
    gone = (whole.target > 0) & (less.target == 0)
    assert 0.005 < gone.sum() / (whole.target > 0).sum() < 0.2
    assert not less.images[0][gone].any()
    assert torch.equal(less.target[~gone], whole.target[~gone])


def test_only_bare_brains_are_bitten(bank) -> None:
    """A head is not skull-stripped."""
    found = [draw(bank, replace(SMALL, bitten=1.0, own_head=0.0), seed)["surroundings"] for seed in range(12)]
    assert {bool(around["bites"]) == around["bare"] for around in found} == {True}


def test_more_fluid_lies_between_brain_and_skull(bank) -> None:
    """The layer of fluid is thicker by what was drawn, the brain as it was."""
    ranges = replace(SMALL, bare_brain=0.0, own_head=0.0, more_fluid_mm=(6.0, 6.0))
    some, more = (draw(bank, replace(ranges, more_fluid=share), 4) for share in (0.0, 1.0))
    widths = [params["surroundings"]["csf_mm"] for params in (some, more)]
    assert widths[1] - widths[0] == pytest.approx(6)
    assert torch.equal(apply(bank, some).target, apply(bank, more).target)


def test_hair_lies_on_the_scalp_in_patches(bank) -> None:
    """Nowhere below the scalp's surface, and not everywhere on it; the target stays."""
    beyond = torch.arange(-10.0, 30.0)[:, None, None].expand(40, 30, 30).contiguous()
    found = strands(beyond, {"mm": 6.0, "seed": 1})
    assert not found[:11].any()
    assert 0.05 < found[11].float().mean() < 0.7
    ranges = replace(SMALL, bare_brain=0.0, own_head=0.0, clutter=0.0, csf_mm=(1, 1), skull_mm=(1, 1))
    ranges = replace(ranges, scalp_mm=(1, 1), fat_mm=(1, 1), zero_background=1.0, hair_mm=(6, 6), noise=0.0)
    bald, hairy = (apply(bank, draw(bank, replace(ranges, hair=share), 4)) for share in (0.0, 1.0))
    assert torch.equal(bald.target, hairy.target)
    assert (hairy.images[0] > 0.02).sum() > 1.02 * (bald.images[0] > 0.02).sum()
