"""The step ``template``, from the command line."""

import csv
import json

import nibabel as nib
import numpy as np
import pytest

from babyseg_py.cli import main
from babyseg_py.images import Volume
from babyseg_py.images.nifti import load_labels
from babyseg_py.registration import child_template
from babyseg_py.segmentation.probseg import certain, write_probabilities

AFFINE = np.array([[-3.0, 0, 0, 36], [0, 3.0, 0, -39], [0, 0, 3.0, -33], [0, 0, 0, 1]])
SHAPE = (25, 27, 23)
RADII = {"A": 18, "B": 20, "C": 21}  # mm
HEADER = "scan\tstructure\tmetric\tvalue\tlow\thigh\tflag\tmessage\n"


def brain(radius_mm):
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    world = index @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    labels = np.where(np.linalg.norm(world, axis=-1) < radius_mm, np.where(world[..., 0] < 0, 2, 41), 0)
    labels[np.linalg.norm(world - (-8, 3, 0), axis=-1) < radius_mm / 3] = 10
    return labels.astype(np.uint8)


@pytest.fixture
def child(tmp_path, monkeypatch):
    """Write three visits of a child that grows."""
    monkeypatch.setattr(child_template, "TEMPLATE_MM", 3.0)
    monkeypatch.setattr(child_template, "SCHEDULE", ((4.0, 8.0, 4),))
    for session, radius in RADII.items():
        stem = tmp_path / f"sub-01_ses-{session}"
        labels = brain(radius)
        write_probabilities(
            certain(Volume(labels, AFFINE)),
            AFFINE,
            tmp_path / f"{stem.name}_space-session_desc-babyseg_probseg.nii.gz",
        )
        image = nib.Nifti1Image((labels > 0) * np.float32(100) + labels, AFFINE)
        nib.save(image, tmp_path / f"{stem.name}_desc-n4_T1w.nii.gz")
        (tmp_path / f"{stem.name}_desc-segmentation_qc.tsv").write_text(HEADER)
    return tmp_path


def words(child, sessions="ABC", *more):
    def files(ending):
        return [str(child / f"sub-01_ses-{session}_{ending}") for session in sessions]

    return [
        "template", "--child", "sub-01", "--out-dir", str(child / "out"),
        "--posteriors", *files("space-session_desc-babyseg_probseg.nii.gz"),
        "--images", *files("desc-n4_T1w.nii.gz"), "--qc", *files("desc-segmentation_qc.tsv"), *more,
    ]  # fmt: skip


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_every_file_of_the_child(child):
    assert main(words(child)) == 0
    top = child / "out" / "sub-01"
    names = {path.name for path in (top / "anat").iterdir()}
    assert {
        "sub-01_space-template_desc-mean_T1w.nii.gz",
        "sub-01_space-template_desc-longitudinal_dseg.nii.gz",
        "sub-01_desc-template_snapshot.png",
        "sub-01_desc-template_qc.tsv",
        "sub-01_desc-template_qc.json",
    } <= names
    visit = top / "ses-A" / "anat"
    assert (visit / "sub-01_ses-A_from-session_to-template_mode-image_xfm.nii.gz").is_file()
    assert (visit / "sub-01_ses-A_from-template_to-session_mode-image_xfm.nii.gz").is_file()
    labels = load_labels(visit / "sub-01_ses-A_space-session_desc-longitudinal_dseg.nii.gz")
    assert labels.shape == SHAPE
    np.testing.assert_allclose(labels.affine, AFFINE)
    whole = [
        next(
            float(row["volume_jacobian_mm3"])
            for row in rows(table)
            if row["structure"] == "Total-Brain-Volume"
        )
        for table in sorted(top.glob("ses-*/anat/*_desc-longitudinal_morph.tsv"))
    ]
    true = np.array([np.count_nonzero(brain(radius)) for radius in RADII.values()])
    np.testing.assert_allclose(np.array(whole) / whole[0], true / true[0], rtol=0.03)


def test_the_order_of_the_visits_changes_no_byte(child):
    contents = []
    for sessions in ("ABC", "CAB"):
        assert main(words(child, sessions)) == 0
        files = sorted(path for path in (child / "out").rglob("*") if path.is_file())
        contents.append({path.name: path.read_bytes() for path in files})
    assert contents[0] == contents[1]


def test_a_flagged_visit_is_left_out_and_said(child):
    row = "n/a\tn/a\tbrain_ml\t9\t10\t20\t1\tthe brain is too small\n"
    (child / "sub-01_ses-C_desc-segmentation_qc.tsv").write_text(HEADER + row)
    assert main(words(child)) == 0
    used = rows(child / "out/sub-01/anat/sub-01_desc-template_qc.tsv")
    assert [(row["session_id"], row["used"]) for row in used] == [("A", "1"), ("B", "1"), ("C", "0")]
    assert used[2]["reason"] == "the brain is too small"
    assert not (child / "out/sub-01/ses-C").exists()


def test_a_verdict_counts(child):
    verdicts = child / "verdicts.json"
    said = {"participant_id": "01", "session_id": "B", "verdict": "fail", "note": "moved"}
    verdicts.write_text(json.dumps([said]))
    assert main(words(child, "AB", "--verdicts", str(verdicts))) == 65


def test_one_visit_is_no_template(child, capsys):
    assert main(words(child, "A")) == 65
    assert "has 1 usable visit, and a template needs two" in capsys.readouterr().err


def test_a_damaged_file_is_a_failure_of_the_child(child):
    broken = child / "sub-01_ses-B_space-session_desc-babyseg_probseg.nii.gz"
    broken.write_bytes(broken.read_bytes()[:99])
    failure = child / "sub-01.template.failure.json"
    assert main(words(child, "ABC", "--failure", str(failure))) == 0
    content = json.loads(failure.read_text())
    assert content["step"] == "template"
    assert content["file"] == str(broken)


def test_a_file_of_another_child(child, capsys):
    other = child / "sub-02_ses-A_desc-n4_T1w.nii.gz"
    other.write_bytes(b"")
    assert main([*words(child, "AB"), "--images", str(other)]) == 65
    assert "is not of child sub-01" in capsys.readouterr().err


def test_a_strength_that_is_none(child, capsys):
    assert main(words(child, "AB", "--strength", "2")) == 2
    assert "is not from 0 to 1" in capsys.readouterr().err


def write_visit_with_fold(child, session, *, left: bool) -> None:
    """Write a visit with a gyrus on one side only, named by its side as a segmentation would."""
    labels = brain(RADII[session])
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    world = index @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    x = -14 if left else 14
    labels[np.linalg.norm(world - (x, 9, 4), axis=-1) < 8] = 3 if left else 42
    path = child / f"sub-01_ses-{session}_space-session_desc-babyseg_probseg.nii.gz"
    write_probabilities(certain(Volume(labels, AFFINE)), AFFINE, path)


@pytest.fixture
def flipped(child):
    """Write three visits of which the last has a header that calls left right."""
    for session in "ABC":
        write_visit_with_fold(child, session, left=session != "C")
    return child


def side_flags(child) -> dict[str, str]:
    paths = sorted((child / "out").rglob("*_desc-sides_qc.tsv"))
    return {path.name.split("_")[1]: rows(path)[0]["flag"] for path in paths}


def test_a_visit_with_exchanged_sides_is_flagged_and_left_out(flipped):
    assert main(words(flipped)) == 0
    assert side_flags(flipped) == {"ses-A": "0", "ses-B": "0", "ses-C": "1"}
    used = rows(flipped / "out/sub-01/anat/sub-01_desc-template_qc.tsv")
    assert [row["used"] for row in used] == ["1", "1", "0"]
    assert "left and right" in used[2]["reason"]


def test_of_two_visits_either_may_be_the_wrong_one(flipped, capsys):
    assert main(words(flipped, "AC")) == 65
    assert side_flags(flipped) == {"ses-A": "1", "ses-C": "1"}
    assert "left and right look exchanged" in capsys.readouterr().err


def test_a_verdict_overrules_the_sides(flipped):
    said = [{"participant_id": "01", "session_id": "C", "verdict": "pass", "note": "seen"}]
    (flipped / "verdicts.json").write_text(json.dumps(said))
    assert main(words(flipped, "ABC", "--verdicts", str(flipped / "verdicts.json"))) == 0
    assert all(row["used"] == "1" for row in rows(flipped / "out/sub-01/anat/sub-01_desc-template_qc.tsv"))
