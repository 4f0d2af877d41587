"""Motions about a mid-space."""

import numpy as np
import pytest

from babyseg_py.registration.motion import (
    displacement_mm,
    half_motions,
    rotation_deg,
    rotation_derivative,
    rotation_matrix,
)

A, B = np.array([3.0, -4.0, 10.0]), np.array([-7.0, 1.0, 2.0])


def full(rotation, shift, a=A, b=B):
    to_a, to_b = half_motions(np.array(rotation), np.array(shift), a, b)
    return to_b @ np.linalg.inv(to_a)


def test_no_motion_brings_the_centres_together():
    np.testing.assert_allclose(full([0, 0, 0], [0, 0, 0]) @ [*A, 1], [*B, 1])


def test_swapping_the_scans_inverts_the_motion():
    forth = full([0.3, -0.2, 0.5], [4, 5, -6])
    back = full([-0.3, 0.2, -0.5], [-4, -5, 6], a=B, b=A)
    np.testing.assert_allclose(back @ forth, np.eye(4), atol=1e-12)


def test_angle_and_displacement_are_those_asked_for():
    matrix = full([0, 0, np.radians(20)], [0, 0, 0], a=A, b=A)
    assert rotation_deg(matrix) == pytest.approx(20)
    assert displacement_mm(matrix, A) == pytest.approx(0, abs=1e-12)
    assert displacement_mm(full([0, 0, 0], [3, 4, 0], a=A, b=A), A) == pytest.approx(5)


@pytest.mark.parametrize("vector", [(0, 0, 0), (0.4, -0.1, 0.2), (1e-9, 0, 0), (2.0, 1.0, -1.0)])
def test_derivative_of_a_rotation_equals_finite_differences(vector):
    vector = np.array(vector, dtype=float)
    steps = 1e-6 * np.eye(3)
    expected = [(rotation_matrix(vector + s) - rotation_matrix(vector - s)) / 2e-6 for s in steps]
    np.testing.assert_allclose(rotation_derivative(vector), expected, atol=1e-7)
