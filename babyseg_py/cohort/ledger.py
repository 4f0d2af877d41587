"""The ledger: one row per row of the samplesheet, whatever became of it."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from babyseg_py.errors import UnusableData
from babyseg_py.names import parse_name, scan_label, visit_id, visit_of
from babyseg_py.statistics.verdicts import METRIC as VERDICT
from babyseg_py.statistics.verdicts import verdict_words

COLUMNS = ("row", "participant_id", "session_id", "run", "suffix", "image", "status", "step", "reason")
STATUSES = ("ok", "flagged", "failed")
# A visit still has its labels and volumes when one of these steps fails.
BESIDE_THE_RESULT = frozenset({"surface-distance", "snapshot", "shape", "raters"})
ORDER = (
    *("check", "n4", "register", "segment", "morphometry"),
    *("surface-distance", "snapshot", "shape", "raters"),
)
MESSAGES = 4
LOST = "no labels came out and no step said why: its task may have been killed; see pipeline_info"
LOST_SCAN = "this scan has no labels of its own and no step said why; see pipeline_info"
MISSING = "n/a"
LEFT_OUT = "left_out"  # metric of a scan that the segmentation did not use
STEPS = {"sides_fit": "template"}  # of metrics that are not of the step segment


@dataclass(frozen=True)
class Failure:
    """What a step wrote about a scan or visit that it could not serve."""

    unit: str
    step: str
    file: str
    reason: str


@dataclass(frozen=True)
class Entry:
    """A record and what became of it: ``ok``, ``flagged`` or ``failed``, at which step, and why."""

    record: dict
    status: str
    step: str = MISSING
    reason: str = MISSING


@dataclass(frozen=True)
class Outcomes:
    """What the pipeline left behind.

    Parameters
    ----------
    failures : dict of str to list of Failure
        By id of scan or visit.
    flags : dict of (visit, scan) to list of (step, message)
        What quality control flagged; the scan is ``n/a`` for the session.
    labelled : set of (visit, scan)
        Which label maps there are; the scan is ``n/a`` for those of the session.
    left_out : set of (visit, scan)
        Scans that the segmentation left out.
    """

    failures: dict[str, list[Failure]]
    flags: dict[tuple[str, str], list[tuple[str, str]]]
    labelled: set[tuple[str, str]]
    left_out: set[tuple[str, str]] = field(default_factory=set)


def make_ledger(records: Sequence[dict], outcomes: Outcomes, verdicts: Iterable[dict] = ()) -> list[Entry]:
    """Say of every record what became of it.

    A row has failed if its scan did, if its visit did before there were volumes, or if there are no labels of
    its scan or its visit; flagged if quality control flagged its scan or its visit, if registration or
    segmentation left it out, or if its visit lacks its surface distances, picture, surfaces or the consensus
    of its raters; else it is ok.

    Parameters
    ----------
    records : sequence of dict
        The records of ``records.json``.
    outcomes : Outcomes
    verdicts : iterable of dict
        What was said of the visits by eye: ``pass`` makes a flagged row ok, ``fail`` and ``correct`` make an
        ok row flagged; a row that failed stays so.

    Returns
    -------
    list of Entry
        One per record, in their order.
    """
    said = {(one["participant_id"], one["session_id"]): one for one in verdicts}
    return [
        _judged(_entry(record, outcomes), said.get((record["participant_id"], record["session_id"])))
        for record in records
    ]


def _judged(entry: Entry, verdict: dict | None) -> Entry:
    if verdict is None or entry.status == "failed":
        return entry
    words = verdict_words(verdict)
    if verdict["verdict"] == "pass":
        was = f"; was flagged: {entry.reason}" if entry.status == "flagged" else ""
        return Entry(entry.record, "ok", VERDICT, f"{words}{was}")
    also = f"; {entry.reason}" if entry.status == "flagged" else ""
    return Entry(entry.record, "flagged", VERDICT, f"{words}{also}")


def _entry(record: dict, outcomes: Outcomes) -> Entry:
    visit, scan = record["visit_id"], scan_label(record["suffix"], record["run"])
    session_labelled = (visit, MISSING) in outcomes.labelled
    failures = [
        *outcomes.failures.get(record["scan_id"], []),
        *(
            one
            for one in outcomes.failures.get(visit, [])
            if not (session_labelled and _is_of_another_scan(one, record))
        ),
    ]
    failures.sort(key=lambda one: _place(one.step))
    fatal = [one for one in failures if one.step not in BESIDE_THE_RESULT]
    flags = [*outcomes.flags.get((visit, MISSING), []), *outcomes.flags.get((visit, scan), [])]
    left_out = (visit, scan) in outcomes.left_out or any(step == "register" for step, _ in flags)
    if fatal:
        return Entry(record, "failed", fatal[0].step, _joined(one.reason for one in fatal))
    if not session_labelled:
        return Entry(record, "failed", "segment", LOST)
    if (visit, scan) not in outcomes.labelled and not left_out:
        return Entry(record, "failed", "segment", LOST_SCAN)
    notes = flags + [(one.step, one.reason) for one in failures]
    if not notes:
        return Entry(record, "ok")
    notes.sort(key=lambda note: _place(note[0]))
    return Entry(record, "flagged", notes[0][0], _joined(message for _, message in notes))


def _is_of_another_scan(failure: Failure, record: dict) -> bool:
    """Say whether the failure of a visit's step names a scan, and not this one."""
    try:
        named = parse_name(failure.file)
    except ValueError:
        return False
    own = record["participant_id"], record["session_id"]
    if (named.get("participant"), named.get("session")) != own or "space" in named:
        return False
    return (named["suffix"], named.get("run")) != (record["suffix"], record["run"])


def _place(step: str) -> int:
    return ORDER.index(step) if step in ORDER else len(ORDER)


def _joined(messages: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(messages))
    more = f"; and {len(distinct) - MESSAGES} more" if len(distinct) > MESSAGES else ""
    return "; ".join(distinct[:MESSAGES]) + more


def read_outcomes(failures: Iterable[Path], qc: Iterable[Path], labels: Iterable[Path]) -> Outcomes:
    """Read what the steps left behind.

    Parameters
    ----------
    failures : iterable of Path
        Files ``<scan or visit>.<step>.failure.json``.
    qc : iterable of Path
        Tables ``sub-X_ses-Y_desc-segmentation_qc.tsv``.
    labels : iterable of Path
        Label maps; only their names are read.

    Returns
    -------
    Outcomes
        A failure or table that cannot be read is a failure of its scan or visit.
    """
    failed: dict[str, list[Failure]] = {}
    flags: dict[tuple[str, str], list[tuple[str, str]]] = {}
    left_out = set()
    for path in sorted(failures):
        failure = _read_failure(path)
        failed.setdefault(failure.unit, []).append(failure)
    for path in sorted(qc):
        visit = _visit_of(path)
        try:
            for scan, metric, message in _read_flags(path):
                step = "register" if metric.startswith("registration") else STEPS.get(metric, "segment")
                flags.setdefault((visit, scan), []).append((step, message))
                if metric == LEFT_OUT:
                    left_out.add((visit, scan))
        except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
            reason = f"{path.name} cannot be read ({error!r})"
            failed.setdefault(visit, []).append(Failure(visit, "segment", path.name, reason))
    return Outcomes(failed, flags, {_labelled(path) for path in labels}, left_out)


def _read_failure(path: Path) -> Failure:
    unit, _, rest = path.name.partition(".")
    step = rest.split(".")[0] or MISSING
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        reason = f"{content['what']}; {content['advice']}"
        return Failure(unit, str(content["step"]), str(content["file"]), reason)
    except (OSError, ValueError, KeyError, TypeError):
        return Failure(unit, step, path.name, f"step {step} failed and its message cannot be read")


def _visit_of(path: Path) -> str:
    try:
        return visit_id(*visit_of(path))
    except ValueError:
        raise UnusableData(str(path), "the name does not say which visit it is of", "keep its name") from None


def _labelled(path: Path) -> tuple[str, str]:
    """Return visit and scan of a label map, which its space names."""
    visit, entities = _visit_of(path), parse_name(path)
    space, run = str(entities.get("space", "session")), entities.get("run")
    return visit, MISSING if space == "session" else scan_label(space, None if run is None else int(run))


def _read_flags(path: Path) -> Iterable[tuple[str, str, str]]:
    """Yield scan, metric and message of each flag in a quality table."""
    text = path.read_text(encoding="utf-8-sig")
    for row in csv.DictReader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE):
        if row["flag"] in {"1", "1.0", "True", "true"}:
            where = "" if row["structure"] in {MISSING, ""} else f"{row['structure']}: "
            of_scan = "" if row["scan"] in {MISSING, ""} else f"{row['scan']}: "
            yield row["scan"] or MISSING, row["metric"], f"{of_scan}{where}{row['message']}"


def to_tsv(entries: Sequence[Entry]) -> str:
    """Return the text of ``ledger.tsv``."""
    lines = ["\t".join(COLUMNS)]
    for entry in entries:
        record = entry.record
        cells = {**record, "status": entry.status, "step": entry.step, "reason": entry.reason}
        lines.append("\t".join(_cell(cells.get(column)) for column in COLUMNS))
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    return MISSING if value is None or value == "" else re.sub(r"[\t\r\n]+", " ", str(value))


def closing_lines(entries: Sequence[Entry]) -> list[str]:
    """Return how many rows are ok, flagged and failed, and at which steps."""
    counts = Counter(entry.status for entry in entries)
    lines = [f"{len(entries)} rows: " + ", ".join(f"{counts[status]} {status}" for status in STATUSES)]
    for status in STATUSES[1:]:
        steps = Counter(entry.step for entry in entries if entry.status == status)
        if steps:
            words = ", ".join(
                f"{step} {count}" for step, count in sorted(steps.items(), key=lambda x: _place(x[0]))
            )
            lines.append(f"{status} at step: {words}")
    return lines
