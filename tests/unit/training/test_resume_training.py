"""A run that is killed, or that goes wrong, can be gone on with or looked into."""

import json
import math
import re
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import yaml

from babyseg_py.cli import main
from babyseg_py.errors import UnusableData
from babyseg_py.synthesis.labelbank import save_bank
from babyseg_py.synthesis.labelbank_build import describe_map, make_bank
from babyseg_py.training.failure import Watch
from babyseg_py.training.loop import CHECKPOINT, LOG, Trainer

# Runs a recipe and kills itself (SIGKILL: nothing can be tidied up) at one moment of it.
CHILD = """
import os, signal, sys
from pathlib import Path
import torch
from babyseg_py.training import loop, recipe

config, folder, moment = sys.argv[1:]
torch.set_num_threads(1)
trainer = loop.Trainer(recipe.read_recipe(config), Path(folder))
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
save, step, clip = torch.save, trainer.optimiser.step, torch.nn.utils.clip_grad_norm_

def half_saved(state, path):
    if trainer.step == 8:
        save(state, path)
        with open(path, "r+b") as file:
            file.truncate(Path(path).stat().st_size // 2)
        die()
    save(state, path)

def half_stepped(*arguments):
    step(*arguments)
    if trainer.step == 6:
        die()

def before_saving():
    if trainer.step == 12:
        die()
    really()

if moment == "step":
    trainer.optimiser.step = half_stepped
elif moment == "save":
    torch.save = half_saved
elif moment == "log":
    really, trainer._save = trainer._save, before_saving
trainer.run()
"""


def parameters(path) -> list[torch.Tensor]:
    state = torch.load(path / CHECKPOINT, weights_only=True)
    moments = [v for slot in state["optimiser"]["state"].values() for v in slot.values()]
    return [*state["network"].values(), *state["mean"].values(), *moments]


def test_killed_at_any_moment_equals_undisturbed(plain_recipe, recipe, tmp_path, one_thread) -> None:
    """Killed after weights changed, with half a checkpoint written, and after the last log: the same bits."""
    config = tmp_path / "recipe.yaml"
    config.write_text(yaml.safe_dump(plain_recipe))
    out = tmp_path / "killed"
    steps = []
    for moment in ("step", "save", "log"):
        done = subprocess.run([sys.executable, "-c", CHILD, str(config), str(out), moment], check=False)
        assert done.returncode == -signal.SIGKILL
        steps.append(torch.load(out / CHECKPOINT, weights_only=True)["step"])
    assert steps == [4, 4, 8]
    resumed = Trainer(recipe, out)
    assert resumed.step == 8
    resumed.run()

    Trainer(recipe, tmp_path / "straight").run()
    assert not list(out.glob(".part*"))  # half a checkpoint of a killed process
    pairs = zip(parameters(tmp_path / "straight"), parameters(out), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    logs = [(folder / LOG).read_text().splitlines() for folder in (tmp_path / "straight", out)]
    assert [[line.split(",")[0] for line in log] for log in logs] == [["step", "12"]] * 2


def test_failed_step_is_kept_and_can_be_replayed(plain_recipe, recipe, tmp_path, capsys) -> None:
    """A learning rate without bounds: the message names step, map and file, and the replay fails again."""
    config, out = tmp_path / "recipe.yaml", tmp_path / "run"
    config.write_text(yaml.safe_dump({**plain_recipe, "learning_rate": 1e30, "warmup": 1}))
    assert main(["train", str(config), "-o", str(out)]) == 65
    words = capsys.readouterr().err
    assert "the loss is nan (label map a)" in words
    record = re.search(r"--replay (\S+\.json)`", words)[1]
    step = int(re.search(r"before step (\d+)", words)[1])
    kept = json.loads((out / "failed" / f"step-{step}.json").read_text())
    assert (kept["step"], kept["visits"][0]["number"]) == (step, step)

    assert main(["train", str(config), "-o", str(out), "--replay", record]) == 0
    assert "visit 0: loss nan" in capsys.readouterr().out
    assert (out / "failed" / f"step-{step}_visit-0_scan-0.nii.gz").exists()
    assert (out / "failed" / f"step-{step}_visit-0_dseg.nii.gz").exists()
    assert not (out / CHECKPOINT).exists()
    assert main(["train", str(config), "-o", str(out), "--replay", str(config)]) == 65


def test_what_cannot_be_gone_on_with_is_named(recipe, tmp_path) -> None:
    """A damaged checkpoint, one of another network, a bank that is not there or none."""
    Trainer(replace(recipe, steps=1), tmp_path / "run").run()
    wider = replace(recipe, network=replace(recipe.network, encoder=(5, 8)))
    with pytest.raises(UnusableData, match="of another network than the recipe's"):
        Trainer(wider, tmp_path / "run")
    (tmp_path / "run" / CHECKPOINT).write_bytes(b"half a checkpoint")
    with pytest.raises(UnusableData, match="is damaged"):
        Trainer(recipe, tmp_path / "run")
    for bank in ("nowhere.npz", "bad.npz"):
        (tmp_path / "bad.npz").write_text("no bank")
        with pytest.raises(UnusableData, match="cannot be read as a bank"):
            Trainer(replace(recipe, bank=str(tmp_path / bank)), tmp_path / "other")


def test_a_run_on_other_maps_is_not_gone_on_with(recipe, ball, tmp_path) -> None:
    """What was learned from is known by its content: another bank needs another folder."""
    Trainer(replace(recipe, steps=1), tmp_path / "run").run()
    Trainer(recipe, tmp_path / "run")
    save_bank(make_bank([describe_map(ball, name=n, age_months=2.0) for n in "cb"]), tmp_path / "c.npz")
    with pytest.raises(UnusableData, match="learned from something else"):
        Trainer(replace(recipe, bank=str(tmp_path / "c.npz")), tmp_path / "run")


def test_two_runs_do_not_share_a_folder(recipe, tmp_path) -> None:
    trainer = Trainer(replace(recipe, steps=1), tmp_path)
    hold = "import sys; from pathlib import Path; from babyseg_py.training.loop import alone_in\n"
    hold += "with alone_in(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", hold, str(tmp_path)], **pipes) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(UnusableData, match="another process trains"):
            trainer.run()
        other.stdin.close()
    trainer.run()
    assert trainer.step == 1


def test_a_run_in_use_loses_no_row_of_its_log(recipe, tmp_path, one_thread) -> None:
    """A second run that is refused leaves the rows after the last checkpoint; one that waited is told why."""
    Trainer(replace(recipe, steps=1), tmp_path).run()
    log = tmp_path / LOG
    log.write_text(log.read_text() + "2,0.1\n")
    rows = log.read_text()
    second = Trainer(replace(recipe, steps=2), tmp_path)
    assert log.read_text() == rows
    Trainer(replace(recipe, steps=3), tmp_path).run()
    assert [row.split(",")[0] for row in log.read_text().splitlines()] == ["step", "1", "3"]
    with pytest.raises(UnusableData, match="has trained in this folder in the meantime"):
        second.run()
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["step"] == 3


def test_soft_dice_that_diverges_is_noticed(recipe, tmp_path, one_thread) -> None:
    """A rate of 50 fills everything with one class; its loss, 1, is below any multiple of guessing."""
    wild = replace(recipe, loss="soft_dice", learning_rate=50.0, steps=150, save_every=150)
    with pytest.raises(UnusableData, match="training diverges"):
        Trainer(wild, tmp_path).run()


def test_watch_knows_the_level_of_soft_dice() -> None:
    """Background alone on a map of 22 classes is a loss of .96, which may last; no overlap may not."""
    watch = Watch(22, "soft_dice")
    assert all(watch.complaint([0.96], 0.1) is None for _ in range(500))
    assert "more than 0.99" in [watch.complaint([1.0], 0.1) for _ in range(150)][-1]
    still = Watch(22, "soft_dice")
    assert all(still.complaint([0.8], 0.0) is None for _ in range(19))
    assert "the gradient is 0" in still.complaint([0.8], 0.0)


def test_time_left_is_told_at_checkpoints_and_the_end_when_called_again(recipe, tmp_path, capsys) -> None:
    Trainer(replace(recipe, steps=3, save_every=2), tmp_path).run()
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"step 2, loss \d\.\d{4} \(\d+ minutes left\)", first)
    assert second.startswith("step 3, minutes")
    Trainer(replace(recipe, steps=3), tmp_path).run()
    assert "this training is finished: it has 3 steps" in capsys.readouterr().out


def test_watch_tells_what_is_wrong() -> None:
    """Not a number, an endless gradient, and a loss that stays above guessing; a single peak does not."""
    assert Watch(22).complaint([0.5, math.nan], 1.0) == "the loss is nan"
    assert Watch(22).complaint([0.5], math.inf) == "the norm of the gradient is inf"
    watch = Watch(22)
    assert all(watch.complaint([1.0], 1.0) is None for _ in range(50))
    assert watch.complaint([100.0], 1.0) is None
    complaints = [watch.complaint([20.0], 1.0) for _ in range(50)]
    assert "training diverges" in complaints[-1]


def test_batch_has_to_suit_the_processes(recipe, tmp_path) -> None:
    """Three visits cannot be shared by two processes."""
    team = replace(Trainer(recipe, tmp_path).team, size=2)
    with pytest.raises(UnusableData, match="batch of 3 cannot be shared by 2"):
        Trainer(replace(recipe, batch=3), tmp_path, team=team)
