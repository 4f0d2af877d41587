"""A head around a brain: fluid, skull, scalp, fat, eyes, face and neck, by distance and by place."""

import edt
import numpy as np

from babyseg_py.synthesis.digital_infant_fields import smooth_noise
from babyseg_py.synthesis.tissues import tissue_table

# Shares of the brain's extent (right, anterior, superior; from its middle) and radii in mm at one litre.
_EYE = (0.235, 0.39, -0.26)
_EYE_RADIUS_MM = 10.0
_FACE, _FACE_RADII = (0.0, 0.25, -0.48), (0.43, 0.32, 0.46)
_NECK, _NECK_RADII = (0.0, -0.12), (0.31, 0.30)
_NECK_TOP = -0.25


def head(
    tissue: np.ndarray, labels: np.ndarray, affine: np.ndarray, generator: np.random.Generator, /
) -> np.ndarray:
    """Build a head outside the brain and its fluid.

    Parameters
    ----------
    tissue : (I, J, K) np.ndarray of np.uint8
        Tissue numbers of the brain and of the fluid around it, 0 elsewhere.
    labels : (I, J, K) np.ndarray
        Labels of the brain; their bounding box places eyes, face and neck.
    affine : (4, 4) np.ndarray
        Voxel indices to mm, axes right, anterior, superior, isotropic.
    generator : np.random.Generator
        Of thicknesses and of the pattern of muscle, fat and air in the face and the neck.

    Returns
    -------
    (I, J, K) np.ndarray of np.uint8
        Tissue numbers; 0 is the air around the head.
    """
    number = tissue_table().number
    spacing = float(np.linalg.norm(affine[:3, 0]))
    inside = tissue > 0
    depth = edt.edt(np.ascontiguousarray(~inside), anisotropy=(spacing,) * 3, parallel=1)
    size = np.cbrt(np.count_nonzero(labels) * spacing**3 / 1e6)
    csf, skull, scalp = generator.uniform(0.5, 2.5), generator.uniform(1.8, 3.5), generator.uniform(3.0, 5.0)
    uneven = np.exp(0.25 * smooth_noise(generator, tissue.shape, 12 / spacing))
    place = _places(labels, affine)

    body = depth <= (csf + skull + scalp) * size
    body |= _ellipsoid(place, _FACE, _FACE_RADII)
    body |= _column(place)
    skin = edt.edt(np.ascontiguousarray(body), anisotropy=(spacing,) * 3, parallel=1)

    out = np.where(body, number("head_3"), 0).astype(np.uint8)
    pattern = smooth_noise(generator, tissue.shape, 4 / spacing)
    out[body & (pattern > 0.7)] = number("fat")
    out[body & (pattern < -0.9)] = number("head_1")
    sinus = _ellipsoid(place, (0.0, 0.38, -0.42), (0.10, 0.10, 0.14)) | _airway(place)
    out[body & sinus & (pattern > -0.4)] = number("air")
    out[body & (skin <= 3.2 * size)] = number("fat")
    out[body & (skin <= 1.6)] = number("scalp")
    out[depth <= (csf * uneven + skull) * size] = number("skull")
    out[depth <= csf * uneven * size] = number("csf")
    out = np.where(inside, tissue, out)
    for side in (-1, 1):
        _eye(out, inside, affine, _world((side * _EYE[0], *_EYE[1:]), labels, affine), size)
    return out


def _eye(out: np.ndarray, inside: np.ndarray, affine: np.ndarray, centre: np.ndarray, size: float) -> None:
    """Draw an eyeball with its lens, in a cushion of fat, where no brain is."""
    number = tissue_table().number
    radius = _EYE_RADIUS_MM * size**0.5
    away = _radius(out.shape, affine, centre)
    lens = _radius(out.shape, affine, centre + np.array([0, 0.6 * radius, 0])) < 0.32 * radius
    free = ~inside & (out != number("csf"))
    out[free & (away < 1.35 * radius)] = number("fat")
    out[free & (away < radius)] = number("scalp")
    out[free & (away < radius - 1.0)] = number("lateral_ventricle")
    out[free & (away < radius) & lens] = number("head_1")


def _box(labels: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middle and extent of the brain's bounding box in mm."""
    low, high = [], []
    for axis in range(3):
        used = np.flatnonzero(labels.any(axis=tuple(a for a in range(3) if a != axis)))
        low.append(affine[axis, axis] * used[0] + affine[axis, 3])
        high.append(affine[axis, axis] * used[-1] + affine[axis, 3])
    return (np.array(high) + low) / 2, np.array(high) - low


def _world(share: tuple[float, ...], labels: np.ndarray, affine: np.ndarray) -> np.ndarray:
    middle, extent = _box(labels, affine)
    return middle + np.array(share) * extent


def _places(labels: np.ndarray, affine: np.ndarray) -> list[np.ndarray]:
    """Coordinates along each axis in shares of the brain's extent from its middle, shaped to broadcast."""
    middle, extent = _box(labels, affine)
    places = []
    for axis, size in enumerate(labels.shape):
        world = affine[axis, axis] * np.arange(size) + affine[axis, 3]
        shape = [1, 1, 1]
        shape[axis] = size
        places.append(((world - middle[axis]) / extent[axis]).astype(np.float32).reshape(shape))
    return places


def _radius(shape: tuple[int, ...], affine: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Distance of every voxel from a point, in mm."""
    square = np.zeros(shape, np.float32)
    for axis, size in enumerate(shape):
        broad = [1, 1, 1]
        broad[axis] = size
        square += (
            ((affine[axis, axis] * np.arange(size) + affine[axis, 3] - centre[axis]) ** 2)
            .astype(np.float32)
            .reshape(broad)
        )
    return np.sqrt(square)


def _ellipsoid(place: list[np.ndarray], centre: tuple[float, ...], radii: tuple[float, ...]) -> np.ndarray:
    """Inside of an ellipsoid given in shares of the brain's extent."""
    terms = [((p - c) / r) ** 2 for p, c, r in zip(place, centre, radii, strict=True)]
    return terms[0] + terms[1] + terms[2] < 1


def _column(place: list[np.ndarray]) -> np.ndarray:
    """Inside of the neck: an upright column below the skull."""
    terms = [((p - c) / r) ** 2 for p, c, r in zip(place[:2], _NECK, _NECK_RADII, strict=True)]
    return (terms[0] + terms[1] < 1) & (place[2] < _NECK_TOP)


def _airway(place: list[np.ndarray]) -> np.ndarray:
    """Inside of the pharynx."""
    return (((place[0]) / 0.05) ** 2 + ((place[1] - 0.17) / 0.04) ** 2 < 1) & (place[2] < -0.5)
