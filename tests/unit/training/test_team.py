"""Several processes do what one does."""

import subprocess
import sys

import torch
import yaml

from babyseg_py.training.loop import CHECKPOINT, LOG, Trainer
from babyseg_py.training.recipe import recipe_from_dict


def test_two_processes_equal_one_of_the_same_batch(plain_recipe, tmp_path, one_thread) -> None:
    """Batches of four visits, some of two scans: two processes through gloo end where one does.

    Without normalisation: before it a bias has no gradient but rounding errors, which Adam makes steps of.
    """
    network = {"encoder": [4, 8], "decoder": [8, 8]}
    plain = {**plain_recipe, "network": network, "batch": 4, "steps": 5, "save_every": 5, "validate_every": 5}
    config, out = tmp_path / "recipe.yaml", tmp_path / "two"
    config.write_text(yaml.safe_dump(plain))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    train = ["-m", "babyseg_py", "train", str(config), "-o", str(out), "--threads", "1"]
    done = subprocess.run([*launcher, *train], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    Trainer(recipe_from_dict(plain), tmp_path / "one").run()
    one, two = (torch.load(tmp_path / name / CHECKPOINT, weights_only=True) for name in ("one", "two"))
    for part in ("network", "mean"):
        for name, tensor in one[part].items():
            assert torch.allclose(tensor, two[part][name], rtol=0, atol=1e-5), (part, name)
    rows = [(tmp_path / name / LOG).read_text().splitlines() for name in ("one", "two")]
    assert [len(lines) for lines in rows] == [2, 2]
