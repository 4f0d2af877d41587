"""How a head lies, from rough labels."""

import numpy as np
import pytest
from nibabel.affines import apply_affine
from nibabel.eulerangles import euler2mat

from babyseg_py.segmentation.pose import CENTROIDS, angle_deg, reversed_window, tilt
from babyseg_py.segmentation.window import Window


def window(shape=(50, 60, 56)):
    return Window(shape, np.eye(3), 2.0, np.array([3.0, -5.0, 8.0]))


def head(rotation, place):
    """Draw a cube of each structure where a head turned by a rotation has it, in a brain of 80 mm."""
    labels = np.zeros(place.shape, dtype=int)
    for pair, centre in CENTROIDS.items():
        for label, side in zip(pair, (-1, 1), strict=True):
            mm = place.centre_mm + rotation @ (80 * np.array(centre) * (side, 1, 1))
            low = np.round(apply_affine(np.linalg.inv(place.affine), mm)).astype(int) - 1
            labels[tuple(slice(a, a + 3) for a in low)] = label
    return labels


@pytest.mark.parametrize("angles", [(0, 0, 0), (0.5, 0, 0), (0, -0.4, 0), (0, 0, 0.7), (0.4, 0.3, -0.5)])
def test_tilt_is_found(angles):
    rotation = euler2mat(*angles)
    found = tilt(head(rotation, window()), window())
    assert np.linalg.det(found) == pytest.approx(1)
    assert angle_deg(found.T @ rotation) < 3


def test_too_few_structures_give_no_tilt():
    labels = np.zeros(window().shape, dtype=int)
    labels[10:14, 20:30, 9] = 2
    np.testing.assert_array_equal(tilt(labels, window()), np.eye(3))


@pytest.mark.parametrize("axes", [(1,), (2,), (0, 2)])
def test_images_on_a_reversed_window_are_the_images_reversed(axes):
    index = np.array([[4, 7, 9], [0, 59, 3]])
    there = index.copy()
    for axis in axes:
        there[:, axis] = window().shape[axis] - 1 - index[:, axis]
    world = apply_affine(window().affine, index)
    np.testing.assert_allclose(apply_affine(reversed_window(window(), axes).affine, there), world, atol=1e-9)
