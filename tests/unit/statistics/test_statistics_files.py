import json

import numpy as np
import pandas as pd
import pytest

from babyseg_py.errors import UnusableData
from babyseg_py.statistics.dictionary import describe
from babyseg_py.statistics.files import read_records, read_table, write_table


def test_a_table_comes_back_as_it_was_written(tmp_path):
    table = pd.DataFrame({
        "participant_id": ["007", "NA"], "structure": ['a "quoted" ü', None], "volume_mm3": [1 / 3, np.nan],
    })  # fmt: skip
    write_table(table, tmp_path / "volumes.tsv")
    text = (tmp_path / "volumes.tsv").read_text(encoding="utf-8")
    assert text == 'participant_id\tstructure\tvolume_mm3\n007\ta "quoted" ü\t0.3333333333\nNA\tn/a\tn/a\n'
    back = read_table(tmp_path / "volumes.tsv")
    assert back["participant_id"].tolist() == ["007", "NA"]
    assert back["structure"].isna().tolist() == [False, True]
    assert back["volume_mm3"].tolist() == pytest.approx([1 / 3, np.nan], nan_ok=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["volumes.json", "volumes.tsv"]


def test_columns_of_any_objects_are_written_as_the_others_are(tmp_path):
    """Empty texts are missing, numbers among them have ten digits."""
    table = pd.DataFrame(
        {
            "crossing": np.array([0.0, 1.0, np.nan], dtype=object),
            "z": np.array([1 / 3, 2, None], dtype=object),
            "notes": ["", "two visits", None],
        }
    )
    write_table(table, tmp_path / "child_centiles.tsv")
    lines = (tmp_path / "child_centiles.tsv").read_text().splitlines()[1:]
    assert lines == ["0\t0.3333333333\tn/a", "1\t2\ttwo visits", "n/a\tn/a\tn/a"]


def test_tabs_and_line_ends_in_a_text_do_not_break_the_table(tmp_path):
    write_table(pd.DataFrame({"site": ["a\tb\r\nc"], "run": [1]}), tmp_path / "qc.tsv")
    assert (tmp_path / "qc.tsv").read_text() == "site\trun\na b c\t1\n"


def test_an_empty_table_is_its_header(tmp_path):
    write_table(pd.DataFrame(columns=["participant_id", "volume_mm3"]), tmp_path / "volumes.tsv")
    assert (tmp_path / "volumes.tsv").read_text() == "participant_id\tvolume_mm3\n"
    assert read_table(tmp_path / "volumes.tsv").empty


def test_the_dictionary_describes_every_column(tmp_path):
    columns = ["participant_id", "Left-Amygdala_mm3", "Left-Amygdala_posterior_mm3"]
    write_table(pd.DataFrame(columns=columns), tmp_path / "volumes_wide.tsv")
    words = json.loads((tmp_path / "volumes_wide.json").read_text())
    assert words["Left-Amygdala_mm3"] == {
        "Description": "Volume of Left-Amygdala from the labels.",
        "Units": "mm^3",
    }
    assert "posteriors" in words["Left-Amygdala_posterior_mm3"]["Description"]
    with pytest.raises(KeyError, match="colour of qc has no description"):
        describe("qc", "colour")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"participant_id\tflag\n01\n", "line 2 has 1 cells, the header has 2"),
        (b"participant_id\tflag\n01\tyes\n", "column flag"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_a_broken_table_is_named(tmp_path, content, words):
    (tmp_path / "qc.tsv").write_bytes(content)
    with pytest.raises(UnusableData, match=words):
        read_table(tmp_path / "qc.tsv")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"records": 3}', "not json"])
def test_records_of_another_kind_are_refused(tmp_path, content):
    (tmp_path / "records.json").write_text(content)
    with pytest.raises(UnusableData, match="not a list of checked records"):
        read_records(tmp_path / "records.json")
    with pytest.raises(UnusableData, match="not a list of checked records"):
        read_records(tmp_path / "absent.json")
