"""What quality control flagged: whole visits, whole scans, or single structures of them."""

import pandas as pd

from babyseg_py.statistics.structures import SOURCES
from babyseg_py.statistics.visits import VISIT

_SCAN = [*VISIT, "scan"]


def flagged_visits(qc: pd.DataFrame) -> set[tuple[str, str]]:
    """Return the visits with a flag on the session as a whole: no scan and no structure is named."""
    return set(map(tuple, _flags(qc, scan=False, structure=False)[VISIT].to_numpy().tolist()))


def flagged_scans(qc: pd.DataFrame) -> set[tuple[str, str, str]]:
    """Return the scans with a flag on the scan as a whole: no structure is named."""
    return set(map(tuple, _flags(qc, scan=True, structure=False)[_SCAN].to_numpy().tolist()))


def without_flagged_structures(volumes: pd.DataFrame, qc: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Make the volumes of flagged structures missing, and those of the sums over both sides that hold them.

    Parameters
    ----------
    volumes : pandas.DataFrame
        The table volumes of the cohort, or scanvolumes (with a column scan; then flags of scans count).
    qc : pandas.DataFrame
        The table qc of the cohort.

    Returns
    -------
    volumes : pandas.DataFrame
        A copy.
    n : int
        How many structures are flagged in visits that are not flagged as a whole.
    """
    scan = "scan" in volumes
    keys = [*(_SCAN if scan else VISIT), "structure"]
    flags = _flags(qc, scan=scan, structure=True)[keys].drop_duplicates()
    sums = flags.assign(structure=flags["structure"].str.replace(r"^(Left|Right)-", "", regex=True))
    both = pd.concat([flags, sums])
    hit = pd.MultiIndex.from_frame(volumes[keys]).isin(list(map(tuple, both.to_numpy().tolist())))
    masked = volumes.copy()
    masked.loc[hit, list(SOURCES.values())] = float("nan")
    whole = flagged_visits(qc)
    return masked, sum(visit not in whole for visit in map(tuple, flags[VISIT].to_numpy().tolist()))


def _flags(qc: pd.DataFrame, *, scan: bool, structure: bool) -> pd.DataFrame:
    about = (qc["scan"].notna() == scan) & (qc["structure"].notna() == structure)
    return qc[about & (qc["flag"] == 1)]
