"""Volumes without the effects of sites in place of the measured ones, for all analyses."""

import pandas as pd

from babyseg_py.statistics.sites import site_tables
from babyseg_py.statistics.structures import SOURCES
from babyseg_py.statistics.visits import VISIT

USED = "on volumes harmonised between sites"


def harmonised_volumes(volumes: pd.DataFrame, facts: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Replace the volumes by those that ComBat harmonised, both from labels and from posteriors.

    Parameters
    ----------
    volumes : pandas.DataFrame
        Long table of volumes of the visits that are used; without those of flagged visits.
    facts : pandas.DataFrame
        All visits of the samplesheet.

    Returns
    -------
    volumes : pandas.DataFrame
        A copy. What could not be harmonised is not in it, so that no analysis mixes both: visits without site
        or age have no row, and a structure that a site lacks is missing. If harmonisation is refused, the
        volumes as they are.
    reason : str
        Why it was refused; empty if it was not.
    """
    table = volumes.copy()
    keys = pd.MultiIndex.from_frame(table[[*VISIT, "structure"]])
    told = pd.Series(False, index=table.index)
    for source, column in SOURCES.items():
        if table[column].isna().all():
            continue
        effects, made = site_tables(volumes, facts, source=source)
        if made.empty:
            notes = effects["notes"].dropna()
            return volumes, str(notes.iloc[0]) if len(notes) else "nothing to harmonise"
        values = made.set_index([*VISIT, "structure"])["harmonised_mm3"]
        table[column] = values.reindex(keys).to_numpy(float)
        visits = pd.MultiIndex.from_frame(made[VISIT].drop_duplicates())
        told |= pd.MultiIndex.from_frame(table[VISIT]).isin(visits)
    return table[told], ""
