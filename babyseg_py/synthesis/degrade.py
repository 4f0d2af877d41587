"""Faults of a scan, planted in an image of 0 to 1, from strength 0 (hardly seen) to 1 (to be repeated)."""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import affine_transform, gaussian_filter, zoom
from scipy.spatial.transform import Rotation

Fault = Callable[[np.ndarray, float, float, np.random.Generator], np.ndarray]


def noise(image: np.ndarray, voxel_mm: float, strength: float, generator: np.random.Generator) -> np.ndarray:
    """Add Rician noise of a standard deviation of 4 % to 20 % of the intensity range at 1 mm."""
    sd = (0.04 + 0.16 * strength) / voxel_mm**1.5
    real, imaginary = sd * generator.standard_normal((2, *image.shape), dtype=np.float32)
    return np.hypot(image + real, imaginary)


def bias(image: np.ndarray, voxel_mm: float, strength: float, generator: np.random.Generator) -> np.ndarray:
    """Multiply by a smooth field: log standard deviation .25 to .8, four control points along each axis."""
    points = gaussian_filter(generator.standard_normal((4, 4, 4)), 0.6)
    field = zoom(points, [n / 4 for n in image.shape], order=3)
    field = (field - field.mean()) / field.std()
    return (image * np.exp((0.25 + 0.55 * strength) * field)).astype(np.float32)


def motion(image: np.ndarray, voxel_mm: float, strength: float, generator: np.random.Generator) -> np.ndarray:
    """Move the head two to five times during the scan: each pose fills a part of k-space.

    Poses differ by up to 2 to 8 degrees and mm. The middle of k-space belongs to the first pose.
    """
    axis = int(generator.integers(3))
    lines = image.shape[axis]
    whole = np.fft.fftn(image)
    order = np.fft.fftshift(np.arange(lines))
    for _ in range(int(generator.integers(2, 6))):
        size = 2 + 6 * strength
        moved = _moved(image, generator.uniform(-size, size, 3), generator.uniform(-size, size, 3) / voxel_mm)
        width = int(lines * generator.uniform(0.06, 0.10 + 0.12 * strength))
        start = int(generator.integers(0, lines - width))
        part = order[start : start + width]
        part = part[np.minimum(part, lines - part) > 3]
        index = [slice(None)] * 3
        index[axis] = part
        whole[tuple(index)] = np.fft.fftn(moved)[tuple(index)]
    return np.abs(np.fft.ifftn(whole)).astype(np.float32)


def thick_slices(
    image: np.ndarray, voxel_mm: float, strength: float, generator: np.random.Generator
) -> np.ndarray:
    """Take slices of 3 to 8 mm along one axis and interpolate between them."""
    axis = int(generator.integers(3))
    factors = np.ones(3)
    factors[axis] = (3 + 5 * strength) / voxel_mm
    return _coarse(image, factors)


def low_resolution(
    image: np.ndarray, voxel_mm: float, strength: float, generator: np.random.Generator
) -> np.ndarray:
    """Blur and sample with cubic voxels of 2 to 4.5 mm, then interpolate."""
    return _coarse(image, np.full(3, (2 + 2.5 * strength) / voxel_mm))


def cropped(
    image: np.ndarray, voxel_mm: float, strength: float, generator: np.random.Generator
) -> np.ndarray:
    """Empty the image beyond a plane that cuts 5 % to 35 % of the extent of what is not empty."""
    axis, low_side = int(generator.integers(3)), bool(generator.integers(2))
    filled = np.flatnonzero((image > 0.05).any(axis=tuple({0, 1, 2} - {axis})))
    first, last = filled[0], filled[-1] + 1
    cut = round((0.05 + 0.3 * strength) * (last - first))
    gone = slice(0, first + cut) if low_side else slice(last - cut, None)
    result = image.copy()
    index = [slice(None)] * 3
    index[axis] = gone
    result[tuple(index)] = 0
    return result


def lesions(
    image: np.ndarray,
    voxel_mm: float,
    strength: float,
    generator: np.random.Generator,
    *,
    brain: np.ndarray,
) -> np.ndarray:
    """Put one to eight uneven balls of another intensity into the brain, 5 to 25 mm in radius when strong."""
    result = image.copy()
    places = np.argwhere(brain)
    grid = np.stack(np.meshgrid(*map(np.arange, image.shape), indexing="ij"), axis=-1).astype(np.float32)
    uneven = gaussian_filter(generator.standard_normal(image.shape, dtype=np.float32), 3 / voxel_mm)
    uneven = 1 + 0.25 * uneven / uneven.std()
    for _ in range(int(generator.integers(1, 3 + round(6 * strength)))):
        centre = places[generator.integers(len(places))]
        radius = generator.uniform(4, 8 + 17 * strength) / voxel_mm
        inside = brain & (np.linalg.norm(grid - centre, axis=-1) * uneven < radius)
        result[inside] = generator.random() + 0.03 * generator.standard_normal(np.count_nonzero(inside))
    return np.clip(gaussian_filter(result, 0.4), 0, None).astype(np.float32)


def wrong_place(strength: float, generator: np.random.Generator) -> np.ndarray:
    """World matrix, (4, 4), of a scan whose registration went wrong by 4 to 16 degrees and 4 to 20 mm."""

    def direction() -> np.ndarray:
        vector = generator.standard_normal(3)
        return vector / np.linalg.norm(vector)

    matrix = np.eye(4)
    turn = np.deg2rad(4 + 12 * strength) * direction()
    matrix[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
    matrix[:3, 3] = (4 + 16 * strength) * direction()
    return matrix


FAULTS: dict[str, Fault] = {
    "noise": noise,
    "bias": bias,
    "motion": motion,
    "thick slices": thick_slices,
    "low resolution": low_resolution,
    "cropped": cropped,
}


def _moved(image: np.ndarray, degrees: np.ndarray, voxels: np.ndarray) -> np.ndarray:
    matrix = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    centre = (np.array(image.shape) - 1) / 2
    return affine_transform(image, matrix, centre - matrix @ centre + voxels, order=1)


def _coarse(image: np.ndarray, factors: np.ndarray) -> np.ndarray:
    blurred = gaussian_filter(image, np.where(factors > 1, factors / 2.355, 0))
    small = zoom(blurred, 1 / factors, order=1, grid_mode=True, mode="nearest")
    back = [n / m for n, m in zip(image.shape, small.shape, strict=True)]
    return zoom(small, back, order=1, grid_mode=True, mode="nearest").astype(np.float32)
