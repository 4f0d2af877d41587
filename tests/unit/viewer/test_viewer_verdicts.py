"""Verdicts that are given in the viewer, up to the run that obeys them."""

import json

import pandas as pd
import pytest
from walk import undescribed

from babyseg_py.cli import main
from babyseg_py.cohort.records import Record
from babyseg_py.cohort.verdicts import check_verdicts
from babyseg_py.errors import UnusableData
from babyseg_py.viewer.verdicts import LONGEST_NOTE, read_verdicts, save_verdict

HEAD = "participant_id\tsession_id\tverdict\tnote"


def lines(folder):
    return (folder / "qc_verdicts.tsv").read_text().splitlines()


@pytest.mark.parametrize(
    "note", ["", "motion", 'said "no", twice', "'quoted'", "a\tb\nc\x00", "é 脑 🧠", "n, a"]
)
def test_what_is_saved_is_what_the_next_run_reads(tmp_path, note):
    save_verdict(tmp_path, "01", "A", verdict="correct", note=note)
    plain = note.replace("\t", " ").replace("\n", " ").replace("\x00", "")
    said = {"participant_id": "01", "session_id": "A", "verdict": "correct", "note": plain}
    records = [Record(2, "01", "A", "T1w", None, "x")]
    assert check_verdicts(tmp_path / "qc_verdicts.tsv", records) == ([said], [])
    assert read_verdicts(tmp_path) == {("01", "A"): {"verdict": "correct", "note": plain}}
    assert undescribed(tmp_path) == []


def test_others_stay_and_the_own_one_is_replaced(tmp_path):
    old = ["session_id,participant_id,verdict,rater", "ses-A,sub-01,fail,me", "B,02,pass,you", "A,01,pass,me"]
    (tmp_path / "qc_verdicts.tsv").write_text("\n".join(old) + "\n")
    save_verdict(tmp_path, "01", "A", verdict="correct", note="edge")
    assert lines(tmp_path) == [
        "session_id\tparticipant_id\tverdict\trater\tnote",
        "B\t02\tpass\tyou\tn/a",
        "A\t01\tcorrect\tme\tedge",
    ]
    save_verdict(tmp_path, "02", "B", verdict="", note="")
    assert len(lines(tmp_path)) == 2
    save_verdict(tmp_path, "01", "A", verdict="", note="")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("child", "verdict", "note", "words"),
    [
        ("../x", "pass", "", "only letters"),
        ("01", "perhaps", "", "no verdict"),
        ("01", "pass", "x" * (LONGEST_NOTE + 1), "more than"),
    ],
)
def test_nothing_else_can_be_written(tmp_path, child, verdict, note, words):
    with pytest.raises(ValueError, match=words):
        save_verdict(tmp_path, child, "A", verdict=verdict, note=note)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["a\tb\n1\t2\n", f"{HEAD}\n01\tA\tpass\tx\ty\n", f"{HEAD}\n"])
def test_a_table_that_cannot_be_read_is_not_written_over(tmp_path, text):
    (tmp_path / "qc_verdicts.tsv").write_text(text)
    with pytest.raises(UnusableData):
        save_verdict(tmp_path, "01", "A", verdict="pass", note="")
    assert (tmp_path / "qc_verdicts.tsv").read_text() == text


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path):
    (tmp_path / "qc_verdicts.json").mkdir()  # as a folder without permission, also for a superuser
    with pytest.raises(UnusableData, match="could not be written"):
        save_verdict(tmp_path, "01", "A", verdict="pass", note="")
    assert not (tmp_path / "qc_verdicts.tsv").exists()


def test_the_next_run_leaves_a_failed_session_out_of_its_statistics(tmp_path):
    """From the viewer's file through check, tables and statistics."""
    ages = {"A": 1, "B": 6, "C": 12}
    rows = [f"01,{visit},T1w,{age},months,birth,{visit}.nii.gz" for visit, age in ages.items()]
    for visit in ages:
        (tmp_path / f"{visit}.nii.gz").touch()
    sheet = tmp_path / "sheet.csv"
    head = "participant_id,session_id,suffix,age_value,age_unit,age_reference,image"
    sheet.write_text("\n".join([head, *rows]) + "\n")
    for visit, volume in (("A", 100.0), ("B", 200.0), ("C", 900.0)):
        path = tmp_path / "anat" / f"sub-01_ses-{visit}_desc-volumes_morph.tsv"
        path.parent.mkdir(exist_ok=True)
        columns = ["label", "structure", "side", "volume_mm3", "volume_posterior_mm3", "volume_ci_low"]
        table = pd.DataFrame([[17, "Left-Hippocampus", "left", volume, volume, volume]], columns=columns)
        table.assign(volume_ci_high=volume).to_csv(path, sep="\t", index=False)

    def months_used():
        records, cohort = tmp_path / "records.json", tmp_path / "cohort"
        verdicts = tmp_path / "qc_verdicts.tsv"
        words = ["--verdicts", str(verdicts)] if verdicts.exists() else []
        assert main(["check", str(sheet), *words, "-o", str(records)]) == 0
        volumes = ["--volumes", str(tmp_path / "anat"), "--out-dir", str(cohort)]
        assert main(["tables", "--records", str(records), *volumes]) == 0
        tables = ["--tables", str(cohort), "--out-dir", str(cohort)]
        assert main(["statistics", "--records", str(records), *tables]) == 0
        growth = pd.read_csv(cohort / "growth.tsv", sep="\t")
        return growth.loc[growth["structure"] == "Left-Hippocampus", "n_visits"].tolist(), json.loads(
            records.read_text()
        )["verdicts"]

    assert months_used() == ([3, 3], [])
    save_verdict(tmp_path, "01", "C", verdict="fail", note="ghosts")
    used, verdicts = months_used()
    assert used == [2, 2]
    assert verdicts[0]["note"] == "ghosts"
    save_verdict(tmp_path, "01", "C", verdict="pass", note="looked again")
    assert months_used()[0] == [3, 3]
