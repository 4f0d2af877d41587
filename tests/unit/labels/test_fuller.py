"""The fuller label set: its parts make up the 22 structures."""

import numpy as np
import pytest

from babyseg_py.labels import LABELS
from babyseg_py.labels.fuller import (
    Part,
    allowed_parts,
    channels_of,
    fuller_structures,
    mirrored_parts,
    parts,
)
from babyseg_py.labels.lut import write_dseg_table, write_lut
from babyseg_py.labels.merge import merge_labels


def parts_in(bits: int) -> set[int]:
    return {part.label for i, part in enumerate(parts()) if bits >> i & 1}


def test_every_part_merges_into_its_parent() -> None:
    """The contract's merging rules undo the division, but for the vermis, which goes by side."""
    for part in parts():
        if part.label == 172:
            continue
        lone = np.full((1, 1, 1), part.label, dtype=np.uint16)
        assert merge_labels(lone, np.eye(4))[0, 0, 0] == part.parent, part


def test_table_has_each_number_and_name_once() -> None:
    numbers = [s.id for s in fuller_structures()]
    assert len(set(numbers)) == len(numbers) == len({s.name for s in fuller_structures()}) == 34
    assert set(LABELS) - set(numbers) == {169, 176}
    assert {part.label for part in parts()} <= set(numbers)
    assert {s.name for s in fuller_structures() if s.tissue == "deep grey matter" and s.side == "left"} == {
        *("Left-Thalamus", "Left-Caudate", "Left-Hippocampus", "Left-Amygdala", "Left-VentralDC"),
        *("Left-Putamen", "Left-Pallidum", "Left-Accumbens-area"),
    }


def test_mirror_is_its_own_inverse_and_changes_sides() -> None:
    swap = mirrored_parts()
    assert [swap[i] for i in swap] == list(range(len(parts())))
    names = {s.id: s.name for s in fuller_structures()}
    for here, there in zip(parts(), (parts()[i] for i in swap), strict=True):
        assert names[there.label].replace("Right", "Left") == names[here.label].replace("Right", "Left")
        assert (here.label == there.label) == (names[here.label].split("-")[0] not in ("Left", "Right"))


@pytest.mark.parametrize(
    ("parent", "label", "present", "may_be"),
    [
        (169, 13, {12, 13, 26}, {13}),
        (8, 8, {8, 7}, {8, 172}),  # an older child's map: the vermis is somewhere in it
        (8, 8, {8, 172}, {8, 7}),  # a newborn's: white matter is not told apart
        (8, 172, {8, 172}, {172, 7}),
        (4, 4, {4}, {4, 5}),
        (8, None, {8, 7, 172}, {8, 7, 172}),
        (10, 10, {10}, set()),
    ],
)
def test_what_a_map_does_not_tell_apart_stays_open(parent, label, present, may_be) -> None:
    assert parts_in(allowed_parts(parent, label, frozenset(present))) == may_be
    assert all(parts()[channel].parent == parent for channel in channels_of(parent))


def test_tables_for_viewers_hold_the_fuller_set(tmp_path) -> None:
    write_lut(tmp_path / "lut.txt", fuller_structures())
    write_dseg_table(tmp_path / "dseg.tsv", fuller_structures())
    rows = [line.split("\t") for line in (tmp_path / "dseg.tsv").read_text().splitlines()[1:]]
    assert len({row[2] for row in rows}) == len(rows) == 34
    assert "13   Left-Pallidum" in (tmp_path / "lut.txt").read_text()
    assert Part(0, 24) in parts()
