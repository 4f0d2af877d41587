"""Normalised mutual information and its slope."""

import numpy as np
import pytest

from babyseg_py.registration.similarity import (
    BINS,
    information_slope,
    joint_histogram,
    normalised_information,
    sample,
)


def information(a, b):
    return normalised_information(joint_histogram(a, b)[0])[0]


def test_sampling_is_linear_with_the_slope_of_the_interpolant(rng):
    i, j, k = np.indices((7, 8, 9))
    data = (i + 2 * j + 3 * k).astype(np.float32)
    points = rng.uniform(0.1, 5.9, (3, 50))
    found = sample(data, np.eye(4), points, (0, BINS - 1))
    np.testing.assert_allclose(found.value, np.minimum([1, 2, 3] @ points, BINS - 1), rtol=1e-5)
    inside = [1, 2, 3] @ points < BINS - 1
    np.testing.assert_allclose(found.slope[:, inside], np.tile([[1], [2], [3]], inside.sum()), atol=1e-4)


def test_points_beyond_the_field_of_view_are_marked():
    points = np.array([[0, 6.0, 6.1, -0.1], [0, 0, 0, 0], [0, 8.0, 0, 0]])
    found = sample(np.ones((7, 8, 9), np.float32), np.eye(4), points, (0, 1))
    assert found.inside.tolist() == [True, True, False, False]


def test_histogram_counts_every_pair_once(rng):
    counts, *_ = joint_histogram(*rng.uniform(0, BINS - 1, (2, 500)))
    assert counts.sum() == pytest.approx(500)


def test_information_is_the_same_both_ways(rng):
    a, b = rng.uniform(0, BINS - 1, (2, 500))
    assert information(a, b) == pytest.approx(information(b, a), abs=1e-12)


def test_inverting_the_contrast_keeps_the_information(rng):
    a = rng.uniform(0, BINS - 1, 5000)
    assert information(a, a) > 0.4
    assert information(a, BINS - 1 - a) == pytest.approx(information(a, a), abs=1e-3)
    assert information(a, rng.permutation(a)) < 0.05


def test_a_constant_image_tells_nothing(rng):
    assert information(np.zeros(100), rng.uniform(0, BINS - 1, 100)) == pytest.approx(0, abs=1e-9)
    assert information(np.zeros(0), np.zeros(0)) == 0


def test_slope_equals_finite_differences(rng):
    a = rng.uniform(1, BINS - 2, 200)
    b = np.clip(a + rng.normal(0, 2, 200), 1, BINS - 2)
    counts, *where = joint_histogram(a, b)
    by_a, by_b = information_slope(normalised_information(counts)[1], *where)
    for n in range(5):
        step = np.zeros(200)
        step[n] = 1e-6
        assert by_a[n] == pytest.approx(
            (information(a + step, b) - information(a - step, b)) / 2e-6, rel=1e-3
        )
        assert by_b[n] == pytest.approx(
            (information(a, b + step) - information(a, b - step)) / 2e-6, rel=1e-3
        )
