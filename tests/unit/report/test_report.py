import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from simulated_cohort import Folder, simulate, write

from babyseg_py.cli import main
from babyseg_py.errors import UnusableData
from babyseg_py.report.figures import Shelf
from babyseg_py.report.methods import CONDITIONS, read_sentences
from babyseg_py.report.outliers import unusual_volumes
from babyseg_py.report.page import BUILDERS, build, read_spec, render
from babyseg_py.report.results import TABLES, Results, read_results
from babyseg_py.report.thumbnails import shrink

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> $\\frac{1}{2}$ {{ 7*7 }} é"
MANY = 60


class Outline(HTMLParser):
    """Headings, images, addresses and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.images: list[dict] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append(tag)
        self.addresses += [values[name] for name in ("src", "href", "srcset", "action") if name in values]
        if tag == "img":
            self.images.append(values)

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        """All text, white space collapsed."""
        return " ".join(" ".join(self.words).split())


def _page(folder: Folder, target: Path, *more: str) -> Outline:
    assert main(folder.arguments(target, *more)) == 0
    return Outline(target.read_text(encoding="utf-8"))


def _text(results: Results) -> str:
    return Outline(render(build(results, Shelf()), title="Cohort")).text


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Folder:
    return simulate(tmp_path_factory.mktemp("results") / "a cohort", children=9)


@pytest.fixture(scope="module")
def full(cohort, tmp_path_factory) -> tuple[Outline, Path]:
    """Return the page of a complete digital cohort, and the folder that it was written to."""
    folder = tmp_path_factory.mktemp("report")
    more = ["--truth", str(cohort.root / "truth"), "--figures-dir", str(folder / "figures")]
    return _page(cohort, folder / "report.html", *more), folder


@pytest.fixture(scope="module")
def three(tmp_path_factory) -> Folder:
    return simulate(tmp_path_factory.mktemp("three") / "small", children=3, snapshots=False)


@pytest.fixture
def small(three, tmp_path) -> Folder:
    """Return a cohort of three children without pictures, to be changed."""
    return Folder(shutil.copytree(three.root, tmp_path / "small"), [])


def _read(folder: Folder) -> Results:
    root = folder.root
    return read_results(
        records=root / "records.json",
        ledger=root / "ledger.tsv",
        cohort=root / "cohort",
        versions=root / "versions.yml",
        snapshots=folder.snapshots,
    )


def test_the_page_needs_nothing_from_outside(full):
    page, _ = full
    assert page.tags.count("script") == 1
    assert all(address.startswith(("data:", "#")) for address in page.addresses)


def test_headings_are_in_order_and_images_have_words(full):
    page, _ = full
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(image["alt"] and image["loading"] == "lazy" for image in page.images)


def test_the_summary_counts_and_names_the_finding(full):
    text = full[0].text
    assert "children 9" in text
    assert "the clearest is that of the hippocampus with language" in text
    assert (
        "ρ = 0.62 (95 % interval 0.17 to 0.92; n = 8; p < 0.001; adjusted for multiplicity p = 0.009)" in text
    )
    assert "It holds after correction over all 22 tests of 2 scores and 11 structures (Benjamini and" in text
    assert "1 scan of 42 could not be used" in text
    assert "sub-02_ses-A" in text


def test_what_fell_out_is_named_with_its_cause(full):
    text = full[0].text
    assert "every voxel is NaN; export the scan again" in text
    assert "1 child with scans but no scores: 07." in text
    assert "1 child with scores but no scans: 99." in text


def test_flagged_sessions_come_first(full):
    titles = re.findall(r"Child (\d+), session (\w)", full[0].text)
    assert len(titles) == 18
    assert set(titles[:2]) == {("02", "A"), ("09", "B")}


def test_the_planted_association_is_said_to_be_found(full):
    text = full[0].text
    assert "Planted: hippocampus with language (ρ = 0.60 in the truth). Found, in 2 of 2 ways" in text
    assert "Nothing was planted in motor: of 22 estimates none holds after correction." in text
    assert "median size of the error" in text


def test_methods_name_the_versions_that_ran(full):
    text = full[0].text
    assert "N4 as implemented in antspyx 0.5.4" in text
    assert "pandas (version not recorded)" in text


def test_every_figure_is_saved_with_its_numbers(full):
    _, folder = full
    files = sorted((folder / "figures").iterdir())
    names = {path.stem for path in files}
    assert {"growth_birth", "associations_language", "surface_distance", "t1w_t2w", "truth_volumes"} <= names
    assert {path.name for path in files} == {
        f"{n}.{end}" for n in names for end in ("png", "svg", "tsv", "json")
    }
    growth = pd.read_csv(folder / "figures" / "growth_birth.tsv", sep="\t")
    true = pd.read_csv(folder.parent / folder.name / "figures" / "truth_volumes.tsv", sep="\t")
    assert growth["volume_mm3"].notna().all()
    assert (true["error_percent"] - 100 * (true["found_ml"] / true["true_ml"] - 1)).abs().max() < 1e-2


def test_the_same_input_gives_the_same_bytes(small, tmp_path):
    for name in ("scan_volumes", "qc", "surface_distance", "associations"):
        (small.root / "cohort" / TABLES[name]).unlink()
    first, second = tmp_path / "1.html", tmp_path / "2.html"
    _page(small, first)
    _page(small, second)
    assert first.read_bytes() == second.read_bytes()


def test_every_builder_and_condition_of_the_specs_exists():
    used = [part["builder"] for section in read_spec() for part in section["parts"]]
    assert sorted(used) == sorted(BUILDERS)
    content = read_sentences()
    groups = content["methods"] + content["limits"]
    entries = [*groups, *(entry for group in groups for entry in group["sentences"])]
    assert {name for entry in entries for name in entry.get("when", [])} == set(CONDITIONS)
    assert {key for entry in entries for key in entry.get("cite", [])} == set(content["references"])


def test_hostile_words_appear_as_text(small, tmp_path):
    ledger = pd.read_csv(small.root / "ledger.tsv", sep="\t", dtype=str, keep_default_na=False)
    ledger.loc[0, ["status", "step", "reason"]] = ["failed", "n4", HOSTILE]
    write(small.root / "ledger.tsv", ledger)
    table = pd.read_csv(small.root / "cohort" / "associations.tsv", sep="\t", keep_default_na=False)
    table["score"] = table["score"].replace("motor", HOSTILE)
    write(small.root / "cohort" / "associations.tsv", table)
    page = _page(small, tmp_path / "r.html", "--figures-dir", str(tmp_path / "f"), "--title", HOSTILE)
    assert page.tags.count("script") == 1
    assert not [image for image in page.images if "onerror" in image]
    assert page.text.count(HOSTILE) >= 3


@pytest.mark.parametrize(
    ("lacking", "builder", "sentence"),
    [
        ("volumes", "curves", "No growth curves, because no session has volumes."),
        (
            "scan_volumes",
            "contrasts",
            "No comparison of T1w with T2w, because no visit has volumes",
        ),
        ("qc", "scores", "No quality scores came out of this run."),
        ("qc", "flag_counts", "No quality table came out of this run."),
        (
            "surface_distance",
            "distances",
            "No distances between scans of a visit, because no visit",
        ),
        ("reliability", "reliability", "No reliability, because no visit has two scans"),
        ("growth", "change", "No change per month, because no child has two usable visits"),
        (
            "associations",
            "forest",
            "No association with behaviour was computed: the statistics",
        ),
    ],
)
@pytest.mark.parametrize("rows", ["absent", "none"])
def test_a_missing_table_is_said_and_explained(small, lacking, builder, sentence, rows):
    _empty(small.root / "cohort" / TABLES[lacking], rows)
    assert sentence in BUILDERS[builder](_read(small), Shelf()).reason


def _empty(path: Path, rows: str) -> None:
    header = path.read_text(encoding="utf-8").splitlines()[0]
    path.unlink()
    if rows == "none":
        path.write_text(header + "\n", encoding="utf-8")


def test_tables_without_rows_make_a_report(small):
    for name in TABLES.values():
        _empty(small.root / "cohort" / name, "none")
    assert "Nothing" not in _text(_read(small))


def test_a_cohort_of_which_all_scans_failed_has_a_report(small):
    for path in (small.root / "cohort").iterdir():
        path.unlink()
    ledger = pd.read_csv(small.root / "ledger.tsv", sep="\t", dtype=str, keep_default_na=False)
    ledger[["status", "step", "reason"]] = ["failed", "n4", "the file is cut off"]
    write(small.root / "ledger.tsv", ledger)
    text = _text(_read(small))
    assert "14 scans of 14 could not be used" in text
    assert "Without any volumes: 3 children (01, 02 and 03)." in text
    assert "There is no picture of this session." in text
    assert "Bias field." not in text, "the methods do not speak of what did not run"


def test_a_cohort_without_scores_says_so(small):
    content = json.loads((small.root / "records.json").read_text(encoding="utf-8"))
    content["phenotype"] = {
        "file": None,
        "scores": [],
        "covariates": [],
        "without_scores": [],
        "without_scans": [],
    }
    (small.root / "records.json").write_text(json.dumps(content), encoding="utf-8")
    (small.root / "cohort" / "associations.tsv").unlink()
    text = _text(_read(small))
    assert "because no score table was given (--phenotype)" in text
    assert "Partial Spearman correlation of volume" not in text


def test_one_visit_each_without_repeats_or_ages(tmp_path):
    folder = simulate(tmp_path / "c", children=3, visits=1, repeats=False, snapshots=False, fail=0)
    content = json.loads((folder.root / "records.json").read_text(encoding="utf-8"))
    for record in content["records"]:
        record |= {"age_days": None, "age_reference": None}
    (folder.root / "records.json").write_text(json.dumps(content), encoding="utf-8")
    text = _text(_read(folder))
    assert "No growth curves, because the samplesheet gives no ages." in text
    assert "No change per month" in text
    assert "No child has more than one visit with volumes" in text
    assert "No contrast was scanned twice in a visit" in text
    assert "3 visits of 3 without an age" in text


def test_ages_from_conception_have_their_own_axis(tmp_path):
    folder = simulate(tmp_path / "c", children=3, reference="conception", snapshots=False)
    shelf = Shelf(tmp_path / "figures")
    plot = BUILDERS["curves"](_read(folder), shelf)
    assert [picture.alt.split(" for ")[0] for picture in plot.pictures] == [
        "Volume against postmenstrual age (weeks)"
    ]
    assert (tmp_path / "figures" / "growth_conception.tsv").is_file()


def test_corrected_sessions_say_so(cohort):
    """The card of a session whose labels were corrected by hand, and no other, says it with the Dice."""
    results = _read(cohort)
    visit = results.visits["visit_id"].iloc[0]
    whole = {"visit_id": visit, "metric": "dice_with_correction", "value": 0.93, "flag": 0.0}
    qc = pd.concat([results.qc, pd.DataFrame([whole, whole | {"structure": "Left-Hippocampus"}])])
    sheet = BUILDERS["contact_sheet"](replace(results, qc=qc), Shelf())
    said = [m for card in (*sheet.first, *sheet.rest) for m in card.messages if "corrected by hand" in m]
    assert said == ["labels corrected by hand (mean Dice of the network's with them 0.93)"]


def test_pictures_of_many_sessions_stay_small(cohort, monkeypatch):
    monkeypatch.setitem(shrink.__kwdefaults__, "limit", MANY * 1000)
    sheet = BUILDERS["contact_sheet"](_read(cohort), Shelf())
    pictures = [card.picture.source for card in (*sheet.first, *sheet.rest)]
    assert len(pictures) == 18
    assert all(source.startswith("data:image/webp") for source in pictures)
    assert sum(map(len, pictures)) < MANY * 1000 * 4 / 3


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("records.json", "not json", "cannot be read as JSON"),
        ("ledger.tsv", None, "there is no ledger"),
        ("cohort/qc.tsv", "a\tb\n1\n", "line 2 has 1 cells"),
        ("cohort/volumes.tsv", "participant_id\tsession_id\n../x\tA\n", "other characters than letters"),
        ("versions.yml", "a: [", "the versions cannot be read"),
    ],
)
def test_a_broken_file_is_named(small, capsys, name, content, message):
    target = small.root / "report.html"
    path = small.root / name
    path.unlink() if content is None else path.write_text(content, encoding="utf-8")
    assert main(small.arguments(target)) == 65
    words = capsys.readouterr().err
    assert message in words
    assert name.rsplit("/", 1)[-1] in words
    assert not target.exists()


def test_a_picture_that_is_none_is_named(cohort, tmp_path):
    broken = tmp_path / "sub-01_ses-A_desc-contours_snapshot.png"
    broken.write_text("hello", encoding="utf-8")
    with pytest.raises(UnusableData, match=r"ses-A.*it is not a picture"):
        BUILDERS["contact_sheet"](_read(Folder(cohort.root, [broken])), Shelf())


def test_a_picture_without_a_visit_in_its_name_is_refused(cohort, tmp_path):
    with pytest.raises(UnusableData, match="does not say which visit"):
        _read(Folder(cohort.root, [tmp_path / "picture.png"]))


def test_an_unusual_volume_is_found_whatever_the_age(small, rng):
    scan = {"session_id": "A", "run": None, "suffix": "T1w", "image": "x", "age_reference": "birth"}
    records = [scan | {"row": i, "participant_id": f"{i:02d}", "age_days": 30.0 * i} for i in range(1, 21)]
    (small.root / "records.json").write_text(json.dumps({"records": records}), encoding="utf-8")
    volume = [400e3 * (1 + 30 * i) ** 0.15 * rng.normal(1, 0.02) for i in range(1, 21)]
    volume[7] *= 0.6
    table = pd.DataFrame({"participant_id": [f"{i:02d}" for i in range(1, 21)], "volume_mm3": volume})
    table = table.assign(session_id="A", label=np.nan, structure="Total-Brain-Volume")
    write(small.root / "cohort" / "volumes.tsv", table)
    found = unusual_volumes(_read(small))
    assert found["deviation"].abs().idxmax() == "sub-08_ses-A"
    assert found.loc["sub-08_ses-A", "deviation"] < -4
    assert (found["deviation"].abs() > 4).sum() == 1
