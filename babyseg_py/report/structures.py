"""Which structures the figures show, in which order, and their colours."""

import pandas as pd

from babyseg_py.labels.table import BRAIN_VOLUME, STRUCTURES
from babyseg_py.report.words import base_name
from babyseg_py.statistics.structures import volume_matrix

PANELS = (
    BRAIN_VOLUME, "Intracranial-Estimate", "Cerebral-Cortex", "Cerebral-White-Matter", "Cerebellum",
    "Brain-Stem", "Thalamus", "Basal-Ganglia", "Caudate", "Hippocampus", "Amygdala", "VentralDC",
    "Lateral-Ventricle",
)  # fmt: skip
PARTS = PANELS[2:]
COLOURS = {
    base_name(s.name): "#{:02x}{:02x}{:02x}".format(*s.colour)
    for s in STRUCTURES
    if s.id and s.side != "right"
}


def by_structure(volumes: pd.DataFrame, index: list[str]) -> pd.DataFrame:
    """Volumes from labels, both sides together: a row per visit or scan, a column per structure of `PANELS`.

    Parameters
    ----------
    volumes : pd.DataFrame
        Long table with structure and volume_mm3.
    index : list of str
        Columns that make a row.

    Returns
    -------
    pd.DataFrame
        mm³; structures that the table lacks are left out.
    """
    matrix = _spread(volumes, index)
    return matrix[[name for name in PANELS if name in matrix.columns]]


def by_part(volumes: pd.DataFrame, index: list[str]) -> pd.DataFrame:
    """Return the same of the parts of structures, both sides together, from the table parts."""
    matrix = _spread(volumes, index)
    return matrix[sums(matrix.columns.to_series())]


def sums(names: pd.Series) -> list[str]:
    """Structures of the midline and sums of both sides, in the order of their first appearance."""
    known = dict.fromkeys(names.dropna())
    return [name for name in known if not name.startswith(("Left-", "Right-"))]


def _spread(volumes: pd.DataFrame, index: list[str]) -> pd.DataFrame:
    if volumes.empty:
        return pd.DataFrame()
    matrix = volume_matrix(volumes, "labels", index=index)
    if matrix.index.nlevels == 1:
        matrix.index = matrix.index.get_level_values(0)
    return matrix


def in_order(names: pd.Series) -> list[str]:
    """Structures without sides, in the order of the panels, others behind."""
    found = dict.fromkeys(base_name(name) for name in names.dropna())
    return [name for name in PANELS if name in found] + [name for name in found if name not in PANELS]


def both_sides(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of structures without a side: sums of left and right, midline structures and totals."""
    sided = table["structure"].fillna("").str.startswith(("Left-", "Right-"))
    return table[~sided & table["structure"].notna()]
