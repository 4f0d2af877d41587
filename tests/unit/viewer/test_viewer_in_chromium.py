"""The viewer in a real browser: slices, keys, choices, surfaces, a verdict."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Page, browser, find_chromium
from tiny_results import write_results

from babyseg_py.viewer.server import make_server
from babyseg_py.viewer.verdicts import read_verdicts

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a results folder for all tests of this module."""
    return write_results(tmp_path_factory.mktemp("viewer") / "results")


@pytest.fixture(scope="module")
def page(folder) -> Iterator[Page]:
    """Open the viewer at a session."""
    server, viewer = make_server(folder)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        with browser(folder.parent / "profile") as opened:
            opened.open(f"http://127.0.0.1:{server.server_address[1]}/{viewer.token}/#01/A")
            opened.until("document.body.dataset.ready === '01/A'")
            yield opened
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def settled(page: Page) -> None:
    """Wait until what was asked for has been drawn."""
    page.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")


def colours(page: Page, view: str) -> set[str]:
    """Colours of the pixels of a view, as r,g,b."""
    settled(page)
    return set(
        page.run(
            "(c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
            "const s = new Set(); for (let i = 0; i < d.length; i += 4)"
            "s.add(`${d[i]},${d[i + 1]},${d[i + 2]}`); return [...s]; })"
            f"(document.getElementById('{view}'))"
        )
    )


def place(page: Page) -> dict[str, str]:
    """Read what is said of the voxel at the cross."""
    settled(page)
    words = page.run("[...document.querySelectorAll('#place dt, #place dd')].map(e => e.textContent)")
    return dict(zip(words[::2], words[1::2], strict=True))


def choose(page: Page, element: str, value: str) -> None:
    """Choose in a list as a person would."""
    page.run(
        f"(e => {{ e.value = '{value}'; e.dispatchEvent(new Event('change')) }})"
        f"(document.getElementById('{element}'))"
    )


def key(page: Page, name: str, element: str = "axial") -> None:
    """Press a key in a view."""
    page.run(f"document.getElementById('{element}').focus()")
    code = {"ArrowRight": 39, "PageUp": 33}.get(name, ord(name[0].upper()))
    text = {} if len(name) > 1 else {"text": name}
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key=name, windowsVirtualKeyCode=code, **text)


def test_the_voxel_at_the_cross_is_named(page):
    page.run("document.getElementById('labels').dispatchEvent(new Event('change'))")
    # The middle of the labels: voxel (3, 3, 4) from the left, behind and below of the grid of 2 mm.
    said = place(page)
    assert said["R, A, S"] == "0.0, -1.0, 0.0 mm"
    assert said["Label"] in {"Right-Cerebral-White-Matter (41)", "Left-Cerebral-White-Matter (2)"}
    assert float(said["Image"]) == pytest.approx(3 * 72 + 3 * 9 + 4, abs=0.1)


def test_keys_move_the_cross_along_the_world(page):
    before = place(page)["R, A, S"]
    key(page, "ArrowRight")
    key(page, "PageUp")
    assert before == "0.0, -1.0, 0.0 mm"
    assert place(page)["R, A, S"] == "2.0, -1.0, 2.0 mm"
    key(page, "ArrowRight", "sagittal")
    assert place(page)["R, A, S"] == "2.0, 1.0, 2.0 mm"


def test_a_click_puts_the_cross_on_the_left_of_the_child(page):
    x, y = page.run(
        "(box => [box.left + box.width * 0.42, box.top + box.height / 2])"
        "(document.getElementById('axial').getBoundingClientRect())"
    )
    for kind in ("mousePressed", "mouseReleased"):
        page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)
    said = place(page)
    assert float(said["R, A, S"].split(",")[0]) < 0
    assert said["Label"].startswith(("Left", "Right"))


def test_labels_are_drawn_as_chosen(page):
    key(page, "n")
    assert all(len(set(colour.split(","))) == 1 for colour in colours(page, "coronal"))
    key(page, "f")
    page.run(
        "(e => { e.value = 100; e.dispatchEvent(new Event('input')) })(document.getElementById('opacity'))"
    )
    assert "245,245,245" in colours(page, "coronal")
    choose(page, "style", "contours")
    assert len(colours(page, "coronal")) > 3


def test_uncertainty_is_laid_over(page):
    assert "Uncertainty" not in place(page)
    before = colours(page, "sagittal")
    page.run("document.getElementById('uncertainty').click()")
    page.until("[...document.querySelectorAll('#place dt')].some(e => e.textContent === 'Uncertainty')")
    assert colours(page, "sagittal") != before
    page.run("document.getElementById('uncertainty').click()")


def test_surfaces_are_drawn_and_turn(page):
    greens = {c for c in colours(page, "surface") if c != "0,0,0"}
    assert greens
    assert all(int(c.split(",")[1]) > int(c.split(",")[0]) for c in greens)
    key(page, "ArrowRight", "surface")
    assert {c for c in colours(page, "surface") if c != "0,0,0"} != greens


def test_a_verdict_is_saved_with_its_note_and_can_be_taken_back(page, folder):
    page.run("document.querySelector('input[name=verdict][value=correct]').click()")
    page.run("document.getElementById('note').value = 'left edge'")
    page.run("document.querySelector('#verdict button').click()")
    page.until("document.getElementById('saved').textContent.startsWith('Saved')")
    assert read_verdicts(folder) == {("01", "A"): {"verdict": "correct", "note": "left edge"}}
    chosen = "document.getElementById('session').selectedOptions[0].text"
    assert page.run(chosen) == "sub-01 ses-A (flagged, verdict correct)"
    page.run("document.querySelector('input[name=verdict][value=\"\"]').click()")
    page.run("document.querySelector('#verdict button').click()")
    page.until("document.getElementById('saved').textContent.startsWith('No verdict')")
    assert read_verdicts(folder) == {}


def test_typing_a_note_moves_nothing(page):
    before = page.run("document.getElementById('style').value")
    page.run("document.getElementById('note').focus()")
    for letter in "fn":
        page.call("Input.dispatchKeyEvent", type="keyDown", key=letter, text=letter)
    assert page.run("document.getElementById('note').value").endswith("fn")
    assert page.run("document.getElementById('style').value") == before


def test_no_serious_violation_no_word_in_the_console_nothing_from_elsewhere(page):
    assert page.violations() == []
    # The tests themselves read the canvases, which the browser finds slow.
    assert [words for words in page.complaints() if "readback operations" not in words] == []
    assert {url.split("/")[2].split(":")[0] for url in page.requests()} == {"127.0.0.1"}


def test_a_failed_session_says_why(page):
    page.run("document.getElementById('next').click()")
    page.until("document.body.dataset.ready === '02/B' || document.getElementById('message').textContent")
    page.until("document.getElementById('message').textContent.startsWith('Nothing')")
    assert "every voxel is NaN" in page.run("document.getElementById('message').textContent")
    assert page.run("document.getElementById('status').textContent") == "failed"
    assert page.violations() == []
