"""Sorting and filtering of the report's tables, with clicks and keys in a real browser."""

import re
from dataclasses import replace
from importlib.resources import files

import pytest
from chromium import browser, find_chromium
from simulated_cohort import simulate

from babyseg_py.report.methods import bibtex, cited, read_sentences
from babyseg_py.report.page import Made, Section, render
from babyseg_py.report.parts import Table
from babyseg_py.report.results import read_results

ROWS = [
    ("Thalamus", "1\u202f200.5", "0.020", "−0.3 to 0.1"),
    ("Amygdala", "12", "< 0.001", "0.2 to 0.4"),
    ("Cortex", "n/a", "0.3", "n/a"),
    ("Caudate", "−7", "0.001", "0.05 to 0.9"),
    ("Cerebellum", "100", "1.000", "−1.0 to 0"),
    *[(f"Other {n}", str(200 + n), "0.5", "0 to 1") for n in range(4)],
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Open a page with two tables, the second of two rows."""
    if find_chromium() is None:
        pytest.skip("no Chromium on this machine")
    folder = tmp_path_factory.mktemp("tables")
    columns = ("Structure", "Volume", "p", "Interval")
    parts = [Table(columns, ROWS, frozenset({1, 2, 3})), Table(("A",), [("x</script>",), ("y",)])]
    made = tuple(Made(part, f"Table {n}", "", ()) for n, part in enumerate(parts))
    target = folder / "page.html"
    target.write_text(render([Section("one", "One", made)], title="t"), encoding="utf-8")
    with browser(folder / "profile") as opened:
        opened.open(target)
        yield opened


def column(page, number):
    words = "[...document.querySelectorAll('table')[0].tBodies[0].rows].filter(row => !row.hidden)"
    return page.run(f"{words}.map(row => row.cells[{number}].textContent)")


def click(page, number):
    page.run(f"document.querySelectorAll('table')[0].querySelectorAll('th button')[{number}].click()")
    return page.run(
        f"document.querySelectorAll('table')[0].querySelectorAll('th')[{number}].getAttribute('aria-sort')"
    )


def test_numbers_sort_by_value_both_ways_and_missing_ones_come_last(page):
    assert click(page, 1) == "ascending"
    assert column(page, 1)[:3] == ["−7", "12", "100"]
    assert column(page, 1)[-2:] == ["1\u202f200.5", "n/a"]
    assert click(page, 1) == "descending"
    assert column(page, 1)[0] == "1\u202f200.5"
    assert column(page, 1)[-2:] == ["−7", "n/a"]


def test_words_and_p_values_and_intervals_sort(page):
    click(page, 0)
    assert column(page, 0)[:3] == ["Amygdala", "Caudate", "Cerebellum"]
    click(page, 2)
    assert column(page, 2)[:3] == ["< 0.001", "0.001", "0.020"]
    click(page, 3)
    assert column(page, 3)[:3] == ["−1.0 to 0", "−0.3 to 0.1", "0 to 1"]
    sorted_headings = "document.querySelectorAll('table')[0].querySelectorAll('th[aria-sort]').length"
    assert page.run(sorted_headings) == 1


def test_typing_keeps_the_rows_that_hold_all_words(page):
    def type_(words):
        page.run(
            "(input => { input.value = '" + words + "'; input.dispatchEvent(new Event('input')) })"
            "(document.querySelector('.filter input'))"
        )
        return page.run("document.querySelector('.filter [role=status]').textContent")

    assert type_("other 20") == "4 of 9 rows"
    assert type_("CA -7") == "1 of 9 rows"
    assert column(page, 0) == ["Caudate"]
    assert type_("nothing like it") == "0 of 9 rows"
    cells = "document.querySelectorAll('table')[0].tBodies[0].rows[0].cells"
    across = page.run(f"{cells}[0].textContent.slice(-2) + {cells}[1].textContent.slice(0, 2)")
    assert type_(across) == "0 of 9 rows"
    assert type_("") == ""
    assert len(column(page, 0)) == 9


def test_small_tables_have_no_filter_and_every_heading_is_a_button(page):
    assert page.run("document.querySelectorAll('.filter').length") == 1
    assert page.run("document.querySelectorAll('th button').length") == 5
    assert page.run("[...document.querySelectorAll('input')].every(input => input.ariaLabel)")


def test_the_page_says_nothing_and_runs_no_other_script(page):
    page.run(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))"
    )
    assert page.run("typeof window.ran") == "undefined"
    complaints = [words for words in page.complaints() if "Content Security Policy" not in words]
    assert complaints == []


def test_bibtex_holds_what_the_methods_cite(tmp_path):
    root = simulate(tmp_path / "cohort", children=2, snapshots=False).root
    results = read_results(records=root / "records.json", ledger=root / "ledger.tsv", cohort=root / "cohort")
    keys = re.findall(r"^@\w+\{(\w+),", bibtex(results), flags=re.MULTILINE)
    assert keys == sorted(cited(results))
    assert {"mcgraw1996", "bonett2000"} <= set(keys)
    assert "cole1992" not in keys
    bare = replace(results, volumes=results.volumes.iloc[:0])
    assert "tustison2010" not in bibtex(bare)


def test_every_reference_has_a_bibtex_entry_and_the_other_way_round():
    text = files("babyseg_py.report").joinpath("references.bib").read_text(encoding="utf-8")
    keys = re.findall(r"^@\w+\{(\w+),", text, flags=re.MULTILINE)
    assert keys == sorted(read_sentences()["references"])
    assert text.count("{") == text.count("}")
