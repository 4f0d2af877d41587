"""Which visits are in their child's template, and why the others are not."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from babyseg_py.names import is_label
from babyseg_py.statistics.visits import VISIT

COLUMNS = [*VISIT, "used", "reason"]
STEP = "template"
SINGLE = "one visit in the samplesheet: a template needs two"
OFF = "templates were switched off (--template false)"
NO_LABELS = "no labels came out of this visit"
ALONE = "no other visit of this child has labels: a template needs two"
LOST = "no template came out and no step said why; see pipeline_info"


def read_failures(paths: Iterable[Path | str]) -> dict[str, str]:
    """Read why children have no template.

    Parameters
    ----------
    paths : iterable of path
        ``sub-X.template.failure.json``.

    Returns
    -------
    dict of str to str
        What is wrong and what to do, by child without prefix.
    """
    found = {}
    for path in sorted(map(Path, paths)):
        child = path.name.partition(".")[0].removeprefix("sub-")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            words = f"{content['file']}: {content['what']}; {content['advice']}"
        except (OSError, ValueError, KeyError, TypeError):
            words = f"the step {STEP} failed and its message cannot be read"
        if is_label(child):
            found[child] = words
    return found


def template_table(
    facts: pd.DataFrame,
    volumes: pd.DataFrame,
    parts: Sequence[pd.DataFrame],
    failures: dict[str, str],
    *,
    switched_off: bool = False,
) -> pd.DataFrame:
    """Say of every visit of the samplesheet whether it is in a template, and why not.

    Parameters
    ----------
    facts : pandas.DataFrame
        All visits of the samplesheet.
    volumes : pandas.DataFrame
        The table volumes of the cohort: visits with labels.
    parts : sequence of pandas.DataFrame
        What the step wrote of each child: participant_id, session_id, used, reason.
    failures : dict of str to str
        Children whose template failed, with the reason.
    switched_off : bool
        Whether no template was wanted.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`, a row per visit in the order of `facts`.
    """
    said = {
        (str(row["participant_id"]), str(row["session_id"])): (int(row["used"]), row["reason"])
        for part in parts
        for row in part.to_dict("records")
    }
    labelled = set(map(tuple, volumes[VISIT].drop_duplicates().to_numpy().tolist()))
    counts = {
        "sheet": facts["participant_id"].value_counts(),
        "labelled": pd.Series([child for child, _ in labelled], dtype=object).value_counts(),
    }
    rows = []
    for child, session in map(tuple, facts[VISIT].to_numpy().tolist()):
        if (child, session) in said:
            used, reason = said[(child, session)]
        else:
            used, reason = 0, OFF if switched_off else _why_not((child, session), counts, labelled, failures)
        rows.append((child, session, used, None if pd.isna(reason) else reason))
    return pd.DataFrame(rows, columns=COLUMNS)


def _why_not(
    visit: tuple[str, str],
    counts: dict[str, pd.Series],
    labelled: set[tuple[str, str]],
    failures: dict[str, str],
) -> str:
    child = visit[0]
    if counts["sheet"][child] < 2:
        return SINGLE
    if visit not in labelled:
        return NO_LABELS
    if child in failures:
        return failures[child]
    return ALONE if counts["labelled"].get(child, 0) < 2 else LOST
