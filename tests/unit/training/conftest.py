"""A phantom, its bank and a recipe of a dozen steps."""

import numpy as np
import pytest
import torch

from babyseg_py.images import Volume
from babyseg_py.synthesis.labelbank import save_bank
from babyseg_py.synthesis.labelbank_build import describe_map, make_bank
from babyseg_py.training.recipe import recipe_from_dict

TWO_LEVELS = {"encoder": [4, 8], "decoder": [8, 8], "head": [4], "norm": True, "shared": True}


@pytest.fixture(scope="session")
def ball() -> Volume:
    """Return two half balls of white matter within cortex."""
    n = 40
    grid = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), axis=-1) - (n - 1) / 2
    radius, right = np.linalg.norm(grid, axis=-1), grid[..., 0] > 0
    labels = np.zeros((n, n, n), dtype=np.int32)
    labels[radius < 16] = np.where(right, 42, 3)[radius < 16]
    labels[radius < 10] = np.where(right, 41, 2)[radius < 10]
    return Volume(labels, np.diag([1.0, 1, 1, 1]) + np.array([[0, 0, 0, -19.5]] * 3 + [[0, 0, 0, 0]]))


@pytest.fixture(scope="session")
def plain_recipe(ball, tmp_path_factory):
    """Return the recipe as it would be read from YAML."""
    path = tmp_path_factory.mktemp("bank") / "bank.npz"
    save_bank(make_bank([describe_map(ball, name=n, age_months=2.0) for n in ("a", "b")]), path)
    return {
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


@pytest.fixture(scope="session")
def recipe(plain_recipe):
    return recipe_from_dict(plain_recipe)


@pytest.fixture
def one_thread():
    """Compute on one thread, as other processes of a test do."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
