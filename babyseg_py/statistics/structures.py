"""The structures that statistics are made of: left, right and both sides together, and the totals."""

import numpy as np
import pandas as pd

from babyseg_py.statistics.visits import VISIT

BRAIN_COVARIATE = "total brain volume (mm³)"
SOURCES = {"labels": "volume_mm3", "posteriors": "volume_posterior_mm3"}
_LEFT, _RIGHT = "Left-", "Right-"


def volume_matrix(volumes: pd.DataFrame, source: str, *, index: list[str] = VISIT) -> pd.DataFrame:
    """Volumes with a row per visit and a column per structure, sums over both sides included.

    Parameters
    ----------
    volumes : pandas.DataFrame
        Long table with columns participant_id, session_id, structure and the two volumes.
    source : str
        ``labels`` or ``posteriors``.
    index : list of str
        Columns that make a row; with ``scan`` for the table of scans.

    Returns
    -------
    pandas.DataFrame
        Volumes in mm³, indexed by ``index``, columns in the order of `structure_order`; missing where a visit
        lacks a structure.
    """
    matrix = _matrix(volumes, SOURCES[source], index)
    sums = {}
    for left in [name for name in matrix.columns if name.startswith(_LEFT)]:
        both, right = left.removeprefix(_LEFT), _RIGHT + left.removeprefix(_LEFT)
        if right in matrix.columns and both not in matrix.columns:
            sums[both] = matrix[left] + matrix[right]
    matrix = pd.concat([matrix, pd.DataFrame(sums, index=matrix.index)], axis=1)
    return matrix[structure_order(matrix.columns, volumes["structure"])].sort_index()


def _matrix(volumes: pd.DataFrame, column: str, index: list[str]) -> pd.DataFrame:
    """Spread a column: a row per visit, a column per structure, the first value if there are several."""
    rows = volumes.drop_duplicates([*index, "structure"])
    row, keys = pd.factorize(pd.MultiIndex.from_frame(rows[index]))
    place, names = pd.factorize(rows["structure"])
    values = np.full((len(keys), len(names)), np.nan)
    values[row, place] = rows[column].to_numpy(float)
    return pd.DataFrame(values, index=pd.MultiIndex.from_tuples(keys, names=index), columns=pd.Index(names))


def structure_order(names: pd.Index, appearance: pd.Series) -> list[str]:
    """Order structures as they first appear in a table, with sums over both sides last."""
    rank = {name: position for position, name in enumerate(appearance.drop_duplicates())}
    return sorted(names, key=lambda name: (rank.get(name, len(rank)), name))


def side_of(structure: str, names: pd.Index) -> str:
    """Return ``left``, ``right``, ``both`` (sum of the two) or ``none`` (midline, or a total)."""
    if structure.startswith(_LEFT):
        return "left"
    if structure.startswith(_RIGHT):
        return "right"
    return "both" if _LEFT + structure in names else "none"


def one_sided(structure: str, names: pd.Index) -> bool:
    """Say whether a structure has a side, and no sum over both sides stands beside it."""
    both = structure.removeprefix(_LEFT).removeprefix(_RIGHT)
    return both != structure and both not in names


def asymmetry(volumes: pd.DataFrame) -> pd.DataFrame:
    r"""Asymmetry index of every pair of structures, :math:`(L - R) / ((L + R) / 2)`.

    Positive where the left side is larger; -2 to 2; missing where a side is missing or both are empty.

    Parameters
    ----------
    volumes : pandas.DataFrame
        Long table of volumes; other columns than label, structure, side and volumes are kept.

    Returns
    -------
    pandas.DataFrame
        One row per visit and pair: structure (without side), left_mm3, right_mm3, asymmetry (from labels) and
        the same from posteriors.
    """
    values = list(SOURCES.values())
    keep = [c for c in volumes.columns if c not in {"label", "structure", "side", *values}]
    left = volumes[volumes["structure"].str.startswith(_LEFT)]
    right = volumes.loc[volumes["structure"].str.startswith(_RIGHT), [*VISIT, "structure", *values]]
    left = left.assign(structure=left["structure"].str.removeprefix(_LEFT))[[*keep, "structure", *values]]
    right = right.assign(structure=right["structure"].str.removeprefix(_RIGHT))
    pairs = left.merge(right, on=[*VISIT, "structure"], suffixes=("_left", "_right"), how="left")
    out = pairs[[*keep, "structure"]].copy()
    for kind, column in (("", "volume_mm3"), ("_posterior", "volume_posterior_mm3")):
        left_volume, right_volume = pairs[f"{column}_left"], pairs[f"{column}_right"]
        mean = (left_volume + right_volume) / 2
        out[f"left{kind}_mm3"], out[f"right{kind}_mm3"] = left_volume, right_volume
        out[f"asymmetry{kind}"] = (left_volume - right_volume) / mean.where(mean > 0)
    return out


def wide(volumes: pd.DataFrame) -> pd.DataFrame:
    """One row per visit; per structure a column ``<structure>_mm3`` and ``<structure>_posterior_mm3``.

    Other columns than label, structure, side and volumes are kept in front.
    """
    values = list(SOURCES.values())
    keep = [c for c in volumes.columns if c not in {"label", "structure", "side", *values}]
    table = volumes[keep].drop_duplicates(VISIT)
    order = structure_order(pd.Index(volumes["structure"].unique()), volumes["structure"])
    for column, ending in zip(values, ("_mm3", "_posterior_mm3"), strict=True):
        matrix = _matrix(volumes, column, VISIT)[order].add_suffix(ending)
        table = table.merge(matrix, left_on=VISIT, right_index=True, how="left")
    return table.reset_index(drop=True)
