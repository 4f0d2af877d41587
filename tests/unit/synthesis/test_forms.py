"""Anatomies between label maps: phantoms whose ventricles differ by a known amount."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume
from babyseg_py.labels import LABELS
from babyseg_py.synthesis.forms import GROWING
from babyseg_py.synthesis.forms_build import relate
from babyseg_py.synthesis.labelbank import load_bank, save_bank
from babyseg_py.synthesis.labelbank_build import describe_map, make_bank
from babyseg_py.synthesis.randomise import draw_params
from babyseg_py.synthesis.ranges import Ranges
from babyseg_py.synthesis.synthesise import apply

SIDE = 64
SMALL_MM, LARGE_MM, THALAMUS_MM = 7.0, 11.0, 5.0  # radii of the ventricle and of the thalamus
VENTRICLE, THALAMUS, CORTEX = ((4, 43), (10, 49), (3, 42))


def brain(ventricle_mm: float) -> Volume:
    """Draw a ball of cortex and white matter with a ventricle in the middle and a thalamus below it."""
    grid = np.stack(np.meshgrid(*[np.arange(SIDE)] * 3, indexing="ij"), axis=-1) - (SIDE - 1) / 2
    radius, right = np.linalg.norm(grid, axis=-1), grid[..., 0] > 0
    below = np.linalg.norm(grid - [0, 0, -18], axis=-1)
    labels = np.zeros((SIDE,) * 3, dtype=np.int32)
    for inside, (left_label, right_label) in (
        (radius < 30, CORTEX),
        (radius < 26, (2, 41)),
        (below < THALAMUS_MM, THALAMUS),
        (radius < ventricle_mm, VENTRICLE),
    ):
        labels[inside] = np.where(right, right_label, left_label)[inside]
    affine = np.eye(4)
    affine[:3, 3] = -(SIDE - 1) / 2
    return Volume(labels, affine)


@pytest.fixture(scope="module")
def unrelated():
    """Bank of one child with a small ventricle and one with a large one."""
    maps = {"age-2mo": (2.0, SMALL_MM), "age-9mo": (9.0, LARGE_MM)}
    return make_bank([describe_map(brain(mm), name=n, age_months=age) for n, (age, mm) in maps.items()])


@pytest.fixture(scope="module")
def related(unrelated):
    """Return the same bank after the maps were brought to their mean."""
    return relate(unrelated)


def still(bank, number: int, form):
    """Parameters of a map at 1 mm without motion, with a form."""
    size = bank.maps[number].size_mm
    ranges = Ranges.from_dict({"grid": (SIDE,) * 3, "brain_voxels": (size, size), "bare_brain": 1.0})
    params = draw_params(np.random.default_rng(0), bank, ranges)
    zero = {"rotation_deg": [0.0] * 3, "shear": [0.0] * 3, "stretch": [1.0] * 3, "flip": False}
    zero |= {"coarse_warp_mm": 0.0, "fine_warp_mm": 0.0, "shift_voxels": [0.0] * 3}
    around = params["surroundings"] | {"cerebrum_only": False}
    return params | {
        "map": number,
        "form": form,
        "anatomy": params["anatomy"] | zero,
        "surroundings": around,
    }


def volume(bank, number: int, form, labels: tuple[int, ...]) -> int:
    """Voxels of some labels in the target of a sample."""
    target = apply(bank, still(bank, number, form)).target
    channels = torch.tensor([LABELS.index(label) for label in labels], dtype=torch.uint8)
    return int(torch.isin(target, channels).sum())


def toward(weight: float):
    """Form that lies so far toward the other map."""
    return {"toward": [[1, weight]], "growth": []}


def test_the_form_of_the_other_map_has_its_ventricle(related) -> None:
    """All the way toward the other map the small ventricle gets the large one's volume; halfway, between."""
    small, large = (4 / 3 * np.pi * mm**3 for mm in (SMALL_MM, LARGE_MM))
    none = volume(related, 0, None, VENTRICLE)
    half = volume(related, 0, toward(0.5), VENTRICLE)
    whole = volume(related, 0, toward(1.0), VENTRICLE)
    assert none == pytest.approx(small, rel=0.03)
    assert whole == pytest.approx(large, rel=0.2)
    assert (half / none) == pytest.approx((whole / none) ** 0.5, rel=0.15)


def test_a_negative_weight_lies_beyond_the_map(related) -> None:
    """Away from the child with the large ventricle the small one is smaller still."""
    assert volume(related, 0, toward(-0.4), VENTRICLE) < 0.85 * volume(related, 0, None, VENTRICLE)


def test_a_weight_of_nought_changes_nothing(related) -> None:
    """The map itself is one of the anatomies."""
    plain, same = (apply(related, still(related, 0, form)).target for form in (None, toward(0.0)))
    assert torch.equal(plain, same)


@pytest.mark.parametrize("group", [VENTRICLE, THALAMUS])
def test_growth_moves_the_border_of_one_structure_outwards(related, group) -> None:
    """The border moves by about half of what is drawn; cortex, far away, keeps its volume."""
    place = GROWING.index(group)
    none, cortex = volume(related, 0, None, group), volume(related, 0, None, CORTEX)
    radius_mm = {VENTRICLE: SMALL_MM, THALAMUS: THALAMUS_MM}[group]
    for mm in (2.0, -2.0):
        form = {"toward": [], "growth": [[place, mm]]}
        moved_mm = radius_mm * (np.cbrt(volume(related, 0, form, group) / none) - 1)
        assert moved_mm / mm == pytest.approx(0.55, abs=0.15)
        assert volume(related, 0, form, CORTEX) == pytest.approx(cortex, rel=0.01)


def test_forms_are_drawn_without_changing_anything_else(related) -> None:
    """Samples of a seed stay what they were when anatomies between maps are switched on."""
    off = Ranges.from_dict({"grid": (32,) * 3, "brain_voxels": (15.0, 20.0), "lesions": 0.5, "grafted": 0.5})
    on = replace(off, between=1.0, growth=1.0)
    for seed in range(5):
        without, drawn = (draw_params(np.random.default_rng(seed), related, r) for r in (off, on))
        assert without.pop("form") is None
        form = drawn.pop("form")
        told = {place: related.maps[int(place)].name for place in drawn["maps"]}
        assert {place: one["name"] for place, one in drawn.pop("maps").items()} == told
        assert set(told) >= set(without.pop("maps")) | {str(i) for i, _ in form["toward"]}
        assert without == drawn
        assert {i for i, _ in form["toward"]} == {1 - drawn["map"]}
        assert 1 <= len(form["growth"]) <= 3
        assert all(abs(mm) <= 3 for _, mm in form["growth"])


def test_a_related_bank_survives_its_file(related, tmp_path) -> None:
    """A sample with a form can be made again from the bank's file and stored parameters."""
    save_bank(related, tmp_path / "bank.npz")
    ranges = Ranges.from_dict(
        {"grid": (32,) * 3, "brain_voxels": (15.0, 20.0), "between": 1.0, "growth": 1.0}
    )
    params = draw_params(np.random.default_rng(1), related, ranges)
    again = apply(load_bank(tmp_path / "bank.npz"), json.loads(json.dumps(params)))
    assert torch.equal(apply(related, params).images, again.images)


def test_a_bank_that_was_not_related(unrelated) -> None:
    """Maps without a form are shown as they are; parameters that ask for one name the map and what to do."""
    ranges = Ranges.from_dict(
        {"grid": (32,) * 3, "brain_voxels": (15.0, 20.0), "between": 1.0, "growth": 1.0}
    )
    assert draw_params(np.random.default_rng(1), unrelated, ranges)["form"] is None
    with pytest.raises(UnusableData, match="pack the label maps again"):
        apply(unrelated, still(unrelated, 0, toward(1.0)))


def test_one_map_alone_has_nothing_to_be_related_to(unrelated) -> None:
    """Packing a single map works."""
    alone = replace(unrelated, maps=unrelated.maps[:1])
    assert relate(alone).maps[0].form is None


def test_children_and_adults_are_related_apart(unrelated) -> None:
    """An anatomy never lies between a child and an adult; a single adult has no form."""
    child, other = unrelated.maps
    grown_up = replace(child, name="adult", age_months=None)
    maps = relate(replace(unrelated, maps=(child, grown_up, other))).maps
    assert [m.form is None for m in maps] == [False, True, False]
    adults = relate(replace(unrelated, maps=(child, grown_up, other, replace(other, age_months=None)))).maps
    assert [m.form.group for m in adults] == [0, 1, 0, 1]
