"""What is most worth correcting: sessions in order, slices with their position, commands that open them."""

import csv
import itertools
import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from babyseg_py.cli import main
from babyseg_py.cohort.worklist import beyond_borders, choose_slices
from babyseg_py.images import Volume, save_image, save_labels

SHAPE = (20, 18, 16)
QUALITY = "scan\tstructure\tmetric\tvalue\tlow\thigh\tflag\tmessage\n"
DISTANCES = "reference\tcandidate\tlabel\tstructure\tdice\tassd_mm\thd95_mm\tnsd\ttolerance_mm\n"


def brain(affine) -> Volume:
    data = np.zeros(SHAPE, dtype=np.uint8)
    data[3:9, 4:12, 3:12], data[9:15, 4:12, 3:12] = 2, 41
    data[5:7, 6:9, 5:8] = 17
    return Volume(data, affine)


@pytest.fixture
def results(tmp_path, oblique_affine):
    """Write four sessions: calm, unsure, flagged and of two scans that disagree, and with a wrong header."""
    made = {  # score, flagged metrics, Dice of each scan with the session
        "A": (0.95, (), (1.0,)),
        "B": (0.70, (), (0.97, 0.99)),
        "C": (0.80, ("left_right_ratio", "cerebellum_share"), (0.80, 0.70)),
        "D": (0.40, ("reversed_axes", "brain_ml", "left_right_ratio"), (0.1, 0.2)),
    }
    for session, (score, flags, dice) in made.items():
        stem = f"sub-01_ses-{session}"
        folder = tmp_path / "my results" / "sub-01" / f"ses-{session}" / "anat"
        labels = brain(oblique_affine)
        uncertainty = np.zeros(SHAPE, dtype=np.float32)
        uncertainty[5:7, 6:9, 6] = 0.5
        save_labels(labels, folder / f"{stem}_space-session_desc-babyseg_dseg.nii.gz")
        save_image(
            labels.with_data(uncertainty), folder / f"{stem}_space-session_desc-uncertainty_map.nii.gz"
        )
        rows = [f"n/a\tn/a\tscore\t{score}\t0.6\t1\t0\tn/a\n", "T1w\tn/a\tscore\t0.1\t0.6\t1\t0\tn/a\n"]
        rows += [f"n/a\tn/a\t{flag}\t1\t0\t0\t1\tbad\n" for flag in flags]
        (folder / f"{stem}_desc-segmentation_qc.tsv").write_text(QUALITY + "".join(rows))
        pairs = [f"session\trun-{n}_T1w\t2\tx\t{d}\t1\t1\t1\t1\n" for n, d in enumerate(dice)]
        pairs.append("run-0_T1w\trun-1_T1w\t2\tx\t0.01\t1\t1\t1\t1\n")
        (folder / f"{stem}_desc-surfacedistance_qc.tsv").write_text(DISTANCES + "".join(pairs))
        plan = {"reference": f"{stem}_desc-n4_T1w.nii.gz"}
        save_image(labels.with_data(uncertainty), folder / plan["reference"])
        (folder / f"{stem}_desc-session_registration.json").write_text(json.dumps(plan))
    return tmp_path / "my results"


def anat(results, session):
    """Return the folder of a session."""
    return results / "sub-01" / f"ses-{session}" / "anat"


def read(path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_worklist_and_commands(results, tmp_path, capsys) -> None:
    """Flags and disagreement count beside uncertainty; a wrong header comes last, whatever its scores."""
    target = tmp_path / "work.tsv"
    assert main(["suggest", str(results), "-o", str(target), "--slices", "1"]) == 0
    rows = read(target)
    assert [row["session"][-1] for row in rows] == ["C", "B", "A", "D"]
    assert [row["advice"] for row in rows] == ["correct the labels"] * 3 + ["look at the scan first"]
    assert rows[0]["flags"] == "left_right_ratio,cerebellum_share"
    assert (rows[0]["uncertainty"], rows[0]["disagreement"]) == ("0.2000", "0.2500")
    assert rows[2]["disagreement"] == "n/a"  # a single scan
    assert float(rows[0]["priority"]) == pytest.approx((1 / 3 + 2 / 3 + 1 / 2) / 3, abs=1e-3)

    commands = [line for line in capsys.readouterr().out.splitlines() if line[:2] not in ("# ", "", "wo")]
    words = [shlex.split(command) for command in commands[:3]]
    assert [command[0] for command in words] == ["itksnap", "freeview", "Slicer"]
    labels = rows[0]["labels"]
    assert words[0][words[0].index("-s") + 1] == labels
    assert words[1][3].startswith(f"{labels}:colormap=lut:lut=")
    cursor = [rows[0][key] for key in ("x_mm", "y_mm", "z_mm")]
    assert words[1][-3:] == cursor
    compile(words[2][2], "Slicer", "exec")
    assert main(["suggest", str(results), "-o", str(target)]) == 2  # is there already
    quality = next(results.rglob("*_desc-segmentation_qc.tsv"))
    before = quality.read_bytes()
    assert main(["suggest", str(results), "-o", str(quality), "--force"]) == 2
    assert quality.read_bytes() == before


def test_corrected_sessions_are_left_out(results, tmp_path, capsys) -> None:
    """What has the labels of a correction is not suggested again, and does not count in the ranks."""
    path = results / "sub-01" / "ses-C" / "anat" / "sub-01_ses-C_desc-segmentation_qc.tsv"
    with path.open("a") as file:
        file.write("n/a\tn/a\tdice_with_correction\t0.9\t0\t1\t0\tn/a\n")
    assert main(["suggest", str(results), "-o", str(tmp_path / "w.tsv"), "--slices", "1"]) == 0
    assert [row["session"][-1] for row in read(tmp_path / "w.tsv")] == ["B", "A", "D"]
    assert "corrected already: 1 of 4 sessions" in capsys.readouterr().out


def test_slice_is_where_the_doubt_is(oblique_affine) -> None:
    """The axial slice that holds all of it, its middle in the world, and the structure."""
    labels = brain(oblique_affine)
    uncertainty = np.zeros(SHAPE)
    uncertainty[5:7, 6:9, 6] = 0.5
    first, *rest = choose_slices(labels, uncertainty, 9)
    by_mm = {0: 3 * 0.5 / 0.8, 1: 2 * 0.5 / 1.1, 2: 6 * 0.5 / 2.0}  # largest sum of each axis, by its spacing
    assert first.axis == max(by_mm, key=by_mm.get)
    across = next(one for one in (first, *rest) if one.axis == 2)
    assert (across.plane, across.index, across.structures) == ("axial", 6, ("Left-Hippocampus",))
    assert across.uncertain_ml == pytest.approx(6 * 0.5 * 0.8 * 1.1 * 2.0 / 1000, abs=5e-4)
    world = oblique_affine @ (5.5, 7, 6, 1)
    assert across.cursor_mm == pytest.approx(world[:3], abs=0.06)
    for axis, spacing in enumerate((0.8, 1.1, 2.0)):
        indices = sorted(one.index for one in (first, *rest) if one.axis == axis)
        assert all(b - a >= 6 / spacing for a, b in itertools.pairwise(indices))
    assert choose_slices(labels, np.zeros(SHAPE), 3) == []


def test_usual_borders_are_no_doubt() -> None:
    """What is above the median of the four voxels beside another label is left; without borders all is."""
    labels = np.array([2, 2, 2, 41, 41, 3, 3]).reshape(7, 1, 1)
    uncertainty = np.array([0.0, 0.9, 0.2, 0.2, 0.3, 0.2, 0.1]).reshape(7, 1, 1)
    left = beyond_borders(labels, uncertainty)
    assert left.ravel() == pytest.approx([0, 0.7, 0, 0, 0.1, 0, 0])
    assert beyond_borders(labels * 0, uncertainty).ravel() == pytest.approx(uncertainty.ravel())


def test_folder_without_results_is_named(tmp_path, capsys) -> None:
    """An empty folder, is told to be none."""
    assert main(["suggest", str(tmp_path), "-o", str(tmp_path / "w.tsv")]) == 65
    assert "no session with labels" in capsys.readouterr().err


def spoil(file) -> None:
    """Write something else in place of a file."""
    file.write_bytes(b"this is something else\n")


def without_column(column: str):
    """Return what takes a column out of a table."""

    def take(file) -> None:
        header, *rows = (line.split("\t") for line in file.read_text().splitlines())
        place = header.index(column)
        lines = ["\t".join(cell for n, cell in enumerate(row) if n != place) for row in (header, *rows)]
        file.write_text("\n".join(lines) + "\n")

    return take


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("desc-segmentation_qc.tsv", Path.unlink),
        ("desc-segmentation_qc.tsv", spoil),
        ("desc-segmentation_qc.tsv", without_column("flag")),
        ("desc-surfacedistance_qc.tsv", without_column("reference")),
        ("desc-session_registration.json", spoil),
        ("desc-session_registration.json", Path.unlink),
        ("space-session_desc-babyseg_dseg.nii.gz", spoil),
        ("space-session_desc-babyseg_dseg.nii.gz", Path.unlink),
        ("space-session_desc-uncertainty_map.nii.gz", spoil),
        ("space-session_desc-uncertainty_map.nii.gz", Path.unlink),
    ],
)
def test_a_damaged_session_is_named_and_left_out(results, tmp_path, capsys, name, damage) -> None:
    """The others keep their order; with no other left there is no list."""
    files = {session: anat(results, session) / f"sub-01_ses-{session}_{name}" for session in "ABCD"}
    damage(files["B"])
    words = ["suggest", str(results), "-o", str(tmp_path / "w.tsv"), "--slices", "1", "--sessions", "3"]
    assert main(words) == 0
    assert [row["session"][-1] for row in read(tmp_path / "w.tsv")] == ["C", "A", "D"]
    assert [row["rank"] for row in read(tmp_path / "w.tsv")] == ["1", "2", "3"]
    said = capsys.readouterr().err
    assert said.startswith(f"babyseg suggest: a session is left out: {files['B']}: ")
    assert said.count("\n") == 1
    for session in "ACD":
        damage(files[session])
    (tmp_path / "w.tsv").unlink()
    assert main([*words, "--force"]) == 65
    assert not (tmp_path / "w.tsv").exists()


def test_a_scan_that_is_not_there_is_not_opened(results, tmp_path, capsys) -> None:
    """The map of uncertainty, which has the same grid, takes its place, and a line says so."""
    scan = anat(results, "C") / "sub-01_ses-C_desc-n4_T1w.nii.gz"
    scan.unlink()
    assert main(["suggest", str(results), "-o", str(tmp_path / "w.tsv"), "--sessions", "2"]) == 0
    first, second = capsys.readouterr().out.split("\n\n")[:2]
    assert f"# the scan {scan.name} is not there" in first
    assert str(scan) not in first
    assert first.count("sub-01_ses-C_space-session_desc-uncertainty_map.nii.gz") == 3
    assert "is not there" not in second
    assert second.count("sub-01_ses-B_desc-n4_T1w.nii.gz") == 3
    images = {row["session"][-1]: row["image"] for row in read(tmp_path / "w.tsv")}
    assert images["C"] == "n/a"
    assert images["B"].endswith("sub-01_ses-B_desc-n4_T1w.nii.gz")
