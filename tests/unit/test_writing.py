"""Files appear whole or not at all, and never over another one unasked; the text of tables."""

import os
import resource
import stat
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest

from babyseg_py.errors import UnusableData, UsageError
from babyseg_py.writing import appearing, check_outputs, check_table, tsv_text


def test_file_that_cannot_be_finished_leaves_nothing(tmp_path) -> None:
    """A limit on the size of files stands for a disk that fills up: the old file stays as it was."""
    target = tmp_path / "labels.nii.gz"
    target.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with (
            pytest.raises(UnusableData, match=r"labels\.nii\.gz: could not be written"),
            appearing(target) as part,
        ):
            part.write_bytes(b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_interruption_leaves_nothing(tmp_path) -> None:
    with pytest.raises(KeyboardInterrupt), appearing(tmp_path / "new" / "a.tsv") as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert list((tmp_path / "new").iterdir()) == []


def test_outputs_are_checked_before(tmp_path) -> None:
    there, new = tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"
    there.touch()
    check_outputs([new], force=False)
    check_outputs([new, there], force=True)
    with pytest.raises(UsageError, match="--force"):
        check_outputs([new, there], force=False)
    with pytest.raises(UsageError, match="two outputs"):
        check_outputs([new, tmp_path / "." / "b.nii.gz"], force=True)
    with pytest.raises(UsageError, match="is a folder"):
        check_outputs([tmp_path], force=True)


@pytest.mark.parametrize("linked", [False, True])
def test_pipe_is_not_replaced(tmp_path, linked) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    target = link if linked else pipe
    with pytest.raises(UnusableData, match="not a regular file"):
        check_outputs([target])
    with pytest.raises(UnusableData, match="not a regular file"), appearing(target) as part:
        part.touch()
    assert stat.S_ISFIFO(target.stat().st_mode)
    assert link.is_symlink()
    assert sorted(tmp_path.iterdir()) == [link, pipe]


def test_link_to_a_stream_is_not_replaced(tmp_path) -> None:
    """As /dev/stdout is, also where the stream goes into a file."""
    link = tmp_path / "stdout"
    link.symlink_to("/proc/self/fd/1")
    with pytest.raises(UnusableData, match="not a regular file"), appearing(link) as part:
        part.touch()
    assert link.is_symlink()


@pytest.mark.parametrize(
    ("content", "is_ours"),
    [
        *((None, True), (b"", True), (b"a\tb\n1\t2\n", True), (b"a\tb\r\n", True), (b"a\tb", True)),
        *((b"a\tb\tc\n", False), (b"a\n", False), (b"\n", False), (b"\xff\x00" * 90, False)),
    ],
)
def test_a_table_takes_the_place_of_its_like_alone(tmp_path, content, is_ours) -> None:
    path = tmp_path / "t.tsv"
    if content is not None:
        path.write_bytes(content)
    with nullcontext() if is_ours else pytest.raises(UsageError, match="no older table of this kind"):
        check_table(path, ["a", "b"])


def test_text_of_a_table() -> None:
    """Missing cells are n/a; nothing is quoted, so that no text may hold a tab or the end of a line."""
    texts, values = ['a "b"', "c\td\r\ne", None], [1 / 3, np.nan, 2.0]
    table = pd.DataFrame({"name": texts, "value": values, "n": [1, 2, 3]})
    assert tsv_text(table, digits=3) == 'name\tvalue\tn\na "b"\t0.333\t1\nc d e\tn/a\t2\nn/a\t2\t3\n'
    assert tsv_text(table.iloc[:0]) == "name\tvalue\tn\n"
    assert table["name"].iloc[1] == "c\td\r\ne"
