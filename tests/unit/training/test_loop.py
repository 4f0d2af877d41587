"""The training loop: it learns, logs, and explains what is wrong with a recipe."""

import re
from dataclasses import replace

import pytest
import torch
import yaml
from tensorboardX.proto import event_pb2

from babyseg_py.cli import main
from babyseg_py.errors import UnusableData
from babyseg_py.images import save_labels
from babyseg_py.labels import LABELS, STRUCTURES
from babyseg_py.models.weights import load_weights
from babyseg_py.synthesis.labelbank import load_bank
from babyseg_py.training.board import panel
from babyseg_py.training.export import export_weights
from babyseg_py.training.loop import LOG, Trainer, drop_rows_after, learning_rate
from babyseg_py.training.pack import age_from_name, pack_label_maps
from babyseg_py.training.recipe import read_recipe, recipe_from_dict


def test_learns(recipe, tmp_path) -> None:
    """In some hundred small steps the phantom is segmented."""
    trainer = Trainer(replace(recipe, steps=150, learning_rate=1e-2, ema=0.9, ease_in=150), tmp_path)
    before = torch.cat(list(trainer.validate().values())).nanmean()
    trainer.run()
    after = torch.cat(list(trainer.validate().values())).nanmean()
    assert after > max(0.6, before + 0.3)


def test_log_loses_the_rows_of_lost_steps(tmp_path) -> None:
    """What came after the checkpoint goes, a half-written line too; an empty log stays empty."""
    log = tmp_path / LOG
    log.write_text("step,loss\n2,0.5\n4,0.4\n6,0.3\n8")
    drop_rows_after(log, 4)
    assert log.read_text() == "step,loss\n2,0.5\n4,0.4\n"
    log.write_text("")
    drop_rows_after(log, 4)
    assert log.read_text() == ""


def test_event_files_hold_curves_and_examples(recipe, tmp_path) -> None:
    """TensorBoard gets loss, rate, Dice of each structure and slices; a key of the recipe turns it off."""
    Trainer(replace(recipe, steps=4, validate_every=2), tmp_path / "on").run()
    (file,) = (tmp_path / "on" / "tensorboard").iterdir()
    found = events(file.read_bytes())
    assert {"loss", "learning_rate", "dice_brain", "dice/2", "dice/42", "example/0"} <= set(found)
    assert found["loss"] == [2, 4]
    Trainer(replace(recipe, steps=2, tensorboard=False), tmp_path / "off").run()
    assert not (tmp_path / "off" / "tensorboard").exists()


def events(data: bytes) -> dict[str, list[int]]:
    """Read the steps of each tag from an event file: records of length, checksum, message and checksum."""
    found: dict[str, list[int]] = {}
    while data:
        size = int.from_bytes(data[:8], "little")
        event = event_pb2.Event.FromString(data[12 : 12 + size])
        data = data[16 + size :]
        for value in event.summary.value:
            found.setdefault(value.tag, []).append(event.step)
    return found


def test_example_slice_by_hand() -> None:
    """Image, labels and labels found side by side, anterior at the top, left at the left."""
    image, target = torch.zeros(2, 3, 1), torch.zeros(2, 3, 1, dtype=torch.uint8)
    image[0, 2, 0], target[1, 0, 0] = 1.0, LABELS.index(17)
    shown = panel(image, target, torch.zeros_like(target))
    assert shown.shape == (3, 6, 3)
    assert shown[0, 0].tolist() == [255, 255, 255]
    assert shown[2, 3].tolist() == list(STRUCTURES[LABELS.index(17)].colour)
    assert shown.sum() == 3 * 255 + sum(STRUCTURES[LABELS.index(17)].colour)


def test_export(recipe, tmp_path) -> None:
    """Exported weights are the running mean in half precision, and see brains of a size that they know."""
    trainer = Trainer(replace(recipe, steps=2), tmp_path)
    trainer.run()
    export_weights(tmp_path, tmp_path / "w.safetensors")
    networks, info = load_weights(tmp_path / "w.safetensors")
    assert info.provenance["segment_steps"] == "2"
    assert re.match(r"\d label maps \(.*\); images synthesised", info.provenance["data"])
    low, high = recipe.synthesis.brain_voxels
    assert (low * high) ** 0.5 < info.preprocessing.brain_voxels < high
    for name, tensor in trainer.mean.state_dict().items():
        assert torch.equal(networks.segment.state_dict()[name], tensor.half().float())


def test_goes_on_from_weights(recipe, plain_recipe, tmp_path, capsys) -> None:
    """A run begins with given weights and counts their training; another network is refused."""
    Trainer(replace(recipe, steps=3), tmp_path / "first").run()
    export_weights(tmp_path / "first", tmp_path / "w.safetensors")
    settings = tmp_path / "recipe.yaml"
    settings.write_text(yaml.safe_dump(plain_recipe | {"steps": 2, "learning_rate": 1e-12}))
    words = ["train", str(settings), "-o", str(tmp_path / "next"), "--threads", "1"]
    assert main([*words, "--start", str(tmp_path / "w.safetensors")]) == 0
    export_weights(tmp_path / "next", tmp_path / "again.safetensors")
    (first, _), (again, info) = (load_weights(tmp_path / f"{n}.safetensors") for n in ("w", "again"))
    assert info.provenance["segment_steps"] == "5"
    assert main([*words, "--start", str(tmp_path / "w.safetensors")]) == 0
    assert "has a checkpoint; --start is not used" in capsys.readouterr().err
    assert main([*words, "--export", str(settings)]) == 2
    assert main([*words, "--refine", str(tmp_path / "w.safetensors"), str(settings)]) == 2
    assert settings.read_text().startswith("bank")
    for name, tensor in first.segment.state_dict().items():
        torch.testing.assert_close(again.segment.state_dict()[name], tensor, atol=1e-6, rtol=1e-3)
    other = plain_recipe["network"] | {"head": [8]}
    settings.write_text(yaml.safe_dump(plain_recipe | {"network": other}))
    assert main([*words[:-3], str(tmp_path / "o"), "--start", str(tmp_path / "w.safetensors")]) == 65
    assert "another network" in capsys.readouterr().err


def test_held_out_maps_are_not_trained_on(recipe, tmp_path) -> None:
    """The held-out map is in the validation set alone; an unknown one is named."""
    trainer = Trainer(recipe, tmp_path)
    assert [m.name for m in trainer.samples.bank.maps] == ["a"]
    with pytest.raises(UnusableData, match="lacks the held-out maps"):
        Trainer(replace(recipe, held_out=("c",)), tmp_path / "other")


def test_rate_warms_up_and_falls() -> None:
    """A tenth of the way up after a tenth of the warm-up, a hundredth at the end."""
    recipe = recipe_from_dict(
        {
            "bank": "b",
            "network": {},
            "synthesis": {"grid": [64, 64, 64]},
            "steps": 1000,
            "warmup": 100,
            "learning_rate": 1.0,
        }
    )
    assert learning_rate(recipe, 9) == pytest.approx(0.1)
    assert learning_rate(recipe, 500) == 1.0
    assert learning_rate(recipe, 1000) == pytest.approx(0.01)
    cosine = replace(recipe, fall="cosine", decay=1.0)
    assert learning_rate(cosine, 500) == pytest.approx((1 + 0.01) / 2)
    assert learning_rate(cosine, 250) == pytest.approx(0.01 + 0.99 * (2 + 2**0.5) / 4)
    assert learning_rate(cosine, 1000) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: 3", "bank, network are missing"),
        ("bank: b\nnetwork: {}\nsteeps: 3", "unknown settings steeps"),
        ("bank: b\nnetwork: {}\nsynthesis: {brane: 2}", "brane"),
        ("bank: b\nnetwork: {}\nloss: dise", "dise.*soft_dice"),
        ("bank: b\nnetwork: {}\nbatch: 0", "batch is 0, not from 1"),
        ("[1, 2", "cannot be read"),
        ("", "holds no settings"),
    ],
)
def test_bad_recipes_are_explained(text, message, tmp_path) -> None:
    """Every mistake in a recipe is named with the file."""
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(UnusableData, match=message):
        read_recipe(path)


def test_pack_reads_ages_from_names(ball, tmp_path) -> None:
    """Ages come from the names; a folder of files becomes one bank."""
    assert age_from_name("age-34-38mo") == 36
    assert age_from_name("adult-1") is None
    for name in ("age-4.5mo_dseg", "AGE-34-38mo_dseg", "adult-1_dseg", "adult-2"):
        save_labels(ball, tmp_path / f"{name}.nii.gz")
    pack_label_maps([tmp_path], tmp_path / "bank.npz")
    ages = {one.name: one.age_months for one in load_bank(tmp_path / "bank.npz").maps}
    assert ages == {"age-4.5mo": 4.5, "AGE-34-38mo": 36, "adult-1": None, "adult-2": None}


def test_maps_without_an_age_are_told(ball, tmp_path) -> None:
    """How many count as adults is said, but for those whose names call them so."""
    for name in ("age-4mo_dseg", "adult-1_dseg"):
        save_labels(ball, tmp_path / f"{name}.nii.gz")
    assert pack_label_maps([tmp_path], tmp_path / "bank.npz") == []
    for name in ("sub-01_dseg", "sub-02_dseg"):
        save_labels(ball, tmp_path / f"{name}.nii.gz")
    (note,) = pack_label_maps([tmp_path], tmp_path / "bank.npz")
    assert note.startswith("2 of 4 maps tell no age and count as adults")


def test_a_bank_replaces_no_map(ball, plain_recipe, tmp_path, capsys) -> None:
    """A recipe whose bank is a map in the folder that is packed."""
    path = tmp_path / "maps" / "age-4mo_dseg.nii.gz"
    save_labels(ball, path)
    before = path.read_bytes()
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(plain_recipe | {"bank": str(path)}))
    words = ["train", str(tmp_path / "r.yaml"), "-o", str(tmp_path / "run")]
    assert main([*words, "--pack", str(tmp_path / "maps")]) == 2
    assert "is an input" in capsys.readouterr().err
    assert path.read_bytes() == before


@pytest.mark.parametrize("option", ["--label-table", "--locate"])
def test_options_that_would_do_nothing_are_refused(option, tmp_path, capsys) -> None:
    assert main(["train", "tiny", "-o", str(tmp_path / "run"), option, "x"]) == 2
    assert f"{option} is for" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["age-four_dseg", "age-4y_dseg", "Age-mo_dseg"])
def test_a_name_that_tells_its_age_badly_is_no_adult(ball, tmp_path, name) -> None:
    """A map whose name begins as an age but tells none is refused, not taken for an adult's."""
    save_labels(ball, tmp_path / f"{name}.nii.gz")
    with pytest.raises(UnusableData, match="tells no age in months"):
        pack_label_maps([tmp_path], tmp_path / "bank.npz")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"clip": -1}, "clip is -1"),
        ({"learning_rate": 0}, "learning_rate is 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"ema": 2}, "ema is 2"),
        ({"decay": -1}, "decay is -1"),
        ({"warmup": -5}, "warmup is -5"),
        ({"warmup": "a"}, "warmup is 'a', not a number"),
        ({"steps": 4.5}, "steps is 4.5, not a whole number"),
        ({"seed": -1}, "seed is -1"),
        ({"bank": 5}, "bank is the name of a file"),
        ({"tensorboard": "no"}, "true or false"),
        ({"held_out": "age-4mo"}, "not a list of names"),
        ({"network": None}, "network"),
        ({"network": {"encoder": [-4, 8], "decoder": [8, 8]}}, "from 1 on"),
        ({"network": {"norm": "no"}}, "true or false"),
    ],
)
def test_settings_that_make_no_sense_are_named(plain_recipe, changes, words) -> None:
    with pytest.raises(UnusableData, match=words):
        recipe_from_dict(plain_recipe | changes)


def test_a_rate_without_a_point_is_a_number(plain_recipe) -> None:
    """YAML 1.1 takes 1e-3 for text."""
    rate = yaml.safe_load("1e-3")
    assert isinstance(rate, str)
    assert recipe_from_dict(plain_recipe | {"learning_rate": rate, "steps": 12.0}).learning_rate == 1e-3
