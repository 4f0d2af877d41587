"""`--workflow train`: from a folder of label maps to weights, by the same code as `babyseg train`."""

import numpy as np
import pytest
import yaml

from babyseg_py.images import Volume, load_labels, save_labels
from babyseg_py.models.weights import load_weights

OWN = {2: 101, 3: 102, 41: 201, 42: 202}
RECIPE = {
    "bank": "bank.npz",
    "network": {"encoder": [4, 8], "decoder": [8, 8], "norm": True, "shared": True},
    "synthesis": {"grid": [16, 16, 16], "brain_voxels": [9, 11]},
    "steps": 4,
    "save_every": 2,
    "validate_every": 4,
    "validation_samples": 2,
    "precision": "fp32",
}


@pytest.fixture
def maps(launch):
    """Write a folder of one map in numbers of its own, their table, and a recipe."""
    n = 32
    grid = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), axis=-1) - (n - 1) / 2
    radius, right = np.linalg.norm(grid, axis=-1), grid[..., 0] > 0
    labels = np.zeros((n, n, n), dtype=np.int32)
    labels[radius < 13] = np.where(right, OWN[42], OWN[3])[radius < 13]
    labels[radius < 8] = np.where(right, OWN[41], OWN[2])[radius < 8]
    folder = launch / "my maps"
    save_labels(Volume(labels, np.eye(4)), folder / "age-4mo_dseg.nii.gz")
    rows = "".join(f"{own}\t{number}\n" for number, own in OWN.items())
    (launch / "table.tsv").write_text("index\tfreesurfer\n" + rows)
    (launch / "mine.yaml").write_text(yaml.safe_dump(RECIPE))
    return folder


def test_training_writes_weights_and_goes_on_from_its_checkpoint(project, launch, maps):
    words = ["--workflow", "train", "--label_maps", str(maps), "--label_table", str(launch / "table.tsv")]
    words += ["--recipe", str(launch / "mine.yaml"), "--run_dir", str(launch / "a run"), "--device", "cpu"]
    run = project.run(launch, *words)
    assert run.code == 0, run.text
    assert "weights.safetensors" in run.text
    _, info = load_weights(run.outdir / "training" / "weights.safetensors")
    assert info.provenance["segment_steps"] == "4"
    assert (run.outdir / "training" / "log.csv").read_text().count("\n") == 2

    (launch / "mine.yaml").write_text(yaml.safe_dump({**RECIPE, "steps": 6}))
    again = project.run(launch, *words)
    assert again.code == 0, again.text
    _, info = load_weights(run.outdir / "training" / "weights.safetensors")
    assert info.provenance["segment_steps"] == "6"
    assert "step 4," not in again.text

    words[words.index("--run_dir") + 1] = str(launch / "another run")
    weights = (run.outdir / "training" / "weights.safetensors").rename(launch / "my weights.safetensors")
    further = project.run(launch, *words, "--start", str(weights))
    assert further.code == 0, further.text
    _, info = load_weights(run.outdir / "training" / "weights.safetensors")
    assert info.provenance["segment_steps"] == "12"


def test_maps_that_cannot_be_used_fail_the_run(project, launch, maps):
    """The step says what is wrong, the run has failed, and weights of an earlier run are called so."""
    good = load_labels(maps / "age-4mo_dseg.nii.gz")
    save_labels(Volume(good.data[::-1].copy(), good.affine), maps / "age-5mo_dseg.nii.gz")
    save_labels(Volume(np.where(good.data == 101, 99, good.data), good.affine), maps / "age-6mo_dseg.nii.gz")
    old = launch / "results" / "training" / "weights.safetensors"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old")
    words = ["--workflow", "train", "--label_maps", str(maps), "--label_table", str(launch / "table.tsv")]
    run = project.run(launch, *words, "--recipe", str(launch / "mine.yaml"), "--device", "cpu")
    assert run.code != 0
    assert "age-5mo_dseg.nii.gz: left and right are exchanged" in run.text
    assert "labels 99 are not in the label table" in run.text
    assert "The training stopped before its end" in run.text
    assert f"{old} is of an earlier run" in run.text
    assert "Weights: " not in run.text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--workflow", "train"], "needs --label_maps"),
        (
            ["--workflow", "train", "--label_maps", ".", "--start", "no.safetensors"],
            "no.safetensors: no such file",
        ),
        (["--workflow", "trian"], "is not one of cohort, train"),
        (["--workflow", "train", "--label_maps", ".", "--run_dir", "it's"], "has a quotation mark"),
    ],
)
def test_what_is_missing_is_said_before_any_task(project, launch, words, message):
    run = project.run(launch, *words)
    assert run.code != 0
    assert message in run.text
    assert "Submitted process" not in run.text


@pytest.mark.parametrize("parser", ["v1", "v2"])
def test_graph_of_training(project, launch, maps, parser):
    words = ["--workflow", "train", "--label_maps", str(maps), "-stub-run"]
    run = project.run(launch, *words, parser=parser)
    assert run.code == 0, run.text
    assert run.trace()["process"].value_counts().to_dict() == {"TRAIN_NETWORK": 1}
    assert (run.outdir / "training" / "weights.safetensors").is_file()
