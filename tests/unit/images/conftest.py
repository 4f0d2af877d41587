"""Small scans with known content."""

import numpy as np
import pytest

from babyseg_py.images import Volume


def smooth_log_field(shape: tuple[int, ...], strength: float) -> np.ndarray:
    """Slow waves along all axes, of about the given standard deviation."""
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij", sparse=True)
    return strength * (1.5 * np.sin(1.3 * x + 0.4) + np.cos(1.8 * y) - 0.8 * z)


def make_head(*spacing: float) -> tuple[Volume, np.ndarray]:
    """Head of a newborn in noise under a smooth field, on a left-handed grid, and its log field."""
    rng = np.random.default_rng(3)
    x, y, z = np.meshgrid(*[np.arange(-60, 60, size) for size in spacing], indexing="ij", sparse=True)
    radius = np.sqrt((x / 41) ** 2 + (y / 53) ** 2 + (z / 44) ** 2)
    folds = 0.07 * np.sin(x / 5) * np.sin(y / 6) * np.sin(z / 5)
    tissue = np.select([radius + folds < 0.7, radius + folds < 0.9, radius < 1], [120.0, 80.0, 30.0], 0.0)
    log_field = smooth_log_field(tissue.shape, 0.25)
    noise = rng.normal(0, 2, (2, *tissue.shape))
    data = np.hypot(tissue * np.exp(log_field) + noise[0], noise[1])
    affine = np.diag([-spacing[0], spacing[1], spacing[2], 1.0])
    affine[:3, 3] = (66, -90, -70)
    return Volume(data.astype(np.float32), affine), log_field


@pytest.fixture(scope="session")
def head() -> tuple[Volume, np.ndarray]:
    """Return a head on a coarse anisotropic grid, and its log field."""
    return make_head(3.8, 3.6, 4.2)


@pytest.fixture(scope="session")
def fine_head() -> tuple[Volume, np.ndarray]:
    """Return the same head on a finer grid."""
    return make_head(1.4, 1.5, 2.1)


@pytest.fixture
def data(rng) -> np.ndarray:
    return rng.normal(100, 30, (7, 8, 9)).round().astype(np.float32)
