"""The value that a scan has where there is nothing."""

import numpy as np

_AMONG_TISSUES = 0.2  # share of what is inside that is darker than a background that lies among the tissues


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


def with_zero_background(data: np.ndarray, /) -> np.ndarray:
    """Shift the values of a scan so that a background of one exact value is 0, and the rest begins there.

    Intensities have no zero of their own, and what lies outside of a field of view is 0. A few values below
    the background come from interpolation. Where a fifth or more of what is inside lies below it, the scan
    was brought to mean 0 inside a mask, and begins at its darkest value.

    Parameters
    ----------
    data : (I, J, K) np.ndarray of np.float32
        Finite values, not all the same.

    Returns
    -------
    (I, J, K) np.ndarray of np.float32
        The same array if the background is 0 already and not among the tissues, or is none of one value.
    """
    background = exact_background(data)
    if background is None:
        return data
    inside = data != np.float32(background)
    low = data[inside].min()
    if np.count_nonzero(data < background) < _AMONG_TISSUES * np.count_nonzero(inside):
        if background == 0:
            return data
        low = max(low, np.float32(background))
    return np.where(inside, data - low, np.float32(0))


def _ends(data: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    return data.take(0, axis=axis), data.take(-1, axis=axis)
