"""The contact sheet: every session with the outlines of its labels, the doubtful ones first."""

import numpy as np

from babyseg_py.names import CORRECTED_METRIC
from babyseg_py.report.figures import Shelf, data_uri
from babyseg_py.report.outliers import UNUSUAL, unusual_volumes
from babyseg_py.report.parts import Absent, Card, Cards, Part, Picture, Swatches
from babyseg_py.report.results import Results
from babyseg_py.report.structures import COLOURS, PARTS
from babyseg_py.report.thumbnails import shrink, size_of
from babyseg_py.report.words import age, count, number, plain_name, sentence_case, text

FOLD_ABOVE = 12
MESSAGES = 6
PICTURES = 1000


def legend(results: Results, shelf: Shelf) -> Part:
    """Name the colours of the outlines."""
    return swatches()


def swatches() -> Swatches:
    """Return the structures with the colours of their outlines."""
    return Swatches(tuple((plain_name(name), COLOURS[name]) for name in PARTS))


def contact_sheet(results: Results, shelf: Shelf) -> Part:
    """Make a card per session: flagged, then unusual volumes, then failed, then all others."""
    visits = results.visits
    if visits.empty:
        return Absent("The samplesheet has no sessions.")
    visits = visits.join(unusual_volumes(results), on="visit_id")
    visits["size"] = visits["deviation"].astype(float).abs().fillna(0.0)
    unusual = visits["size"] > UNUSUAL
    visits["rank"] = np.select(
        [visits["status"] == "flagged", unusual, visits["status"] == "failed"], [0, 1, 2], default=3
    )
    visits = visits.sort_values(["rank", "size"], ascending=[True, False], kind="stable")
    shown = [visit for visit in visits["visit_id"] if visit in results.snapshots][:PICTURES]
    pictures = _pictures(results, shown)
    flags, corrected = visit_flags(results), _corrections(results)
    cards = []
    for row in visits.to_dict("records"):
        visit = row["visit_id"]
        said = [*corrected.get(visit, []), *flags.get(visit, [])]
        said += [] if visit in results.snapshots else ["There is no picture of this session."]
        cards.append((row["rank"] < 3, _card(row, said, pictures.get(visit), results.child_pages)))
    first, rest = ([card for doubtful, card in cards if doubtful is want] for want in (True, False))
    left = len(results.snapshots) - len(shown)
    words = (
        f"The pictures of {count(left, 'more session')} are on the pages of the children." if left > 0 else ""
    )
    return Cards(first, rest, fold=len(cards) > FOLD_ABOVE, note=words)


def _pictures(results: Results, shown: list[str]) -> dict[str, Picture]:
    """Picture of each of some visits, small enough together."""
    visits = results.visits.set_index("visit_id")
    pictures = {}
    contents = shrink([results.snapshots[visit] for visit in shown]) if shown else []
    for visit, (content, mime) in zip(shown, contents, strict=True):
        child, session = visits.loc[visit, ["participant_id", "session_id"]]
        alt = f"Slices through the brain of child {child}, session {session}, with outlines of the labels"
        pictures[visit] = Picture(data_uri(content, mime), alt, *size_of(content))
    return pictures


def _card(row: dict, flags: list[str], picture: Picture | None, pages: str) -> Card:
    who = f"child {row['participant_id']}, session {row['session_id']}"
    reasons = row["reasons"]
    new = [flag for flag in flags if not any(flag in reason for reason in reasons)]
    messages = list(dict.fromkeys([*reasons, *new, *_unusual(row)]))
    if len(messages) > MESSAGES:
        more = count(len(messages) - MESSAGES + 1, "more message")
        messages[MESSAGES - 1 :] = [f"{more} in cohort/qc.tsv and in the ledger"]
    details = f"{age(row['age_days'], row['age_reference'])}; {row['scans']}"
    page = f"{pages}/sub-{row['participant_id']}.html" if pages else ""
    return Card(sentence_case(who), row["status"], details, tuple(messages), picture, page)


def visit_flags(results: Results) -> dict[str, list[str]]:
    """Messages of the flags of each visit, with the scan that they are about."""
    if results.qc.empty:
        return {}
    flagged = results.qc[results.qc["flag"] == 1]
    messages: dict[str, list[str]] = {}
    for row in flagged.to_dict("records"):
        scan = f"{row['scan']}: " if isinstance(row["scan"], str) else ""
        structure = f"{plain_name(row['structure'])}: " if isinstance(row["structure"], str) else ""
        messages.setdefault(row["visit_id"], []).append(f"{scan}{structure}{text(row['message'], 'flagged')}")
    return messages


def _corrections(results: Results) -> dict[str, list[str]]:
    """Say of each visit with labels corrected by hand that it has them, and how far from the network's."""
    if results.qc.empty:
        return {}
    rows = results.qc[(results.qc["metric"] == CORRECTED_METRIC) & results.qc["structure"].isna()]
    words = "labels corrected by hand (mean Dice of the network's with them"
    return {row["visit_id"]: [f"{words} {number(row['value'])})"] for row in rows.to_dict("records")}


def _unusual(row: dict) -> list[str]:
    if not row["size"] > UNUSUAL:
        return []
    side = "smaller" if row["deviation"] < 0 else "larger"
    amount = f"{number(row['size'], 1)} robust standard deviations {side}"
    return [f"{plain_name(row['structure'])}: {amount} than in the other sessions, age considered"]
