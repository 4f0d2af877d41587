"""Parameters of a sample in which nothing moves, so that what is changed in it stands alone."""

import numpy as np

from babyseg_py.synthesis.randomise import draw_params
from babyseg_py.synthesis.ranges import Ranges

NO_MOTION = {
    "rotation_deg": [0.0] * 3,
    "shear": [0.0] * 3,
    "stretch": [1.0] * 3,
    "flip": False,
    "coarse_warp_mm": 0.0,
    "fine_warp_mm": 0.0,
    # A tenth of a voxel, so that no place lies halfway between two voxels.
    "shift_voxels": [0.1] * 3,
}


def still(bank, side: int, **changes):
    """Draw parameters at 1 mm on a cube of so many voxels; sulci and white matter stay unless changed."""
    size = bank.maps[0].size_mm
    ranges = Ranges.from_dict({"grid": (side,) * 3, "brain_voxels": (size, size), "bare_brain": 1.0})
    params = draw_params(np.random.default_rng(3), bank, ranges)
    around = params["surroundings"] | {"cerebrum_only": False}
    own = {"anatomy": params["anatomy"] | NO_MOTION, "surroundings": around, "sulci": None, "white": None}
    return params | own | changes
