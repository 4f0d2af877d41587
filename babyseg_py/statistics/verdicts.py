"""Verdicts of those who looked at the sessions, put into the table of quality that all analyses obey."""

from collections.abc import Iterable

import pandas as pd

from babyseg_py.statistics.visits import VISIT

METRIC = "verdict"
_WORDS = {"pass": "passed by eye", "fail": "failed by eye", "correct": "to be corrected, by eye"}


def verdict_words(verdict: dict) -> str:
    """Say a verdict with its note, such as ``failed by eye: half the brain is missing``."""
    note = f": {verdict['note']}" if verdict.get("note") else ""
    return f"{_WORDS[verdict['verdict']]}{note}"


def with_verdicts(qc: pd.DataFrame, verdicts: Iterable[dict], facts: pd.DataFrame) -> pd.DataFrame:
    """Put verdicts into the table of quality.

    Parameters
    ----------
    qc : pandas.DataFrame
        The table qc of the cohort.
    verdicts : iterable of dict
        participant_id, session_id, verdict (pass, fail or correct) and note.
    facts : pandas.DataFrame
        All visits of the samplesheet.

    Returns
    -------
    pandas.DataFrame
        ``pass`` takes all flags off a visit, and their messages say so; ``fail`` and ``correct`` add a flag
        on the visit as a whole. Each verdict is a row with the metric ``verdict``.
    """
    qc, added = qc.copy(), []
    for verdict in verdicts:
        own = (qc[VISIT] == [verdict[name] for name in VISIT]).all(axis=1)
        if verdict["verdict"] == "pass":
            flagged = own & (qc["flag"] == 1)
            words = f"{verdict_words(verdict)}; was flagged: "
            qc.loc[flagged, "message"] = words + qc.loc[flagged, "message"].fillna("no reason given").astype(
                str
            )
            qc.loc[flagged, "flag"] = 0
        out = verdict["verdict"] != "pass"
        row = {name: verdict[name] for name in VISIT}
        added.append(row | {"metric": METRIC, "flag": float(out), "message": verdict_words(verdict)})
    if not added:
        return qc
    rows = pd.DataFrame(added).merge(facts, on=VISIT, how="left").reindex(columns=qc.columns)
    both = pd.concat([qc.astype(object), rows.astype(object)], ignore_index=True)
    both = both.sort_values(VISIT, kind="stable", ignore_index=True)
    numbers = [name for name in qc.columns if pd.api.types.is_numeric_dtype(qc[name])]
    return both.astype(dict.fromkeys([*numbers, "flag"], float))
