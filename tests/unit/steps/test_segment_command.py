"""What `babyseg segment` says and writes on the command line, with a network that is quick nonsense."""

import contextlib
import errno
import json
import os
import sys
import threading
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from babyseg_py.cli import main
from babyseg_py.labels import LABELS
from babyseg_py.models.groupnet import GroupNet, GroupNetConfig
from babyseg_py.models.weights import FixedGrid, ModelInfo, Networks, save_weights


def test_folder_makes_each_scan_a_visit(folder, segment, capsys) -> None:
    """An unusable scan among others is named and does not stop them."""
    assert segment("a.nii.gz", "c.nii.gz", "b.nii.gz", "-o", "out/", "--json") == 65
    said = capsys.readouterr()
    first, failed, last = (json.loads(line) for line in said.out.splitlines())
    assert failed["images"] == ["c.nii.gz"]
    assert "is text, not an image" in failed["failure"]
    assert "babyseg segment: c.nii.gz: is text" in said.err
    for name, line in (("a", first), ("b", last)):
        table = pd.read_csv(folder / "out" / f"{name}_volumes.tsv", sep="\t")
        assert [row["label"] for row in line["volumes"]] == list(table["label"]) == list(LABELS[1:])
        np.testing.assert_allclose(
            [row["volume_mm3"] for row in line["volumes"]], table["volume_mm3"], rtol=1e-4
        )
        assert len(line["flags"]) == pd.read_csv(folder / "out" / f"{name}_qc.tsv", sep="\t")["flag"].sum()
        assert (folder / line["labels"]).is_file()


def test_a_detector_reaches_table_json_and_message(folder, segment, capsys) -> None:
    """What an untrained network makes of noise is no brain: it says so wherever flags are shown."""
    assert segment("a.nii.gz", "-o", "d.nii.gz", "--qc", "q.tsv", "--json") == 0
    said = capsys.readouterr()
    table = pd.read_csv(folder / "q.tsv", sep="\t").set_index("metric")
    assert {"layout_misfit", "share_misfit", "far_cortex_share", "flat_face"} <= set(table.index)
    assert table.loc["share_misfit", "flag"] == 1
    assert "share_misfit" in {flag["metric"] for flag in json.loads(said.out)["flags"]}
    assert "flagged: d.nii.gz: its structures are not of the sizes of a brain's" in said.err


def test_visits_of_a_folder_are_as_alone(folder, segment) -> None:
    assert segment("a.nii.gz", "b.nii.gz", "-o", "out/") == 0
    assert segment("b.nii.gz", "-o", "b_dseg.nii.gz") == 0
    assert (folder / "b_dseg.nii.gz").read_bytes() == (folder / "out" / "b_dseg.nii.gz").read_bytes()


def test_nothing_is_overwritten_unasked(folder, segment, capsys) -> None:
    (folder / "v.tsv").write_text("mine")
    assert segment("a.nii.gz", "-o", "d.nii.gz", "--volumes", "v.tsv") == 2
    assert "v.tsv: is there already" in capsys.readouterr().err
    assert (folder / "v.tsv").read_text() == "mine"
    assert not (folder / "d.nii.gz").exists()
    assert segment("a.nii.gz", "-o", "d.nii.gz", "--volumes", "v.tsv", "--force") == 0
    assert (folder / "v.tsv").read_text() != "mine"


def test_a_disk_that_fills_up_leaves_nothing_of_the_visit(folder, segment, capsys, monkeypatch) -> None:
    """The tables cannot be written any more: the labels that could go too, what was there before stays."""
    (folder / "d.json").write_text("mine")
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name.endswith("v.tsv"):
            assert (folder / "d.nii.gz").exists()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, content)

    monkeypatch.setattr("babyseg_py.writing.Path.write_bytes", full)
    before = sorted(folder.iterdir())
    words = ("a.nii.gz", "-o", "d.nii.gz", "--posteriors", "p.nii.gz", "--volumes", "v.tsv", "--force")
    assert segment(*words) == 65
    assert "could not be written (No space left on device)" in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before


def test_posteriors_lie_in_the_space_of_the_scan(folder, segment) -> None:
    """Header and codes of the posteriors are those of the labels."""
    assert segment("a.nii.gz", "-o", "d.nii.gz", "--posteriors", "p.nii.gz") == 0
    labels, posteriors = (nib.load(folder / name) for name in ("d.nii.gz", "p.nii.gz"))
    assert posteriors.shape == (*labels.shape, 22)
    for header in (labels.header, posteriors.header):
        assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
    np.testing.assert_array_equal(posteriors.affine, labels.affine)
    np.testing.assert_allclose(np.asarray(posteriors.dataobj).sum(axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize(
    "words",
    [
        ("a.nii.gz", "-o", "d.nii.gz", "--volumes", "d.tsv"),
        ("a.nii.gz", "-o", "out/", "--qc", "q.tsv"),
        ("a.nii.gz", "./a.nii.gz", "-o", "out/"),
        ("a.nii.gz", "-o", "d.nii.gz", "--posteriors", "p.npy"),
    ],
)
def test_outputs_that_cannot_be_are_refused(folder, segment, words) -> None:
    """The label map has a table d.tsv; a folder names its tables itself; one name twice; not an image."""
    assert segment(*words) == 2
    assert not (folder / "out").exists()


def test_a_pipe_gets_flags_only(folder, segment, capsys) -> None:
    assert segment("a.nii.gz", "-o", "d.nii.gz") == 0
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert lines
    assert all(line.startswith("babyseg segment: flagged: d.nii.gz: ") for line in lines)


@pytest.fixture
def terminal():
    """Return a real terminal to write to, and a function that ends it and returns what it showed."""
    ours, theirs = os.openpty()
    screen, shown = os.fdopen(theirs, "w"), bytearray()

    def watch() -> None:
        with contextlib.suppress(OSError):  # Raised when the other side is closed.
            while part := os.read(ours, 4096):
                shown.extend(part)

    watcher = threading.Thread(target=watch)
    watcher.start()

    def end() -> str:
        screen.close()
        watcher.join()
        return shown.decode()

    yield screen, end
    end()
    os.close(ours)


def test_a_terminal_gets_stages_and_a_table(folder, segment, terminal, monkeypatch) -> None:
    screen, end = terminal
    monkeypatch.setenv("TERM", "xterm")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", screen)
        patch.setattr(sys, "stdout", screen)
        assert segment("a.nii.gz", "-o", "d.nii.gz") == 0
    shown = end()
    assert "a.nii.gz: segmenting" in shown
    assert "Hippocampus" in shown
    assert "left ml" in shown


def test_json_goes_to_a_file_though_errors_go_to_a_terminal(folder, segment, terminal, monkeypatch) -> None:
    screen, end = terminal
    with (folder / "out.json").open("w") as file, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", screen)
        patch.setattr(sys, "stdout", file)
        assert segment("a.nii.gz", "-o", "d.nii.gz", "--json") == 0
    assert json.loads((folder / "out.json").read_text())["images"] == ["a.nii.gz"]
    assert "flagged" in end()


@pytest.mark.parametrize("order", [("a.nii.gz", "e.nii.gz"), ("e.nii.gz", "a.nii.gz")])
def test_an_empty_scan_is_named_and_left_out(folder, empty, segment, capsys, order) -> None:
    """Also as the first one, whose grid counts all the same; the bytes are those without it."""
    empty("e.nii.gz")
    assert segment("a.nii.gz", "-o", "alone.nii.gz") == 0
    capsys.readouterr()
    assert segment(*order, "-o", "d.nii.gz", "--posteriors", "p.nii.gz", "--qc", "q.tsv", "--json") == 0
    said = capsys.readouterr()
    assert "flagged: d.nii.gz: e.nii.gz: was left out: every voxel has the value 0" in said.err
    assert (folder / "d.nii.gz").read_bytes() == (folder / "alone.nii.gz").read_bytes()
    line = json.loads(said.out)
    assert line["images"] == list(order)
    assert [one["image"] for one in line["left_out"]] == ["e.nii.gz"]
    assert json.loads((folder / "d.json").read_text())["Sources"] == ["a.nii.gz"]
    qc = pd.read_csv("q.tsv", sep="\t")
    assert list(qc.query("metric == 'left_out'")["scan"]) == ["e.nii.gz"]


def test_a_file_that_is_no_image_is_left_out_unless_it_is_to_give_the_grid(folder, segment, capsys) -> None:
    assert segment("a.nii.gz", "c.nii.gz", "-o", "d.nii.gz") == 0
    assert "c.nii.gz: was left out: is text" in capsys.readouterr().err
    assert segment("c.nii.gz", "a.nii.gz", "-o", "e.nii.gz") == 65
    assert "c.nii.gz: is text" in capsys.readouterr().err


def test_a_missing_file_is_an_error_wherever_it_is_named(folder, segment, capsys) -> None:
    """Most likely its name is mistyped: nothing is computed."""
    assert segment("a.nii.gz", "gone.nii.gz", "-o", "d.nii.gz") == 65
    assert "gone.nii.gz: there is no such file" in capsys.readouterr().err
    assert not (folder / "d.nii.gz").exists()


def test_where_no_scan_is_left_all_are_named(folder, empty, segment, capsys) -> None:
    assert segment(empty("e.nii.gz"), empty("f.nii.gz"), "-o", "d.nii.gz") == 65
    said = capsys.readouterr().err
    assert "e.nii.gz" in said
    assert "f.nii.gz" in said


def test_a_scan_given_twice_counts_once(folder, segment, capsys) -> None:
    (folder / "again.nii.gz").write_bytes((folder / "a.nii.gz").read_bytes())
    assert segment("a.nii.gz", "again.nii.gz", "a.nii.gz", "-o", "d.nii.gz") == 0
    assert "again.nii.gz: was left out: is the same image as a.nii.gz" in capsys.readouterr().err
    assert segment("a.nii.gz", "-o", "alone.nii.gz") == 0
    assert (folder / "d.nii.gz").read_bytes() == (folder / "alone.nii.gz").read_bytes()


def test_a_name_that_is_no_utf8_is_written_as_an_escape(folder, segment, capsys) -> None:
    name = os.fsdecode(b"caf\xe9.nii.gz")
    (folder / name).write_bytes((folder / "a.nii.gz").read_bytes())
    assert segment(name, "b.nii.gz", "-o", "out/", "--json") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    written = {os.fsencode(path.name) for path in (folder / "out").iterdir()}
    assert {b"caf\xe9_dseg.nii.gz", b"caf\xe9_dseg.json", b"caf\xe9_volumes.tsv", b"b_volumes.tsv"} <= written


def test_weights_for_other_labels_are_refused(folder, tmp_path, capsys) -> None:
    config = GroupNetConfig(3, (1, 2), (2, 2))
    path = tmp_path / "three.safetensors"
    save_weights(Networks(GroupNet(config)), ModelInfo((0, 2, 41), config, FixedGrid(), {}), path)
    assert main(["segment", "a.nii.gz", "-o", "d.nii.gz", "--weights", str(path)]) == 65
    assert "segments labels 0, 2, 41" in capsys.readouterr().err
