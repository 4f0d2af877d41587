"""The value that a scan has where there is nothing."""

import numpy as np

_NORMALISED = 0.2  # share of negative values inside of a scan that was brought to mean 0
_LEAST = 0.01  # of the spread of the values: the darkest of them is no background


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

    Intensities have no zero of their own, and what lies outside of a field of view is 0. A background that is
    0 already is the lowest value of a scan, unless it was brought to mean 0 inside a mask: a fifth of what is
    inside is negative then, and the background lies among the tissues.

    Parameters
    ----------
    data : (I, J, K) np.ndarray of np.float32
        Finite values, not all the same.

    Returns
    -------
    (I, J, K) np.ndarray of np.float32
        The same array if the background is 0 and the lowest value already, or is none of one value.
    """
    background = exact_background(data)
    if background is None:
        return data
    inside = data != np.float32(background)
    if background == 0:
        if np.count_nonzero(data < 0) < _NORMALISED * np.count_nonzero(inside):
            return data
        low = data[inside].min()
        return np.where(inside, data - low + np.float32(_LEAST) * data[inside].std(), np.float32(0))
    return np.where(inside, data - max(data[inside].min(), np.float32(background)), np.float32(0))


def _ends(data: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    return data.take(0, axis=axis), data.take(-1, axis=axis)
