"""Every recipe of the package trains, made small: the phantom's structures are found."""

import pytest
import torch
import yaml

from babyseg_py.errors import UnusableData
from babyseg_py.models.weights import FixedGrid, load_weights
from babyseg_py.synthesis.labelbank import save_bank
from babyseg_py.synthesis.labelbank_build import describe_map, make_bank
from babyseg_py.training.export import export_weights
from babyseg_py.training.loop import Trainer, split_bank
from babyseg_py.training.recipe import SHIPPED, read_recipe, recipe_from_dict, shipped_recipes

# Mean Dice on held-out visits after the steps below; untrained networks stay under .1.
LEVELS = {"babyseg": 0.55, "default": 0.65, "infant_synthseg": 0.65, "locate": 0.65, "tiny": 0.65}
SMALL = {
    "network": {"encoder": [6, 12], "decoder": [12, 12], "head": [6], "norm": True, "shared": True},
    "held_out": ["c"],
    "steps": 120,
    "ease_from": 0,
    "two_scans_from": 0,
    "warmup": 5,
    "learning_rate": 0.01,
    "ema": 0.9,
    "save_every": 120,
    "validate_every": 120,
    "validation_samples": 6,
    "precision": "fp32",
}


@pytest.fixture(scope="module")
def phantoms(ball, tmp_path_factory):
    """Return a bank of one phantom at three ages."""
    path = tmp_path_factory.mktemp("bank") / "bank.npz"
    ages = {"a": 2.0, "b": 9.0, "c": 9.0}
    save_bank(make_bank([describe_map(ball, name=n, age_months=age) for n, age in ages.items()]), path)
    return path


def made_small(name: str, bank) -> dict:
    """Everything of a recipe but the sizes: loss, contrasts, disturbances and their probabilities."""
    plain = yaml.safe_load((SHIPPED / f"{name}.yaml").read_text())
    synthesis = plain["synthesis"] | {"grid": [16, 16, 16], "brain_voxels": [10, 12], "shift_voxels": 0.4}
    ease = min(60, plain.get("ease_in", 60))
    return plain | SMALL | {"bank": str(bank), "synthesis": synthesis, "ease_in": ease}


def test_every_recipe_has_a_level() -> None:
    """A recipe that is added is tested."""
    assert shipped_recipes() == sorted(LEVELS)
    for name in LEVELS:
        read_recipe(name)
    with pytest.raises(UnusableData, match="one of babyseg, default"):
        read_recipe("tinny")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": {"classes": 5}}, "the network has 5 classes"),
        ({"synthesis": {"grid": [0, 0, 0]}}, "whole numbers of voxels"),
        ({"synthesis": {"grid": [16.0, 16.0, 16.0]}}, "whole numbers of voxels"),
        ({"synthesis": {"brain_voxels": [-9, 11]}}, "has to be 4 or more"),
        ({"synthesis": {"brain_voxels": [0.001, 0.001]}}, "has to be 4 or more"),
        ({"synthesis": {"bias_voxels": [0, 0]}}, "bias_voxels is .*, which has to be 1 or more"),
        ({"synthesis": {"texture_voxels": [0, 0]}}, "has to be 1 or more"),
        ({"synthesis": {"lesions": 1, "lesion_voxels": [0, 0]}}, "has to be 1 or more"),
        ({"synthesis": {"lesions": 1, "lesion_share": [0, 0.1]}}, "has to be 1e-06 or more"),
        ({"synthesis": {"brain_voxels": [11, 9]}}, "has the larger end first"),
        ({"synthesis": {"young_weight": 2}}, "at most 1"),
        ({"synthesis": {"young_weight": 0.7, "adult_weight": 0.7}}, "together at most 1"),
        ({"synthesis": {"gamma_sd": -1}}, "must not be negative"),
        ({"synthesis": {"thickness": [0, 0]}}, "has to be positive"),
        ({"synthesis": {"noise": float("nan")}}, "has to be finite"),
    ],
)
def test_settings_that_can_mean_nothing_are_named(change, message, phantoms) -> None:
    plain = made_small("tiny", phantoms)
    plain |= {name: plain[name] | value for name, value in change.items()}
    with pytest.raises(UnusableData, match=message):
        recipe_from_dict(plain)


def test_holding_out_every_map_is_refused(phantoms) -> None:
    recipe = recipe_from_dict(made_small("tiny", phantoms) | {"held_out": ["a", "b", "c"]})
    with pytest.raises(UnusableData, match="no map left to train on"):
        split_bank(recipe)


@pytest.mark.parametrize("name", LEVELS)
def test_recipe_learns(name, phantoms, tmp_path, one_thread) -> None:
    """Validation Dice rises above the level of the recipe; export follows the recipe's inference."""
    trainer = Trainer(recipe_from_dict(made_small(name, phantoms)), tmp_path)
    before = torch.cat(list(trainer.validate().values()))[:, 1:].nanmean()
    trainer.run()
    after = torch.cat(list(trainer.validate().values()))[:, 1:].nanmean()
    assert before < 0.1
    assert after > LEVELS[name]
    export_weights(tmp_path, tmp_path / "w.safetensors")
    networks, info = load_weights(tmp_path / "w.safetensors")
    assert isinstance(info.preprocessing, FixedGrid) == (name == "babyseg") == (networks.locate is None)
