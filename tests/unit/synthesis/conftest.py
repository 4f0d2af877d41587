"""A small label bank made from nested ellipsoids."""

import numpy as np
import pytest

from babyseg_py.images import Volume
from babyseg_py.synthesis.labelbank_build import describe_map, make_bank


def phantom(shape=(60, 72, 56)) -> Volume:
    """Draw two hemispheres of white matter, cortex, ventricle and thalamus; left at negative world x."""
    centre = (np.array(shape) - 1) / 2
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1) - centre
    radius = np.linalg.norm(grid / (centre * 0.8), axis=-1)
    labels = np.zeros(shape, dtype=np.int32)
    right = grid[..., 0] > 0
    for limit, left_label, right_label in ((1, 3, 42), (0.75, 2, 41), (0.4, 10, 49), (0.2, 4, 43)):
        labels[radius < limit] = np.where(right, right_label, left_label)[radius < limit]
    affine = np.eye(4)
    affine[:3, 3] = -centre
    return Volume(labels, affine)


@pytest.fixture(scope="session")
def bank():
    """Bank of two infants and one adult of the same shape."""
    ages = {"age-2mo": 2.0, "age-9mo": 9.0, "adult-1": None}
    return make_bank([describe_map(phantom(), name=n, age_months=a) for n, a in ages.items()])
