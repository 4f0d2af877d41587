"""The training loop: it learns, it can be killed, it can be resumed from any checkpoint."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume, save_labels
from babyseg_py.models.weights import load_weights
from babyseg_py.synthesis.labelbank import save_bank
from babyseg_py.synthesis.labelbank_build import describe_map, make_bank
from babyseg_py.training.export import export_weights
from babyseg_py.training.loop import CHECKPOINT, Trainer, learning_rate
from babyseg_py.training.pack import age_from_name, pack_label_maps
from babyseg_py.training.recipe import read_recipe, recipe_from_dict

TWO_LEVELS = {"encoder": [4, 8], "decoder": [8, 8], "head": [4], "norm": True, "shared": True}


def ball() -> Volume:
    """Two half balls of white matter within cortex."""
    n = 40
    grid = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), axis=-1) - (n - 1) / 2
    radius, right = np.linalg.norm(grid, axis=-1), grid[..., 0] > 0
    labels = np.zeros((n, n, n), dtype=np.int32)
    labels[radius < 16] = np.where(right, 42, 3)[radius < 16]
    labels[radius < 10] = np.where(right, 41, 2)[radius < 10]
    return Volume(labels, np.diag([1.0, 1, 1, 1]) + np.array([[0, 0, 0, -19.5]] * 3 + [[0, 0, 0, 0]]))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("bank") / "bank.npz"
    save_bank(make_bank([describe_map(ball(), name=n, age_months=2.0) for n in ("a", "b")]), path)
    return recipe_from_dict(
        {
            "bank": str(path),
            "network": TWO_LEVELS,
            "synthesis": {"grid": [16, 16, 16], "brain_voxels": [9, 11], "two_scans": 0.3},
            "held_out": ["b"],
            "steps": 12,
            "warmup": 2,
            "save_every": 4,
            "validate_every": 12,
            "validation_samples": 2,
            "precision": "fp32",
        }
    )


def weights_of(trainer: Trainer) -> list[torch.Tensor]:
    return [*trainer.network.state_dict().values(), *trainer.mean.state_dict().values()]


def test_resumed_equals_undisturbed(recipe, tmp_path) -> None:
    """Stopping at a checkpoint and going on gives the same parameters, bit for bit."""
    straight = Trainer(recipe, tmp_path / "straight")
    straight.run()
    first = Trainer(recipe, tmp_path / "broken")
    for step in range(8):
        images, target = first.samples[step]
        first._update(images, target)
        first.step += 1
        if first.step % recipe.save_every == 0:
            first._save()
    first._update(*first.samples[8])  # lost: not saved before the kill
    second = Trainer(recipe, tmp_path / "broken")
    assert second.step == 8
    second.run()
    assert all(torch.equal(a, b) for a, b in zip(weights_of(straight), weights_of(second), strict=True))


def test_learns(recipe, tmp_path) -> None:
    """In some hundred small steps the phantom is segmented."""
    trainer = Trainer(replace(recipe, steps=150, learning_rate=1e-2, ema=0.9, ease_in=150), tmp_path)
    before = torch.cat(list(trainer.validate().values())).nanmean()
    trainer.run()
    after = torch.cat(list(trainer.validate().values())).nanmean()
    assert after > max(0.6, before + 0.3)


def test_killed_process_leaves_a_whole_checkpoint(recipe, tmp_path) -> None:
    """Kill -9 during a run leaves the last checkpoint readable, and training goes on from it."""
    config = tmp_path / "recipe.yaml"
    plain = {
        "bank": recipe.bank,
        "steps": 4000,
        "save_every": 2,
        "validate_every": 4000,
        "validation_samples": 2,
    }
    plain |= {"network": {"encoder": [4, 8], "decoder": [8, 8], "norm": True, "shared": True}}
    plain |= {"synthesis": {"grid": [16, 16, 16], "brain_voxels": [9, 11]}, "precision": "fp32"}
    config.write_text(yaml.safe_dump(plain))
    out = tmp_path / "run"
    command = [sys.executable, "-m", "babyseg_py", "train", str(config), "-o", str(out), "--threads", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    while process.poll() is None and not (out / CHECKPOINT).exists():
        os.sched_yield()
    running = process.poll() is None
    if running:
        os.killpg(process.pid, signal.SIGKILL)
    _, errors = process.communicate()
    assert running, errors.decode()
    assert (out / CHECKPOINT).exists(), errors.decode()
    assert Trainer(read_recipe(config), out).step >= 2


def test_export(recipe, tmp_path) -> None:
    """Exported weights are the running mean in half precision."""
    trainer = Trainer(replace(recipe, steps=2), tmp_path)
    trainer.run()
    export_weights(tmp_path, tmp_path, tmp_path / "w.safetensors")
    networks, info = load_weights(tmp_path / "w.safetensors")
    assert info.provenance["segment_steps"] == "2"
    for name, tensor in trainer.mean.state_dict().items():
        assert torch.equal(networks.segment.state_dict()[name], tensor.half().float())


def test_held_out_maps_are_not_trained_on(recipe, tmp_path) -> None:
    """The held-out map is in the validation set alone; an unknown one is named."""
    trainer = Trainer(recipe, tmp_path)
    assert [m.name for m in trainer.samples.bank.maps] == ["a"]
    with pytest.raises(UnusableData, match="lacks the held-out maps"):
        Trainer(replace(recipe, held_out=("c",)), tmp_path / "other")


def test_rate_warms_up_and_falls() -> None:
    """A tenth of the way up after a tenth of the warm-up, a hundredth at the end."""
    recipe = recipe_from_dict(
        {"bank": "b", "network": TWO_LEVELS, "steps": 1000, "warmup": 100, "learning_rate": 1.0}
    )
    assert learning_rate(recipe, 9) == pytest.approx(0.1)
    assert learning_rate(recipe, 500) == 1.0
    assert learning_rate(recipe, 1000) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: 3", "bank, network are missing"),
        ("bank: b\nnetwork: {}\nsteeps: 3", "unknown settings steeps"),
        ("bank: b\nnetwork: {}\nsynthesis: {brane: 2}", "brane"),
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


def test_pack_reads_ages_from_names(tmp_path) -> None:
    """Ages come from the names; a folder of files becomes one bank."""
    assert age_from_name("age-34-38mo") == 36
    assert age_from_name("adult-1") is None
    save_labels(ball(), tmp_path / "age-4mo_dseg.nii.gz")
    save_labels(ball(), tmp_path / "adult-1_dseg.nii.gz")
    pack_label_maps(sorted(tmp_path.glob("*.nii.gz")), tmp_path / "bank.npz")
    assert (tmp_path / "bank.npz").exists()
