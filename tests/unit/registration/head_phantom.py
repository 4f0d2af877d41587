"""A head that is a function of world coordinates, so that moving it needs no interpolation."""

import numpy as np
from scipy.spatial.transform import Rotation

from babyseg_py.images import Volume


def rigid(rotation_deg, shift_mm, centre=(0.0, 0.0, 0.0)):
    """Return a rigid matrix that turns about a point."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(np.radians(rotation_deg)).as_matrix()
    matrix[:3, 3] = np.array(centre) + shift_mm - matrix[:3, :3] @ np.array(centre)
    return matrix


def grid(
    spacing=(2.5, 2.5, 2.5), *, size_mm=(150, 180, 150), turn_deg=(0, 0, 0), flip_x=False, shift_mm=(0, 0, 0)
):
    """Return shape and affine of a grid around the origin."""
    shape = tuple(int(np.ceil(s / d)) for s, d in zip(size_mm, spacing, strict=True))
    affine = np.eye(4)
    steps = np.diag(spacing) @ np.diag([-1 if flip_x else 1, 1, 1])
    affine[:3, :3] = Rotation.from_rotvec(np.radians(turn_deg)).as_matrix() @ steps
    affine[:3, 3] = np.array(shift_mm) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return shape, affine


def head(where, *, motion=None, child=0, contrast="T1w", skull=False, noise=0.02, seed=0) -> Volume:
    """Show a head on a grid.

    Parameters
    ----------
    where : tuple
        Shape and affine.
    motion : (4, 4) np.ndarray, optional
        World in which the head was made to world in which it lies now.
    child : int
        Seed of the anatomy: size and folds.
    contrast : str
        ``T1w``, ``T2w`` (darker where the other is brighter, and bright fluid).
    skull : bool
        Whether there is a head around the brain.
    noise : float
        Standard deviation, where white matter is 1.
    seed : int
        Of the noise.
    """
    shape, affine = where
    index = np.indices(shape).reshape(3, -1)
    points = affine[:3, :3] @ index + affine[:3, 3:]
    if motion is not None:
        back = np.linalg.inv(motion)
        points = back[:3, :3] @ points + back[:3, 3:]
    rng = np.random.default_rng(child)
    radii = np.array([52, 66, 48]) * rng.uniform(0.95, 1.05, 3)
    radius = np.linalg.norm(points / radii[:, None], axis=0)
    directions = rng.normal(size=(40, 3))
    waves = (
        directions / np.linalg.norm(directions, axis=1)[:, None] * 2 * np.pi / rng.uniform(14, 45, (40, 1))
    )
    folds = np.zeros(points.shape[1])
    for wave, phase in zip(waves, rng.uniform(0, 2 * np.pi, 40), strict=True):
        folds += np.cos(wave @ points + phase) / np.sqrt(20)
    white, fluid = _step(folds - 0.2), _step(-folds - 1.0)
    values = {"T1w": (0.6, 1.0, 0.2, 0.9), "T2w": (0.8, 0.5, 1.4, 0.3)}[contrast]
    brain = values[0] + white * (values[1] - values[0]) + fluid * (values[2] - values[0])
    image = brain * _step(20 * (1 - radius))
    if skull:
        image += values[3] * _step(20 * (radius - 1.06)) * _step(20 * (1.2 - radius))
    image = image + np.random.default_rng(seed).normal(0, noise, image.shape) * (1 if skull else image > 0.05)
    image = np.where(image > 0.03, image, 0) if not skull else np.abs(image)
    return Volume((1000 * image).reshape(shape).astype(np.float32), affine)


def _step(x):
    return 1 / (1 + np.exp(-8 * np.clip(x, -5, 5)))


def error_mm(matrix, truth):
    """Return the largest error over points of a brain."""
    points = np.stack(np.meshgrid(*[(-45, 0, 45)] * 3)).reshape(3, -1)
    difference = np.asarray(matrix) - truth
    return np.linalg.norm(difference[:3, :3] @ points + difference[:3, 3:], axis=0).max()
