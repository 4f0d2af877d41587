"""A user's own label maps: translated, checked, and every fault named before training."""

import numpy as np
import pytest

from babyseg_py.cli import main
from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume, save_labels
from babyseg_py.synthesis.labelbank import load_bank
from babyseg_py.training.labelmaps import check_map, read_label_table
from babyseg_py.training.pack import pack_label_maps

OWN = {2: 101, 3: 102, 41: 201, 42: 202}  # FreeSurfer number → number in a user's maps
TABLE = "index\tname\tfreesurfer\n" + "".join(f"{own}\tx\t{number}\n" for number, own in OWN.items())


def own_numbers(ball: Volume) -> Volume:
    data = np.zeros_like(ball.data)
    for number, own in OWN.items():
        data[ball.data == number] = own
    return Volume(data, ball.affine)


def test_folder_and_table_are_enough(ball, tmp_path) -> None:
    """Maps in other numbers, in one folder with a table, give the bank of the same maps in FreeSurfer's."""
    save_labels(own_numbers(ball), tmp_path / "own" / "age-4mo.nii.gz")
    save_labels(ball, tmp_path / "freesurfer" / "age-4mo.nii.gz")
    (tmp_path / "table.tsv").write_text(TABLE)
    pack_label_maps([tmp_path / "own"], tmp_path / "own.npz", label_table=tmp_path / "table.tsv")
    pack_label_maps([tmp_path / "freesurfer"], tmp_path / "freesurfer.npz")
    own, freesurfer = load_bank(tmp_path / "own.npz"), load_bank(tmp_path / "freesurfer.npz")
    assert np.array_equal(own.maps[0].classes, freesurfer.maps[0].classes)
    assert np.array_equal(own.target, freesurfer.target)
    assert own.maps[0].age_months == 4


def test_table_by_name(tmp_path) -> None:
    """A BIDS table of FreeSurfer names serves as it is, also with commas."""
    (tmp_path / "t.csv").write_text("index,name,color\n7,Left-Hippocampus,#ff0000\n0,Background,#000000\n")
    assert read_label_table(tmp_path / "t.csv") == {7: 17, 0: 0}
    (tmp_path / "t.csv").write_text("index;name\n7;Left-Hippocampus\n")
    assert read_label_table(tmp_path / "t.csv") == {7: 17}
    rows = "index,freesurfer,name\n1,n/a,Left-Putamen\n2,,Right-choroid-plexus\n3,0,skull\n4,,Unknown\n"
    (tmp_path / "t.csv").write_text(rows)
    assert read_label_table(tmp_path / "t.csv") == {1: 12, 2: 63, 3: 0, 4: 0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("index\tcolour\n1\tred\n", "has columns index, colour"),
        ("index\tname\n1\tHippo\n", "row 2: 'hippo' is no number, or no FreeSurfer name"),
        ("index\tfreesurfer\nx\t17\n", "row 2"),
        ("index\tfreesurfer\n1\t99999999999\n", "row 2: 99999999999 is no FreeSurfer number"),
        ("index\tfreesurfer\n1\t17\n1\t53\n", "row 3: label 1 comes twice"),
        ("", "has columns"),
    ],
)
def test_bad_tables_are_explained(text, message, tmp_path) -> None:
    """The row and the word at fault are named."""
    (tmp_path / "t.tsv").write_text(text)
    with pytest.raises(UnusableData, match=message):
        read_label_table(tmp_path / "t.tsv")


def planted(ball: Volume) -> dict[str, Volume]:
    """Return maps with one fault each."""
    data, affine = ball.data, ball.affine
    one_pair = np.where(data == 2, 41, np.where(data == 41, 2, data))
    coarse = affine @ np.diag([1.0, 1, 3, 1])
    putamen = data.copy()
    putamen[14:17, 18:21, 18:21], putamen[23:26, 18:21, 18:21] = 51, 12
    return {
        "putamen": Volume(putamen, affine),
        "mirrored": Volume(data[::-1].copy(), affine),
        "one-pair": Volume(one_pair, affine),
        "unknown": Volume(np.where(data == 2, 9321, data), affine),
        "coarse": Volume(data, coarse),
        "empty": Volume(np.zeros_like(data), affine),
    }


def test_every_fault_is_named_at_once(ball, tmp_path, capsys) -> None:
    """One error lists all bad maps of a folder; nothing is packed, the good map is not blamed."""
    for name, volume in {**planted(ball), "good": ball}.items():
        save_labels(volume, tmp_path / "maps" / f"{name}.nii.gz")
    (tmp_path / "tiny.yaml").write_text(
        f"bank: {tmp_path / 'bank.npz'}\nnetwork: {{}}\nsynthesis: {{grid: [64, 64, 64]}}"
    )
    command = [
        "train",
        str(tmp_path / "tiny.yaml"),
        "-o",
        str(tmp_path / "run"),
        "--pack",
        str(tmp_path / "maps"),
    ]
    assert main(command) == 65
    words = capsys.readouterr().err
    assert "mirrored.nii.gz: left and right are exchanged: left has to lie at negative world x" in words
    assert "one-pair.nii.gz: left and right are exchanged or mixed in Cerebral-White-Matter" in words
    assert "putamen.nii.gz: left and right are exchanged or mixed in Putamen" in words
    assert "unknown.nii.gz: labels 9321 are unknown" in words
    assert "coarse.nii.gz: its voxels of 1 × 1 × 3 mm are coarser than 2.5 mm" in words
    assert "empty.nii.gz: it holds no known structure" in words
    assert "good" not in words
    assert not (tmp_path / "bank.npz").exists()


def test_labels_outside_the_table_are_named(ball, tmp_path) -> None:
    """A number of the maps that the table lacks is an error, not background."""
    save_labels(own_numbers(ball), tmp_path / "a.nii.gz")
    assert check_map(tmp_path / "a.nii.gz", {101: 2, 102: 3}).problems == (
        "labels 201, 202 are not in the label table",
    )
    (tmp_path / "b.nii.gz").write_text("no image")
    assert check_map(tmp_path / "b.nii.gz", None).problems


def test_grids_that_differ_are_told(ball, tmp_path) -> None:
    """Maps of two voxel sizes are packed, with a note."""
    save_labels(ball, tmp_path / "maps" / "a.nii.gz")
    finer = ball.affine @ np.diag([0.8, 0.8, 0.8, 1])
    save_labels(Volume(ball.data, finer), tmp_path / "maps" / "b.nii.gz")
    note = pack_label_maps([tmp_path / "maps"], tmp_path / "bank.npz")
    assert (
        note == "voxel sizes differ: 1 × 1 × 1 mm (1), 0.8 × 0.8 × 0.8 mm (1); all maps are brought to 1 mm"
    )


def test_empty_folder_is_named(tmp_path) -> None:
    """A folder without images is an error."""
    with pytest.raises(UnusableData, match="holds no label maps"):
        pack_label_maps([tmp_path], tmp_path / "bank.npz")


def test_the_table_of_the_document_is_read_as_it_stands(root, tmp_path) -> None:
    text = (root / "docs" / "training.md").read_text(encoding="utf-8")
    block = next(part for part in text.split("```") if "freesurfer\n" in part)
    (tmp_path / "table.csv").write_text("\n".join(line.strip() for line in block.strip().splitlines()))
    assert read_label_table(tmp_path / "table.csv") == {101: 2, 102: 3, 900: 0}
