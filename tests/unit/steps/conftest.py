"""A narrow untrained network, which is quick nonsense, and scans to segment with it."""

import numpy as np
import pytest
import torch

from babyseg_py.cli import main
from babyseg_py.images import Volume, save_image
from babyseg_py.labels import LABELS
from babyseg_py.models.groupnet import GroupNet, GroupNetConfig
from babyseg_py.models.weights import FixedGrid, ModelInfo, Networks, save_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(5)
    config = GroupNetConfig(len(LABELS), (1, 4), (4, 4))
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    recipe = FixedGrid(voxel_mm=4.0, multiple=8, smallest=16, largest=48)
    save_weights(Networks(GroupNet(config)), ModelInfo(LABELS, config, recipe, {}), path)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder, the current one, with the scans a and b and a file c that is none."""
    generator = np.random.default_rng(6)
    for name in "ab":
        data = np.zeros((24, 28, 20), dtype=np.float32)
        data[3:20, 4:24, 2:17] = generator.random((17, 20, 15)) + 0.5
        save_image(Volume(data, np.diag([4.0, 4.0, 4.0, 1.0])), tmp_path / f"{name}.nii.gz")
    (tmp_path / "c.nii.gz").write_text("no image")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def segment(weights):
    return lambda *words: main(["segment", *words, "--weights", str(weights), "--threads", "1"])


@pytest.fixture
def empty(folder):
    """Return a function that writes an image of nothing, on the grid of the others, and returns its name."""

    def write(name: str) -> str:
        data = np.zeros((24, 28, 20), np.float32)
        save_image(Volume(data, np.diag([4.0, 4.0, 4.0, 1.0])), folder / name)
        return name

    return write
