"""Smooth noise, of which the digital infant is bent."""

import numpy as np
from scipy.ndimage import gaussian_filter, zoom


def smooth_noise(generator: np.random.Generator, shape: tuple[int, ...], sigma: float, /) -> np.ndarray:
    """Smooth noise with mean 0 and standard deviation 1, made on a coarse grid where it is very smooth.

    Parameters
    ----------
    generator : np.random.Generator
        Source of randomness.
    shape : tuple of int
        Shape of the result.
    sigma : float
        Standard deviation of the filter in voxels.

    Returns
    -------
    np.ndarray of np.float32
        The noise.
    """
    step = max(1.0, sigma / 1.5)
    coarse = tuple(max(2, int(np.ceil(n / step))) for n in shape)
    field = gaussian_filter(generator.standard_normal(coarse, dtype=np.float32), sigma / step)
    field = zoom(field, [n / c for n, c in zip(shape, coarse, strict=True)], order=1)
    return (field - field.mean()) / field.std()
