"""The step ``n4`` from file to file."""

import json

import nibabel as nib
import numpy as np
import pytest

from babyseg_py.cli import main


@pytest.fixture
def scan_file(tmp_path, rng, oblique_affine):
    """Write a ball under a slope of intensity, skull-stripped, as scaled integers with one volume in 4-D."""
    x, y, z = np.ogrid[:40, :44, :20]
    ball = (x - 20) ** 2 / 1.5 + (y - 22) ** 2 / 1.2 + ((z - 10) * 1.6) ** 2 < 14**2
    data = ball * np.linspace(60, 140, 40)[:, None, None] + ball * rng.normal(0, 1, ball.shape)
    affine = oblique_affine @ np.diag([-2.5, 2, 1.5, 1])
    image = nib.Nifti1Image(data.astype(np.int16)[..., None], affine)
    image.header.set_slope_inter(0.25, 0)
    image.set_qform(affine, 1)
    image.set_sform(affine, 1)
    nib.save(image, tmp_path / "scan.nii.gz")
    return tmp_path / "scan.nii.gz"


def test_step_writes_image_field_and_report(tmp_path, scan_file):
    out, report, field = tmp_path / "out.nii.gz", tmp_path / "r.json", tmp_path / "field.nii.gz"
    arguments = ["n4", scan_file, "-o", out, "--report", report, "--field", field]
    assert main([str(word) for word in arguments]) == 0
    before, after = nib.load(scan_file), nib.load(out)
    assert np.array_equal(before.affine, after.affine)
    assert after.shape == before.shape[:3]
    ratio = before.get_fdata()[..., 0] / nib.load(field).get_fdata()
    assert np.allclose(after.get_fdata(), ratio, atol=1e-3)
    figures = json.loads(report.read_text())
    assert figures["cv_within_tissue_after"] < figures["cv_within_tissue_before"]
    assert figures["field_strength"] > 0.1
    assert figures["shape"] == [40, 44, 20]
    assert figures["image"] == "scan.nii.gz"
    assert figures["method"].startswith("The bias field was estimated by N4")


def test_unusable_scan_is_exit_code_65(tmp_path, capsys):
    (tmp_path / "scan.nii.gz").write_bytes(b"")
    assert main(["n4", str(tmp_path / "scan.nii.gz"), "-o", str(tmp_path / "out.nii.gz")]) == 65
    assert "the file is empty" in capsys.readouterr().err
    assert not (tmp_path / "out.nii.gz").exists()


def test_unusable_scan_is_recorded_for_the_pipeline(tmp_path, scan_file):
    image = nib.load(scan_file)
    nib.save(nib.Nifti1Image(np.ones(image.shape[:3], np.float32), image.affine), scan_file)
    failure = tmp_path / "f.json"
    assert main(["n4", str(scan_file), "-o", str(tmp_path / "out.nii.gz"), "--failure", str(failure)]) == 0
    record = json.loads(failure.read_text())
    assert record["step"] == "n4"
    assert record["file"] == str(scan_file)
    assert "every voxel has the value 1" in record["what"]
