import json
import shutil

import numpy as np
import pandas as pd
import pytest

from babyseg_py.cli import main
from babyseg_py.statistics.files import read_table

NAMES = ["volumes", "volumes_wide", "scanvolumes", "asymmetry", "qc", "surfacedistance"]
FACTS = [
    "participant_id",
    "session_id",
    "age_days",
    "age_reference",
    "age_months",
    "age_weeks_pma",
    "sex",
    "site",
    "group",
]


@pytest.fixture
def files(simulated, tmp_path):
    """Return a cohort of three children whose tables are not gathered yet."""
    return simulated(tmp_path / "a folder", children=3)


def test_every_table_and_its_dictionary(cohort):
    for name in NAMES:
        table = read_table(cohort.folder / "cohort" / f"{name}.tsv")
        assert list(table.columns[: len(FACTS)]) == FACTS
        assert len(table)
        assert table[["participant_id", "session_id"]].equals(
            table[["participant_id", "session_id"]].sort_values(
                ["participant_id", "session_id"], kind="stable"
            )
        )
        words = json.loads((cohort.folder / "cohort" / f"{name}.json").read_text())
        assert list(words) == list(table.columns)
        assert all(column["Description"] for column in words.values())


def test_numbers_arrive_where_they_belong(cohort):
    source = read_table(cohort.folder / "anat" / "sub-007_ses-B_desc-volumes_morph.tsv")
    volumes = read_table(cohort.folder / "cohort" / "volumes.tsv").set_index(["participant_id", "session_id"])
    own = volumes.loc[("007", "B")]
    assert own["structure"].tolist() == source["structure"].tolist()
    np.testing.assert_allclose(own["volume_mm3"], source["volume_mm3"], rtol=1e-9)
    records = pd.DataFrame(json.loads(cohort.records.read_text())["records"])
    age = records[(records["participant_id"] == "007") & (records["session_id"] == "B")]["age_days"].iloc[0]
    np.testing.assert_allclose(own["age_months"], age / 30.4375, rtol=1e-9)
    assert own["age_weeks_pma"].isna().all()
    assert set(own["site"]) == {"B"}
    wide = read_table(cohort.folder / "cohort" / "volumes_wide.tsv")
    assert len(wide) == 120


def test_scans_know_their_run_and_contrast(cohort):
    scans = read_table(cohort.folder / "cohort" / "scanvolumes.tsv").drop_duplicates("scan").set_index("scan")
    assert scans.loc["run-2_T1w", ["run", "suffix"]].tolist() == [2, "T1w"]
    assert np.isnan(scans.loc["T2w", "run"])


def test_participants_as_bids_has_them(cohort):
    table = read_table(cohort.folder / "participants.tsv")
    expected = {"participant_id": "sub-001", "sex": "F", "site": "B"}
    expected |= {"n_visits": "3", "n_scans": "7", "n_visits_with_volumes": "3"}
    assert table.iloc[1].dropna().to_dict() == expected
    assert list(json.loads((cohort.folder / "participants.json").read_text())) == list(table.columns)


def test_without_any_input_every_table_is_its_header(files):
    out = files.folder / "none"
    assert main(["tables", "--records", str(files.records), "--volumes", "--qc", "--out-dir", str(out)]) == 0
    for name in NAMES:
        assert read_table(out / f"{name}.tsv").empty
    table = read_table(files.folder / "participants.tsv")
    assert table["n_visits_with_volumes"].tolist() == ["0", "0", "0"]


def test_order_of_files_and_a_second_run_do_not_change_a_byte(files):
    def written():
        return {path.name: path.read_bytes() for path in sorted((files.folder / "cohort").iterdir())}

    assert main(files.tables()) == 0
    first = written()
    each = [
        str(path) for path in sorted((files.folder / "anat").glob("*_desc-volumes_morph.tsv"), reverse=True)
    ]
    words = files.tables()
    position = words.index("--volumes") + 1
    assert main([*words[:position], *each, *words[position + 1 :]]) == 0
    assert written() == first


def test_participants_go_where_they_are_asked_to(files):
    assert main(files.tables("--participants", str(files.folder / "other.tsv"))) == 0
    assert (files.folder / "other.tsv").exists()
    assert not (files.folder / "participants.tsv").exists()


def break_truncated(anat):
    path = anat / "sub-001_ses-A_desc-volumes_morph.tsv"
    path.write_text(path.read_text()[:-30])


def break_column(anat):
    path = anat / "sub-001_ses-A_desc-segmentation_qc.tsv"
    path.write_text(path.read_text().replace("message", "massage"))


def break_visit(anat):
    shutil.copy(anat / "sub-001_ses-A_desc-volumes_morph.tsv", anat / "sub-9_ses-A_desc-volumes_morph.tsv")


def break_twice(anat):
    (anat / "again").mkdir()
    shutil.copy(anat / "sub-001_ses-A_desc-volumes_morph.tsv", anat / "again")


def break_number(anat):
    path = anat / "sub-001_ses-A_desc-volumes_morph.tsv"
    path.write_text(path.read_text().replace("\t16\t", "\tsixteen\t"))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (break_truncated, "has"),
        (break_column, "has no column message"),
        (break_visit, "sub-9 ses-A is not in the samplesheet"),
        (break_twice, "is of the same visit as"),
        (break_number, "column label"),
    ],
)
def test_a_damaged_table_is_said_in_one_line(files, damage, words, capsys):
    damage(files.folder / "anat")
    assert main(files.tables()) == 65
    message = capsys.readouterr().err
    assert words in message
    assert message.count("\n") == 1
    assert not (files.folder / "cohort").exists()


def test_a_name_that_says_no_visit_is_refused(files, capsys):
    words = [
        "tables",
        "--records",
        str(files.records),
        "--qc",
        str(files.records),
        "--out-dir",
        str(files.folder),
    ]
    assert main(words) == 65
    assert "does not say which visit" in capsys.readouterr().err
