"""Smooth noise."""

import numpy as np
import pytest

from babyseg_py.synthesis.digital_infant_fields import smooth_noise


def test_smooth_noise_is_standard_and_reproducible():
    one = smooth_noise(np.random.default_rng(3), (20, 21, 22), 4.0)
    np.testing.assert_array_equal(one, smooth_noise(np.random.default_rng(3), (20, 21, 22), 4.0))
    assert one.std() == pytest.approx(1, abs=1e-3)
    assert np.abs(np.diff(one, axis=0)).mean() < 0.3
