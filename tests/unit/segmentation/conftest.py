"""What tests of segmentation share."""

import pytest
from random_network import random_blob, random_segmenter

from babyseg_py.images import Volume
from babyseg_py.segmentation.inference import Segmenter


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return random_segmenter()


@pytest.fixture
def blob(rng) -> Volume:
    return random_blob(rng)
