"""Training of what divides structures into their parts."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume
from babyseg_py.labels import LABELS
from babyseg_py.labels.fuller import Part, parts
from babyseg_py.models.refiner import load_refiner, shares
from babyseg_py.synthesis.labelbank import load_bank, save_bank
from babyseg_py.synthesis.labelbank_build import describe_map, make_bank
from babyseg_py.synthesis.synthesise import apply
from babyseg_py.training.recipe import recipe_from_dict
from babyseg_py.training.refine import CHECKPOINT, division_loss, mirrored_bits, parts_of, train_refiner
from babyseg_py.training.samples import Samples

CHANNEL = {part: i for i, part in enumerate(parts())}


@pytest.fixture(scope="module")
def nuclei(ball) -> Volume:
    """Return the ball with a putamen and, inside of it, a pallidum on each side."""
    labels = ball.data.copy()
    x, y, z = np.meshgrid(*[np.arange(40) - 19.5] * 3, indexing="ij")
    for sign, (putamen, pallidum) in ((-1, (12, 13)), (1, (51, 52))):
        distance = np.sqrt((x - 6 * sign) ** 2 + y**2 + z**2)
        labels[distance < 5] = putamen
        labels[(distance < 5) & (x * sign < 6)] = pallidum
    return Volume(labels, ball.affine)


@pytest.fixture(scope="module")
def recipe(nuclei, plain_recipe, tmp_path_factory):
    path = tmp_path_factory.mktemp("bank") / "bank.npz"
    save_bank(make_bank([describe_map(nuclei, name=n, age_months=2.0) for n in ("a", "b")]), path)
    values = plain_recipe | {"bank": str(path), "steps": 60, "save_every": 20, "validate_every": 60}
    values |= {"learning_rate": 0.01, "decay": 0.0}
    values["synthesis"] = values["synthesis"] | {"realistic": 1.0, "noise": 0.0, "bias": 0.0}
    return recipe_from_dict(values)


def true_posteriors(recipe):
    """Return what stands for the weights: the truth of the visit that an image belongs to."""
    bank = load_bank(recipe.bank)
    samples = Samples(bank, recipe)
    known = {}
    for number in range(recipe.steps):
        images, target = samples[number]
        known[images.sum().item()] = target

    def segment(images):
        target = known.get(images.sum().item(), torch.zeros(images.shape[1:], dtype=torch.uint8))
        return torch.nn.functional.one_hot(target.long(), len(LABELS)).permute(3, 0, 1, 2).float()

    return segment


def test_bank_tells_parts_by_side(recipe) -> None:
    bank = load_bank(recipe.bank)
    pallidum = bank.parts[bank.maps[0].classes[24 + 14, 24 + 19, 24 + 19]]
    assert pallidum == sum(1 << CHANNEL[Part(169, n)] for n in (13, 26)), "accumbens is not in the map"
    assert mirrored_bits(bank.parts).max() > 0
    np.testing.assert_array_equal(mirrored_bits(mirrored_bits(bank.parts)), bank.parts)


def test_loss_knows_sets() -> None:
    """Certain of a part that is allowed: nothing; of one that is not: much; where all is allowed: nothing."""
    scores = torch.zeros(len(parts()), 2, 1, 1)
    scores[CHANNEL[Part(169, 13)]] = 20
    either = 1 << CHANNEL[Part(169, 13)] | 1 << CHANNEL[Part(169, 12)]
    whole = either | 1 << CHANNEL[Part(169, 26)]
    other = 1 << CHANNEL[Part(169, 26)]
    assert float(division_loss(scores, torch.tensor([either, either]).view(2, 1, 1))) < 1e-5
    assert float(division_loss(scores, torch.tensor([other, other]).view(2, 1, 1))) > 10
    assert float(division_loss(scores, torch.tensor([whole, 0]).view(2, 1, 1))) == 0
    torch.testing.assert_close(shares(scores)[CHANNEL[Part(176, 51)]], torch.full((2, 1, 1), 1 / 3))


def test_training_resumes_and_learns(recipe, tmp_path, one_thread, capsys) -> None:
    """Stopped after a third and resumed, the file is the same as undisturbed; the loss has fallen."""
    train_refiner(
        recipe, true_posteriors(recipe), tmp_path / "a", tmp_path / "a.safetensors", provenance={"by": "test"}
    )
    half = replace(recipe, steps=20)
    train_refiner(half, true_posteriors(recipe), tmp_path / "b", tmp_path / "half.safetensors", provenance={})
    train_refiner(recipe, true_posteriors(recipe), tmp_path / "b", tmp_path / "b.safetensors", provenance={})
    first, info = load_refiner(tmp_path / "a.safetensors")
    again, _ = load_refiner(tmp_path / "b.safetensors")
    assert info.provenance == {"by": "test", "steps": "60"}
    for name, tensor in first.state_dict().items():
        torch.testing.assert_close(tensor, again.state_dict()[name], rtol=0, atol=0)
    lines = capsys.readouterr().out.splitlines()
    losses = [float(line.split("loss ")[1].split()[0].rstrip(",")) for line in lines]
    assert losses[2] < 0.8 * losses[1], "steps 21 to 60 against steps 1 to 20"


def test_bank_without_parts_is_refused(recipe, tmp_path) -> None:
    save_bank(replace(load_bank(recipe.bank), parts=None), tmp_path / "old.npz")
    old = replace(recipe, bank=str(tmp_path / "old.npz"), workers=1)
    with pytest.raises(UnusableData, match="does not tell the parts"):
        train_refiner(old, lambda images: images, tmp_path / "run", tmp_path / "f", provenance={})


def test_a_run_of_other_weights_or_maps_is_not_gone_on_with(recipe, tmp_path) -> None:
    one, two = replace(recipe, steps=1), replace(recipe, steps=2)
    out = tmp_path / "run", tmp_path / "f"
    train_refiner(one, true_posteriors(one), *out, provenance={"weights": "abc"})
    with pytest.raises(UnusableData, match="other weights or label maps"):
        train_refiner(two, true_posteriors(two), *out, provenance={"weights": "abd"})
    train_refiner(two, true_posteriors(two), *out, provenance={"weights": "abc"})
    (tmp_path / "run" / CHECKPOINT).write_bytes(b"no checkpoint")
    with pytest.raises(UnusableData, match="cannot be read"):
        train_refiner(two, true_posteriors(two), *out, provenance={"weights": "abc"})


def test_damaged_file_is_refused(recipe, tmp_path) -> None:
    train_refiner(
        replace(recipe, steps=1),
        true_posteriors(replace(recipe, steps=1)),
        tmp_path / "run",
        tmp_path / "f",
        provenance={},
    )
    data = bytearray((tmp_path / "f").read_bytes())
    data[-3] ^= 255
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(UnusableData, match="damaged"):
        load_refiner(tmp_path / "f")


def test_parts_follow_open_sulci(recipe) -> None:
    """Cortex that gives way to fluid is no part of the cortex any more."""
    bank = load_bank(recipe.bank)
    open_wide = replace(recipe, synthesis=replace(recipe.synthesis, open_sulci=1.0, bare_brain=1.0))
    sizes = []
    for number in range(4):
        params = Samples(bank, open_wide).params(number) | {"form": None}
        target, bits = apply(bank, params).target, parts_of(bank, params)
        cortex = torch.isin(target, torch.tensor([LABELS.index(3), LABELS.index(42)], dtype=torch.uint8))
        closed = parts_of(bank, params | {"sulci": None})
        changed = bits != closed
        assert changed.any()
        assert not (changed & cortex).any()
        assert (target[changed] == 0).all()
        sizes.append(int(changed.sum()))
    assert len(set(sizes)) > 1, "the share is drawn"
