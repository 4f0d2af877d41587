"""What happens at the door, before any task."""

import subprocess

import pytest

PROFILES = (
    "standard", "demo", "test", "gpu", "slurm", "docker", "singularity", "apptainer", "podman", "conda",
    "awsbatch", "k8s", "slurm,apptainer,gpu",
)  # fmt: skip


def test_lint(project):
    done = subprocess.run(
        [project.top / ".venv/bin/nextflow", "lint", "main.nf", "nextflow.config", "conf", "workflows",
         "subworkflows", "modules"],
        cwd=project.top, env=project.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_resolve(project, profile):
    done = subprocess.run(
        [project.top / ".venv/bin/nextflow", "config", "-profile", profile, str(project.top)],
        cwd=project.top, env=project.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "errorStrategy" in done.stdout


@pytest.mark.parametrize("parser", ["v1", "v2"])
def test_help_lists_every_parameter_and_leaves_nothing(project, launch, parser):
    run = project.run(launch, "--help", parser=parser)
    assert run.code == 0, run.text
    for name in ("--input", "--bids", "--phenotype", "--outdir", "--weights", "--fail_fast", "--tolerance"):
        assert name in run.text
    assert "[results]" in run.text


def test_unknown_parameters_are_refused_with_the_nearest_known_one(project, launch):
    run = project.run(launch, "--inptu", "x.csv", "--fail-fast", "--tolerance", "much")
    assert run.code != 0
    assert "unknown parameter --inptu, did you mean --input?" in run.text
    assert "did you mean --fail_fast?" in run.text
    assert "--tolerance much: is not a number" in run.text
    assert "Submitted process" not in run.text


def test_every_error_of_the_sheet_is_said_before_any_task(project, launch):
    sheet = launch / "sheet.csv"
    sheet.write_text(
        "participant_id,session_id,suffix,image\n"
        "01,A,T1w,nowhere.nii.gz\n"
        "0 2,A,T1w,$(touch pwned).nii.gz\n"
        "03,B;touch pwned,T1w,x.nii.gz\n"
    )
    run = project.run(launch, "--input", str(sheet))
    assert run.code != 0
    assert "Submitted process" not in run.text
    for row in ("2", "3", "4"):
        assert f"row {row}" in run.text
    assert "nowhere.nii.gz" in run.text


def test_a_sheet_or_a_dataset_is_needed(project, launch):
    run = project.run(launch)
    assert run.code != 0
    assert "samplesheet" in run.text


def test_verdicts_among_the_results_are_read_at_the_door(project, launch):
    """A mistyped one stops the run, so that nobody believes it was obeyed."""
    (launch / "a.nii.gz").touch()
    sheet = launch / "sheet.csv"
    sheet.write_text("participant_id,session_id,suffix,image\n01,A,T1w,a.nii.gz\n")
    (launch / "results").mkdir()
    verdicts = launch / "results" / "qc_verdicts.tsv"
    verdicts.write_text("participant_id\tsession_id\tverdict\n01\tA\tfial\n")
    run = project.run(launch, "--input", str(sheet))
    assert run.code != 0
    assert "qc_verdicts.tsv, row 2, column verdict: 'fial' is no verdict; did you mean 'fail'?" in run.text
    assert "Submitted process" not in run.text
