"""The page of each child."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from chromium import browser, find_chromium
from simulated_cohort import simulate, write
from walk import undescribed

from babyseg_py.cli import main
from babyseg_py.report import vectors
from babyseg_py.report.children import write_children
from babyseg_py.report.results import read_results


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Return the folder of a report with pages of 5 children; the last session of child 05 failed."""
    root = tmp_path_factory.mktemp("pages")
    cohort = simulate(root / "results", children=5, visits=2, repeats=False, fail=2)
    used = pd.DataFrame(
        {"score": ["motor"], "participant_id": ["03"], "reason": ["without mother_education"]}
    )
    write(cohort.root / "cohort" / "association_visits.tsv", used)
    centiles = [
        ("Hippocampus", "birth", c, age, *[100 * c + age] * 3)
        for c in (3, 10, 50, 90, 97)
        for age in (0, 200, 400)
    ]
    columns = ["structure", "age_reference", "centile", "age_days", "volume_mm3", "ci_low", "ci_high"]
    write(cohort.root / "cohort" / "centiles.tsv", pd.DataFrame(centiles, columns=columns))
    words = cohort.arguments(root / "report.html", "--children-dir", str(root / "children"))
    assert main(words) == 0
    return root


def test_every_child_has_a_page_and_links_lead_there_and_back(pages):
    found = sorted(path.name for path in (pages / "children").glob("*.html"))
    assert found == [f"sub-{child:02d}.html" for child in range(1, 6)]
    report = (pages / "report.html").read_text(encoding="utf-8")
    links = set(re.findall(r'href="(children/[^"]+)"', report))
    assert links == {f"children/{name}" for name in found}
    page = (pages / "children" / "sub-01.html").read_text(encoding="utf-8")
    (back,) = re.findall(r'href="([^"#]*report.html)"', page)
    assert (pages / "children" / back).resolve() == (pages / "report.html").resolve()


def test_a_page_shows_visits_growth_change_flags_and_what_was_left_out(pages):
    texts = {child: (pages / "children" / f"sub-{child}.html").read_text(encoding="utf-8")
             for child in ("01", "02", "03", "05")}  # fmt: skip
    assert texts["01"].count('class="card ok"') == 2
    assert texts["01"].count("data:image/") == 4
    assert texts["01"].count('<polyline class="own"') >= 10
    assert texts["01"].count('class="centile"') == 4
    assert texts["01"].count('class="median"') == 1
    assert "Change (mL a month)" in texts["01"]
    assert "Nothing of this child was left out" in texts["01"]
    assert "the left half is 2.4 times the right half" in texts["02"]
    assert "Session A: flagged as a whole and left out" in texts["02"]
    assert "Motor: the child was not used (without mother_education)" in texts["03"]
    assert "Session B: no volumes, because every scan failed" in texts["05"]
    assert "No change, because" in texts["05"]
    assert all(len(text) < 600_000 for text in texts.values())


def test_the_numbers_are_those_of_the_child(pages):
    page = (pages / "children" / "sub-04.html").read_text(encoding="utf-8")
    (label,) = re.findall(r'aria-label="(Total brain volume: [^"]+)"', page)
    volumes = pd.read_csv(
        pages / "results" / "cohort" / "volumes.tsv", sep="\t", dtype={"participant_id": str}
    )
    own = volumes.query("participant_id == '04' and structure == 'Total-Brain-Volume'").sort_values(
        "age_days"
    )
    words = [f"{v / 1000:.2f} mL at {a / 30.4375:.1f}" for v, a in own[["volume_mm3", "age_days"]].to_numpy()]
    assert label == f"Total brain volume: {', '.join(words)}"


def test_the_numbers_of_the_panels_lie_beside_the_page(pages):
    """A row per session and structure that a panel shows, described, and linked."""
    folder = pages / "children"
    page = (folder / "sub-04.html").read_text(encoding="utf-8")
    assert 'href="sub-04_growth.tsv"' in page
    numbers = pd.read_csv(folder / "sub-04_growth.tsv", sep="\t", dtype={"participant_id": str})
    assert len(numbers) == 2 * page.count('<polyline class="own"')
    volumes = pd.read_csv(
        pages / "results" / "cohort" / "volumes.tsv", sep="\t", dtype={"participant_id": str}
    )
    keys = ["participant_id", "session_id", "structure"]
    brain = volumes.query("participant_id == '04' and structure == 'Total-Brain-Volume'").set_index(keys)
    drawn = numbers.query("structure == 'Total-Brain-Volume'").set_index(keys)
    assert drawn["volume_mm3"].to_dict() == pytest.approx(brain["volume_mm3"].to_dict())
    assert drawn["age_days"].to_dict() == pytest.approx(brain["age_days"].to_dict())
    assert undescribed(folder) == []
    assert len(list(folder.glob("*.tsv"))) == 5


def test_a_point_is_where_its_numbers_say():
    panel = vectors.frame("x", np.array([0.0, 10.0]), np.array([0.0, 100.0]))
    (left, right), (floor, middle) = panel.place(np.array([0.0, 10.0]), np.array([0.0, 52.5]))
    assert (left, right) == (44, 182)
    assert (floor, middle) == (128, pytest.approx((22 + 128) / 2))


def test_names_from_outside_are_text(tmp_path):
    cohort = simulate(tmp_path / "results", children=1, snapshots=False)
    records = cohort.root / "records.json"
    content = json.loads(records.read_text(encoding="utf-8"))
    for record in content["records"]:
        record["site"] = "<script>alert(1)</script>"
    records.write_text(json.dumps(content), encoding="utf-8")
    root = cohort.root
    results = read_results(records=records, ledger=root / "ledger.tsv", cohort=root / "cohort")
    assert write_children(results, tmp_path / "children", back="../report.html") == 1
    page = (tmp_path / "children" / "sub-01.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "There is no picture of this session" in page


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")
def test_a_browser_shows_it_without_a_complaint(pages, tmp_path):
    with browser(tmp_path / "profile") as page:
        page.open(pages / "children" / "sub-02.html", width=420)
        assert page.run("document.documentElement.scrollWidth") <= 420
        assert page.run("[...document.images].every(image => image.naturalWidth > 0)")
        assert page.complaints() == []
