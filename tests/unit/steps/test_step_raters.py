"""The step raters, from the command line."""

import json

import nibabel as nib
import numpy as np
import pytest

from babyseg_py.cli import main
from babyseg_py.statistics.files import read_table

VISIT = "sub-01_ses-A"
NAMES = ("Ann", "Ben", "Cid")


@pytest.fixture
def maps(tmp_path, oblique_affine):
    """Write three maps: Ann's and Ben's are alike, Cid missed a slice of 17, and Ben's grid is larger."""
    data = np.zeros((16, 14, 12), dtype=np.uint8)
    data[2:8, 3:11, 2:10], data[8:14, 3:11, 2:10], data[4:7, 5:9, 4:8] = 2, 41, 17
    shift = np.eye(4)
    shift[:3, 3] = -2
    cid = data.copy()
    cid[4][cid[4] == 17] = 2
    written = {
        "Ann": (data, oblique_affine),
        "Ben": (np.pad(data, 2), oblique_affine @ shift),
        "Cid": (cid, oblique_affine),
    }
    for name, (content, affine) in written.items():
        folder = tmp_path / name
        folder.mkdir()
        nib.save(nib.Nifti1Image(content, affine), folder / "labels.nii.gz")
    return tmp_path, data


def rate(folder, *names, out="out"):
    """Run the step as the pipeline does."""
    paths = [str(folder / name / "labels.nii.gz") for name in names]
    failure = str(folder / "failure.json")
    words = ["raters", "--visit", VISIT, "--names", *names, "--maps", *paths]
    return main([*words, "--out-dir", str(folder / out), "--failure", failure])


def numbers(path):
    """Read a table of the step, every column that can be as numbers."""
    table = read_table(path)
    assert table["participant_id"].tolist() == ["01"] * len(table)
    return table.astype(dict.fromkeys(table.columns.intersection(["sensitivity", "dice"]), float))


def test_consensus_performance_and_volumes(maps):
    folder, data = maps
    assert rate(folder, *NAMES) == 0
    for method in ("staple", "majority"):
        made = nib.load(folder / "out" / f"{VISIT}_desc-{method}_dseg.nii.gz")
        assert (np.asarray(made.dataobj) == data).all()
        sidecar = json.loads((folder / "out" / f"{VISIT}_desc-{method}_dseg.json").read_text())
        assert (sidecar["Raters"], sidecar["Sources"][1]) == ([*NAMES], "labels.nii.gz")
    found = numbers(folder / "out" / f"{VISIT}_desc-raters_qc.tsv").set_index(["consensus", "rater", "label"])
    for consensus in ("staple", "majority"):
        assert found.loc[(consensus, "Ben", 17), ["sensitivity", "dice", "assd_mm"]].tolist() == [1, 1, 0]
        assert found.loc[(consensus, "Cid", 17), "sensitivity"] == pytest.approx(2 / 3, abs=1e-3)
        assert found.loc[(consensus, "Cid", 17), "dice"] == pytest.approx(0.8)
    volumes = numbers(folder / "out" / f"{VISIT}_desc-raters_morph.tsv").set_index(["rater", "structure"])
    voxel = abs(np.linalg.det(nib.load(folder / "Ann" / "labels.nii.gz").affine[:3, :3]))
    for rater, n in (("Ann", 48), ("Ben", 48), ("Cid", 32)):
        assert volumes.loc[(rater, "Left-Hippocampus"), "volume_mm3"] == pytest.approx(n * voxel, rel=1e-6)


def test_what_a_rater_did_not_draw_is_missing_and_not_empty(maps):
    assert rate(maps[0], *NAMES) == 0
    volumes = numbers(maps[0] / "out" / f"{VISIT}_desc-raters_morph.tsv").set_index(["rater", "structure"])
    ann = volumes.loc["Ann", "volume_mm3"]
    white = "Cerebral-White-Matter"
    assert set(ann.dropna().index) == {f"Left-{white}", f"Right-{white}", white, "Left-Hippocampus"}
    assert len(ann) == len(set(ann.index)) > 30


@pytest.mark.parametrize("fault", ["elsewhere", "cut", "empty"])
def test_a_map_that_cannot_be_used_fails_the_step_and_names_the_rater(maps, oblique_affine, fault):
    folder, data = maps
    path = folder / "Ben" / "labels.nii.gz"
    far = np.eye(4)
    far[:3, 3] = 400
    if fault == "cut":
        path.write_bytes(path.read_bytes()[:100])
    elif fault == "empty":
        nib.save(nib.Nifti1Image(np.zeros_like(data), oblique_affine), path)
    else:
        nib.save(nib.Nifti1Image(data, far @ oblique_affine), path)
    assert rate(folder, *NAMES) == 0
    failure = json.loads((folder / "failure.json").read_text())
    assert failure["step"] == "raters"
    assert failure["what"].startswith("label map of Ben: ")
    assert not list(folder.glob("out/*"))


@pytest.mark.parametrize("names", [("Ann",), ("Ann", "Ann")])
def test_one_rater_is_a_usage_error(maps, names):
    assert rate(maps[0], *names) == 2
