"""The value that a scan has where there is nothing."""

import numpy as np


def exact_background(data: np.ndarray, /) -> float | None:
    """Value of the background if at least half of the outermost voxels share it exactly.

    Parameters
    ----------
    data : (I, J, K) np.ndarray
        Finite values.

    Returns
    -------
    float or None
        The value; None for a background of noise.
    """
    faces = np.concatenate([face.ravel() for axis in range(3) for face in _ends(data, axis)])
    if 2 * np.count_nonzero(faces == 0) >= faces.size:
        return 0.0
    values, counts = np.unique(faces, return_counts=True)
    best = counts.argmax()
    return float(values[best]) if counts[best] >= 0.5 * faces.size else None


def _ends(data: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    return data.take(0, axis=axis), data.take(-1, axis=axis)
