"""A brain of balls in a box, where and as large as a brain has them, for planting faults."""

from functools import cache

import numpy as np

from babyseg_py.images import Volume
from babyseg_py.labels import LEFT_RIGHT_PAIRS
from babyseg_py.segmentation.window import Scan, Window

SHAPE = (76, 90, 80)
VOXEL_MM = 1.6
CENTRE = np.array([37.0, 44.0, 42.0])
SIZE = 51.0  # cube root of the volume of the cerebrum in voxels
RADII = (29.0, 35.0, 25.0)
# Of what lies within white matter: place from the centre in units of SIZE (right positive), radius in voxels.
BALLS = {
    4: ((0.14, 0.07, 0.03), 6.5),
    10: ((0.12, 0.03, -0.09), 7.0),
    11: ((0.13, 0.27, 0.01), 5.5),
    17: ((0.23, 0.02, -0.21), 5.2),
    18: ((0.2, 0.14, -0.22), 4.0),
    28: ((0.07, 0.02, -0.24), 5.2),
    169: ((0.21, 0.19, -0.08), 6.4),
}


def window() -> Window:
    return Window(SHAPE, np.eye(3), VOXEL_MM, np.array([1.0, -4.0, 7.0]))


def brain() -> np.ndarray:
    """Return a brain to plant faults in."""
    return _brain().copy()


@cache
def _brain() -> np.ndarray:
    """Draw an ellipsoid of white matter within cortex, the deep structures, cerebellum and stem."""
    x, y, z = (index - c for index, c in zip(np.indices(SHAPE), CENTRE, strict=True))
    out = sum((a / r) ** 2 for a, r in zip((x, y, z), RADII, strict=True)) <= 1
    core = sum((a / (r - 5)) ** 2 for a, r in zip((x, y, z), RADII, strict=True)) <= 1
    labels = np.zeros(SHAPE, dtype=np.uint16)
    labels[(np.abs(x) <= 11) & (((y + 18) / 12) ** 2 + ((z + 28) / 10) ** 2 <= 1)] = 8
    labels[(x > 0) & (labels == 8)] = 47
    labels[(x**2 + y**2 <= 25) & (z < -12) & (z > -36)] = 16
    labels[out] = 3
    labels[out & (x > 0)] = 42
    labels[core] = 2
    labels[core & (x > 0)] = 41
    for left, right in LEFT_RIGHT_PAIRS:
        if left in BALLS:
            place, radius = BALLS[left]
            for label, side in ((left, -1), (right, 1)):
                at = SIZE * np.array(place) * (side, 1, 1)
                labels[(x - at[0]) ** 2 + (y - at[1]) ** 2 + (z - at[2]) ** 2 <= radius**2] = label
    return labels


def scan(labels: np.ndarray, *, affine: np.ndarray | None = None) -> Scan:
    """Return a scan that shows the labels and nothing else, on their grid."""
    image = np.where(labels > 0, 50.0 + labels % 40, 0).astype(np.float32)
    return Scan("T1w", Volume(image, window().affine if affine is None else affine), np.eye(4))
