"""What the page of a large cohort leaves to the files beside it, and how many bytes its pictures take."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import pandas as pd
from PIL import Image
from simulated_cohort import simulate

from babyseg_py.report import inputs, sessions, thumbnails
from babyseg_py.report.figures import Shelf, _few_colours
from babyseg_py.report.inputs import causes, whole_ledger
from babyseg_py.report.results import read_results


def read(tmp_path, children):
    folder = simulate(tmp_path, children=children)
    return read_results(
        records=folder.root / "records.json", ledger=folder.root / "ledger.tsv",
        cohort=folder.root / "cohort", snapshots=folder.snapshots,
    )  # fmt: skip


def test_a_long_ledger_stays_in_its_file(tmp_path, monkeypatch):
    results = read(tmp_path, 3)
    assert whole_ledger(results, Shelf()).kind == "table"
    monkeypatch.setattr(inputs, "LONGEST_LEDGER", 2)
    part = whole_ledger(results, Shelf())
    assert part.kind == "absent"
    assert f"{len(results.ledger)} rows" in part.reason
    flagged = replace(results, ledger=pd.concat([results.ledger.assign(status="flagged")]))
    table = causes(flagged, Shelf())
    assert len(table.rows) == 2
    assert table.note == f"{len(results.ledger) - 2} more rows in ledger.tsv."


def test_the_doubtful_sessions_keep_their_pictures(tmp_path, monkeypatch):
    results = read(tmp_path, 3)
    monkeypatch.setattr(sessions, "PICTURES", 2)
    sheet = sessions.contact_sheet(results, Shelf())
    cards = [*sheet.first, *sheet.rest]
    assert len(cards) == 6
    assert [card.picture is not None for card in cards] == [True, True, False, False, False, False]
    assert cards[0].title == "Child 02, session A"
    assert sheet.note == "The pictures of 4 more sessions are on the pages of the children."
    assert not any("no picture" in words for card in cards for words in card.messages)


def test_pictures_keep_to_their_limit_however_rich_they_are(tmp_path, rng):
    noise = rng.integers(0, 255, (300, 400, 3), dtype=np.uint8)
    path = tmp_path / "noise.png"
    Image.fromarray(noise).resize((960, 720)).save(path)
    limit = thumbnails.PICTURES_BYTES // 50
    contents = thumbnails.shrink([path] * 8, limit=limit)
    assert sum(len(content) for content, _ in contents) <= limit


def test_a_palette_changes_no_line(rng):
    pixels = np.full((60, 80, 3), 255, dtype=np.uint8)
    pixels[10:12], pixels[:, 30:32] = (15, 92, 110), (179, 92, 0)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    small = Image.open(BytesIO(_few_colours(buffer.getvalue()))).convert("RGB")
    assert (np.asarray(small) == pixels).all()
