"""A tiny BIDS dataset read as input."""

import json
from pathlib import Path

import pytest

from babyseg_py.cohort.bids_input import read_bids
from babyseg_py.errors import UnusableData


class Dataset:
    """Writes the files of a BIDS dataset."""

    def __init__(self, root: Path):
        self.root = root
        self.text("dataset_description.json", '{"Name": "tiny", "BIDSVersion": "1.9.0"}')

    def text(self, name: str, content: str = "") -> None:
        """Write a file of the dataset."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")

    def images(self, *names: str) -> None:
        """Make an image for each name, in the folder that the name belongs to."""
        for name in names:
            folders = [part for part in name.split("_") if part.startswith(("sub-", "ses-"))]
            self.text("/".join([*folders, "anat", f"{name}.nii.gz"]))

    def read(self):
        """Return records, errors and doubts."""
        records, problems = read_bids(self.root)
        return records, [p for p in problems if not p.doubt], [p for p in problems if p.doubt]


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    return Dataset(tmp_path / "a dataset")


def test_all_runs_contrasts_and_sessions_in_order(dataset):
    dataset.images(
        "sub-01_ses-10_T1w", "sub-01_ses-2_T1w", "sub-01_ses-2_run-02_T2w", "sub-01_ses-2_run-01_T2w",
        "sub-02_ses-2_acq-mprage_FLAIR",
    )  # fmt: skip
    records, errors, doubts = dataset.read()
    assert [record.scan_id for record in records] == [
        "sub-01_ses-2_T1w", "sub-01_ses-2_run-1_T2w", "sub-01_ses-2_run-2_T2w", "sub-01_ses-10_T1w",
        "sub-02_ses-2_FLAIR",
    ]  # fmt: skip
    assert [record.row for record in records] == [2, 3, 4, 5, 6]
    assert all(Path(record.image).is_file() for record in records)
    assert errors == doubts == []


def test_what_is_no_scan_is_left_out(dataset):
    dataset.images(
        "sub-01_ses-A_T1w", "sub-01_ses-A_mod-T1w_defacemask", "sub-01_ses-A_dseg",
        "sub-01_ses-A_part-phase_MEGRE",
    )  # fmt: skip
    dataset.text("sub-01/ses-A/func/sub-01_ses-A_task-rest_bold.nii.gz")
    dataset.text("derivatives/x/sub-01/ses-A/anat/sub-01_ses-A_desc-x_T1w.nii.gz")
    dataset.text("sourcedata/sub-01/ses-A/anat/sub-01_ses-A_T1w.nii.gz")
    dataset.text("sub-01/ses-A/anat/sub-01_ses-A_T1w.json", "{}")
    assert [record.scan_id for record in dataset.read()[0]] == ["sub-01_ses-A_T1w"]


def test_a_child_without_sessions_has_one(dataset):
    dataset.images("sub-01_T1w")
    assert dataset.read()[0][0].scan_id == "sub-01_ses-01_T1w"


def test_images_told_apart_by_other_entities_become_runs(dataset):
    dataset.images("sub-01_ses-A_acq-b_T1w", "sub-01_ses-A_acq-a_run-1_T1w", "sub-01_ses-A_acq-b_run-1_T1w")
    records, errors, doubts = dataset.read()
    assert [(record.run, Path(record.image).name) for record in records] == [
        (1, "sub-01_ses-A_acq-a_run-1_T1w.nii.gz"),
        (2, "sub-01_ses-A_acq-b_T1w.nii.gz"),
        (3, "sub-01_ses-A_acq-b_run-1_T1w.nii.gz"),
    ]
    assert errors == []
    assert "3 images" in doubts[0].message


def test_ages_and_sex_from_both_tables(dataset):
    dataset.images("sub-01_ses-A_T1w", "sub-01_ses-B_T1w", "sub-02_ses-A_T1w", "sub-03_ses-A_T1w")
    dataset.text(
        "participants.tsv",
        "participant_id\tage\tsex\tsite\nsub-01\t99\tF\tX\nsub-02\t0.5\tmale\tn/a\nsub-03\tn/a\tn/a\tn/a\n",
    )
    dataset.text("participants.json", json.dumps({"age": {"Units": "year"}}))
    dataset.text("sub-01/sub-01_sessions.tsv", "session_id\tage\nses-A\t6\nses-B\t12.5\n")
    dataset.text("sub-01/sub-01_sessions.json", json.dumps({"age": {"Units": "Months"}}))
    records, errors, doubts = dataset.read()
    assert errors == doubts == []
    assert [str(record.age) for record in records] == [
        "6 months from birth", "12.5 months from birth", "0.5 years from birth", "None",
    ]  # fmt: skip
    assert [record.sex for record in records] == ["F", "F", "M", None]
    assert records[0].site == "X"


@pytest.mark.parametrize(
    ("column", "sidecar", "age"),
    [
        ("age", {}, "2 years from birth"),
        (
            "age",
            {"age": {"Units": "weeks", "Description": "Postmenstrual age at scan"}},
            "2 weeks from conception",
        ),
        ("age_months", {}, "2 months from birth"),
        ("scan_age", {}, "2 weeks from conception"),
        ("postmenstrual_age_days", {}, "2 days from conception"),
        ("age", {"age": {"Units": "months (corrected)"}}, "2 months from birth"),
        ("age", {"age": {"Units": "Months since birth"}}, "2 months from birth"),
        ("age", {"age": {"Units": "day(s)"}}, "2 days from birth"),
        ("age", {"age": {"Units": "mo."}}, "2 months from birth"),
        ("age", {"age": {"Units": "gestational weeks"}}, "2 weeks from conception"),
        ("scan_age", {"scan_age": {"Units": "days PMA"}}, "2 days from conception"),
    ],
)
def test_unit_and_reference_of_ages(dataset, column, sidecar, age):
    dataset.images("sub-01_ses-A_T1w")
    dataset.text("sub-01/sub-01_sessions.tsv", f"session_id\t{column}\nA\t2\n")
    dataset.text("sessions.json", json.dumps(sidecar))
    records, errors, _ = dataset.read()
    assert errors == []
    assert str(records[0].age) == age


@pytest.mark.parametrize("units", ["quarters", "months or years", "?"])
def test_units_that_are_stated_and_not_understood_are_an_error(dataset, units):
    dataset.images("sub-01_ses-A_T1w")
    dataset.text("sub-01/sub-01_sessions.tsv", "session_id\tage\nA\t40\n")
    dataset.text("sessions.json", json.dumps({"age": {"Units": units}}))
    records, errors, doubts = dataset.read()
    assert records[0].age is None
    assert f"{units!r}, are not days, weeks, months or years" in errors[0].message
    assert doubts == []


def test_columns_in_capitals_are_told(dataset):
    dataset.images("sub-01_ses-A_T1w")
    dataset.text("participants.tsv", "participant_id\tAge\tSex\tIQ\nsub-01\t1\tF\t100\n")
    _, errors, doubts = dataset.read()
    assert errors == []
    assert [doubt.column for doubt in doubts] == ["Age", "Sex"]
    assert "small letters: age" in doubts[0].message


def test_participants_by_session(dataset):
    dataset.images("sub-01_ses-A_T1w", "sub-01_ses-B_T1w")
    text = "participant_id\tsession_id\tage_months\tsex\nsub-01\tses-A\t1\tF\nsub-01\tses-B\t7\tF\n"
    dataset.text("participants.tsv", text)
    records, errors, doubts = dataset.read()
    assert errors == doubts == []
    assert [record.age.value for record in records] == [1, 7]


def test_one_age_cannot_be_that_of_two_visits(dataset):
    dataset.images("sub-01_ses-A_T1w", "sub-01_ses-B_T1w")
    dataset.text("participants.tsv", "participant_id\tage\nsub-01\t2\n")
    records, errors, doubts = dataset.read()
    assert [record.age for record in records] == [None, None]
    assert errors == []
    assert [doubt.column for doubt in doubts] == ["age", "age"]
    assert any("several visits" in doubt.message for doubt in doubts)


def test_children_and_visits_without_images_are_told(dataset):
    dataset.images("sub-01_ses-A_T1w")
    dataset.text("participants.tsv", "participant_id\tsex\nsub-01\tF\nsub-02\tM\nsub-03\tF\n")
    dataset.text("sub-01/sub-01_sessions.tsv", "session_id\tage_months\nses-A\t1\nses-10\t9\nses-2\t4\n")
    records, errors, doubts = dataset.read()
    assert len(records) == 1
    assert errors == []
    assert {(doubt.file, doubt.message) for doubt in doubts} == {
        ("participants.tsv", "there is no image of sub-02, sub-03"),
        ("sub-01/sub-01_sessions.tsv", "there is no image of ses-2, ses-10"),
    }


def test_images_beside_the_sessions_of_a_child_are_told(dataset):
    """They are taken as of session 01, which may hold others; a child without any session is nothing odd."""
    dataset.images("sub-01_T1w", "sub-01_ses-01_T1w", "sub-01_ses-02_T1w", "sub-02_T1w")
    records, errors, doubts = dataset.read()
    assert [record.visit_id for record in records].count("sub-01_ses-01") == 2
    assert errors == []
    told = [doubt for doubt in doubts if "lie beside" in doubt.message]
    assert [doubt.file for doubt in told] == ["sub-01/anat/sub-01_T1w.nii.gz"]


def test_faults_name_their_file(dataset):
    dataset.images("sub-01_ses-A_T1w", "sub-01_ses-B_T1w")
    dataset.text("sub-01/ses-A/anat/sub-02_ses-A_T1w.nii.gz")
    dataset.text("participants.tsv", "participant_id\tsex\nsub-01\tX\nsub-01\tF\nsub-0 2\tF\n")
    dataset.text("sub-01/sub-01_sessions.tsv", "session_id\tage_months\nses-A\t6\nses-B\t5\n")
    _, errors, _ = dataset.read()
    assert [(error.file, error.row, error.column) for error in errors] == [
        ("participants.tsv", 2, "sex"),
        ("participants.tsv", 3, "participant_id"),
        ("participants.tsv", 4, "participant_id"),
        ("sub-01/ses-A/anat/sub-02_ses-A_T1w.nii.gz", None, None),
        ("sub-01/ses-B/anat/sub-01_ses-B_T1w.nii.gz", None, None),
    ]
    assert "sub-01/ses-A/anat/sub-01_ses-A_T1w.nii.gz" in errors[-1].message


def test_broken_data_dictionary_is_a_fault(dataset):
    dataset.images("sub-01_ses-A_T1w")
    dataset.text("participants.tsv", "participant_id\tage\nsub-01\t2\n")
    dataset.text("participants.json", "{")
    assert "participants.json cannot be read" in dataset.read()[1][0].message


def test_no_dataset(tmp_path):
    with pytest.raises(UnusableData, match="no such folder"):
        read_bids(tmp_path / "none")
    with pytest.raises(UnusableData, match="no image"):
        read_bids(tmp_path)
