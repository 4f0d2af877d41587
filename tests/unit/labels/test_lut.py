"""The label table as files."""

import csv
import shlex

import pytest

from babyseg_py.labels import LABELS, STRUCTURES
from babyseg_py.labels.lut import write_dseg_table, write_itksnap_labels, write_lut


def test_freesurfer_table(tmp_path):
    write_lut(tmp_path / "lut.txt")
    lines = (tmp_path / "lut.txt").read_text().splitlines()
    rows = [line.split() for line in lines if not line.startswith("#")]
    assert [int(row[0]) for row in rows] == list(LABELS)
    assert rows[1] == ["2", "Left-Cerebral-White-Matter", "245", "245", "245", "0"]
    assert all(len(row) == 6 for row in rows)


def test_bids_table(tmp_path):
    write_dseg_table(tmp_path / "sub-01_dseg.tsv")
    with (tmp_path / "sub-01_dseg.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [int(row["index"]) for row in rows] == list(LABELS)
    assert [row["name"] for row in rows] == [s.name for s in STRUCTURES]
    assert len({row["abbreviation"] for row in rows}) == len(rows)
    by_name = {row["name"]: row for row in rows}
    assert by_name["Right-Cerebral-Cortex"]["color"] == "#cd3e58"
    assert by_name["Right-Cerebral-Cortex"]["mapping"] == "8"
    assert by_name["Left-Lateral-Ventricle"]["mapping"] == "3"


@pytest.mark.parametrize("write", [write_lut, write_dseg_table])
def test_nothing_else_is_left_in_the_folder(tmp_path, write):
    write(tmp_path / "one.txt")
    assert [file.name for file in tmp_path.iterdir()] == ["one.txt"]


def test_itksnap_labels_have_eight_fields(tmp_path) -> None:
    """Number, colour, three switches and the quoted name; the background is clear."""
    write_itksnap_labels(tmp_path / "labels.txt")
    rows = [shlex.split(line) for line in (tmp_path / "labels.txt").read_text().splitlines()[1:]]
    assert len(rows) == len(STRUCTURES)
    assert rows[0] == ["0", "0", "0", "0", "0", "0", "0", "Background"]
    for row, structure in zip(rows[1:], STRUCTURES[1:], strict=True):
        assert row == [str(structure.id), *map(str, structure.colour), "1", "1", "1", structure.name]
