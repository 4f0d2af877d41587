"""What `babyseg segment` says and writes, with a narrow untrained network, which is quick nonsense."""

import contextlib
import json
import os
import sys
import threading

import numpy as np
import pandas as pd
import pytest
import torch

from babyseg_py.cli import main
from babyseg_py.images import Volume, load_image, load_labels, save_image, save_labels
from babyseg_py.labels import LABELS, structure_name
from babyseg_py.models.groupnet import GroupNet, GroupNetConfig
from babyseg_py.models.weights import FixedGrid, ModelInfo, Networks, save_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(5)
    config = GroupNetConfig(len(LABELS), (1, 4), (4, 4))
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    recipe = FixedGrid(voxel_mm=4.0, multiple=8, smallest=16, largest=48)
    save_weights(Networks(GroupNet(config)), ModelInfo(LABELS, config, recipe, {}), path)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder, the current one, with the scans a and b and a file c that is none."""
    generator = np.random.default_rng(6)
    for name in "ab":
        data = np.zeros((24, 28, 20), dtype=np.float32)
        data[3:20, 4:24, 2:17] = generator.random((17, 20, 15)) + 0.5
        save_image(Volume(data, np.diag([4.0, 4.0, 4.0, 1.0])), tmp_path / f"{name}.nii.gz")
    (tmp_path / "c.nii.gz").write_text("no image")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def segment(weights):
    return lambda *words: main(["segment", *words, "--weights", str(weights), "--threads", "1"])


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


def test_the_pipeline_follows_the_recipe_of_the_weights(folder, segment) -> None:
    """The session's grid, each scan's own grid, and no question about overwriting."""
    shift = np.eye(4)
    shift[:3, 3] = (8, -4, 0)
    plan = {
        "grid": {"shape": [24, 28, 20], "affine": np.diag([4.0, 4.0, 4.0, 1.0]).tolist()},
        "scans": [
            {"scan": suffix, "image": f"{name}.nii.gz", "used": True, "matrix": matrix.tolist(), "flags": []}
            for suffix, name, matrix in (("T2w", "b", shift), ("T1w", "a", np.eye(4)))
        ],
    }
    (folder / "r.json").write_text(json.dumps(plan))
    words = ["--visit", "sub-1_ses-A", "--registration", "r.json", "--out-dir", "out"]
    assert segment("a.nii.gz", "b.nii.gz", *words) == 0
    assert segment("a.nii.gz", "b.nii.gz", *words) == 0
    own = load_labels(folder / "out" / "sub-1_ses-A_space-T2w_desc-babyseg_dseg.nii.gz")
    assert segment("b.nii.gz", "-o", "b_alone.nii.gz") == 0
    inner = load_image(folder / "b.nii.gz").data > 0
    assert np.mean((own.data == load_labels(folder / "b_alone.nii.gz").data)[inner]) > 0.999
    assert (folder / "out" / "sub-1_ses-A_space-session_desc-babyseg_dseg.nii.gz").is_file()


def test_corrected_labels_take_the_place_of_the_networks(folder, segment, capsys) -> None:
    """Labels, volumes and sidecar are the correction's; the table says how far the network was from it."""
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    scan = {"scan": "T1w", "image": "a.nii.gz", "used": True, "matrix": np.eye(4).tolist(), "flags": []}
    plan = {"grid": {"shape": [24, 28, 20], "affine": affine.tolist()}, "scans": [scan]}
    (folder / "r.json").write_text(json.dumps(plan))
    words = ["a.nii.gz", "--visit", "sub-1_ses-A", "--registration", "r.json", "--out-dir"]
    assert segment(*words, "first") == 0
    stem = "sub-1_ses-A_space-session_desc-babyseg_dseg"
    network = load_labels(folder / "first" / f"{stem}.nii.gz")
    changed = network.data.copy()
    first, second = np.unique(changed[changed > 0])[:2]
    changed[changed == first] = second
    corrected = "sub-1_ses-A_space-session_desc-corrected_dseg.nii.gz"
    save_labels(network.with_data(changed), folder / corrected)

    assert segment(*words, "next", "--corrected", corrected) == 0
    assert np.array_equal(load_labels(folder / "next" / f"{stem}.nii.gz").data, changed)
    sidecar = json.loads((folder / "next" / f"{stem}.json").read_text())
    assert sidecar["Manual"] is True
    assert corrected in sidecar["Sources"]
    volumes = json.loads((folder / "next" / "sub-1_ses-A_desc-posterior_volumes.json").read_text())["session"]
    assert volumes[str(second)] == pytest.approx(np.count_nonzero(changed == second) * 64)
    assert volumes[str(first)] == 0
    table = pd.read_csv(folder / "next" / "sub-1_ses-A_desc-segmentation_qc.tsv", sep="\t")
    table = table[table["metric"] == "dice_with_correction"].set_index("structure", drop=True)
    assert table.loc[structure_name(first), "value"] == 0
    own = np.count_nonzero(network.data == second)
    dice = 2 * own / (own + np.count_nonzero(changed == second))
    assert table.loc[structure_name(second), "value"] == pytest.approx(dice, rel=1e-4)
    assert not table["flag"].any()

    save_labels(Volume(changed, affine + np.outer([1, 0, 0, 0], [0, 0, 0, 500])), folder / corrected)
    assert segment(*words, "elsewhere", "--corrected", corrected) == 65
    assert "hardly overlaps" in capsys.readouterr().err


def test_weights_for_other_labels_are_refused(folder, tmp_path, capsys) -> None:
    config = GroupNetConfig(3, (1, 2), (2, 2))
    path = tmp_path / "three.safetensors"
    save_weights(Networks(GroupNet(config)), ModelInfo((0, 2, 41), config, FixedGrid(), {}), path)
    assert main(["segment", "a.nii.gz", "-o", "d.nii.gz", "--weights", str(path)]) == 65
    assert "segments labels 0, 2, 41" in capsys.readouterr().err
