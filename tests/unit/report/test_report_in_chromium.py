from collections.abc import Iterator

import pytest
from chromium import Page, browser, find_chromium
from simulated_cohort import simulate

from babyseg_py.cli import main

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")
NARROW = 420


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Iterator[Page]:
    """Open a complete report in a real browser, in a narrow window."""
    folder = tmp_path_factory.mktemp("chromium")
    cohort = simulate(folder / "results", children=4)
    target = folder / "report.html"
    more = ("--truth", str(cohort.root / "truth"), "--children-dir", str(folder / "children"))
    assert main(cohort.arguments(target, *more)) == 0
    with browser(folder / "profile") as opened:
        opened.open(target, width=NARROW)
        yield opened


def test_every_image_shows(page):
    page.run("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    page.run("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
    page.run("Promise.all([...document.images].map(image => image.decode())).then(() => true)")
    sizes = page.run(
        "[...document.images].map(image => [image.naturalWidth, image.getBoundingClientRect().width])"
    )
    assert len(sizes) > 10
    assert all(natural > 0 and 50 < shown <= NARROW for natural, shown in sizes)


def test_wide_tables_scroll_in_their_own_box(page):
    page.run("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    assert page.run("document.documentElement.scrollWidth") <= NARROW
    boxes = page.run(
        "[...document.querySelectorAll('.scroll')].map(box => [box.scrollWidth, box.clientWidth])"
    )
    assert any(inside > box for inside, box in boxes)
    assert page.run(
        "(box => { box.scrollLeft = 40; return box.scrollLeft })"
        "([...document.querySelectorAll('.scroll')].find(box => box.scrollWidth > box.clientWidth + 40))"
    ) == 40  # fmt: skip


def test_links_of_the_contents_lead_somewhere(page):
    assert page.run("[...document.querySelectorAll('nav a')].every(a => document.querySelector(a.hash))")


def test_the_page_is_silent_and_asks_for_nothing_else(page):
    assert page.complaints() == []
    assert [url.rsplit("/", 1)[-1] for url in page.requests()] == ["report.html"]


def test_it_prints_and_nothing_is_cut_at_the_edge(page):
    """On paper all tables that are open fit the width of A4 less margins of 1 cm."""
    page.run("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    size = {"width": 718, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    page.call("Emulation.setDeviceMetricsOverride", **size)
    page.call("Emulation.setEmulatedMedia", media="print")
    outside = (
        "[...document.querySelectorAll('table, img, svg, p, li')].filter(one => one.checkVisibility())"
        ".filter(one => one.getBoundingClientRect().right > 719).map(one => one.outerHTML.slice(0, 80))"
    )
    assert page.run(outside) == []
    page.call("Emulation.setEmulatedMedia", media="")
    assert len(page.call("Page.printToPDF", printBackground=True)["data"]) > 50_000


def test_those_without_mouse_or_screen_can_use_it(page):
    page.run("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    assert page.violations() == []


def test_a_child_page_too_and_it_names_the_viewer(page):
    """The last test of the module, as it leaves the report."""
    report = page.run("location.href")
    page.open(report.replace("report.html", "children/sub-02.html"))
    assert page.violations() == []
    assert "babyseg view RESULTS sub-02 ses-Y" in page.run("document.body.textContent")
