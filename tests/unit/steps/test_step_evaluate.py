"""The steps evaluate and volumes, from the command line."""

import csv

import nibabel as nib
import numpy as np
import pytest

from babyseg_py.cli import main
from babyseg_py.labels import BRAIN_LABELS


def _read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.fixture
def maps(tmp_path, oblique_affine):
    """Two label maps in FreeSurfer's numbering: a prediction one voxel off, with the same pallidum."""
    data = np.zeros((20, 18, 16), dtype=np.uint16)
    data[3:9, 4:12, 3:12], data[9:15, 4:12, 3:12] = 2, 41
    data[5:7, 6:9, 5:8], data[5:7, 9:11, 5:8] = 12, 13
    moved = data.copy()
    moved[9], moved[15, 4:12, 3:12] = 0, 41
    for name, values in (("ref", data), ("pred", moved)):
        nib.save(nib.Nifti1Image(values, oblique_affine), tmp_path / f"{name}.nii.gz")
    return tmp_path


def _evaluate(maps, *more, prediction="pred"):
    words = [str(maps / f"{prediction}.nii.gz"), str(maps / "ref.nii.gz"), "-o", str(maps / "m.tsv"), *more]
    return main(["evaluate", *words])


def _row(maps, label):
    return next(row for row in _read(maps / "m.tsv") if row["label"] == str(label))


def test_evaluate_writes_the_columns_of_the_contract(maps, capsys):
    assert _evaluate(maps) == 0
    rows = _read(maps / "m.tsv")
    assert list(rows[0]) == ["label", "structure", "dice", "assd_mm", "hd95_mm", "nsd"]
    assert [int(row["label"]) for row in rows] == list(BRAIN_LABELS)
    assert float(_row(maps, 169)["dice"]) == 1  # putamen and pallidum together
    assert float(_row(maps, 41)["dice"]) == pytest.approx(5 / 6)
    assert float(_row(maps, 41)["hd95_mm"]) == pytest.approx(0.8)
    assert _row(maps, 17)["dice"] == "1"
    assert "mean Dice 0.944 over the 3 structures" in capsys.readouterr().out


def test_structure_that_one_lacks_has_no_distance(maps):
    image = nib.load(maps / "pred.nii.gz")
    data = np.asarray(image.dataobj).copy()
    data[data == 41] = 0
    nib.save(nib.Nifti1Image(data, image.affine), maps / "pred.nii.gz")
    assert _evaluate(maps) == 0
    row = _row(maps, 41)
    assert (row["dice"], row["assd_mm"], row["hd95_mm"], row["nsd"]) == ("0", "n/a", "n/a", "0")


def test_tolerance(maps):
    _evaluate(maps, "--tolerance", "0")
    assert float(_row(maps, 41)["nsd"]) < 0.8
    _evaluate(maps, "--tolerance", "0.8")
    assert float(_row(maps, 41)["nsd"]) == 1


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "x"])
def test_illegal_tolerance(maps, value):
    with pytest.raises(SystemExit) as stop:
        _evaluate(maps, f"--tolerance={value}")
    assert stop.value.code == 2


def test_unusable_input_leaves_no_table(maps, capsys):
    (maps / "text.nii.gz").write_text("no image")
    assert _evaluate(maps, prediction="text") == 65
    assert "text.nii.gz" in capsys.readouterr().err
    assert not (maps / "m.tsv").exists()


def test_volumes(maps):
    assert main(["volumes", str(maps / "ref.nii.gz"), "-o", str(maps / "v.tsv")]) == 0
    rows = {row["structure"]: row for row in _read(maps / "v.tsv")}
    voxel = 0.8 * 1.1 * 2.0
    assert list(rows["Brain-Stem"]) == [
        *("label", "structure", "side", "volume_mm3", "volume_posterior_mm3"),
        *("volume_ci_low", "volume_ci_high"),
    ]
    assert float(rows["Left-Basal-Ganglia"]["volume_mm3"]) == pytest.approx(30 * voxel, abs=1e-3)
    assert float(rows["Total-Brain-Volume"]["volume_mm3"]) == pytest.approx(12 * 8 * 9 * voxel, abs=1e-3)
    assert rows["Total-Brain-Volume"]["label"] == "n/a"
    assert rows["Brain-Stem"]["volume_posterior_mm3"] == "n/a"


def test_volumes_from_posteriors(maps, rng, oblique_affine):
    data = rng.random((4, 5, 6, 22), dtype=np.float32)
    nib.save(nib.Nifti1Image(data, oblique_affine), maps / "p.nii.gz")
    words = [str(maps / "ref.nii.gz"), "-o", str(maps / "v.tsv"), "--posteriors", str(maps / "p.nii.gz")]
    assert main(["volumes", *words]) == 0
    expected = data[..., 1].sum() * 0.8 * 1.1 * 2.0
    assert float(_read(maps / "v.tsv")[0]["volume_posterior_mm3"]) == pytest.approx(expected, rel=1e-4)
