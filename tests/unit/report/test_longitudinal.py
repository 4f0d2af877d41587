"""The parts of the report on the models of the cohort, from tables that the statistics wrote."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from simulated_cohort import simulate, write

from babyseg_py.cli import main
from babyseg_py.report import longitudinal, sites, specifications
from babyseg_py.report.figures import Shelf
from babyseg_py.report.methods import bibtex, methods
from babyseg_py.report.parts import Absent, Plot, Table
from babyseg_py.report.results import MORE, read_results
from babyseg_py.statistics.visits import visit_facts

BUILDERS = (
    longitudinal.what_ran,
    longitudinal.growth_curves,
    longitudinal.centile_curves,
    longitudinal.repeated_scores,
    longitudinal.groups,
    longitudinal.matched,
    specifications.specification_curves,
    specifications.specification_table,
    sites.sites,
    sites.harmonised,
)


@pytest.fixture(scope="module")
def analysed(tmp_path_factory):
    """Return a folder of 24 children with two visits, scores at both, two groups and two sites."""
    root = tmp_path_factory.mktemp("analysed") / "cohort"
    folder = simulate(root, children=24, snapshots=False, repeats=False)
    path = root / "records.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    for record in content["records"]:
        child = int(record["participant_id"])
        record |= {"site": "AB"[child // 3 % 2], "group": ["control", "preterm"][child // 2 % 2]}
    path.write_text(json.dumps(content), encoding="utf-8")
    visits = pd.DataFrame(content["records"]).drop_duplicates("visit_id")[["participant_id", "session_id"]]
    rng = np.random.default_rng(0)
    write(root / "scores.tsv", visits.assign(language=rng.normal(size=len(visits))))
    _as_the_step_tables_writes_it(root / "cohort", content["records"])
    tables = ["--tables", str(root / "cohort"), "--out-dir", str(root / "cohort")]
    words = ["statistics", "--records", str(path), *tables, "--phenotype", str(root / "scores.tsv")]
    assert main([*words, "--scores", "language", "--covariates", "sex"]) == 0
    return folder


def _as_the_step_tables_writes_it(folder, records):
    volumes = pd.read_csv(folder / "volumes.tsv", sep="\t", dtype=str, keep_default_na=False)
    volumes = volumes.drop(columns=["age_days", "age_reference"])
    keys = ["participant_id", "session_id"]
    write(folder / "volumes.tsv", visit_facts(records).merge(volumes, on=keys).astype(object).fillna("n/a"))
    columns = [
        *keys,
        "scan",
        "run",
        "suffix",
        "label",
        "structure",
        "side",
        "volume_mm3",
        "volume_posterior_mm3",
    ]
    write(folder / "scanvolumes.tsv", pd.DataFrame(columns=[*columns, "age_months", "age_weeks_pma"]))


def read(folder):
    return read_results(
        records=folder.root / "records.json", ledger=folder.root / "ledger.tsv", cohort=folder.root / "cohort"
    )


def test_every_part_has_something_to_show(analysed, tmp_path):
    results = read(analysed)
    parts = {builder.__name__: builder(results, Shelf(tmp_path)) for builder in BUILDERS}
    assert not [name for name, part in parts.items() if isinstance(part, Absent)]
    ran = {row[0]: row[1] for row in parts["what_ran"].rows}
    assert ran["between and within children"] == ran["centiles"] == ran["groups"] == "yes"
    assert isinstance(parts["specification_curves"], Plot)
    numbers = pd.read_csv(tmp_path / "specifications_language.tsv", sep="\t")
    assert numbers["main"].sum() == 1
    assert len(parts["specification_table"].rows) == len(numbers)
    assert (tmp_path / "centiles_birth.svg").exists()
    assert isinstance(parts["sites"], Table)
    for part in parts.values():
        if isinstance(part, Table):
            assert {len(row) for row in part.rows} == {len(part.columns)}


def test_the_sites_are_drawn_before_and_after(analysed, tmp_path):
    """The structures that sites differ in the most; harmonised, the lines of the sites lie closer."""
    results = read(analysed)
    effects = results.more["site_effects"].query("stage == 'before' and side in ('both', 'none')")
    sites.harmonised(results, Shelf(tmp_path))
    numbers = pd.read_csv(tmp_path / "sites_birth.tsv", sep="\t")
    largest = effects.nlargest(3, "largest_difference_percent")["structure"]
    assert set(numbers["structure"]) == set(largest)
    assert len(numbers) == 3 * len(results.more["harmonised_volumes"].drop_duplicates("visit_id"))

    def apart(column):
        means = numbers.pivot_table(index="structure", columns="site", values=column)
        return (means["A"] - means["B"]).abs()

    assert (apart("harmonised_line_mm3") < apart("line_mm3")).all()
    assert apart("line_mm3").to_numpy() == pytest.approx(apart("volume_mm3").to_numpy(), rel=1e-4)


def test_methods_of_groups_and_specifications_are_told_where_they_ran(analysed):
    results = read(analysed)
    words = dict(methods(results, Shelf()).paragraphs)
    assert "Tukey and Kramer" in words["Groups"]
    assert "declared before anything was seen" in words["Associations with behaviour"]
    assert "80 % of samples" in words["Associations with behaviour"]
    found = bibtex(results)
    assert all(f"{{{key}," in found for key in ("kramer1956", "steiger2004", "hedges1981", "simonsohn2020"))
    without = replace(results, more={}, associations=results.associations.drop(columns="rho_detectable"))
    words = dict(methods(without, Shelf()).paragraphs)
    assert "Groups" not in words
    assert "80 % of samples" not in words["Associations with behaviour"]
    assert "simonsohn2020" not in bibtex(without)


def test_the_page_holds_them_and_a_missing_table_is_explained(analysed, tmp_path):
    page = tmp_path / "report.html"
    assert main(analysed.arguments(page)) == 0
    text = page.read_text(encoding="utf-8")
    for words in (
        "What was analysed",
        "Scores of several visits",
        "Other ways of adjusting",
        "Groups and sites",
    ):
        assert words in text
    for name in MORE:
        (analysed.root / "cohort" / f"{name}.tsv").unlink(missing_ok=True)
    assert all(isinstance(builder(read(analysed), Shelf()), Absent) for builder in BUILDERS)
