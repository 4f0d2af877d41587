"""The axes of a head from where its structures lie; without the network, for whoever has labels."""

import numpy as np

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
# Where each label of the table above lies in the mean infant, left ones mirrored.
PLACES = {
    label: np.array(place) * (side, 1, 1)
    for pair, place in CENTROIDS.items()
    for label, side in zip(pair, (-1, 1), strict=True)
}
FEWEST_STRUCTURES = 8


def head_rotation(found: dict[int, tuple[np.ndarray, float]], /) -> tuple[np.ndarray, np.ndarray]:
    """Rotate the mean infant onto a head: the best rotation between centroids of structures (Kabsch 1976).

    Parameters
    ----------
    found : dict of int to ((3,) np.ndarray, float)
        Centroid and volume of structures by label, in any units; those without a place in the mean infant are
        ignored, and at least one has to have one. Each is weighted by the square root of its volume.

    Returns
    -------
    rotation : (3, 3) np.ndarray
        Its columns are the axes of the head (right, anterior, superior); the identity with fewer than 8
        structures.
    mean : (3,) np.ndarray
        Weighted mean of the centroids.
    """
    known = [label for label in PLACES if label in found]
    x = np.array([PLACES[label] for label in known])
    y = np.array([found[label][0] for label in known])
    roots = np.sqrt([found[label][1] for label in known])
    w = roots[:, None] / roots.sum()
    mean = (w * y).sum(axis=0)
    if len(known) < FEWEST_STRUCTURES:
        return np.eye(3), mean
    u, _, vt = np.linalg.svd((w * (y - mean)).T @ (x - (w * x).sum(axis=0)))
    return u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt, mean


def angle_deg(rotation: np.ndarray) -> float:
    """Angle of a rotation matrix in degrees."""
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))
