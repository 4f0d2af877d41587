"""How a head lies in its image: which way it faces, and how far it is tilted.

The network was trained on upright heads, tilted by up to 25°. Headers that say anterior where posterior is
are common, and so are heads that lie askew: both are found in the first look, and the second one is turned.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

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
SMALLEST_TILT_DEG = 10.0
# Centroids of structures in the mean digital infant, relative to that of the brain, in units of the cube root
# of its volume; right, anterior, superior. Left and right are mirror images. Structures that a mask may have
# cut off are left out.
CENTROIDS = {
    (2, 41): (0.25, 0.03, 0.05),
    (3, 42): (0.28, 0.03, 0.06),
    (4, 43): (0.14, 0.07, 0.03),
    (10, 49): (0.12, 0.03, -0.02),
    (11, 50): (0.13, 0.27, 0.01),
    (17, 53): (0.23, 0.02, -0.21),
    (169, 176): (0.21, 0.19, -0.08),
}
FEWEST_STRUCTURES = 8


def reversed_window(window: Window, axes: Sequence[int]) -> Window:
    """Return the window over the same place with some of its axes pointing the other way."""
    sign = np.ones(3)
    sign[list(axes)] = -1
    return replace(window, axes=window.axes * sign)


def tilt(labels: np.ndarray, window: Window) -> np.ndarray:
    """Rotation from the axes of a window to those of the head, (3, 3), from a rough segmentation.

    The best rotation between the centroids of structures and where they lie in the mean infant (Kabsch 1976),
    each weighted by the square root of its volume.

    Parameters
    ----------
    labels : (I, J, K) np.ndarray
        Label numbers on the window.
    window : Window
        Its place; not changed.

    Returns
    -------
    (3, 3) np.ndarray
        ``window.axes @ tilt`` are the axes of the head; identity if too few structures were found.
    """
    found, expected, weights = [], [], []
    for pair, place in CENTROIDS.items():
        for label, side in zip(pair, (-1, 1), strict=True):
            index = np.argwhere(labels == label)
            if len(index):
                found.append(index.mean(axis=0) * window.voxel_mm)
                expected.append(np.array(place) * (side, 1, 1))
                weights.append(np.sqrt(len(index)))
    if len(found) < FEWEST_STRUCTURES:
        return np.eye(3)
    x, y, w = np.array(expected), np.array(found), np.array(weights)[:, None]
    x, y = x - (w * x).sum(axis=0) / w.sum(), y - (w * y).sum(axis=0) / w.sum()
    u, _, vt = np.linalg.svd((w * y).T @ x)
    return u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt


def angle_deg(rotation: np.ndarray) -> float:
    """Angle of a rotation matrix in degrees."""
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))
