"""Sessions whose volumes do not fit their age, so that an eye looks at them first."""

import numpy as np
import pandas as pd

from babyseg_py.report.results import Results
from babyseg_py.report.structures import by_structure

FEWEST = 8
UNUSUAL = 4.0
_MAD_TO_SD = 1.4826
_LEAST_SPREAD = 0.03


def unusual_volumes(results: Results) -> pd.DataFrame:
    """Most unusual structure of each session, given its age.

    The logarithm of each volume is fitted by a line in the logarithm of age (Theil and Sen: median of the
    pairwise slopes), on each age reference on its own; the residual is given in robust standard deviations
    (1.4826 times the median absolute deviation, at least 3 %). With fewer than 8 sessions nothing
    is said about any of them.

    Returns
    -------
    pd.DataFrame
        Index visit_id; columns structure and deviation (negative: smaller than expected).
    """
    matrix = by_structure(results.volumes, ["visit_id"])
    ages = results.visits.set_index("visit_id")[["age_days", "age_reference"]]
    found = []
    for _, group in ages.dropna().groupby("age_reference"):
        volumes = matrix.reindex(group.index).dropna(how="all") if not matrix.empty else matrix
        if len(volumes) >= FEWEST:
            found.append(_deviations(volumes, np.log1p(group.loc[volumes.index, "age_days"].to_numpy(float))))
    if not found:
        return pd.DataFrame(columns=["structure", "deviation"])
    scores = pd.concat(found).dropna(how="all")
    values = scores.to_numpy(float)
    worst = np.nanargmax(np.abs(values), axis=1)
    deviation = values[np.arange(len(values)), worst]
    return pd.DataFrame({"structure": scores.columns[worst], "deviation": deviation}, index=scores.index)


def _deviations(volumes: pd.DataFrame, log_age: np.ndarray) -> pd.DataFrame:
    logs = np.log(volumes.where(volumes > 0, 1.0).to_numpy(float))
    logs[volumes.isna().to_numpy()] = np.nan
    first, second = np.triu_indices(len(log_age), 1)
    apart = np.abs(log_age[first] - log_age[second]) > 0.05
    first, second = first[apart], second[apart]
    scores = np.full_like(logs, np.nan)
    for column in range(logs.shape[1]):
        y = logs[:, column]
        if np.isfinite(y).sum() < FEWEST:
            continue
        steps = (y[first] - y[second]) / (log_age[first] - log_age[second])
        slope = np.nanmedian(steps) if np.isfinite(steps).any() else 0.0
        rest = y - slope * log_age
        rest -= np.nanmedian(rest)
        scores[:, column] = rest / max(_MAD_TO_SD * float(np.nanmedian(np.abs(rest))), _LEAST_SPREAD)
    return pd.DataFrame(scores, index=volumes.index, columns=volumes.columns)
