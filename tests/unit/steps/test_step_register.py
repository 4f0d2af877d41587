"""The step register, from files to files."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from babyseg_py.cli import main
from babyseg_py.images import save_image
from babyseg_py.registration.itk import read_transform

sys.path.insert(0, str(Path(__file__).parents[1] / "registration"))
from head_phantom import error_mm, grid, head, rigid

VISIT = "sub-01_ses-A"
MOTION = rigid((0, 8, -6), (5, 7, -3))


def register(folder, *names):
    return main(
        ["register", *[str(folder / n) for n in names], "--out-dir", str(folder / "out"), "--visit", VISIT]
    )


def plan(folder):
    return json.loads((folder / "out" / f"{VISIT}_desc-session_registration.json").read_text("utf-8"))


def test_a_visit_is_registered_around_an_unusable_scan(tmp_path, capsys):
    t1, t2, text = (f"{VISIT}_{n}.nii.gz" for n in ("desc-n4_T1w", "run-2_desc-n4_T2w", "run-1_T1w"))
    save_image(head(grid()), tmp_path / t1)
    save_image(head(grid((3, 3, 3)), motion=MOTION, contrast="T2w", seed=1), tmp_path / t2)
    (tmp_path / text).write_text("not an image")
    assert register(tmp_path, t2, text, t1) == 0
    assert text in capsys.readouterr().err
    result = plan(tmp_path)
    assert result["reference"] == t1
    assert result["grid"]["shape"] == list(grid()[0])
    scans = {scan["scan"]: scan for scan in result["scans"]}
    assert {name: scan["used"] for name, scan in scans.items()} == {
        "T1w": True,
        "run-2_T2w": True,
        "run-1_T1w": False,
    }
    assert scans["run-1_T1w"]["transform"] is None
    assert scans["run-1_T1w"]["flags"][0]["name"] == "unusable"
    moved = scans["run-2_T2w"]
    assert moved["transform"] == f"{VISIT}_run-2_from-T2w_to-session_mode-image_xfm.mat"
    assert error_mm(moved["matrix"], MOTION) < 0.6
    assert moved["rotation_deg"] == pytest.approx(10, abs=0.5)
    assert moved["similarity"] > 3 * moved["similarity_null"]
    np.testing.assert_allclose(
        read_transform(tmp_path / "out" / moved["transform"]), moved["matrix"], atol=1e-9
    )
    first = (tmp_path / "out" / f"{VISIT}_desc-session_registration.json").read_bytes()
    assert register(tmp_path, t1, t2, text) == 0  # The order of the files does not matter.
    assert (tmp_path / "out" / f"{VISIT}_desc-session_registration.json").read_bytes() == first


def test_a_scan_alone_gets_the_identity(tmp_path):
    name = f"{VISIT}_FLAIR.nii.gz"
    save_image(head(grid((3, 3, 3))), tmp_path / name)
    assert register(tmp_path, name) == 0
    (scan,) = plan(tmp_path)["scans"]
    assert scan["used"]
    assert np.array_equal(scan["matrix"], np.eye(4))
    assert np.array_equal(read_transform(tmp_path / "out" / scan["transform"]), np.eye(4))


def test_a_visit_without_a_usable_scan_is_unusable(tmp_path, capsys):
    name = f"{VISIT}_T1w.nii.gz"
    (tmp_path / name).write_text("not an image")
    assert register(tmp_path, name) == 65
    assert name in capsys.readouterr().err


@pytest.mark.parametrize("name", ["sub-01_ses-B_T1w.nii.gz", "scan.nii.gz"])
def test_a_scan_of_another_visit_is_refused(tmp_path, name, capsys):
    save_image(head(grid((5, 5, 5))), tmp_path / name)
    assert register(tmp_path, name) == 65
    assert "give scans named" in capsys.readouterr().err


@pytest.mark.parametrize("names", [["T1w"], ["T1w", "T2w"]])
def test_each_unusable_scan_is_told_once(tmp_path, capsys, names):
    files = [f"{VISIT}_{name}.nii.gz" for name in names]
    for file in files:
        (tmp_path / file).write_text("not an image")
    assert register(tmp_path, *files) == 65
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(files)
    assert all(file in line for file, line in zip(files, lines, strict=True))
