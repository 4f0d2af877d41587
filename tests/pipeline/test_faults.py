"""Unusable scans, killed tasks and crashes go around the rest, and none of them disappears."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest


def image(path, array, affine=None):
    """Write an array as an image with voxels of 2.5 mm."""
    nib.save(nib.Nifti1Image(array, np.diag([2.5, 2.5, 2.5, 1.0]) if affine is None else affine), path)
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return the folder of the faulty scans."""
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def scans(sheet_rows):
    """Return the paths of the scans of the cohort by child, session and suffix; the first run counts."""
    found: dict[tuple[str, str, str], str] = {}
    for row in sheet_rows:
        found.setdefault((row["participant_id"], row["session_id"], row["suffix"]), row["image"])
    return found


@pytest.fixture(scope="module")
def faulty_rows(place, scans):
    """Return a good visit, one of two children, and one for each fault: nothing that the sheet shows."""
    good = scans["sub-01", "ses-A", "T1w"]
    content = nib.Nifti1Image.from_filename(good)
    data = np.asarray(content.dataobj, dtype=np.float32)
    whole = gzip.decompress(Path(good).read_bytes())
    truncated = place / "truncated.nii.gz"
    truncated.write_bytes(gzip.compress(whole[: len(whole) // 2]))
    text = place / "text.nii.gz"
    text.write_text("this is not an image\n")
    contradictory = nib.Nifti1Image(data, content.affine)
    contradictory.set_qform(np.diag([2.5, 2.5, 2.5, 1.0]), code=1)
    contradictory.set_sform(np.diag([-1.0, 2.5, 4.0, 1.0]), code=1)
    nib.save(contradictory, place / "affine.nii.gz")
    speck = np.zeros((20, 22, 18), dtype=np.float32)
    speck[10, 11, 9] = 100
    faults = {
        "truncated": truncated,
        "text": text,
        "nan": image(place / "nan.nii.gz", np.full((20, 22, 18), np.nan, dtype=np.float32)),
        "zero": image(place / "zero.nii.gz", np.zeros((20, 22, 18), dtype=np.float32)),
        "flat": image(place / "flat.nii.gz", data[:, :, data.shape[2] // 2]),
        "affine": place / "affine.nii.gz",
        "speck": image(place / "speck.nii.gz", speck),
        # The sheet can only be checked for what it says of an address, not for what is found there.
        "missing": "http://127.0.0.1:9/never-there.nii.gz",
    }
    rows = [
        {"participant_id": name, "session_id": "A", "suffix": "T1w", "image": str(path)}
        for name, path in faults.items()
    ]
    empty = image(place / "empty_dseg.nii.gz", np.zeros(content.shape, dtype=np.uint8), content.affine)
    return [
        {"participant_id": "good", "session_id": "A", "suffix": "T1w", "image": good, "dseg": str(empty)},
        # Another child's scan in the visit of this one.
        {
            "participant_id": "mixed",
            "session_id": "A",
            "suffix": "T1w",
            "image": scans["sub-01", "ses-B", "T1w"],
        },
        {
            "participant_id": "mixed",
            "session_id": "A",
            "suffix": "T2w",
            "image": scans["sub-02", "ses-A", "T2w"],
        },
        *rows,
    ]


@pytest.fixture(scope="module")
def faulty(project, place, faulty_rows, write_sheet):
    """Return the run of the faulty cohort, with a score table that names a child who was never scanned."""
    sheet = write_sheet(place / "sheet.csv", faulty_rows)
    scores = place / "scores.tsv"
    scores.write_text("participant_id\tlanguage\ngood\t101\nghost\t99\n")
    return project.run(place, "--input", str(sheet), "--phenotype", str(scores), "--scores", "language")


def rows_of(run, participant):
    """Return the rows of a child in the ledger as dictionaries."""
    return run.ledger().query("participant_id == @participant").to_dict("records")


def test_the_run_ends_well_and_counts_the_failures(faulty, faulty_rows):
    assert faulty.code == 0, faulty.text
    assert len(faulty.ledger()) == len(faulty_rows)
    assert f"Rows of the samplesheet: {len(faulty_rows)}" in faulty.last_lines()
    assert "8 failed" in faulty.last_lines()


@pytest.mark.parametrize("fault", ["truncated", "text", "nan", "zero", "flat", "affine", "speck", "missing"])
def test_each_unusable_scan_is_in_the_ledger_with_step_and_reason(faulty, fault):
    (row,) = rows_of(faulty, fault)
    assert row["status"] == "failed"
    assert row["step"] == "n4"
    assert len(row["reason"]) > 20


def test_the_good_scan_goes_through(faulty):
    (row,) = rows_of(faulty, "good")
    assert row["status"] in {"ok", "flagged"}
    assert (faulty.outdir / "sub-good/ses-A/anat/sub-good_ses-A_desc-volumes_morph.tsv").is_file()


def test_another_childs_scan_is_flagged_or_refused(faulty):
    assert {row["status"] for row in rows_of(faulty, "mixed")} <= {"flagged", "failed"}


def test_the_report_names_what_fell_out_and_the_child_without_scans(faulty):
    page = (faulty.outdir / "report.html").read_text(encoding="utf-8")
    for word in ("truncated", "ghost", "never-there.nii.gz"):
        assert word in page


def test_fail_fast_stops_with_the_reason(project, launch, write_sheet, faulty_rows):
    rows = [row for row in faulty_rows if row["participant_id"] in {"text", "good"}]
    run = project.run(launch, "--input", str(write_sheet(launch / "sheet.csv", rows)), "--fail_fast")
    assert run.code != 0
    assert "sub-text_ses-A_T1w failed in step n4" in run.text
    assert not (run.outdir / "report.html").exists()


def test_killed_tasks_are_retried_with_more_and_then_recorded(project, launch, write_sheet, faulty_rows):
    """N4 is killed once and then comes through; registration is killed on every try."""
    config = launch / "killing.config"
    config.write_text(
        "process {\n"
        "    withName: 'N4' { beforeScript = { task.attempt == 1 ? 'exit 137' : 'true' } }\n"
        "    withName: 'REGISTER' { beforeScript = 'exit 137' }\n"
        "}\n"
    )
    sheet = write_sheet(launch / "sheet.csv", faulty_rows[:1])
    run = project.run(launch, "--input", str(sheet), "-c", str(config))
    assert run.code == 0, run.text
    tries = run.trace().groupby("process")
    assert tries.get_group("N4")["exit"].tolist() == ["137", "0"]
    assert tries.get_group("N4")["memory"].tolist() == ["3 GB", "6 GB"]
    assert tries.get_group("REGISTER")["exit"].tolist() == ["137"] * 3
    (row,) = rows_of(run, "good")
    assert (row["status"], row["step"]) == ("failed", "register")
    assert "killed" in row["reason"]
    assert (run.outdir / "report.html").is_file()
