"""`babyseg segment` with the default weights, on a digital infant and on what is no brain."""

import csv
import json
import re
import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from nibabel.eulerangles import euler2mat
from PIL import Image

from babyseg_py.cli import main
from babyseg_py.images import Volume, load_image, load_labels, save_image
from babyseg_py.images.geometry import crop_or_pad, reorient, reorient_like, resample
from babyseg_py.labels import LABELS
from babyseg_py.labels.merge import merge_labels
from babyseg_py.models.default import default_weights
from babyseg_py.segmentation.from_files import load_model, segment_files
from babyseg_py.segmentation.inference import load_segmenter
from babyseg_py.segmentation.visit import segment_visit
from babyseg_py.segmentation.window import Scan


@pytest.fixture(scope="module")
def visit(tmp_path_factory):
    """Return paths of T1w, T2w and the true labels of one visit, by column of the samplesheet."""
    folder = tmp_path_factory.mktemp("infant")
    words = ["--children", "1", "--visits", "1", "--spacing", "1.5", "--threads", "1"]
    assert main(["demo-data", str(folder), *words]) == 0
    with (folder / "samplesheet.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    found = {row["suffix"]: folder / row["image"] for row in reversed(rows)}
    found["dseg"] = folder / rows[0]["dseg"]
    return found


@pytest.fixture(scope="module")
def segmented(visit, tmp_path_factory):
    """Return the folder with everything that the command writes for two scans."""
    out = tmp_path_factory.mktemp("segmented")
    words = ["-o", str(out / "dseg.nii.gz"), "--threads", "1"]
    for option, name in (
        ("posteriors", "p.nii.gz"),
        ("uncertainty", "u.nii.gz"),
        ("volumes", "v.tsv"),
        ("qc", "q.tsv"),
    ):
        words += [f"--{option}", str(out / name)]
    assert main(["segment", str(visit["T1w"]), str(visit["T2w"]), *words]) == 0
    return out


def dice(a, b, labels):
    """Mean Dice over labels."""
    return np.mean([2 * np.sum((a == n) & (b == n)) / (np.sum(a == n) + np.sum(b == n)) for n in labels])


def test_labels_are_near_the_truth(visit, segmented):
    found, truth = load_labels(segmented / "dseg.nii.gz"), load_labels(visit["dseg"])
    reference = load_image(visit["T1w"])
    assert found.shape == reference.shape
    np.testing.assert_allclose(found.affine, reference.affine, atol=1e-4)
    np.testing.assert_allclose(truth.affine, reference.affine, atol=1e-4)
    assert dice(found.data, truth.data, LABELS[1:]) > 0.7
    assert dice(found.data, truth.data, (2, 41)) > 0.7
    assert dice(found.data, truth.data, (3, 42)) > 0.7


def test_posteriors_uncertainty_and_tables_agree_with_the_labels(segmented):
    labels = load_labels(segmented / "dseg.nii.gz")
    posteriors = np.asanyarray(nib.load(segmented / "p.nii.gz").dataobj)
    np.testing.assert_allclose(posteriors.sum(axis=-1), 1, atol=0.02)
    assert np.mean(np.array(LABELS)[posteriors.argmax(axis=-1)] == labels.data) > 0.999
    uncertainty = load_image(segmented / "u.nii.gz").data
    assert uncertainty.min() >= 0
    assert uncertainty.max() <= 1
    assert uncertainty[posteriors.max(axis=-1) < 0.5].mean() > uncertainty[labels.data == 2].mean()
    volumes = pd.read_csv(segmented / "v.tsv", sep="\t").set_index("label")["volume_mm3"]
    for label in LABELS[1:]:
        counted = np.count_nonzero(labels.data == label) * labels.voxel_volume_mm3
        assert volumes[label] == pytest.approx(counted, rel=1e-3)
    assert set(pd.read_csv(segmented / "q.tsv", sep="\t")["flag"]) <= {0, 1}


def test_default_weights_are_calibrated_and_the_tables_say_so(segmented):
    """New weights need `python benchmarks/calibrate.py`, or this fails."""
    assert load_segmenter(default_weights()).calibration is not None
    table = pd.read_csv(segmented / "v.tsv", sep="\t")
    columns = ["label", "structure", "volume_mm3", "volume_posterior_mm3", "volume_ci_low", "volume_ci_high"]
    assert list(table.columns) == columns
    assert (table["volume_ci_low"] < table["volume_ci_high"]).all()
    assert (
        table["volume_posterior_mm3"]
        .between(0.7 * table["volume_ci_low"], 1.4 * table["volume_ci_high"])
        .all()
    )
    qc = pd.read_csv(segmented / "q.tsv", sep="\t")
    predicted = qc[qc["metric"] == "predicted_dice"]
    assert len(predicted) == len(LABELS)
    assert predicted["value"].between(0.5, 1).all()
    sidecar = json.loads((segmented / "dseg.json").read_text(encoding="utf-8"))
    assert sidecar["Uncertainty"].startswith("probability that the label of a voxel is wrong")


def test_the_documented_example_gives_what_the_command_gives(visit, segmented, tmp_path, monkeypatch, root):
    """Every block of docs/python.md runs as it stands, in a folder with the scans that it names."""
    (tmp_path / "scans").mkdir()
    for source, name in (("T1w", "t1.nii.gz"), ("T2w", "t2.nii.gz"), ("T1w", "scans/t1.nii.gz")):
        shutil.copy(visit[source], tmp_path / name)
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", (root / "docs/python.md").read_text(), flags=re.DOTALL):
        exec(compile(block, "docs/python.md", "exec"), names)  # our own page
    result = names["result"]
    command = load_labels(segmented / "dseg.nii.gz")
    np.testing.assert_array_equal(result.labels.data, command.data)
    np.testing.assert_array_equal(load_labels(tmp_path / "dseg.nii.gz").data, command.data)
    table = pd.read_csv(segmented / "v.tsv", sep="\t").set_index("label")
    pd.testing.assert_frame_equal(result.volumes, table, rtol=1e-4, check_dtype=False)
    assert list(result.qc["flag"]) == list(pd.read_csv(segmented / "q.tsv", sep="\t")["flag"])
    assert result.uncertainty.data.max() <= 1
    assert Image.open(tmp_path / "outlines.png").size[0] == result.plot().size[0] > 500
    assert (tmp_path / "scans" / "t1_volumes.tsv").is_file()


def test_fuller_labels_divide_the_same_labels(visit, segmented, tmp_path):
    """Merged again they are the 22 labels; basal ganglia and cerebellum have all of their parts."""
    fuller, mask, volumes = tmp_path / "f.nii.gz", tmp_path / "m.nii.gz", tmp_path / "v.tsv"
    words = ["-o", str(fuller), "--mask", str(mask), "--volumes", str(volumes), "--threads", "1"]
    assert main(["segment", str(visit["T1w"]), str(visit["T2w"]), "--labels", "fuller", *words]) == 0
    parts, whole = load_labels(fuller), load_labels(segmented / "dseg.nii.gz")
    vermis = parts.data == 172
    merged = merge_labels(parts.data, parts.affine)
    np.testing.assert_array_equal(merged[~vermis], whole.data[~vermis])
    assert np.isin(whole.data[vermis], (8, 47)).all()
    assert {12, 13, 26, 51, 52, 58, 7, 46, 14, 15, 24} <= set(np.unique(parts.data).tolist())
    np.testing.assert_array_equal(load_labels(mask).data > 0, parts.data > 0)
    table = pd.read_csv(volumes, sep="\t").set_index("label")["volume_posterior_mm3"]
    plain = pd.read_csv(segmented / "v.tsv", sep="\t").set_index("label")["volume_posterior_mm3"]
    assert table[[12, 13, 26]].sum() == pytest.approx(plain[169], rel=1e-4)
    assert table[12] > table[13] > table[26] > 0


def test_a_mask_needs_the_fuller_labels(visit, tmp_path, capsys):
    words = ["-o", str(tmp_path / "d.nii.gz"), "--mask", str(tmp_path / "m.nii.gz")]
    assert main(["segment", str(visit["T1w"]), *words]) == 2
    assert "--labels fuller" in capsys.readouterr().err


def test_order_of_scans_does_not_matter(visit, rng):
    """Bit for bit, with a scan among them that is poorer than the others, whatever they are called."""
    segmenter = load_segmenter(default_weights(), device="cpu", precision="fp32")
    torch.set_num_threads(1)
    images = [load_image(visit[name]) for name in ("T1w", "T2w")]
    grid, noise = images[0], rng.rayleigh(0.1 * images[0].data.max(), images[0].shape)
    images.append(grid.with_data((grid.data + noise).astype(np.float32)))
    one, other = (
        segment_visit(
            segmenter,
            [Scan(name, images[i], np.eye(4)) for name, i in zip("abc", order, strict=True)],
            grid.shape,
            grid.affine,
            flip=False,
        )
        for order in ((0, 1, 2), (2, 0, 1))
    )
    assert torch.equal(one.posteriors.here, other.posteriors.here)
    assert one.together.volumes_mm3 == other.together.volumes_mm3
    np.testing.assert_array_equal(one.together.labels.data, other.together.labels.data)
    np.testing.assert_array_equal(one.together.uncertainty.data, other.together.uncertainty.data)
    assert one.left_out == other.left_out == ()


def test_noise_among_scans_is_named_and_changes_nothing(visit, segmented, tmp_path, capsys, rng):
    """Even as the first one, on whose grid the labels lie."""
    grid = load_image(visit["T1w"])
    save_image(grid.with_data(rng.rayleigh(100, grid.shape).astype(np.float32)), tmp_path / "noise.nii.gz")
    paths = [tmp_path / "noise.nii.gz", visit["T2w"], visit["T1w"]]
    words = ["-o", str(tmp_path / "dseg.nii.gz"), "--threads", "1"]
    assert main(["segment", *map(str, paths), *words]) == 0
    assert "noise.nii.gz: was left out" in capsys.readouterr().err
    expected = (segmented / "dseg.nii.gz").read_bytes()
    assert (tmp_path / "dseg.nii.gz").read_bytes() == expected


def test_the_same_head_stored_otherwise_gets_the_same_labels(visit, tmp_path):
    """Padded, its axes flipped and permuted, its world rotated: the labels go along, left stays left."""
    model = load_model(threads=1, precision="fp32")
    head = load_image(visit["T1w"])
    expected = segment_files(model, [visit["T1w"]], flip=False).visit.together.labels
    move = np.eye(4)
    move[:3, :3], move[:3, 3] = euler2mat(-0.2, 0.3, 0.1), (31, -17, 12)
    padded = crop_or_pad(head, (-9, -5, -7), [n + 16 for n in head.shape])
    other = reorient(Volume(padded.data, move @ padded.affine), "PSR")
    save_image(other, tmp_path / "other.nii")
    labels = segment_files(model, [tmp_path / "other.nii"], flip=False).visit.together.labels
    there = Volume(padded.data, move @ padded.affine)
    back = crop_or_pad(reorient_like(labels, there), (9, 5, 7), head.shape)
    assert min(dice(back.data, expected.data, [label]) for label in LABELS[1:]) > 0.99


@pytest.mark.parametrize(("axis", "words"), [(1, "backwards"), (2, "upside down")])
def test_a_head_that_lies_otherwise_than_its_header_says_is_segmented_as_it_lies(
    visit, tmp_path, capsys, axis, words
):
    head, truth = (reorient(load_image(visit[name]), "RAS") for name in ("T1w", "dseg"))
    save_image(head.with_data(np.flip(head.data, axis)), tmp_path / "head.nii.gz")
    out = tmp_path / "dseg.nii.gz"
    assert (
        main(["segment", str(tmp_path / "head.nii.gz"), "-o", str(out), "--no-flip", "--threads", "1"]) == 0
    )
    assert f"the head lies {words}" in capsys.readouterr().err
    assert dice(np.flip(load_labels(out).data, axis), truth.data, LABELS[1:]) > 0.65
    assert "uncalibrated" in (tmp_path / out.name.replace(".nii.gz", ".json")).read_text(encoding="utf-8")


def test_a_tilted_head_is_segmented_along_its_own_axes(visit):
    head, truth = load_image(visit["T1w"]), load_labels(visit["dseg"])
    tilted = np.eye(4)
    tilted[:3, :3] = euler2mat(0.6, 0.1, 0.4)
    middle = head.affine @ np.array([*(np.array(head.shape) / 2), 1])
    tilted[:3, 3] = middle[:3] - tilted[:3, :3] @ middle[:3]
    onto = Volume(head.data, tilted @ head.affine)
    image = resample(head, onto.shape, onto.affine, order=1)
    labels = resample(truth, onto.shape, onto.affine, order=0)
    askew = Volume(image.data, head.affine)  # the grid is upright, the head in it is not
    scan = Scan("tilted", askew, np.eye(4))
    found = segment_visit(load_model(threads=1), [scan], head.shape, head.affine, flip=False)
    assert found.facing == "upright"
    assert dice(found.together.labels.data, labels.data, LABELS[1:]) > 0.65


def test_noise_is_refused_or_flagged(tmp_path, capsys):
    noise = np.random.default_rng(0).normal(100, 20, (60, 70, 60)).astype(np.float32)
    path = tmp_path / "noise.nii.gz"
    nib.save(nib.Nifti1Image(noise, np.diag([2.0, 2.0, 2.0, 1.0])), path)
    code = main(["segment", str(path), "-o", str(tmp_path / "dseg.nii.gz"), "--threads", "1"])
    said = capsys.readouterr().err
    assert code == 65 or "flagged" in said
    assert "Traceback" not in said


def test_half_a_brain_is_flagged(visit, tmp_path, capsys):
    image = nib.load(visit["T2w"])
    data = np.asanyarray(image.dataobj).copy()
    right_first = nib.aff2axcodes(image.affine)[0] in "RL"
    assert right_first
    data[: data.shape[0] // 2] = 0
    path = tmp_path / "half.nii.gz"
    nib.save(nib.Nifti1Image(data, image.affine), path)
    code = main(["segment", str(path), "-o", str(tmp_path / "dseg.nii.gz"), "--threads", "1"])
    assert code == 65 or "flagged" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["{text}", "-o", "x.nii.gz"], ["{gone}", "-o", "x.nii.gz"]])
def test_unusable_scans_end_with_65(tmp_path, capsys, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.nii.gz").write_text("no image")
    places = {"text": tmp_path / "text.nii.gz", "gone": tmp_path / "gone.nii.gz"}
    assert main(["segment", *(word.format(**places) for word in words)]) == 65
    said = capsys.readouterr().err
    assert ".nii.gz" in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "x.nii.gz").exists()


def test_an_output_has_to_be_named(visit, capsys):
    assert main(["segment", str(visit["T1w"])]) == 2
    assert "-o" in capsys.readouterr().err


def test_a_real_adult_is_near_its_labels(shared_data, tmp_path):
    folder = shared_data / "adult_t1w"
    words = [
        "segment",
        str(folder / "adult_T1w.nii.gz"),
        "-o",
        str(tmp_path / "dseg.nii.gz"),
        "--threads",
        "1",
    ]
    assert main(words) == 0
    reference = load_labels(folder / "adult_dseg.nii.gz")
    truth = merge_labels(reference.data, reference.affine)
    assert dice(load_labels(tmp_path / "dseg.nii.gz").data, truth, LABELS[1:]) > 0.7
