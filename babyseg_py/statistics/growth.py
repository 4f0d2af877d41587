"""Change per month of every structure in every child, from the child's own visits."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import stats

from babyseg_py.statistics.structures import SOURCES, side_of, volume_matrix
from babyseg_py.statistics.visits import DAYS_PER_MONTH, FACTS, REFERENCES, VISIT, age_on, common_reference

COLUMNS = [
    "participant_id", "structure", "side", "volume_source", "n_visits", "sessions", "age_reference",
    "age_first_days", "age_last_days", "volume_first_mm3", "volume_last_mm3", "change_mm3_per_month",
    "ci_low", "ci_high", "percent_per_month", "percent_ci_low", "percent_ci_high", "notes",
]  # fmt: skip
_SHORT_DAYS = 14


def slopes(months: np.ndarray, volumes: np.ndarray, /) -> dict[str, np.ndarray]:
    r"""Straight line through the visits of one child, per structure.

    Least squares of volume on age: with two visits the difference over the time between them. With m >= 3
    visits the 95 % interval is :math:`b \pm t_{.975, m-2} \, s_b`.

    Parameters
    ----------
    months : (m,) array of float
        Ages in months, nothing missing.
    volumes : (m, s) array of float
        Volumes in mm³, missing ones as NaN.

    Returns
    -------
    dict of (s,) array
        n (visits used), slope (mm³ a month), low, high, mean (mm³): NaN with fewer than two ages (slope) or
        fewer than three visits (low, high).
    """
    known = np.isfinite(volumes)
    n = known.sum(axis=0)
    count = np.maximum(n, 1)
    age = np.where(known, months[:, None], 0.0)
    value = np.where(known, volumes, 0.0)
    mean_age, mean = age.sum(axis=0) / count, value.sum(axis=0) / count
    age, value = np.where(known, age - mean_age, 0.0), np.where(known, value - mean, 0.0)
    squares = (age**2).sum(axis=0)
    spread = squares > 1e-12
    slope = np.divide((age * value).sum(axis=0), squares, out=np.full(len(n), np.nan), where=spread)
    df = n - 2
    interval = spread & (df > 0)
    left = ((value - slope * age) ** 2).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.where(
            interval, stats.t.ppf(0.975, np.maximum(df, 1)) * np.sqrt(left / df / squares), np.nan
        )
    return {
        "n": n,
        "slope": slope,
        "low": slope - reach,
        "high": slope + reach,
        "mean": np.where(n > 0, mean, np.nan),
    }


def growth_table(
    volumes: pd.DataFrame, *, source: str, left_out: dict[str, str] | None = None
) -> pd.DataFrame:
    """Growth of every child and structure.

    Ages of one child count on one reference, the one that most of the child's visits state; visits that
    state only the other are left out, with a note. Percent is the slope over the line's volume at the child's
    mean age (the symmetrised rate of Reuter et al. 2012, https://doi.org/10.1016/j.neuroimage.2012.02.084). A
    child with fewer than two ages has one row with a note.

    Parameters
    ----------
    volumes : pandas.DataFrame
        Long table of the visits to be used, with ages.
    source : str
        ``labels`` or ``posteriors``.
    left_out : dict of str to str, optional
        For each child with visits that were left out before, a sentence about them. A child with no visit at
        all gets its row from here.

    Returns
    -------
    pandas.DataFrame
        The columns of `COLUMNS`; sorted by child, structures in the order of the volumes.
    """
    left_out = left_out or {}
    rows: list[dict] = []
    matrix = volume_matrix(volumes, source)
    facts = volumes.drop_duplicates(VISIT).set_index(VISIT).loc[matrix.index, FACTS].reset_index()
    groups = facts.groupby("participant_id", sort=True)
    values = matrix.to_numpy(float)
    never = _never_measured(volumes, source)
    sides = {structure: side_of(structure, matrix.columns) for structure in matrix.columns}
    for child in sorted({*map(str, groups.groups), *left_out}):
        index = groups.indices.get(child, np.array([], int))
        common = {"participant_id": child, "volume_source": source}
        before = left_out.get(child, "")
        for row in _child(facts.iloc[index], values[index], list(matrix.columns), before, never):
            rows.append(common | {"side": sides.get(row["structure"])} | row)
    return pd.DataFrame(rows, columns=COLUMNS)


def _never_measured(volumes: pd.DataFrame, source: str) -> dict[str, str]:
    """Say of each structure that has volumes, but none from this source, that it has none."""
    known = volumes.reindex(columns=[*SOURCES.values()]).notna().groupby(volumes["structure"]).any()
    lacking = known.index[known.any(axis=1) & ~known[SOURCES[source]]]
    return dict.fromkeys(map(str, lacking), f"no volume from {source}: no change")


def _child(
    visits: pd.DataFrame, volumes: np.ndarray, structures: list[str], before: str, never: dict[str, str]
) -> Iterator[dict]:
    reference = common_reference(visits)
    notes = [before] if before else []
    if reference is None:
        text = "no usable visit" if visits.empty else "no age in the sheet"
        yield {"structure": None, "n_visits": 0, "notes": "; ".join([text, *notes])}
        return
    days = age_on(visits, reference).to_numpy(float)
    order = np.argsort(days, kind="stable")[: np.isfinite(days).sum()]
    if len(order) < len(days):
        notes.append(f"{len(days) - len(order)} visits without an age {REFERENCES[reference]} are not used")
    days, volumes = days[order], volumes[order]
    sessions = visits["session_id"].to_numpy()[order]
    if len(days) < 2 or days[-1] == days[0]:
        text = "one visit: no change" if len(days) < 2 else "all visits at the same age: no change"
        known = {"age_reference": reference, "age_first_days": days[0], "age_last_days": days[-1]}
        yield known | {
            "structure": None,
            "n_visits": len(days),
            "sessions": ";".join(sessions),
            "notes": "; ".join([text, *notes]),
        }
        return
    if days[-1] - days[0] < _SHORT_DAYS:
        notes.append(f"visits only {days[-1] - days[0]:.0f} days apart: mostly measurement error")
    fit = slopes(days / DAYS_PER_MONTH, volumes)
    for column, structure in enumerate(structures):
        used = np.flatnonzero(np.isfinite(volumes[:, column]))
        without = len(days) - len(used)
        words = [never.get(structure, f"{without} visits without this structure, or flagged")]
        words = words if without else []
        yield _row(structure, {name: value[column] for name, value in fit.items()}, words + notes) | {
            "sessions": ";".join(sessions[used]),
            "age_reference": reference,
            "age_first_days": days[used[0]] if len(used) else np.nan,
            "age_last_days": days[used[-1]] if len(used) else np.nan,
            "volume_first_mm3": volumes[used[0], column] if len(used) else np.nan,
            "volume_last_mm3": volumes[used[-1], column] if len(used) else np.nan,
        }


def _row(structure: str, fit: dict, notes: list[str]) -> dict:
    percent = 100 / fit["mean"] if fit["mean"] > 0 else np.nan
    notes = list(notes)
    if np.isnan(fit["slope"]) and not (notes and notes[0].endswith("no change")):
        notes.append("fewer than two visits: no change")
    elif fit["n"] == 2:
        notes.append("two visits: no interval")
    return {
        "structure": structure,
        "n_visits": int(fit["n"]),
        "change_mm3_per_month": fit["slope"],
        "ci_low": fit["low"],
        "ci_high": fit["high"],
        "percent_per_month": fit["slope"] * percent,
        "percent_ci_low": fit["low"] * percent,
        "percent_ci_high": fit["high"] * percent,
        "notes": "; ".join(notes),
    }
