"""What `babyseg segment` says and writes, with a narrow untrained network, which is quick nonsense."""

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
import torch

import babyseg_py as bs
from babyseg_py.cli import main
from babyseg_py.errors import UsageError
from babyseg_py.images import Volume, load_image, load_labels, save_image, save_labels
from babyseg_py.images.geometry import resample
from babyseg_py.labels import LABELS, LEFT_RIGHT_PAIRS, structure_name
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


def test_a_scan_that_shows_nothing_of_the_session_is_left_out_of_the_visit(folder, segment) -> None:
    """The labels are those without it; it has none of its own, and the quality table says why."""
    far = np.eye(4)
    far[:3, 3] = 500
    scans = [
        {"scan": suffix, "image": f"{name}.nii.gz", "used": True, "matrix": matrix.tolist(), "flags": []}
        for suffix, name, matrix in (("T2w", "b", far), ("T1w", "a", np.eye(4)))
    ]
    grid = {"shape": [24, 28, 20], "affine": np.diag([4.0, 4.0, 4.0, 1.0]).tolist()}
    for name, some in (("both", scans), ("one", scans[1:])):
        (folder / "r.json").write_text(json.dumps({"grid": grid, "reference": "a.nii.gz", "scans": some}))
        words = ["--visit", "sub-1_ses-A", "--registration", "r.json", "--out-dir", name]
        assert segment("a.nii.gz", "b.nii.gz", *words) == 0
    names = {path.name for path in (folder / "one").iterdir()}
    assert {path.name for path in (folder / "both").iterdir()} == names
    for name in names:
        if name.endswith(".nii.gz"):
            assert (folder / "both" / name).read_bytes() == (folder / "one" / name).read_bytes()
    qc = pd.read_csv(folder / "both" / "sub-1_ses-A_desc-segmentation_qc.tsv", sep="\t")
    assert list(qc.query("metric == 'left_out'")["scan"]) == ["T2w"]
    sidecar = folder / "both" / "sub-1_ses-A_space-session_desc-babyseg_dseg.json"
    assert "T2w was left out: hardly any of it" in sidecar.read_text()


def empty(folder, name: str) -> str:
    """Write an image of nothing on the grid of the others."""
    save_image(Volume(np.zeros((24, 28, 20), np.float32), np.diag([4.0, 4.0, 4.0, 1.0])), folder / name)
    return name


@pytest.mark.parametrize("order", [("a.nii.gz", "e.nii.gz"), ("e.nii.gz", "a.nii.gz")])
def test_an_empty_scan_is_named_and_left_out(folder, segment, capsys, order) -> None:
    """Also as the first one, whose grid counts all the same; the bytes are those without it."""
    empty(folder, "e.nii.gz")
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


def test_where_no_scan_is_left_all_are_named(folder, segment, capsys) -> None:
    assert segment(empty(folder, "e.nii.gz"), empty(folder, "f.nii.gz"), "-o", "d.nii.gz") == 65
    said = capsys.readouterr().err
    assert "e.nii.gz" in said
    assert "f.nii.gz" in said


def test_a_scan_given_twice_counts_once(folder, segment, capsys) -> None:
    (folder / "again.nii.gz").write_bytes((folder / "a.nii.gz").read_bytes())
    assert segment("a.nii.gz", "again.nii.gz", "a.nii.gz", "-o", "d.nii.gz") == 0
    assert "again.nii.gz: was left out: is the same image as a.nii.gz" in capsys.readouterr().err
    assert segment("a.nii.gz", "-o", "alone.nii.gz") == 0
    assert (folder / "d.nii.gz").read_bytes() == (folder / "alone.nii.gz").read_bytes()


def test_python_tells_what_was_left_out(folder, weights) -> None:
    model = bs.load_model(weights, threads=1)
    result = bs.segment("a.nii.gz", empty(folder, "e.nii.gz"), model=model)
    assert list(result.left_out) == ["e.nii.gz"]
    assert "every voxel has the value 0" in result.left_out["e.nii.gz"]
    assert result.done.sources == ("a.nii.gz",)
    assert any("e.nii.gz: was left out" in sentence for sentence in result.flags)
    assert bs.segment("a.nii.gz", model=model).left_out == {}


def test_the_picture_shows_the_first_scan_that_was_used_where_it_lies_in_the_session(folder, weights) -> None:
    """The first one given is empty and lends its grid alone; the others lie 12 mm and 15° apart."""
    place = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in (30, 34, 28)), indexing="ij"))
    inside = (place**2 * np.array([1.9, 1.6, 2.2])[:, None, None, None]).sum(axis=0) < 1
    waves = np.sin(5 * place[0] + 2) + np.cos(4 * place[1] - 1) * np.sin(3 * place[2] + 0.5)
    head = Volume((inside * (3 + waves)).astype(np.float32), np.diag([4.0, 4.0, 4.0, 1.0]))
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.26), -np.sin(0.26)], [np.sin(0.26), np.cos(0.26)]]
    turn[:3, 3] = (12, -4, 8)
    save_image(head, folder / "still.nii.gz")
    save_image(resample(head, head.shape, head.affine, world_matrix=turn), folder / "moved.nii.gz")
    model = bs.load_model(weights, threads=1)
    result = bs.segment(empty(folder, "e.nii.gz"), "moved.nii.gz", "still.nii.gz", model=model)
    assert list(result.left_out) == ["e.nii.gz"]
    assert result.done.sources == ("moved.nii.gz", "still.nii.gz")
    shown = result.done.first
    for scan in result.done.visit.scans:
        there = resample(scan.volume, shown.shape, shown.affine, world_matrix=scan.matrix)
        assert np.corrcoef(there.data.ravel(), shown.data.ravel())[0, 1] > 0.97
    assert result.plot().size[0] > 100


def test_python_never_writes_over_a_scan(folder, weights) -> None:
    model = bs.load_model(weights, threads=1)
    before = (folder / "a.nii.gz").read_bytes()
    result = bs.segment("a.nii.gz", empty(folder, "e.nii.gz"), model=model)
    for name in ("a.nii.gz", "./a.nii.gz", "e.nii.gz"):
        with pytest.raises(UsageError, match="is an input"):
            result.save(name)
    assert (folder / "a.nii.gz").read_bytes() == before
    result.save("labels.nii.gz")
    result.save("labels.nii.gz")
    assert (folder / "labels.json").is_file()


def test_python_names_what_it_does_not_know(weights) -> None:
    for argument, value in (("device", "cuda:7"), ("precision", "bfloat16"), ("labels", "Fuller")):
        with pytest.raises(UsageError, match=f"{argument} '{value}' is not known"):
            bs.load_model(weights, **{argument: value})
    for wrong in (-1, float("nan")):
        with pytest.raises(UsageError, match="is no age"):
            bs.segment("a.nii.gz", age_months=wrong)
    with pytest.raises(UsageError, match="one after the other"):
        bs.segment(["a.nii.gz", "b.nii.gz"])


def test_a_name_that_is_no_utf8_is_written_as_an_escape(folder, segment, capsys) -> None:
    name = os.fsdecode(b"caf\xe9.nii.gz")
    (folder / name).write_bytes((folder / "a.nii.gz").read_bytes())
    assert segment(name, "b.nii.gz", "-o", "out/", "--json") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    written = {os.fsencode(path.name) for path in (folder / "out").iterdir()}
    assert {b"caf\xe9_dseg.nii.gz", b"caf\xe9_dseg.json", b"caf\xe9_volumes.tsv", b"b_volumes.tsv"} <= written


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

    swapped = changed.copy()
    for left, right in LEFT_RIGHT_PAIRS:
        swapped[changed == left], swapped[changed == right] = right, left
    save_labels(network.with_data(swapped), folder / corrected)
    assert segment(*words, "swapped", "--corrected", corrected) == 65
    assert "has left and right exchanged" in capsys.readouterr().err

    save_labels(Volume(changed, affine + np.outer([1, 0, 0, 0], [0, 0, 0, 500])), folder / corrected)
    assert segment(*words, "elsewhere", "--corrected", corrected) == 65
    assert "hardly overlaps" in capsys.readouterr().err


def test_weights_for_other_labels_are_refused(folder, tmp_path, capsys) -> None:
    config = GroupNetConfig(3, (1, 2), (2, 2))
    path = tmp_path / "three.safetensors"
    save_weights(Networks(GroupNet(config)), ModelInfo((0, 2, 41), config, FixedGrid(), {}), path)
    assert main(["segment", "a.nii.gz", "-o", "d.nii.gz", "--weights", str(path)]) == 65
    assert "segments labels 0, 2, 41" in capsys.readouterr().err
