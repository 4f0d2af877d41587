"""Every table with its data dictionary, and a description for every column."""

import json
from importlib.resources import files

import pandas as pd
import pytest
from matplotlib.figure import Figure
from simulated_cohort import simulate
from walk import undescribed

from babyseg_py.cli import main
from babyseg_py.labels.lut import DSEG_COLUMNS, write_dseg_table
from babyseg_py.report.figures import Shelf


def test_every_figure_has_its_numbers_and_their_dictionary(tmp_path):
    cohort = simulate(tmp_path / "results", children=5)
    figures = tmp_path / "figures"
    more = ("--truth", str(cohort.root / "truth"), "--figures-dir", str(figures))
    assert main(cohort.arguments(tmp_path / "report.html", *more)) == 0
    assert len(list(figures.glob("*.tsv"))) > 8
    assert {path.stem for path in figures.glob("*.tsv")} == {path.stem for path in figures.glob("*.svg")}
    assert undescribed(figures) == []


def test_volumes_and_distances_state_their_units():
    text = files("babyseg_py.statistics").joinpath("dictionary.json").read_text(encoding="utf-8")
    units = {"_mm3": "mm^3", "_ml": "mL", "_mm": "mm", "_percent": "percent", "_days": "day"}
    for table, columns in json.loads(text).items():
        for column, words in columns.items():
            ending = next((end for end in units if column.endswith(end)), None)
            if ending:
                assert units[ending] in words.get("Units", ""), f"{table}: {column}"


def test_a_column_without_description_cannot_be_drawn(tmp_path):
    with pytest.raises(KeyError, match="shoe_size of qc has no description"):
        Shelf(tmp_path).add("x", Figure(), pd.DataFrame({"shoe_size": [1]}), table="qc", alt="")


def test_the_table_of_labels_is_described(tmp_path):
    write_dseg_table(tmp_path / "dseg.tsv")
    assert list(DSEG_COLUMNS) == (tmp_path / "dseg.tsv").read_text().splitlines()[0].split("\t")


def test_the_walk_finds_what_is_missing(tmp_path):
    (tmp_path / "a.tsv").write_text("x\ty\n1\t2\n")
    assert undescribed(tmp_path) == ["a.tsv: no dictionary"]
    (tmp_path / "a.json").write_text('{"x": {"Description": "a number"}, "y": {}}')
    assert undescribed(tmp_path) == ["a.tsv: y"]
