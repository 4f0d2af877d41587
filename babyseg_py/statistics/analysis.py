"""What goes into each analysis of the cohort: without what quality control flagged, and saying so."""

import pandas as pd

from babyseg_py.statistics.growth import growth_table
from babyseg_py.statistics.reliability import reliability_table
from babyseg_py.statistics.structures import SOURCES
from babyseg_py.statistics.visits import VISIT


def reliability_of(
    scans: pd.DataFrame, flagged_visits: set[tuple[str, str]], flagged_scans: set[tuple[str, str, str]]
) -> pd.DataFrame:
    """Reliability from the scans that are not flagged, in visits that are not flagged.

    Parameters
    ----------
    scans : pandas.DataFrame
        The table scanvolumes of the cohort.
    flagged_visits : set of (participant_id, session_id)
    flagged_scans : set of (participant_id, session_id, scan)

    Returns
    -------
    pandas.DataFrame
        As `babyseg_py.statistics.reliability.reliability_table` makes it.
    """
    keys = pd.MultiIndex.from_frame(scans[[*VISIT, "scan"]])
    bad = keys.isin(list(flagged_scans)) | keys.droplevel("scan").isin(list(flagged_visits))
    n = keys[bad].nunique()
    words = f"{n} flagged scans, or scans of flagged visits, left out" if n else ""
    return reliability_table(scans[~bad & scans["suffix"].notna()], left_out=words)


def growth_of(volumes: pd.DataFrame, facts: pd.DataFrame, flagged: set[tuple[str, str]]) -> pd.DataFrame:
    """Growth of every child of the samplesheet, from both kinds of volumes, without flagged visits.

    Parameters
    ----------
    volumes : pandas.DataFrame
        The table volumes of the cohort.
    facts : pandas.DataFrame
        All visits of the samplesheet.
    flagged : set of (participant_id, session_id)

    Returns
    -------
    pandas.DataFrame
        As `babyseg_py.statistics.growth.growth_table` makes it; a child without any volume has a row too.
    """
    keys = pd.MultiIndex.from_frame(volumes[VISIT])
    bad = keys.isin(list(flagged))
    sentences = dict.fromkeys(facts["participant_id"].unique(), "")
    counts: dict[str, int] = {}
    for child, _ in keys[bad].unique():
        counts[child] = counts.get(child, 0) + 1
    for child, n in counts.items():
        sentences[child] = f"{n} flagged visit{'s' if n > 1 else ''} left out"
    tables = [growth_table(volumes[~bad], source=source, left_out=sentences) for source in SOURCES]
    return pd.concat(tables, ignore_index=True)
