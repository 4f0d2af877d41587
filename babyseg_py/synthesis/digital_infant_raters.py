"""Raters of digital infants: label maps that are right but for their outlines."""

import numpy as np
from scipy.ndimage import map_coordinates

from babyseg_py.images import Volume
from babyseg_py.synthesis.digital_infant_fields import smooth_noise

# By how much the outlines of each rater are off: standard deviation along each axis.
ERROR_MM = {"Ann": 0.6, "Ben": 1.0, "Cid": 1.6}
SMOOTH_MM = 4.0


def rate(truth: Volume, error_mm: float, generator: np.random.Generator, /) -> Volume:
    """Label map of a rater who draws every outline a little beside the true one, smoothly along it.

    Parameters
    ----------
    truth : Volume
        The true labels.
    error_mm : float
        Standard deviation of the displacement along each axis of the voxels.
    generator : np.random.Generator
        Source of randomness.

    Returns
    -------
    Volume
        Labels on the same grid; the truth if the error is 0.
    """
    spacing = np.asarray(truth.spacing_mm, dtype=float)
    place = np.indices(truth.shape, dtype=np.float32)
    for axis, step in enumerate(spacing):
        noise = smooth_noise(generator, truth.shape, SMOOTH_MM / float(spacing.mean()))
        place[axis] += error_mm / step * noise
    return truth.with_data(map_coordinates(truth.data, place, order=0, mode="nearest"))
