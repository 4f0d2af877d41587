"""The visits of a child side by side on its page."""

import base64
import json
import re
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from chromium import browser, find_chromium
from PIL import Image
from simulated_cohort import simulate, write

from babyseg_py.cli import main
from babyseg_py.images import Volume
from babyseg_py.report.side_by_side import youngest_first
from babyseg_py.report.to_scale import draw_to_scale

WORDS = "the brain is cut off by the field of view"


def _brain(half_mm: float) -> bytes:
    """Draw a ball of label 10."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -60
    world = np.moveaxis(np.indices((61, 61, 61)), 0, -1) * 2.0 - 60
    inside = (world**2).sum(axis=-1) < half_mm**2
    return draw_to_scale(
        Volume(100.0 * inside.astype(np.float32), affine), Volume(10 * inside.astype(np.int32), affine)
    )


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Return pages of 3 children with 3 visits, C, A, B by age: 01 grew, 02 has flags.

    Of child 03 session B has no picture to scale, and session C failed.
    """
    root = tmp_path_factory.mktemp("side by side")
    cohort = simulate(root / "results", children=3, visits=3, repeats=False, fail=2)
    records = cohort.root / "records.json"
    content = json.loads(records.read_text(encoding="utf-8"))
    for record in content["records"]:
        record["age_days"] = {"C": 30.4375, "A": 182.625, "B": 365.25}[record["session_id"]]
    records.write_text(json.dumps(content), encoding="utf-8")
    shots = cohort.root / "snapshots"
    for session, half_mm in (("C", 25), ("A", 35), ("B", 50)):
        (shots / f"sub-01_ses-{session}_desc-toscale_snapshot.png").write_bytes(_brain(half_mm))
    qc = pd.read_csv(cohort.root / "cohort" / "qc.tsv", sep="\t", dtype=str, keep_default_na=False)
    more = [["02", "B", "T1w", "n/a", f"m{n}", "1", "0", "1", "1", f"odd thing {n}"] for n in range(4)]
    more.append(["02", "C", "n/a", "Left-Caudate", "score", "0.1", "0.6", "1", "1", WORDS])
    write(cohort.root / "cohort" / "qc.tsv", pd.concat([qc, pd.DataFrame(more, columns=qc.columns)]))
    lost = shots / "sub-03_ses-B_desc-toscale_snapshot.png"
    cohort.snapshots.remove(lost)
    assert main(cohort.arguments(root / "report.html", "--children-dir", str(root / "children"))) == 0
    return root / "children"


def _figures(page) -> dict[str, str]:
    html = page.read_text(encoding="utf-8")
    found = re.findall(r'<figure class="visit \w+">.*?</figure>', html, re.DOTALL)
    return {re.search(r"Session (\w+)", re.sub("<img[^>]*>", "", figure))[1]: figure for figure in found}


def test_visits_go_from_the_youngest_to_the_oldest_with_their_ages(pages):
    figures = _figures(pages / "sub-01.html")
    assert list(figures) == ["C", "A", "B"]
    for figure, months in zip(figures.values(), ("1.0", "6.0", "12.0"), strict=True):
        assert figure.count(f"{months} months from birth") == 2, "beneath the picture, and in its words"
        assert re.search(r'alt="Axial, coronal and sagittal slice [^"]+ outlines of the labels', figure)


def test_a_brain_that_grew_is_larger_by_as_much(pages):
    widths = []
    for figure in _figures(pages / "sub-01.html").values():
        image = Image.open(BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", figure)[1]))).convert("RGB")
        pixels = np.asarray(image).astype(int)[20:300]
        assert pixels.shape[1] == 288
        green = np.argwhere(pixels[..., 1] - pixels[..., 0] > 60)
        widths.append(np.ptp(green[:, 1]))
    assert widths == pytest.approx([75, 105, 150], abs=4), "1.5 pixels for a millimetre"


def test_flagged_and_failed_visits_say_why(pages):
    flagged = _figures(pages / "sub-02.html")
    assert 'class="badge flagged"' in flagged["A"]
    assert "Left out of the statistics: the left half is 2.4 times the right half" in flagged["A"]
    assert f"Left caudate: {WORDS}" in flagged["C"]
    assert "T1w: odd thing 0" in flagged["B"]
    assert "3 more reasons below" in flagged["B"]
    failed = _figures(pages / "sub-03.html")["C"]
    assert 'class="badge failed"' in failed
    assert "T1w, T2w failed: every voxel is NaN" in failed


def test_a_session_without_a_picture_is_said_in_words(pages):
    figures = _figures(pages / "sub-03.html")
    assert "<img" in figures["A"]
    for session in ("B", "C"):
        assert "<img" not in figures[session]
        assert "There is no picture to scale of this session." in figures[session]


def test_postmenstrual_ages_are_put_among_those_from_birth():
    visits = pd.DataFrame({
        "participant_id": ["01"] * 4, "session_id": list("ABCD"), "age_days": [60.0, 290.0, np.nan, 5.0],
        "age_reference": ["birth", "conception", None, "birth"],
    })  # fmt: skip
    assert "".join(youngest_first(visits)["session_id"]) == "DBAC"


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [1200, 420])
def test_all_visits_of_a_page_have_one_scale(pages, tmp_path, width):
    with browser(tmp_path / "profile") as page:
        page.open(pages / "sub-01.html", width=width)
        sizes = page.run("[...document.querySelectorAll('.visit img')].map(image => image.clientWidth)")
        tops = page.run("[...document.querySelectorAll('.visit img')].map(image => image.offsetTop)")
    assert len(sizes) == 3
    assert len(set(sizes)) == 1
    assert (len(set(tops)) == 1) == (width == 1200)
