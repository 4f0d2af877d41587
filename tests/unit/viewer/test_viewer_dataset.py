"""What the viewer finds in a results folder, and how it brings it to one grid."""

import numpy as np
import pytest
from tiny_results import SHAPE, labels, voxels, write_mesh

from babyseg_py.cli import main
from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume, save_labels
from babyseg_py.viewer.dataset import Layer, choose, layers, list_sessions, surfaces
from babyseg_py.viewer.grid import display_grid, on_grid
from babyseg_py.viewer.meshes import mesh_name, read_mesh


@pytest.fixture
def session(results):
    return list_sessions(results)["01", "A"]


def test_sessions_of_the_ledger_and_of_the_folders(results):
    found = list_sessions(results)
    assert [(*key, one.status) for key, one in found.items()] == [
        ("01", "A", "flagged"), ("02", "B", "failed"), ("03", "A", ""),
    ]  # fmt: skip
    assert found["01", "A"].reasons == ("run-2_T2w flagged at segment: half a brain?",)
    assert found["02", "B"].reasons == ("T1w failed at n4: every voxel is NaN",)


def test_only_files_of_the_very_session_are_layers(results, session):
    anat = results / "sub-01" / "ses-A" / "anat"
    (anat / "sub-02_ses-A_desc-n4_T1w.nii.gz").touch()
    (anat / "notes.nii.gz").touch()
    names = [(layer.kind, layer.name, layer.transform is not None) for layer in layers(results, session)]
    assert names == [
        ("labels", "all scans (babyseg)", False), ("uncertainty", "uncertainty", False),
        ("image", "T1w", True), ("image", "run-2_T2w", True),
    ]  # fmt: skip
    (anat / "sub-01_ses-A_from-T1w_to-session_mode-image_xfm.mat").unlink()
    assert "T1w, not registered" in [layer.name for layer in layers(results, session)]


def test_a_flipped_grid_is_shown_voxel_by_voxel_from_left_to_right(results, session):
    first = layers(results, session)[0]
    grid = display_grid(first)
    assert grid.shape == SHAPE
    assert grid.affine.diagonal().tolist() == [2, 2, 2, 1]
    shown = on_grid(first, grid)
    assert (shown.data == labels()[::-1]).all()
    packed = np.frombuffer(shown.to_bytes(), "<u2")
    assert (packed.reshape(SHAPE, order="F") == labels()[::-1]).all()


def test_scans_come_to_the_session_by_their_transform(results, session):
    found = {layer.name: layer for layer in layers(results, session)}
    grid = display_grid(found["all scans (babyseg)"])
    for name in ("T1w", "run-2_T2w"):
        shown = on_grid(found[name], grid)
        values = shown.low + shown.data / 65535 * (shown.high - shown.low)
        assert np.abs(values - voxels()[::-1]).max() < 0.01


def test_uncertainty_keeps_its_scale(results, session):
    layer = next(one for one in layers(results, session) if one.kind == "uncertainty")
    shown = on_grid(layer, display_grid(layer))
    assert (shown.low, shown.high) == (0, 1)
    assert shown.data.max() == 65535


def test_an_oblique_anisotropic_map_is_covered_and_keeps_its_volume(tmp_path, oblique_affine):
    data = np.zeros((30, 24, 12), dtype=np.int32)
    data[5:-5, 4:-4, 2:-2] = 17
    save_labels(Volume(data, oblique_affine), tmp_path / "x_dseg.nii.gz")
    layer = Layer("labels", "x", tmp_path / "x_dseg.nii.gz")
    grid = display_grid(layer)
    shown = on_grid(layer, grid).data
    assert set(np.unique(shown)) == {0, 17}
    true = (data == 17).sum() * abs(np.linalg.det(oblique_affine[:3, :3]))
    assert (shown == 17).sum() * grid.affine[0, 0] ** 3 == pytest.approx(true, rel=0.02)


def test_surfaces_have_the_colour_of_their_structure(results, session):
    (path,) = surfaces(results, session)
    assert mesh_name(path) == ("Left-Thalamus", (0, 118, 14))
    packed = read_mesh(path).to_bytes()
    assert np.frombuffer(packed[:8], "<u4").tolist() == [4, 4]
    assert len(packed) == 8 + 4 * 12 + 4 * 12
    names = ("hemi-L_label-Thalamus_mesh.gii", "hemi-R_desc-10_x.surf.gii", "desc-pial_mesh.gii")
    found = [mesh_name(path.with_name(f"sub-01_ses-A_{name}"))[0] for name in names]
    assert found == ["Left-Thalamus", "Left-Thalamus", "desc-pial_mesh"]


def test_a_broken_surface_is_named(tmp_path):
    write_mesh(tmp_path / "a_mesh.gii", [[0, 1, 9]])
    with pytest.raises(UnusableData, match="triangles do not fit"):
        read_mesh(tmp_path / "a_mesh.gii")
    (tmp_path / "b_mesh.gii").write_text("<GIFTI")
    with pytest.raises(UnusableData, match="no GIfTI surface"):
        read_mesh(tmp_path / "b_mesh.gii")


def test_the_nearest_child_and_session_are_named(results):
    found = list_sessions(results)
    assert choose(found, None, None, folder=results).name == "sub-01 ses-A"
    assert choose(found, "sub-02", "ses-B", folder=results).name == "sub-02 ses-B"
    with pytest.raises(UnusableData, match=r"no participant sub-011; did you mean 'sub-01'\?"):
        choose(found, "011", None, folder=results)
    with pytest.raises(UnusableData, match=r"no session ses-b of sub-02; did you mean 'ses-B'\?"):
        choose(found, "02", "b", folder=results)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "there is no such folder"),
        (["."], "it holds no results: neither ledger.tsv nor a folder sub-X/ses-Y"),
        (["results", "sub-1"], "has no participant sub-1; did you mean 'sub-01'?"),
        (["results", "sub-02", "ses-B"], "nothing came out of it (T1w failed at n4: every voxel is NaN)"),
        (["results", "../etc"], "has no participant sub-../etc"),
    ],
)
def test_what_cannot_be_shown_is_said_in_one_line(results, monkeypatch, capsys, words, said):
    monkeypatch.chdir(results.parent)
    for place in range(len(words) + 1):  # Options stand anywhere among the operands.
        assert main(["view", *words[:place], "--no-browser", "--port", "0", *words[place:]]) == 65
        told = capsys.readouterr().err
        assert said in told
        assert told.count("\n") == 1


@pytest.mark.parametrize("words", [[], ["a", "b", "c", "d"], ["a", "--port"], ["a", "--no"]])
def test_words_that_cannot_be_meant(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["view", *words, "--port", "-1"])
    assert stopped.value.code == 2
    assert "usage: babyseg view" in capsys.readouterr().err
