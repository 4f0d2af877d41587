"""How a head lies in its image: which way it faces, and how far it is tilted.

The network was trained on upright heads, tilted by up to 25°. Headers that say anterior where posterior is
are common, and so are heads that lie askew: both are found in the first look, and the second one is turned.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from nibabel.affines import apply_affine
from torch import Tensor

from babyseg_py.segmentation.head_axes import PLACES, head_rotation
from babyseg_py.segmentation.window import Window

# What a header can have wrong, as axes (right, anterior, superior) to be reversed. That left and right are
# reversed cannot be seen in the shape of a brain.
FACINGS: dict[str, tuple[int, ...]] = {
    "upright": (),
    "backwards": (1,),
    "upside down": (2,),
    "upside down and backwards": (1, 2),
}
# By how much the network has to be more certain of another facing than of the header's. Measured: heads that
# face as their header says are ahead by .02 to .04, brains cut by a mask that face backwards by .006 to .02.
FACING_MARGIN = 0.003
# No head that lies otherwise than its header says was seen to reach .68: above this no other way is tried.
SURE_OF_FACING = 0.7
SMALLEST_TILT_DEG = 0.5
LARGE_TILT_DEG = 10.0
TILT_MARGIN = 0.01
# From the weighted mean of the centroids of structures to the middle of the box around the brain, measured on
# ten scans.
TO_MIDDLE = (0.0, -0.0125, -0.055)
FEWEST_VOXELS = 1.0


def reversed_window(window: Window, axes: Sequence[int]) -> Window:
    """Return the window over the same place with some of its axes pointing the other way."""
    sign = np.ones(3)
    sign[list(axes)] = -1
    return replace(window, axes=window.axes * sign)


@dataclass(frozen=True)
class Frame:
    """How a head lies in a window.

    Parameters
    ----------
    rotation : (3, 3) np.ndarray
        ``window.axes @ rotation`` are the axes of the head.
    anchor_mm : (3,) np.ndarray
        About the middle of the brain's box: a point that keeps its place in the anatomy, in the world of the
        session.
    """

    rotation: np.ndarray
    anchor_mm: np.ndarray


def head_frame(posteriors: Tensor, label_numbers: Sequence[int], window: Window) -> Frame:
    """Lay a frame into a head, from a rough segmentation.

    Its axes are those of `head_rotation`. Centroids of probabilities, not of labels, move with the head by
    less than a voxel, so that two images of a head give the same frame.

    Parameters
    ----------
    posteriors : (C, I, J, K) Tensor
        Probabilities on the window.
    label_numbers : sequence of int
        Label of each channel.
    window : Window
        Its place.

    Returns
    -------
    Frame
        Without rotation if too few structures were found.
    """
    found = {}
    for label in PLACES:
        p = posteriors[label_numbers.index(label)]
        mass = float(p.sum())
        if mass >= FEWEST_VOXELS:
            found[label] = _centroid(p) * window.voxel_mm, mass
    if not found:
        return Frame(np.eye(3), window.centre_mm)
    rotation, mean = head_rotation(found)
    size = np.cbrt(float(posteriors[1:].sum())) * window.voxel_mm
    middle = mean + rotation @ (size * np.array(TO_MIDDLE))
    return Frame(rotation, apply_affine(window.affine, middle / window.voxel_mm))


def _centroid(p: Tensor) -> np.ndarray:
    """Centroid of probabilities in voxels, (3,)."""
    means = []
    for axis in range(3):
        profile = p.sum(dim=[other for other in range(3) if other != axis], dtype=torch.float64).numpy()
        means.append(profile @ np.arange(len(profile)) / profile.sum())
    return np.array(means)
