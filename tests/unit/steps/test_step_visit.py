"""The steps surface-distance and morphometry, from the command line."""

import csv
import json

import nibabel as nib
import numpy as np
import pytest

from babyseg_py.cli import main
from babyseg_py.labels import BRAIN_LABELS

VISIT = "sub-01_ses-A"


def _read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.fixture
def visit(tmp_path, oblique_affine):
    """Write a session and two scans of it; the head of the second has moved."""
    data = np.zeros((20, 18, 16), dtype=np.uint8)
    data[3:9, 4:12, 3:12], data[9:15, 4:12, 3:12] = 2, 41
    data[5:7, 6:9, 5:8], data[10:12, 6:9, 5:8] = 4, 43
    matrix = np.eye(4)
    matrix[:3, 3] = (12.0, -9.0, 30.0)
    scan = data.copy()
    scan[3] = 0
    for name, values, affine in (
        ("space-session", data, oblique_affine),
        ("run-1_space-T1w", data, oblique_affine),
        ("run-2_space-T1w", scan, matrix @ oblique_affine),
    ):
        path = tmp_path / f"{VISIT}_{name}_desc-babyseg_dseg.nii.gz"
        nib.save(nib.Nifti1Image(values, affine), path)
    plan = {
        "visit": VISIT,
        "grid": {"shape": list(data.shape), "affine": oblique_affine.tolist()},
        "scans": [
            {"scan": scan, "image": f"{scan}.nii.gz", "used": True, "flags": [], "matrix": motion.tolist()}
            for scan, motion in (("run-1_T1w", np.eye(4)), ("run-2_T1w", matrix))
        ],
    }
    (tmp_path / "registration.json").write_text(json.dumps(plan))
    volumes = {str(label): 10.0 * label for label in BRAIN_LABELS}
    posterior = {"session": volumes, "scans": {"run-1_T1w": volumes, "run-2_T1w": volumes}}
    ends = {label: [0.9 * volume, 1.1 * volume] for label, volume in volumes.items()}
    posterior["intervals"] = {"session": ends, "scans": {"run-1_T1w": {}, "run-2_T1w": ends}}
    (tmp_path / "posterior.json").write_text(json.dumps(posterior))
    return tmp_path


def _scan_file(visit, run):
    return str(visit / f"{VISIT}_{run}_space-T1w_desc-babyseg_dseg.nii.gz")


def _words(visit, *more, scans=("run-2", "run-1")):
    session = str(visit / f"{VISIT}_space-session_desc-babyseg_dseg.nii.gz")
    files = [_scan_file(visit, run) for run in scans]
    return ["--visit", VISIT, "--dseg", session, "--scan-dseg", *files, *more]


def _distances(visit, *more, **options):
    out = visit / f"{VISIT}_desc-surfacedistance_qc.tsv"
    words = ["--registration", str(visit / "registration.json"), "-o", str(out), *more]
    return main(["surface-distance", *_words(visit, *words, **options)]), out


def test_every_pair_of_the_visit_is_compared(visit):
    code, out = _distances(visit, "--tolerance", "0.5")
    rows = _read(out)
    assert code == 0
    assert list(rows[0]) == [
        "reference", "candidate", "label", "structure", "dice", "assd_mm", "hd95_mm", "nsd", "tolerance_mm",
    ]  # fmt: skip
    pairs = list(dict.fromkeys((row["reference"], row["candidate"]) for row in rows))
    assert pairs == [("session", "run-1_T1w"), ("session", "run-2_T1w"), ("run-1_T1w", "run-2_T1w")]
    assert len(rows) == 3 * len(BRAIN_LABELS)
    assert {row["tolerance_mm"] for row in rows} == {"0.5"}
    whites = [float(row["dice"]) for row in rows if row["label"] == "2"]
    volume, missing = 6 * 8 * 9 - 18, 8 * 9
    lower = 2 * (volume - missing) / (2 * volume - missing)
    assert whites == pytest.approx([1, lower, lower])


def test_order_of_the_files_does_not_matter(visit):
    first = _distances(visit)[1].read_bytes()
    assert _distances(visit, scans=("run-1", "run-2"))[1].read_bytes() == first


def test_reference_segmentation_drawn_on_a_scan(visit):
    code, out = _distances(visit, "--reference", _scan_file(visit, "run-2"))
    rows = [row for row in _read(out) if row["reference"] == "manual"]
    assert code == 0
    assert {row["candidate"] for row in rows} == {"session"}
    assert float(next(row for row in rows if row["label"] == "41")["dice"]) == 1


def test_reference_segmentation_of_another_world(visit, capsys):
    assert _distances(visit, "--reference", _scan_file(visit, "run-2"), scans=("run-1",))[0] == 65
    said = capsys.readouterr().err
    assert "same part of the world as the labels of the session" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("content", [None, b"no image", b""])
def test_reference_that_cannot_be_used_costs_its_own_rows_alone(visit, capsys, content):
    expected = _distances(visit)[1].read_bytes()
    reference = visit / "reference.nii.gz"
    if content:
        reference.write_bytes(content)
    elif content is not None:  # a map in which nobody drew
        image = nib.load(_scan_file(visit, "run-2"))
        nib.save(nib.Nifti1Image(np.zeros(image.shape, np.uint8), image.affine), reference)
    code, out = _distances(visit, "--reference", str(reference))
    assert code == 65
    assert "reference.nii.gz: cannot be compared with as a reference segmentation" in capsys.readouterr().err
    assert out.read_bytes() == expected


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (None, "TypeError"),
        ({"grid": None}, "TypeError"),
        ({"grid": {"shape": [2, 2], "affine": np.eye(3).tolist()}}, "not of three axes"),
        ({"scans": [1]}, "AttributeError"),
        ({"scans": [{"scan": "run-1_T1w"}]}, "a scan has no flags"),
        ({"matrix": [[0]]}, "not 4 x 4, or singular"),
        ({"matrix": np.zeros((4, 4)).tolist()}, "not 4 x 4, or singular"),
    ],
)
def test_registration_that_cannot_be_used(visit, changes, words, capsys):
    """One of what register writes is not there, or is not what it should be."""
    file = visit / "registration.json"
    plan = json.loads(file.read_text())
    if changes and "matrix" in changes:
        plan["scans"][0] |= changes
    else:
        plan = [] if changes is None else plan | changes
    file.write_text(json.dumps(plan))
    assert _distances(visit)[0] == 65
    said = capsys.readouterr().err
    assert f"{file}: is not a registration" in said
    assert words in said


def test_registration_that_is_no_json(visit, capsys):
    (visit / "registration.json").write_text("")
    assert _distances(visit)[0] == 65
    assert "registration.json: is not a registration" in capsys.readouterr().err


def test_scan_that_the_registration_does_not_know(visit, capsys):
    plan = json.loads((visit / "registration.json").read_text())
    (visit / "registration.json").write_text(json.dumps(plan | {"scans": plan["scans"][:1]}))
    assert _distances(visit)[0] == 65
    assert "run-2_T1w" in capsys.readouterr().err


def test_scans_of_another_visit_and_names_without_scan(visit):
    for name in ("sub-02_ses-A_space-T1w_desc-babyseg_dseg.nii.gz", "labels.nii.gz", f"{VISIT}_dseg.nii.gz"):
        words = _words(visit)
        words[words.index("--scan-dseg") + 1] = str(visit / name)
        more = ["--registration", str(visit / "registration.json"), "-o", str(visit / "out.tsv")]
        assert main(["surface-distance", *words, *more]) == 65
    assert not (visit / "out.tsv").exists()


def test_morphometry_writes_both_tables(visit):
    words = ["--posterior-volumes", str(visit / "posterior.json"), "--out-dir", str(visit / "out")]
    assert main(["morphometry", *_words(visit, *words)]) == 0
    session = _read(visit / "out" / f"{VISIT}_desc-volumes_morph.tsv")
    scans = _read(visit / "out" / f"{VISIT}_desc-scanvolumes_morph.tsv")
    head = ["participant_id", "session_id"]
    columns = ["label", "structure", "side", "volume_mm3", "volume_posterior_mm3"]
    columns += ["volume_ci_low", "volume_ci_high"]
    assert list(session[0]) == [*head, *columns]
    assert list(scans[0]) == [*head, "scan", *columns]
    assert {(row["participant_id"], row["session_id"]) for row in session + scans} == {("01", "A")}
    assert list(dict.fromkeys(row["scan"] for row in scans)) == ["run-1_T1w", "run-2_T1w"]
    assert len(scans) == 2 * len(session)

    by_name = {row["structure"]: row for row in session}
    voxel = 0.8 * 1.1 * 2.0
    assert float(by_name["Lateral-Ventricle"]["volume_mm3"]) == pytest.approx(36 * voxel, abs=1e-3)
    assert float(by_name["Total-Brain-Volume"]["volume_mm3"]) == pytest.approx((864 - 36) * voxel, abs=1e-3)
    assert float(by_name["Cerebral-Cortex"]["volume_posterior_mm3"]) == 450
    assert by_name["Intracranial-Estimate"]["volume_posterior_mm3"] == "n/a"
    assert float(by_name["Brain-Stem"]["volume_ci_low"]) == pytest.approx(144)
    assert float(by_name["Brain-Stem"]["volume_ci_high"]) == pytest.approx(176)
    assert by_name["Total-Brain-Volume"]["volume_ci_low"] == "n/a"
    alone = {row["scan"]: row for row in scans if row["structure"] == "Brain-Stem"}
    assert alone["run-1_T1w"]["volume_ci_low"] == "n/a"
    assert float(alone["run-2_T1w"]["volume_ci_high"]) == pytest.approx(176)


def test_a_data_dictionary_lies_beside_each_table(visit):
    words = ["--posterior-volumes", str(visit / "posterior.json"), "--out-dir", str(visit)]
    assert main(["morphometry", *_words(visit, *words)]) == 0
    assert _distances(visit)[0] == 0
    tables = [visit / f"{VISIT}_desc-{name}.tsv" for name in ("volumes_morph", "scanvolumes_morph")]
    for table in [*tables, visit / f"{VISIT}_desc-surfacedistance_qc.tsv"]:
        columns = json.loads(table.with_suffix(".json").read_text(encoding="utf-8"))
        assert list(columns) == list(_read(table)[0])
        assert all(column.get("Units") == "mm^3" for name, column in columns.items() if name.endswith("_mm3"))


def test_morphometry_measures_the_reference_segmentation_too(visit, capsys):
    """As the scan ``manual``; one that cannot be used costs nothing but its own rows."""
    words = ["--posterior-volumes", str(visit / "posterior.json"), "--out-dir", str(visit / "out")]
    assert main(["morphometry", *_words(visit, *words, "--reference", _scan_file(visit, "run-2"))]) == 0
    table = visit / "out" / f"{VISIT}_desc-scanvolumes_morph.tsv"
    rows = {(row["scan"], row["structure"]): row for row in _read(table)}
    assert {scan for scan, _ in rows} == {"run-1_T1w", "run-2_T1w", "manual"}
    left = "Left-Cerebral-White-Matter"
    assert rows["manual", left]["volume_mm3"] == rows["run-2_T1w", left]["volume_mm3"]
    assert rows["manual", left]["volume_posterior_mm3"] == "n/a"
    assert main(["morphometry", *_words(visit, *words, "--reference", str(visit / "absent.nii.gz"))]) == 0
    assert "no volumes of the reference segmentation" in capsys.readouterr().err
    assert {row["scan"] for row in _read(table)} == {"run-1_T1w", "run-2_T1w"}


def test_what_the_reference_does_not_have_was_not_drawn(visit, capsys):
    """Ventricles and left white matter alone: the rest and totals of it are n/a; an empty map is unusable."""
    image = nib.load(_scan_file(visit, "run-1"))
    path = visit / "reference.nii.gz"
    words = ["--posterior-volumes", str(visit / "posterior.json"), "--out-dir", str(visit / "out")]
    table = visit / "out" / f"{VISIT}_desc-scanvolumes_morph.tsv"
    data = np.asarray(image.dataobj)
    nib.save(nib.Nifti1Image(np.where(data == 41, 0, data).astype(np.uint8), image.affine), path)
    assert main(["morphometry", *_words(visit, *words, "--reference", str(path))]) == 0
    volumes = {row["structure"]: row["volume_mm3"] for row in _read(table) if row["scan"] == "manual"}
    voxel = 0.8 * 1.1 * 2.0
    assert float(volumes["Lateral-Ventricle"]) == pytest.approx(36 * voxel, abs=1e-3)
    known = {name for name, volume in volumes.items() if volume != "n/a"}
    ventricles = {"Lateral-Ventricle", "Left-Lateral-Ventricle", "Right-Lateral-Ventricle"}
    assert known == {*ventricles, "Left-Cerebral-White-Matter"}
    assert _distances(visit, "--reference", str(path))[0] == 0
    rows = _read(visit / f"{VISIT}_desc-surfacedistance_qc.tsv")
    assert [row["label"] for row in rows if row["reference"] == "manual"] == ["2", "4", "43"]
    nib.save(nib.Nifti1Image(np.zeros_like(data), image.affine), path)
    capsys.readouterr()
    assert main(["morphometry", *_words(visit, *words, "--reference", str(path))]) == 0
    assert "nothing was drawn in it" in capsys.readouterr().err
    assert "manual" not in {row["scan"] for row in _read(table)}


def test_posterior_volumes_that_cannot_be_used(visit, capsys):
    (visit / "posterior.json").write_text('{"session": {}}')
    words = ["--posterior-volumes", str(visit / "posterior.json"), "--out-dir", str(visit / "out")]
    assert main(["morphometry", *_words(visit, *words)]) == 65
    assert "posterior.json" in capsys.readouterr().err


def test_failure_goes_to_its_file(visit):
    failure = visit / "f.json"
    code, out = _distances(visit, "--reference", str(visit / "absent.nii.gz"), "--failure", str(failure))
    assert code == 0
    assert out.is_file()
    assert json.loads(failure.read_text())["step"] == "surface-distance"
