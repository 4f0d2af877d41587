"""Parts of structures, which runs with the fuller label set have beside the 22 labels."""

from pathlib import Path

import pandas as pd

from babyseg_py.labels.fuller import fuller_structures
from babyseg_py.labels.fuller import parts as divisions
from babyseg_py.labels.table import STRUCTURES
from babyseg_py.statistics.flags import without_flagged_structures
from babyseg_py.statistics.gather import gather
from babyseg_py.statistics.structures import SOURCES
from babyseg_py.statistics.visits import FACTS, VISIT

MEASURED = ["label", "structure", "volume_mm3", "volume_posterior_mm3"]
COLUMNS = ["label", "structure", "side", "part_of", "volume_mm3", "volume_posterior_mm3"]
BACKGROUND = 0


def part_table(files: dict[Path, tuple[str, str]], facts: pd.DataFrame) -> pd.DataFrame:
    """Gather the volumes of the parts; structures that are not divided are left to the table volumes.

    Parameters
    ----------
    files : dict of Path to (participant_id, session_id)
        ``fuller_morph.tsv`` of the visits.
    facts : pandas.DataFrame
        All visits of the samplesheet.

    Returns
    -------
    pandas.DataFrame
        One row per visit and part: the facts, then `COLUMNS`, volumes in mm³. Of what lies in the background
        of the 22 labels part_of is missing; the vermis is part of both sides of the cerebellum, with ``;``
        between.

    Raises
    ------
    UnusableData
        As `babyseg_py.statistics.gather.gather`.
    """
    names = {whole.id: whole.name for whole in STRUCTURES if whole.id != BACKGROUND}
    wholes: dict[int, list[str]] = {part.label: [] for part in divisions() if part.label != BACKGROUND}
    for part in divisions():
        if part.label in wholes and part.parent in names:
            wholes[part.label].append(names[part.parent])
    sides = {part.id: part.side for part in fuller_structures()}
    stacked = gather(files, MEASURED, facts)
    own = stacked[stacked["label"].isin(list(wholes))]
    return own.assign(
        side=own["label"].map(sides),
        part_of=own["label"]
        .map({label: ";".join(of) or None for label, of in wholes.items()})
        .astype(object),
    )[VISIT + FACTS + COLUMNS].reset_index(drop=True)


def without_flagged_wholes(parts: pd.DataFrame, qc: pd.DataFrame) -> pd.DataFrame:
    """Make the volumes of the parts of flagged structures missing.

    Parameters
    ----------
    parts : pandas.DataFrame
        The table parts of the cohort.
    qc : pandas.DataFrame
        The table qc of the cohort, which knows the 22 labels.

    Returns
    -------
    pandas.DataFrame
        A copy.
    """
    parts = parts.reset_index(drop=True)
    wholes = parts.assign(structure=parts["part_of"].str.split(";")).explode("structure")
    masked, _ = without_flagged_structures(wholes, qc)
    lost = masked.index[masked[list(SOURCES.values())].isna().all(axis=1)]
    parts.loc[lost, list(SOURCES.values())] = float("nan")
    return parts
