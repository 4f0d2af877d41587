"""Volumes of the same visit from several ways of measuring: all scans together, one contrast, by hand."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from babyseg_py.statistics.limits import FEWEST, Limits, limits_of_agreement, repeated_anova
from babyseg_py.statistics.partial import false_discovery_rate
from babyseg_py.statistics.reliability import intraclass
from babyseg_py.statistics.structures import one_sided, side_of, volume_matrix
from babyseg_py.statistics.visits import VISIT, nearest_visits

ALL_SCANS, MANUAL = "all scans", "manual"
COLUMNS = [
    "comparison", "methods", "structure", "side", "n", "bias_mm3", "bias_ci_low", "bias_ci_high",
    "bias_percent", "sd_mm3", "limit_low", "limit_low_ci_low", "limit_low_ci_high", "limit_high",
    "limit_high_ci_low", "limit_high_ci_high", "slope", "slope_p", "icc_2_1", "icc_2_1_ci_low",
    "icc_2_1_ci_high", "icc_3_1", "icc_3_1_ci_low", "icc_3_1_ci_high", "f", "df_methods", "df_error", "p",
    "epsilon", "p_corrected", "p_fdr", "partial_eta2", "visit_rule", "notes",
]  # fmt: skip
VOLUME_COLUMNS = [*VISIT, "structure", "method", "volume_mm3"]


def method_tables(
    volumes: pd.DataFrame, scans: pd.DataFrame, facts: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compare the volumes from labels of all scans together, of each contrast's first scan, and by hand.

    Parameters
    ----------
    volumes : pandas.DataFrame
        Long table of volumes of the visits that are used.
    scans : pandas.DataFrame
        Table scanvolumes of the scans that are used; the scan ``manual`` is the reference segmentation.
    facts : pandas.DataFrame
        All visits of the samplesheet.

    Returns
    -------
    agreement : pandas.DataFrame
        Columns `COLUMNS`: rows ``pair`` for every two methods, and ``all`` where there are three or more.
    used : pandas.DataFrame
        Columns `VOLUME_COLUMNS`: the volumes of one visit per child that it is from, without those of single
        sides of which the other was measured too.
    """
    return compare_methods(_by_method(volumes, scans), facts)


def compare_methods(
    by_method: dict[str, pd.DataFrame],
    facts: pd.DataFrame,
    *,
    together: Iterable[Sequence[str]] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compare every two methods, and several of them at once, with one visit per child.

    Parameters
    ----------
    by_method : dict of str to pandas.DataFrame
        Volumes in mm³ by visit (rows, participant_id and session_id) and structure (columns), of each method.
    facts : pandas.DataFrame
        The visits, from `babyseg_py.statistics.visits.visit_facts`.
    together : iterable of sequence of str
        The methods of each row ``all``. If not given it is all of them, where there are three or more.

    Returns
    -------
    agreement, used : pandas.DataFrame
        As of `method_tables`.
    """
    rows: list[dict] = []
    used = [pd.DataFrame(columns=VOLUME_COLUMNS)]
    names = list(by_method)
    if together is None:
        together = [names] if len(names) > 2 else []
    comparisons = [("pair", pair) for pair in combinations(names, 2)] + [("all", of) for of in together]
    for comparison, methods in comparisons:
        shared = by_method[methods[0]].index
        for name in methods[1:]:
            shared = shared.intersection(by_method[name].index)
        visits = facts[pd.MultiIndex.from_frame(facts[VISIT]).isin(shared)]
        if visits["participant_id"].nunique() < FEWEST:
            continue
        chosen, rule = nearest_visits(visits)
        keys = pd.MultiIndex.from_frame(chosen[VISIT])
        frames = _shared({name: by_method[name].reindex(keys) for name in methods})
        common = {"comparison": comparison, "methods": ", ".join(methods), "visit_rule": rule}
        rows += [common | row for row in _with_fdr(list(_rows(frames)))]
        used += [_long(frame, name) for name, frame in frames.items()]
    volumes = pd.concat([frame.astype(object) for frame in used], ignore_index=True)
    return pd.DataFrame(rows, columns=COLUMNS), volumes.drop_duplicates(ignore_index=True)


def _by_method(volumes: pd.DataFrame, scans: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return a matrix of volumes by visit and structure for each method that has any."""
    found = {ALL_SCANS: volume_matrix(volumes, "labels")} if len(volumes) else {}
    if scans.empty:
        return {}
    first = scans.drop_duplicates([*VISIT, "scan"]).sort_values([*VISIT, "run"], na_position="first")
    # With one scan the labels of all scans are that scan's: nothing to compare but with those by hand.
    several = first[first["suffix"] != MANUAL].groupby(VISIT)["scan"].transform("size") > 1
    first = first[several.reindex(first.index, fill_value=True)]
    first = first.drop_duplicates([*VISIT, "suffix"])[[*VISIT, "scan", "suffix"]]
    for suffix, of in first.groupby("suffix"):
        own = scans.merge(of[[*VISIT, "scan"]], on=[*VISIT, "scan"])
        found[str(suffix)] = volume_matrix(own, "labels")
    order = [*(name for name in found if name != MANUAL), *(name for name in found if name == MANUAL)]
    return {name: found[name] for name in order}


def _shared(frames: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return the columns that all frames have, in the order of the first."""
    first, *others = (frame.columns for frame in frames.values())
    structures = [name for name in first if all(name in other for other in others)]
    return {name: frame[structures] for name, frame in frames.items()}


def _rows(frames: dict[str, pd.DataFrame]) -> Iterator[dict]:
    structures = next(iter(frames.values())).columns
    for structure in structures:
        values = np.stack([frame[structure].to_numpy(float) for frame in frames.values()], axis=1)
        complete = values[np.isfinite(values).all(axis=1)]
        absolute, consistent = intraclass(complete)
        tested = repeated_anova(complete)
        row = {
            "structure": structure, "side": side_of(structure, structures), "n": len(complete), "f": tested.f,
            "df_methods": tested.k - 1, "df_error": max(tested.n - 1, 0) * (tested.k - 1), "p": tested.p,
            "epsilon": tested.epsilon, "p_corrected": tested.p_corrected,
            "partial_eta2": tested.partial_eta2, "notes": _note(len(complete), len(values), tested.f),
        }  # fmt: skip
        for name, one in (("icc_2_1", absolute), ("icc_3_1", consistent)):
            row |= {name: one.icc, f"{name}_ci_low": one.ci_low, f"{name}_ci_high": one.ci_high}
        yield row | (_limits(complete) if len(frames) == 2 else {})


def _limits(pair: np.ndarray) -> dict:
    found: Limits = limits_of_agreement(pair[:, 0], pair[:, 1])
    mean = float(pair.mean()) if len(pair) else np.nan
    return {
        "bias_mm3": found.bias, "bias_ci_low": found.bias_ci_low, "bias_ci_high": found.bias_ci_high,
        "bias_percent": 100 * found.bias / mean if mean > 0 else np.nan, "sd_mm3": found.sd,
        "limit_low": found.low, "limit_low_ci_low": found.low_ci_low, "limit_low_ci_high": found.low_ci_high,
        "limit_high": found.high, "limit_high_ci_low": found.high_ci_low,
        "limit_high_ci_high": found.high_ci_high, "slope": found.slope, "slope_p": found.slope_p,
    }  # fmt: skip


def _note(n: int, there: int, f: float) -> str:
    notes = []
    if n < there:
        notes.append(f"{there - n} without this structure in every method, or flagged")
    if n < FEWEST:
        notes.append(f"n = {n} is below {FEWEST}: not compared")
    elif np.isnan(f):
        notes.append("the methods differ by the same amount in every child: no test")
    return "; ".join(notes)


def _with_fdr(rows: list[dict]) -> list[dict]:
    """Adjust the corrected p over the structures of one comparison."""
    adjusted = false_discovery_rate(np.array([row["p_corrected"] for row in rows], dtype=float))
    return [row | {"p_fdr": p} for row, p in zip(rows, adjusted, strict=True)]


def _long(frame: pd.DataFrame, method: str) -> pd.DataFrame:
    names = frame.columns
    whole = [name for name in names if side_of(name, names) in {"both", "none"} or one_sided(name, names)]
    long = frame[whole].reset_index().melt(VISIT, var_name="structure", value_name="volume_mm3")
    return long.assign(method=method)[VOLUME_COLUMNS].dropna(subset=["volume_mm3"])
