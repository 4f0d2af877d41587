"""Two children from the sheet to the report: files, numbers and words."""

import re
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from walk import undescribed

from babyseg_py.cli import main
from babyseg_py.labels.fuller import fuller_structures
from babyseg_py.labels.table import LABELS
from babyseg_py.models.default import default_weights
from babyseg_py.models.weights import load_weights


def read(path):
    """Read a table of the run."""
    return pd.read_csv(
        path, sep="\t", na_values=["n/a"], dtype={"participant_id": str, "session_id": str, "run": str}
    )


def load(path):
    """Read an image."""
    return nib.Nifti1Image.from_filename(path)


def anat(cohort, visit):
    """Return the folder of a visit, e.g. of ``sub-01_ses-A``."""
    child, session = visit.split("_")
    return cohort.run.outdir / child / session / "anat"


def visits(cohort):
    """Return the visits of the sheet."""
    return sorted({f"{row['participant_id']}_{row['session_id']}" for row in cohort.rows})


def stem(row):
    """Return the start of every name that belongs to a row."""
    run = f"_run-{row['run']}" if row.get("run") else ""
    return f"{row['participant_id']}_{row['session_id']}{run}"


def test_the_run_ends_well_and_says_so(cohort):
    assert cohort.run.code == 0, cohort.run.text
    lines = cohort.run.last_lines()
    assert f"Rows of the samplesheet: {len(cohort.rows)}" in lines
    assert str(cohort.run.outdir / "report.html") in lines


def test_an_interrupted_run_goes_on_where_it_was(cohort):
    assert cohort.interrupted.code != 0
    assert any(process == "N4" for process, _tag in cohort.finished)
    assert not cohort.finished & cohort.run.computed()


def test_one_row_of_the_ledger_for_each_of_the_sheet(cohort):
    ledger = cohort.run.ledger()
    assert len(ledger) == len(cohort.rows)
    assert set(ledger["status"]) <= {"ok", "flagged"}
    assert ledger["row"].tolist() == [str(number) for number in range(2, len(cohort.rows) + 2)]


def test_every_file_of_the_contract_is_there(cohort):
    top = cohort.run.outdir
    for name in ("dataset_description.json", "participants.tsv", "ledger.tsv", "report.html", ".bidsignore"):
        assert (top / name).is_file(), name
    for name in ("volumes", "qc", "reliability", "growth", "associations", "parts", "parts_growth"):
        assert (top / "cohort" / f"{name}.tsv").is_file(), name
    for name in ("execution_report.html", "execution_timeline.html", "execution_trace.txt",
                 "execution_dag.html", "software_versions.json", "parameters.json"):  # fmt: skip
        assert (top / "pipeline_info" / name).is_file(), name
    for visit in visits(cohort):
        for ending in ("space-session_desc-babyseg_dseg.nii.gz", "space-session_desc-babyseg_dseg.json",
                       "space-session_desc-uncertainty_map.nii.gz", "desc-volumes_morph.tsv",
                       "desc-surfacedistance_qc.tsv", "desc-segmentation_qc.tsv",
                       "space-session_desc-fuller_dseg.nii.gz", "space-session_desc-brain_mask.nii.gz",
                       "desc-fuller_morph.tsv", "desc-toscale_snapshot.png"):  # fmt: skip
            assert (anat(cohort, visit) / f"{visit}_{ending}").is_file(), ending
    for row in cohort.rows:
        folder = anat(cohort, f"{row['participant_id']}_{row['session_id']}")
        suffix = row["suffix"]
        for ending in (f"desc-n4_{suffix}.nii.gz", f"from-{suffix}_to-session_mode-image_xfm.mat",
                       f"space-{suffix}_desc-babyseg_dseg.nii.gz"):  # fmt: skip
            assert (folder / f"{stem(row)}_{ending}").is_file(), ending


def test_images_keep_the_grid_of_their_scan(cohort):
    for row in cohort.rows:
        folder = anat(cohort, f"{row['participant_id']}_{row['session_id']}")
        scan = load(row["image"])
        for ending in (f"desc-n4_{row['suffix']}", f"space-{row['suffix']}_desc-babyseg_dseg"):
            made = load(folder / f"{stem(row)}_{ending}.nii.gz")
            assert made.shape == scan.shape
            assert np.allclose(made.affine, scan.affine, atol=1e-4)


def test_raters_are_ranked_by_what_their_outlines_were_moved(cohort):
    for visit in ("sub-01_ses-B", "sub-02_ses-B"):
        for ending in ("desc-staple_dseg.nii.gz", "desc-majority_dseg.nii.gz", "desc-raters_morph.tsv"):
            assert (anat(cohort, visit) / f"{visit}_{ending}").is_file(), ending
    table = read(cohort.run.outdir / "cohort" / "rater_performance.tsv")
    dice = table.pivot_table(index="consensus", columns="rater", values="dice")
    assert (dice["Ann"] > dice["Cid"]).all()
    assert (dice["Ben"] > dice["Cid"]).all()
    analyses = read(cohort.run.outdir / "cohort" / "analyses.tsv").set_index("analysis")
    assert "it needs label maps of two raters at 3 children" in analyses.loc["raters", "reason"]


def test_label_numbers_are_known(cohort):
    fuller = {s.id for s in fuller_structures()}
    maps = list(cohort.run.outdir.rglob("*_dseg.nii.gz"))
    assert len(maps) > len(cohort.rows)
    for file in maps:
        known = fuller if "_desc-fuller_" in file.name else set(LABELS)
        assert set(np.unique(load(file).dataobj).tolist()) <= known


def test_volumes_are_those_of_the_label_maps(cohort):
    """The table counts the voxels of the session's own labels, in mm³."""
    table = read(cohort.run.outdir / "cohort" / "volumes.tsv")
    for visit in visits(cohort):
        labels = load(anat(cohort, visit) / f"{visit}_space-session_desc-babyseg_dseg.nii.gz")
        voxel = abs(np.linalg.det(labels.affine[:3, :3]))
        ours = ("sub-" + table["participant_id"] + "_ses-" + table["session_id"]) == visit
        rows = table[ours].dropna(subset=["label"])
        counted = np.asarray(labels.dataobj)
        assert len(rows) == 21
        for number, volume in zip(rows["label"], rows["volume_mm3"], strict=True):
            assert volume == pytest.approx((counted == int(number)).sum() * voxel, rel=1e-3)


def test_brain_volumes_are_near_the_planted_ones(cohort, infants):
    """Coarse scans are segmented coarsely; a wrong scale, a lost half or a swapped visit would still show."""
    truth = read(infants / "reference_volumes.tsv").dropna(subset=["label"])
    found = read(cohort.run.outdir / "cohort" / "volumes.tsv").dropna(subset=["label"])
    keys = ["participant_id", "session_id"]
    truth["participant_id"] = truth["participant_id"].str.removeprefix("sub-")
    truth["session_id"] = truth["session_id"].str.removeprefix("ses-")
    true_sum, found_sum = (t.groupby(keys)["volume_mm3"].sum() for t in (truth, found))
    ratio = (found_sum / true_sum).dropna()
    assert len(ratio) == len(visits(cohort))
    assert ratio.between(0.6, 1.5).all(), ratio


def test_surface_distances_compare_scans_session_and_reference(cohort):
    table = read(anat(cohort, "sub-01_ses-A") / "sub-01_ses-A_desc-surfacedistance_qc.tsv")
    wanted = [
        "reference",
        "candidate",
        "label",
        "structure",
        "dice",
        "assd_mm",
        "hd95_mm",
        "nsd",
        "tolerance_mm",
    ]
    assert table.columns[:9].tolist() == wanted
    assert {"session", "manual"} <= set(table["reference"]) | set(table["candidate"])
    known = table["dice"].dropna()
    assert len(known)
    assert known.between(0, 1).all()
    assert set(table["tolerance_mm"]) == {1.0}


def test_versions_and_parameters_are_those_of_the_run(cohort, read_json):
    info = cohort.run.outdir / "pipeline_info"
    versions = read_json(info / "software_versions.json")
    assert versions["nibabel"] == nib.__version__
    assert re.match(r"\d+\.\d+", versions["nextflow"])
    assert read_json(info / "parameters.json")["input"].endswith("samplesheet.csv")


def test_nothing_is_written_beside_the_inputs_or_into_the_project(cohort, project, infants):
    names = {path.name for path in infants.iterdir()}
    assert names <= {"samplesheet.csv", "scores.tsv", "reference_volumes.tsv", "planted.json", "truth",
                     "raters", "raters.tsv", "participants.tsv", "sub-01", "sub-02", "sub-03"}  # fmt: skip
    assert {path.name for path in project.top.iterdir()} == {
        "main.nf", "nextflow.config", "conf", "workflows", "subworkflows", "modules", "bin", "babyseg_py",
        ".venv", "weights",
    }  # fmt: skip


def test_no_word_of_a_path_was_run(cohort, workplace, infants):
    assert cohort.run.code == 0
    for place in (workplace, infants.parent):
        assert not [path for path in place.rglob("pwned*") if path.name == "pwned"]


def test_the_dataset_passes_the_bids_validator(cohort):
    validator = str(Path(sys.executable).with_name("bids-validator-deno"))
    done = subprocess.run([validator, str(cohort.run.outdir)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_table_has_a_dictionary_that_describes_every_column(cohort):
    assert len(list(cohort.run.outdir.rglob("*.tsv"))) > 20
    assert undescribed(cohort.run.outdir) == []


def test_scans_of_a_finished_run_teach_without_labels(cohort, tmp_path, capsys):
    """Sessions that were flagged teach nothing; a step of no size leaves the weights as they are."""
    config = tmp_path / "config.yaml"
    synthesis = {"grid": [64, 64, 64], "brain_voxels": [35, 50], "polarised": True}
    settings = {"steps": 2, "learning_rate": 1e-12, "warmup": 1, "ease_in": 0, "validate_every": 2}
    settings |= {"validation_samples": 3, "tensorboard": False, "synthesis": synthesis}
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    words = ["finetune", "--unlabelled", str(cohort.run.outdir), "--config", str(config)]
    words += [
        "--keep",
        *map(str, cohort.run.outdir.glob("sub-01/ses-*/anat/*_space-session_desc-babyseg_dseg.nii.gz")),
    ]
    words += ["-o", str(tmp_path / "run"), "--export", str(tmp_path / "new.safetensors")]
    assert main(words) == 0
    quality = [read(path) for path in cohort.run.outdir.rglob("*_desc-segmentation_qc.tsv")]
    good = sum(not (table["flag"] == 1).any() for table in quality)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"unlabelled sessions: {good} of {len(quality)} ")
    assert any(line.startswith("scans against their mirror images: ") for line in lines)
    old, new = (load_weights(path)[0].segment for path in (default_weights(), tmp_path / "new.safetensors"))
    differences = [(a - b).abs().max() for a, b in zip(old.parameters(), new.parameters(), strict=True)]
    assert max(differences) < 1e-3
    _, info = load_weights(tmp_path / "new.safetensors")
    assert re.fullmatch(rf"[1-{good - 1}] unlabelled visits", info.provenance["finetuned_on"])


def test_parts_of_structures_are_in_the_report(cohort):
    page = (cohort.run.outdir / "report.html").read_text(encoding="utf-8")
    assert "Parts of structures" in page
    assert "Putamen" in page
    assert "made without --labels fuller" not in page
    drawn = read(cohort.run.outdir / "cohort" / "figures" / "growth_parts_birth.tsv")
    assert {"Putamen", "Pallidum", "Vermis"} <= set(drawn["structure"])
    parts = read(cohort.run.outdir / "cohort" / "parts.tsv").set_index(
        ["participant_id", "session_id", "structure"]
    )
    row = drawn[drawn["structure"] == "Putamen"].iloc[0]
    child = row["participant_id"], row["session_id"]
    sides = [parts.loc[(*child, f"{side}-Putamen"), "volume_mm3"] for side in ("Left", "Right")]
    assert row["volume_mm3"] == pytest.approx(sum(sides), abs=1)
