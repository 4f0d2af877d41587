"""`babyseg segment` as a step of the pipeline, with a network that is quick nonsense."""

import json

import numpy as np
import pandas as pd
import pytest

from babyseg_py.cli import main
from babyseg_py.images import Volume, load_image, load_labels, save_labels
from babyseg_py.labels import LEFT_RIGHT_PAIRS, structure_name


def test_the_pipeline_follows_the_recipe_of_the_weights(folder, segment) -> None:
    """The session's grid, each scan's own grid, and no question about overwriting."""
    shift = np.eye(4)
    shift[:3, 3] = (8, -4, 0)
    plan = {
        "grid": {"shape": [24, 28, 20], "affine": np.diag([4.0, 4.0, 4.0, 1.0]).tolist()},
        "scans": [
            {"scan": suffix, "image": f"{name}.nii.gz", "used": True, "matrix": matrix.tolist(), "flags": []}
            for suffix, name, matrix in (("T2w", "b", shift), ("T1w", "a", np.eye(4)))
        ],
    }
    (folder / "r.json").write_text(json.dumps(plan))
    words = ["--visit", "sub-1_ses-A", "--registration", "r.json", "--out-dir", "out"]
    assert segment("a.nii.gz", "b.nii.gz", *words) == 0
    assert segment("a.nii.gz", "b.nii.gz", *words) == 0
    own = load_labels(folder / "out" / "sub-1_ses-A_space-T2w_desc-babyseg_dseg.nii.gz")
    assert segment("b.nii.gz", "-o", "b_alone.nii.gz") == 0
    inner = load_image(folder / "b.nii.gz").data > 0
    assert np.mean((own.data == load_labels(folder / "b_alone.nii.gz").data)[inner]) > 0.999
    assert (folder / "out" / "sub-1_ses-A_space-session_desc-babyseg_dseg.nii.gz").is_file()


def test_a_scan_that_shows_nothing_of_the_session_is_left_out_of_the_visit(folder, segment) -> None:
    """The labels are those without it; it has none of its own, and the quality table says why."""
    far = np.eye(4)
    far[:3, 3] = 500
    scans = [
        {"scan": suffix, "image": f"{name}.nii.gz", "used": True, "matrix": matrix.tolist(), "flags": []}
        for suffix, name, matrix in (("T2w", "b", far), ("T1w", "a", np.eye(4)))
    ]
    grid = {"shape": [24, 28, 20], "affine": np.diag([4.0, 4.0, 4.0, 1.0]).tolist()}
    for name, some in (("both", scans), ("one", scans[1:])):
        (folder / "r.json").write_text(json.dumps({"grid": grid, "reference": "a.nii.gz", "scans": some}))
        words = ["--visit", "sub-1_ses-A", "--registration", "r.json", "--out-dir", name]
        assert segment("a.nii.gz", "b.nii.gz", *words) == 0
    names = {path.name for path in (folder / "one").iterdir()}
    assert {path.name for path in (folder / "both").iterdir()} == names
    for name in names:
        if name.endswith(".nii.gz"):
            assert (folder / "both" / name).read_bytes() == (folder / "one" / name).read_bytes()
    qc = pd.read_csv(folder / "both" / "sub-1_ses-A_desc-segmentation_qc.tsv", sep="\t")
    assert list(qc.query("metric == 'left_out'")["scan"]) == ["T2w"]
    sidecar = folder / "both" / "sub-1_ses-A_space-session_desc-babyseg_dseg.json"
    assert "T2w was left out: hardly any of it" in sidecar.read_text()


def test_corrected_labels_take_the_place_of_the_networks(folder, segment, capsys) -> None:
    """Labels, volumes and sidecar are the correction's; the table says how far the network was from it."""
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    scan = {"scan": "T1w", "image": "a.nii.gz", "used": True, "matrix": np.eye(4).tolist(), "flags": []}
    plan = {"grid": {"shape": [24, 28, 20], "affine": affine.tolist()}, "scans": [scan]}
    (folder / "r.json").write_text(json.dumps(plan))
    words = ["a.nii.gz", "--visit", "sub-1_ses-A", "--registration", "r.json", "--out-dir"]
    assert segment(*words, "first") == 0
    stem = "sub-1_ses-A_space-session_desc-babyseg_dseg"
    network = load_labels(folder / "first" / f"{stem}.nii.gz")
    changed = network.data.copy()
    first, second = np.unique(changed[changed > 0])[:2]
    changed[changed == first] = second
    corrected = "sub-1_ses-A_space-session_desc-corrected_dseg.nii.gz"
    save_labels(network.with_data(changed), folder / corrected)

    assert segment(*words, "next", "--corrected", corrected) == 0
    assert np.array_equal(load_labels(folder / "next" / f"{stem}.nii.gz").data, changed)
    sidecar = json.loads((folder / "next" / f"{stem}.json").read_text())
    assert sidecar["Manual"] is True
    assert corrected in sidecar["Sources"]
    volumes = json.loads((folder / "next" / "sub-1_ses-A_desc-posterior_volumes.json").read_text())["session"]
    assert volumes[str(second)] == pytest.approx(np.count_nonzero(changed == second) * 64)
    assert volumes[str(first)] == 0
    table = pd.read_csv(folder / "next" / "sub-1_ses-A_desc-segmentation_qc.tsv", sep="\t")
    scores = table[table["scan"].isna() & (table["metric"] == "score")]
    assert len(scores) > 1
    assert scores["value"].isna().all()
    assert not scores["flag"].any()
    assert sidecar["Uncertainty"].startswith("of the network's labels, before they were corrected by hand: ")
    table = table[table["metric"] == "dice_with_correction"].set_index("structure", drop=True)
    assert table.loc[structure_name(first), "value"] == 0
    own = np.count_nonzero(network.data == second)
    dice = 2 * own / (own + np.count_nonzero(changed == second))
    assert table.loc[structure_name(second), "value"] == pytest.approx(dice, rel=1e-4)
    assert not table["flag"].any()

    swapped = changed.copy()
    for left, right in LEFT_RIGHT_PAIRS:
        swapped[changed == left], swapped[changed == right] = right, left
    save_labels(network.with_data(swapped), folder / corrected)
    assert segment(*words, "swapped", "--corrected", corrected) == 65
    assert "has left and right exchanged" in capsys.readouterr().err

    save_labels(Volume(changed, affine + np.outer([1, 0, 0, 0], [0, 0, 0, 500])), folder / corrected)
    assert segment(*words, "elsewhere", "--corrected", corrected) == 65
    assert "hardly overlaps" in capsys.readouterr().err


@pytest.mark.parametrize("visit", ["foo", "sub-01", "sub-01_ses-é", "sub-01_ses-A_run-1", "x/sub-01_ses-A"])
def test_a_visit_that_is_none_is_a_wrong_option(folder, segment, capsys, visit) -> None:
    words = ["--visit", visit, "--registration", "r.json", "--out-dir", "out"]
    assert segment("a.nii.gz", *words) == 2
    assert f"--visit {visit}: write it as sub-X_ses-Y" in capsys.readouterr().err
    assert main(["shape", "--visit", visit, "--posteriors", "a.nii.gz", "--out-dir", "out"]) == 2
    assert main(["register", "a.nii.gz", "--visit", visit, "--out-dir", "out"]) == 2
    assert not (folder / "out").exists()


PIPELINE = ["--visit", "sub-1_ses-A", "--registration", "r.json", "--out-dir", "out"]
GRID = {"shape": [24, 28, 20], "affine": np.eye(4).tolist()}
SCAN = {"scan": "T1w", "image": "a.nii.gz", "used": True, "matrix": np.eye(4).tolist(), "flags": []}


@pytest.mark.parametrize(
    "plan",
    [
        *({}, [], 3, {"grid": GRID}, {"grid": GRID, "scans": []}, {"grid": GRID, "scans": [1]}),
        {"grid": {"shape": [0, 1, 2], "affine": np.eye(4).tolist()}, "scans": [SCAN]},
        {"grid": GRID, "scans": [SCAN | {"matrix": np.zeros((4, 4)).tolist()}]},
        {"grid": GRID, "scans": [SCAN | {"used": False}]},
        {"grid": GRID, "scans": [SCAN | {"flags": [{"name": "moved"}]}]},
        {"grid": GRID, "scans": [SCAN | {"scan": "T1w labels"}]},
    ],
)
def test_a_registration_that_is_none_is_unusable(folder, segment, capsys, plan) -> None:
    (folder / "r.json").write_text(json.dumps(plan))
    assert segment("a.nii.gz", *PIPELINE) == 65
    said = capsys.readouterr().err.strip()
    assert said.startswith("babyseg segment: r.json: is not a registration (")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["-o", "d.nii.gz", "--corrected", "c.nii.gz"], "--corrected"),
        (["-o", "d.nii.gz", "--visit", "sub-1_ses-A"], "--visit"),
        (["-o", "d.nii.gz", "--registration", "r.json"], "--registration"),
        (["-o", "d.nii.gz", "--keep-posteriors"], "--keep-posteriors"),
        (["-o", "d.nii.gz", *PIPELINE], "--output"),
        (["--posteriors", "p.nii.gz", *PIPELINE], "--posteriors"),
        (["--qc", "q.tsv", "--json", *PIPELINE], "--qc, --json"),
    ],
)
def test_an_option_of_the_other_way_of_calling_is_refused(folder, segment, capsys, words, named) -> None:
    before = {path.name for path in folder.iterdir()}
    assert segment("a.nii.gz", *words) == 2
    assert f"babyseg segment: {named}: " in capsys.readouterr().err
    assert {path.name for path in folder.iterdir()} == before
