"""The demo cohort: what is written, and that its truth is true."""

import csv
import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from babyseg_py.cli import main
from babyseg_py.cohort.raters import check_raters
from babyseg_py.cohort.samplesheet import read_samplesheet
from babyseg_py.errors import UnusableData
from babyseg_py.images import load_image, load_labels
from babyseg_py.labels import BRAIN_LABELS
from babyseg_py.synthesis.digital_infant import load_model
from babyseg_py.synthesis.digital_infant_cohort import (
    NULL_SCORES,
    PLANTED_SCORE,
    VISIT_SD,
    draw_scores,
    draw_visit_scores,
    plan_cohort,
    relative_volume,
)
from babyseg_py.synthesis.digital_infant_raters import rate


def write(folder, *options):
    return main(["demo-data", str(folder), "--children", "6", "--spacing", "4", "--threads", "1", *options])


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo data")
    assert write(folder) == 0
    return folder


@pytest.fixture(scope="module")
def sheet(cohort):
    return pd.read_csv(cohort / "samplesheet.csv", dtype=str, keep_default_na=False)


def test_the_sheet_has_no_errors_and_names_every_file(cohort, sheet):
    records, problems = read_samplesheet(cohort / "samplesheet.csv")
    assert problems == []
    assert len(records) == len(sheet) == 6 * 2 * 2 + 4
    written = {path.relative_to(cohort).as_posix() for path in cohort.glob("sub-*/**/*.nii.gz")}
    assert written == set(sheet["image"])
    assert set(sheet["suffix"]) == {"T1w", "T2w"}


def test_one_file_is_corrupt_and_the_others_are_not(cohort, sheet):
    unusable = []
    for image in sheet["image"]:
        try:
            load_image(cohort / image)
        except UnusableData:
            unusable.append(image)
    assert unusable == ["sub-06/ses-B/anat/sub-06_ses-B_run-2_T2w.nii.gz"]


def test_reference_volumes_agree_with_reference_segmentations(cohort, sheet):
    volumes = pd.read_csv(cohort / "reference_volumes.tsv", sep="\t", dtype={"participant_id": str})
    assert len(volumes) == 12 * 22
    brain = volumes[volumes["structure"] == "Total-Brain-Volume"]
    assert brain["volume_mm3"].between(3e5, 1.3e6).all()
    truth = sheet[sheet["dseg"] != ""].drop_duplicates("dseg")
    assert len(truth) == 4
    for row in truth.itertuples():
        labels = load_labels(cohort / row.dseg)
        assert set(np.unique(labels.data)) <= {0, *BRAIN_LABELS}
        image = nib.load(cohort / row.image)
        np.testing.assert_allclose(labels.affine, image.affine, atol=1e-4)
        same = (volumes["participant_id"] == row.participant_id.removeprefix("sub-")) & (
            volumes["session_id"] == row.session_id.removeprefix("ses-")
        )
        for number in (2, 3):
            true = volumes[same & (volumes["label"] == number)]["volume_mm3"].item()
            counted = (labels.data == number).sum() * labels.voxel_volume_mm3
            assert counted == pytest.approx(true, rel=0.06)


def test_brains_grow_between_visits(cohort):
    volumes = pd.read_csv(cohort / "reference_volumes.tsv", sep="\t", dtype={"participant_id": str})
    brain = volumes[volumes["structure"] == "Total-Brain-Volume"].pivot_table(
        index="participant_id", columns="session_id", values="volume_mm3"
    )
    assert (brain["B"] > 1.05 * brain["A"]).all()


def test_scores_belong_to_the_children_of_the_sheet(cohort, sheet):
    with (cohort / "scores.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    visits = sheet.drop_duplicates(["participant_id", "session_id"])
    assert [row["participant_id"] for row in rows] == visits["participant_id"].tolist()
    assert [row["session_id"] for row in rows] == visits["session_id"].tolist()
    planted = json.loads((cohort / "planted.json").read_text(encoding="utf-8"))
    (effect,) = planted["associations"]
    assert effect["structure"] == "Left-Hippocampus"
    assert {effect["score"], *planted["null_scores"], "participant_id", "session_id"} == set(rows[0])


def test_raters_differ_from_the_truth_as_much_as_is_planted(cohort):
    records, _ = read_samplesheet(cohort / "samplesheet.csv")
    ratings, problems = check_raters(cohort / "raters.tsv", records)
    assert problems == []
    assert len(ratings) == 3 * 5
    planted = json.loads((cohort / "planted.json").read_text(encoding="utf-8"))["raters"]
    truth = load_labels(cohort / "truth" / "sub-01_ses-B_dseg.nii.gz").data
    wrong = {}
    for one in ratings[:3]:
        labels = load_labels(one["dseg"]).data
        assert set(np.unique(labels)) <= {0, *BRAIN_LABELS}
        wrong[one["rater"]] = (labels != truth)[truth > 0].mean()
    order = sorted(planted, key=lambda one: one["error_mm"])
    shares = [wrong[one["rater"]] for one in order]  # below half a voxel, here of 4 mm, nothing moves
    assert 0 <= shares[0] < shares[1] < shares[2] < 0.4


def test_outlines_that_are_not_off_are_the_truth(cohort, rng):
    truth = load_labels(cohort / "truth" / "sub-01_ses-B_dseg.nii.gz")
    assert (rate(truth, 0.0, rng).data == truth.data).all()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(cohort, tmp_path):
    options = ("--children", "1", "--visits", "1")
    assert write(tmp_path / "one", *options) == 0
    assert write(tmp_path / "two", *options, "--seed", "2") == 0
    first, other = (
        (tmp_path / name / "sub-01/ses-A/anat/sub-01_ses-A_T1w.nii.gz").read_bytes()
        for name in ("one", "two")
    )
    assert first != other
    assert write(tmp_path / "two", *options) == 0
    assert (tmp_path / "two/sub-01/ses-A/anat/sub-01_ses-A_T1w.nii.gz").read_bytes() == first


def test_the_planted_association_is_strong_and_the_others_are_chance():
    model = load_model()
    cohort = plan_cohort(model, children=40)
    scores = draw_scores(cohort)
    at_visits = draw_visit_scores(cohort)
    size = [relative_volume(one.child) for one in cohort]
    assert np.corrcoef(size, scores[PLANTED_SCORE])[0, 1] > 0.85
    for name, values in scores.items():
        away = np.concatenate([own - value for own, value in zip(at_visits[name], values, strict=True)])
        assert (away.size, np.std(away)) == (80, pytest.approx(VISIT_SD, rel=0.25))
    for name in NULL_SCORES:
        assert abs(np.corrcoef(size, scores[name])[0, 1]) < 0.45
    assert 0.12 < np.std(size) < 0.22


def test_the_default_plan_is_the_one_the_documents_describe():
    cohort = plan_cohort(load_model(), children=12)
    visits = [visit for child in cohort for visit in child.visits]
    scans = [scan for visit in visits for scan in visit.scans]
    assert (len(visits), len(scans), sum(scan.corrupt for scan in scans)) == (24, 53, 1)
    assert sum(visit.with_head for visit in visits) == 12
    assert [child.group for child in cohort].count("case") == 5
    assert sum(visit.with_raters for visit in visits) == 6
    assert all(child.visits[0].age_months < child.visits[1].age_months for child in cohort)


@pytest.mark.parametrize("option", [("--children", "0"), ("--visits", "9"), ("--spacing", "0.1")])
def test_options_that_mean_nothing_are_usage_errors(tmp_path, option, capsys):
    assert main(["demo-data", str(tmp_path / "x"), *option]) == 2
    assert option[0] in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "name", ["samplesheet.csv", "scores.tsv", "planted.json", "sub-01/ses-A/anat/sub-01_ses-A_T1w.nii.gz"]
)
def test_what_it_did_not_make_is_not_written_over(tmp_path, capsys, name):
    own = tmp_path / name
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text("{}")
    assert write(tmp_path, "--children", "1") == 2
    assert f"{own}: is there already, and no demo cohort" in capsys.readouterr().err
    assert own.read_text() == "{}"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [own]


def test_a_cohort_that_was_interrupted_is_gone_on_with(tmp_path):
    """Whatever of it is there: what was planted is written before everything else."""
    words = (tmp_path, "--children", "1", "--visits", "1")
    assert write(*words) == 0
    whole = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    first = min(whole, key=lambda path: path.stat().st_mtime_ns)
    assert first.name == "planted.json"
    (tmp_path / "samplesheet.csv").unlink()
    assert write(*words) == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == whole
