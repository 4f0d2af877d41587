"""The contact sheet: every session with the outlines of its labels, the doubtful ones first."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from babyseg_py.errors import UnusableData
from babyseg_py.report.figures import Shelf, data_uri
from babyseg_py.report.outliers import UNUSUAL, unusual_volumes
from babyseg_py.report.parts import Absent, Card, Cards, Part, Picture, Swatches
from babyseg_py.report.results import Results
from babyseg_py.report.structures import COLOURS, PARTS
from babyseg_py.report.words import age, count, number, plain_name, sentence_case

PICTURES_BYTES = 9_000_000
MOST_BYTES = 150_000
FOLD_ABOVE = 12
MESSAGES = 6
_WIDTHS = (960, 800, 640, 520, 420, 340)
_QUALITIES = (72, 55, 38)


def legend(results: Results, shelf: Shelf) -> Part:
    """Name the colours of the outlines."""
    return Swatches(tuple((plain_name(name), COLOURS[name]) for name in PARTS))


def contact_sheet(results: Results, shelf: Shelf) -> Part:
    """Make a card per session: flagged, then unusual volumes, then failed, then all others."""
    visits = results.visits()
    if visits.empty:
        return Absent("The samplesheet has no sessions.")
    visits = visits.join(unusual_volumes(results), on="visit_id")
    visits["size"] = visits["deviation"].astype(float).abs().fillna(0.0)
    unusual = visits["size"] > UNUSUAL
    visits["rank"] = np.select(
        [visits["status"] == "flagged", unusual, visits["status"] == "failed"], [0, 1, 2], default=3
    )
    visits = visits.sort_values(["rank", "size"], ascending=[True, False], kind="stable")
    budget = min(MOST_BYTES, PICTURES_BYTES // max(len(results.snapshots), 1))
    cards = [(row["rank"] < 3, _card(row, results, budget)) for row in visits.to_dict("records")]
    first, rest = ([card for doubtful, card in cards if doubtful is want] for want in (True, False))
    return Cards(first, rest, fold=len(cards) > FOLD_ABOVE)


def _card(row: dict, results: Results, budget: int) -> Card:
    who = f"child {row['participant_id']}, session {row['session_id']}"
    path = results.snapshots.get(row["visit_id"])
    reasons = row["reasons"]
    new = [flag for flag in _flags(results, row["visit_id"]) if not any(flag in reason for reason in reasons)]
    messages = list(dict.fromkeys([*reasons, *new, *_unusual(row)]))
    if path is None:
        messages.append("There is no picture of this session.")
    if len(messages) > MESSAGES:
        more = count(len(messages) - MESSAGES + 1, "more message")
        messages[MESSAGES - 1 :] = [f"{more} in cohort/qc.tsv and in the ledger"]
    details = f"{age(row['age_days'], row['age_reference'])}; {row['scans']}"
    picture = None
    if path is not None:
        picture = thumbnail(path, budget, f"Slices through the brain of {who}, with outlines of the labels")
    return Card(sentence_case(who), row["status"], details, tuple(messages), picture)


def _flags(results: Results, visit: str) -> list[str]:
    if results.qc.empty:
        return []
    rows = results.qc[(results.qc["visit_id"] == visit) & (results.qc["flag"] == 1)]
    scans = rows["scan"].map(lambda scan: "" if pd.isna(scan) else f"{scan}: ")
    return [
        f"{scan}{message}" for scan, message in zip(scans, rows["message"].fillna("flagged"), strict=True)
    ]


def _unusual(row: dict) -> list[str]:
    if not row["size"] > UNUSUAL:
        return []
    side = "smaller" if row["deviation"] < 0 else "larger"
    amount = f"{number(row['size'], 1)} robust standard deviations {side}"
    return [f"{plain_name(row['structure'])}: {amount} than in the other sessions, age considered"]


def thumbnail(path: Path, budget: int, alt: str) -> Picture:
    """Return a picture of at most about ``budget`` bytes: the file itself, or a smaller WebP of it.

    Raises
    ------
    UnusableData
        The file is not an image.
    """
    content = path.read_bytes()
    try:
        image = Image.open(BytesIO(content)).convert("RGB")
    except OSError as problem:
        raise UnusableData(str(path), f"it is not a picture ({problem})", "draw it again") from problem
    if len(content) <= budget:
        return Picture(data_uri(content, "image/png"), alt, *image.size)
    for width in (
        w for w in _WIDTHS if w * w * image.height / image.width * 0.03 < budget or w == _WIDTHS[-1]
    ):
        small = image.resize((width, round(width * image.height / image.width)), Image.Resampling.LANCZOS)
        for quality in _QUALITIES:
            buffer = BytesIO()
            small.save(buffer, format="WEBP", quality=quality, method=4)
            if buffer.tell() <= budget:
                return Picture(data_uri(buffer.getvalue(), "image/webp"), alt, *small.size)
    return Picture(data_uri(buffer.getvalue(), "image/webp"), alt, *small.size)
