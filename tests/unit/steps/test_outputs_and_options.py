"""No step writes over what it reads; options with impossible values stop it before anything is computed."""

import hashlib
import json

import nibabel as nib
import numpy as np
import pytest

from babyseg_py.cli import main
from babyseg_py.images import Volume, load_image, load_labels, save_image, save_labels
from babyseg_py.labels import LABELS
from babyseg_py.synthesis.digital_infant import draw_child, grow, load_model


@pytest.fixture(scope="module")
def brain():
    """Grow a digital infant of 6 months, coarsely."""
    model = load_model()
    return grow(model, draw_child(model, np.random.default_rng(0)), 6.0, spacing_mm=3.0)


@pytest.fixture
def files(tmp_path, brain):
    """Write two label maps, a scan and a table of volumes."""
    save_labels(brain, tmp_path / "labels.nii.gz")
    save_labels(brain.with_data(np.roll(brain.data, 1, axis=0)), tmp_path / "other.nii.gz")
    save_image(brain.with_data(brain.data.astype(np.float32)), tmp_path / "scan.nii.gz")
    rows = [f"{c:02d},{m},Brain-Stem,{1000 + 10 * c + k}" for c in range(5) for k, m in enumerate("ab")]
    head = "participant_id,method,structure,volume_mm3"
    (tmp_path / "volumes.csv").write_text("\n".join([head, *rows]) + "\n")
    (tmp_path / "sheet.csv").write_text("participant_id,session_id,suffix,image\n01,A,T1w,scan.nii.gz\n")
    return tmp_path


def call(folder, text):
    """Run a command whose words are file names in a folder, where they have an extension."""
    return main([str(folder / word) if "." in word and word[0] != "-" else word for word in text.split()])


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


AN_INPUT, TWICE = "is an input", "two outputs have this name"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("n4 scan.nii.gz -o scan.nii.gz", AN_INPUT),
        ("n4 scan.nii.gz -o new.nii.gz --field scan.nii.gz", AN_INPUT),
        ("volumes labels.nii.gz -o labels.nii.gz", AN_INPUT),
        ("evaluate labels.nii.gz other.nii.gz -o other.nii.gz", AN_INPUT),
        ("consensus labels.nii.gz other.nii.gz -o labels.nii.gz", AN_INPUT),
        ("agreement volumes.csv -o volumes.csv", AN_INPUT),
        ("synthesize labels.nii.gz -o labels.nii.gz", AN_INPUT),
        ("check sheet.csv -o sheet.csv", AN_INPUT),
        ("segment scan.nii.gz -o scan.nii.gz --force", AN_INPUT),
        ("n4 scan.nii.gz -o new.nii.gz --report new.nii.gz", TWICE),
        ("consensus labels.nii.gz other.nii.gz -o new.nii.gz --certainty new.nii.gz", TWICE),
        ("consensus labels.nii.gz other.nii.gz -o new.nii.gz --performance new.tsv", TWICE),
        ("synthesize labels.nii.gz -o new.nii.gz --labels-out new.nii.gz", TWICE),
        ("agreement volumes.csv -o new.json", TWICE),
        ("consensus labels.nii.gz other.nii.gz -o scan.nii.gz", "is there already"),
        ("consensus labels.nii.gz other.nii.gz -o new.nii.gz --performance sheet.csv", "is there already"),
        ("evaluate labels.nii.gz other.nii.gz -o sheet.csv", "is there already"),
        ("volumes labels.nii.gz -o sheet.csv", "is there already"),
        ("agreement volumes.csv -o sheet.csv", "is there already"),
    ],
)
def test_no_file_is_written_over_another(files, text, words, capsys):
    before = digests(files)
    assert call(files, text) == 2
    assert words in capsys.readouterr().err
    assert digests(files) == before


@pytest.mark.parametrize(
    "text",
    [
        "evaluate labels.nii.gz other.nii.gz -o new.tsv",
        "volumes labels.nii.gz -o new.tsv",
        "agreement volumes.csv -o new.tsv",
        "consensus labels.nii.gz other.nii.gz -o new.nii.gz --performance rater.csv --force",
    ],
)
def test_what_a_step_wrote_itself_is_written_again(files, text):
    assert call(files, text) == 0
    before = digests(files)
    assert call(files, text) == 0
    assert digests(files) == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("n4 scan.nii.gz -o new.mgz", "name it .nii.gz"),
        ("consensus labels.nii.gz other.nii.gz -o new.mgz", "name it .nii.gz"),
        ("consensus labels.nii.gz labels.nii.gz -o new.nii.gz", "given twice"),
        ("convert scan.nii.gz -o new.safetensors --encoder -1 --decoder 2", "from 1 on"),
    ],
)
def test_other_words_that_cannot_be_meant(files, text, words, capsys):
    assert call(files, text) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "segment scan.nii.gz -o new.nii.gz --threads -1",
        "segment scan.nii.gz -o new.nii.gz --threads 1000000",
        "segment scan.nii.gz -o new.nii.gz --age-months nan",
        "segment scan.nii.gz -o new.nii.gz --age-months -5",
        "n4 scan.nii.gz -o new.nii.gz --threads 0",
        "synthesize labels.nii.gz -o new.nii.gz --spacing inf",
        "synthesize labels.nii.gz -o new.nii.gz --seed -1",
        "evaluate labels.nii.gz other.nii.gz -o new.tsv --tolerance nan",
    ],
)
def test_numbers_that_cannot_be(files, text):
    with pytest.raises(SystemExit) as stopped:
        call(files, text)
    assert stopped.value.code == 2
    assert not any(path.name.startswith("new") for path in files.iterdir())


def test_parameters_make_the_same_image_on_the_same_voxels(files):
    words = "-o one.nii.gz --spacing 6 --labels-out l1.nii.gz --params-out p.json"
    assert call(files, f"synthesize labels.nii.gz {words}") == 0
    assert call(files, "synthesize labels.nii.gz -o two.nii.gz --params p.json --labels-out l2.nii.gz") == 0
    one, two = (load_image(files / f"{name}.nii.gz") for name in ("one", "two"))
    assert np.array_equal(one.data, two.data)
    assert np.array_equal(one.affine, two.affine)
    assert one.spacing_mm == pytest.approx([6, 6, 6])


def test_parameters_bring_their_voxel_size(files, capsys):
    """Another one would make a brain of another size."""
    assert call(files, "synthesize labels.nii.gz -o one.nii.gz --spacing 6 --params-out p.json") == 0
    assert call(files, "synthesize labels.nii.gz -o new.nii.gz --params p.json --spacing 3") == 2
    assert "--spacing does not go with --params" in capsys.readouterr().err
    text = (files / "p.json").read_text()
    (files / "p.json").write_text(text.replace('"spacing_mm": 6.0', '"spacing_mm": -6.0'))
    assert call(files, "synthesize labels.nii.gz -o new.nii.gz --params p.json") == 65
    assert not (files / "new.nii.gz").exists()


@pytest.mark.parametrize("text", ["[]", '{"grid": []}', "no json"])
def test_parameters_that_are_none(files, text, capsys):
    (files / "p.json").write_text(text)
    assert call(files, "synthesize labels.nii.gz -o new.nii.gz --params p.json") == 65
    assert "give a file of --params-out" in capsys.readouterr().err


def test_a_map_without_a_brain_is_not_synthesised(files, brain, capsys):
    save_labels(brain.with_data((brain.data == 17).astype(np.uint8)), files / "empty.nii.gz")
    assert call(files, "synthesize empty.nii.gz -o new.nii.gz") == 65
    assert "holds no brain" in capsys.readouterr().err


def test_posteriors_of_another_scan_are_refused(files, brain, capsys):
    shape = (len(LABELS), *brain.shape)
    maps = np.moveaxis(np.zeros(shape, np.float32), 0, -1)
    affine = brain.affine.copy()
    nib.save(nib.Nifti1Image(maps, affine), files / "own.nii.gz")
    nib.save(nib.Nifti1Image(maps[2:-3], affine @ np.array(
        [[1, 0, 0, 2], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])), files / "cropped.nii.gz")  # fmt: skip
    affine[0, 3] += 5
    nib.save(nib.Nifti1Image(maps, affine), files / "moved.nii.gz")
    assert call(files, "volumes labels.nii.gz -o v.tsv --posteriors own.nii.gz") == 0
    assert call(files, "volumes labels.nii.gz -o w.tsv --posteriors cropped.nii.gz") == 0
    assert call(files, "volumes labels.nii.gz -o new.tsv --posteriors moved.nii.gz") == 65
    assert "lies on other voxels" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["labels.nii.gz/v.tsv", f"{'v' * 260}.tsv"])
def test_places_where_nothing_can_be_written(files, name, capsys):
    assert main(["volumes", str(files / "labels.nii.gz"), "-o", str(files / name)]) == 65
    assert "could not be written" in capsys.readouterr().err


def test_an_output_without_a_name(files, capsys):
    assert main(["volumes", str(files / "labels.nii.gz"), "-o", ""]) == 2
    assert capsys.readouterr().err.startswith("babyseg volumes: ")


def test_a_name_that_is_no_text_is_written_as_an_escape(files):
    name = b"rater\xe9.nii.gz".decode(errors="surrogateescape")
    (files / "labels.nii.gz").rename(files / name)
    words = ["consensus", str(files / name), str(files / "other.nii.gz"), "-o", str(files / "new.nii.gz")]
    assert main([*words, "--performance", str(files / "new_performance.tsv")]) == 0
    assert json.loads((files / "new.json").read_text())["Sources"][0] == name


def test_a_folder_that_is_a_file_is_told_before_registering(files, capsys):
    scan = files / "sub-01_ses-A_T1w.nii.gz"
    (files / "scan.nii.gz").rename(scan)
    assert main(["register", str(scan), "--visit", "sub-01_ses-A", "--out-dir", str(scan)]) == 65
    assert "cannot be made a folder" in capsys.readouterr().err


def test_methods_agree_whatever_separates_columns_and_however_children_are_written(files):
    assert call(files, "agreement volumes.csv -o one.tsv") == 0
    rows = (files / "volumes.csv").read_text().splitlines()
    rows = [row if ",b," not in row else f"sub-{row}" for row in rows]
    (files / "volumes2.csv").write_text("\n".join(rows).replace(",", ";") + "\n")
    assert call(files, "agreement volumes2.csv -o two.tsv") == 0
    assert (files / "one.tsv").read_text() == (files / "two.tsv").read_text()


def test_a_background_that_is_not_zero_changes_nothing(files, brain):
    masked = np.where(brain.data > 0, brain.data + 100.0, 0)
    for name, data in (("zero", masked), ("raised", masked + 1000), ("air", np.where(masked, masked, -1024))):
        save_image(Volume(data, brain.affine), files / f"{name}.nii.gz")
    zero, raised, air = (load_image(files / f"{name}.nii.gz").data for name in ("zero", "raised", "air"))
    inside = zero > 0
    assert all((one[~inside] == 0).all() for one in (raised, air))
    assert all(np.ptp(one[inside] - zero[inside]) == 0 for one in (raised, air))
    assert raised[inside].min() == air[inside].min() == 0
    assert load_labels(files / "labels.nii.gz").data.max() == brain.data.max()
