"""What is exported: which network finds the brain, and what the weights say they learned from."""

from dataclasses import replace

import pytest
import torch

from babyseg_py.errors import UnusableData
from babyseg_py.models.default import default_weights
from babyseg_py.models.weights import load_weights
from babyseg_py.training.export import DATA, export_weights
from babyseg_py.training.loop import CHECKPOINT, Trainer


@pytest.fixture(scope="module")
def polarised(recipe, tmp_path_factory):
    """Return the folder of a run that saw images of one polarity alone."""
    folder = tmp_path_factory.mktemp("polarised")
    Trainer(replace(recipe, steps=1, synthesis=replace(recipe.synthesis, polarised=True)), folder).run()
    return folder


def same(one, other) -> bool:
    return all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def test_a_network_of_one_polarity_finds_the_brain_with_the_default_weights(polarised, tmp_path) -> None:
    """These are of another shape, which the file tells."""
    export_weights(polarised, tmp_path / "w.safetensors")
    networks, info = load_weights(tmp_path / "w.safetensors")
    default, of_default = load_weights(default_weights())
    assert same(networks.locate, default.locate)
    assert networks.locate.config == default.locate.config != info.network == networks.segment.config
    assert info.provenance["locate_steps"] == of_default.provenance["locate_steps"]
    assert info.provenance["locate_weights"].endswith(of_default.checksum[:12])


def test_a_run_or_weights_may_be_named_to_find_the_brain(polarised, recipe, tmp_path) -> None:
    Trainer(replace(recipe, steps=1, seed=3), tmp_path / "any").run()
    export_weights(polarised, tmp_path / "w.safetensors", locate=tmp_path / "any")
    export_weights(tmp_path / "any", tmp_path / "alone.safetensors")
    (two, _), (one, _) = (load_weights(tmp_path / f"{name}.safetensors") for name in ("w", "alone"))
    assert same(two.locate, one.locate)
    assert same(one.locate, one.segment)
    assert not same(two.locate, two.segment)
    export_weights(polarised, tmp_path / "again.safetensors", locate=tmp_path / "w.safetensors")
    assert same(load_weights(tmp_path / "again.safetensors")[0].locate, one.locate)
    with pytest.raises(UnusableData, match="does not find the brain"):
        export_weights(polarised, tmp_path / "w.safetensors", locate=polarised)


def test_weights_of_other_maps_do_not_claim_those_of_the_package(polarised, tmp_path) -> None:
    """Names such as the docs ask for are not enough."""
    state = torch.load(polarised / CHECKPOINT, weights_only=True)
    own = [f"age-{months}mo" for months in (2, 4, 9)]
    ours = [*(f"age-{months}mo" for months in range(1, 11)), *(f"adult-{n:02d}" for n in range(20))]
    for names, said in ((own, "3 label maps (age-2mo, age-4mo, age-9mo); images"), (ours, DATA)):
        state["before"]["maps"] = names
        torch.save(state, tmp_path / CHECKPOINT)
        export_weights(tmp_path, tmp_path / "w.safetensors")
        assert load_weights(tmp_path / "w.safetensors")[1].provenance["data"].startswith(said)
