"""Numbers that may be codes for missing values."""

import numpy as np

CODES = (
    *(-9999, -999, -99, -98, -97, -88, -77, -9, -8, -7, -1, 77, 88, 97, 98, 99),
    *(777, 888, 997, 998, 999, 7777, 8888, 9997, 9998, 9999),
)
_LEAST_APART = 0.5


def suspected_codes(values: np.ndarray, /) -> list[float]:
    """Find values that are written as codes for missing ones and lie apart from all others.

    Parameters
    ----------
    values : (n,) array of float
        Scores; missing ones are left out.

    Returns
    -------
    list of float
        Values of `CODES` that lie at an end of the scale, at least half of the range of all other values away
        from the nearest of these.
    """
    there = np.unique(np.asarray(values, float)[np.isfinite(values)])
    codes = np.array(CODES)
    high = _codes_above(there, codes)
    low = [-code for code in _codes_above(-there[~np.isin(there, high)][::-1], -codes)]
    return sorted({*high, *low})


def _codes_above(there: np.ndarray, codes: np.ndarray) -> list[float]:
    """Find the values at the upper end that are codes and lie apart from all below; several may be near."""
    ends = 0
    while ends < len(there) and there[-1 - ends] in codes:
        ends += 1
    for count in range(ends, 0, -1):
        found, rest = there[-count:], there[:-count]
        if len(rest) > 1 and found[0] - rest[-1] >= _LEAST_APART * (rest[-1] - rest[0]):
            return [float(code) for code in found]
    return []
