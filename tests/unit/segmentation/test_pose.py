"""How a head lies, from rough labels."""

import numpy as np
import pytest
import torch
from nibabel.affines import apply_affine
from nibabel.eulerangles import euler2mat

from babyseg_py.labels import LABELS
from babyseg_py.segmentation.head_axes import CENTROIDS, angle_deg
from babyseg_py.segmentation.pose import head_frame, reversed_window
from babyseg_py.segmentation.window import Window


def window(shape=(50, 60, 56)):
    return Window(shape, np.eye(3), 2.0, np.array([3.0, -5.0, 8.0]))


def head(rotation, place, shift_mm=(0, 0, 0)):
    """Posteriors with a blob of each structure where a head turned and moved has it, in a brain of 80 mm."""
    index = np.stack(np.meshgrid(*map(np.arange, place.shape), indexing="ij"), axis=-1)
    mm = apply_affine(place.affine, index)
    posteriors = np.zeros((len(LABELS), *place.shape), dtype=np.float32)
    for pair, centre in CENTROIDS.items():
        for label, side in zip(pair, (-1, 1), strict=True):
            point = place.centre_mm + shift_mm + rotation @ (80 * np.array(centre) * (side, 1, 1))
            posteriors[LABELS.index(label)] = np.exp(-((mm - point) ** 2).sum(axis=-1) / 18)
    return torch.from_numpy(posteriors)


@pytest.mark.parametrize("angles", [(0, 0, 0), (0.5, 0, 0), (0, -0.4, 0), (0, 0, 0.7), (0.4, 0.3, -0.5)])
def test_frame_follows_the_head(angles):
    """Turned and moved by parts of a voxel, the head gives a frame turned and moved likewise."""
    rotation, shift = euler2mat(*angles), np.array([0.7, -0.9, 0.3])
    place = window()
    still = head_frame(head(np.eye(3), place), LABELS, place)
    moved = head_frame(head(rotation, place, shift), LABELS, place)
    assert np.linalg.det(moved.rotation) == pytest.approx(1)
    assert angle_deg(moved.rotation.T @ rotation) < 0.1
    expected = place.centre_mm + shift + rotation @ (still.anchor_mm - place.centre_mm)
    np.testing.assert_allclose(moved.anchor_mm, expected, atol=0.05)


def test_too_few_structures_give_no_tilt():
    posteriors = head(euler2mat(0, 0, 0.5), window())
    posteriors[[LABELS.index(label) for label in LABELS if label > 3]] = 0
    np.testing.assert_array_equal(head_frame(posteriors, LABELS, window()).rotation, np.eye(3))


def test_nothing_found_gives_the_frame_of_the_window():
    frame = head_frame(torch.zeros(len(LABELS), *window().shape), LABELS, window())
    np.testing.assert_array_equal(frame.rotation, np.eye(3))
    np.testing.assert_array_equal(frame.anchor_mm, window().centre_mm)


@pytest.mark.parametrize("axes", [(1,), (2,), (0, 2)])
def test_images_on_a_reversed_window_are_the_images_reversed(axes):
    index = np.array([[4, 7, 9], [0, 59, 3]])
    there = index.copy()
    for axis in axes:
        there[:, axis] = window().shape[axis] - 1 - index[:, axis]
    world = apply_affine(window().affine, index)
    np.testing.assert_allclose(apply_affine(reversed_window(window(), axes).affine, there), world, atol=1e-9)
