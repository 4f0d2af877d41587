"""Segmenting from Python, with a network that is quick nonsense."""

import numpy as np
import pytest

import babyseg_py as bs
from babyseg_py.errors import UsageError
from babyseg_py.images import Volume, save_image
from babyseg_py.images.geometry import resample


def test_python_tells_what_was_left_out(folder, empty, weights) -> None:
    model = bs.load_model(weights, threads=1)
    result = bs.segment("a.nii.gz", empty("e.nii.gz"), model=model)
    assert list(result.left_out) == ["e.nii.gz"]
    assert "every voxel has the value 0" in result.left_out["e.nii.gz"]
    assert result.done.sources == ("a.nii.gz",)
    assert any("e.nii.gz: was left out" in sentence for sentence in result.flags)
    assert bs.segment("a.nii.gz", model=model).left_out == {}


def test_the_picture_shows_the_first_scan_that_was_used_where_it_lies(folder, empty, weights) -> None:
    """The first one given is empty and lends its grid alone; the others lie 12 mm and 15° apart."""
    place = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in (30, 34, 28)), indexing="ij"))
    inside = (place**2 * np.array([1.9, 1.6, 2.2])[:, None, None, None]).sum(axis=0) < 1
    waves = np.sin(5 * place[0] + 2) + np.cos(4 * place[1] - 1) * np.sin(3 * place[2] + 0.5)
    head = Volume((inside * (3 + waves)).astype(np.float32), np.diag([4.0, 4.0, 4.0, 1.0]))
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.26), -np.sin(0.26)], [np.sin(0.26), np.cos(0.26)]]
    turn[:3, 3] = (12, -4, 8)
    save_image(head, folder / "still.nii.gz")
    save_image(resample(head, head.shape, head.affine, world_matrix=turn), folder / "moved.nii.gz")
    model = bs.load_model(weights, threads=1)
    result = bs.segment(empty("e.nii.gz"), "moved.nii.gz", "still.nii.gz", model=model)
    assert list(result.left_out) == ["e.nii.gz"]
    assert result.done.sources == ("moved.nii.gz", "still.nii.gz")
    shown = result.done.first
    for scan in result.done.visit.scans:
        there = resample(scan.volume, shown.shape, shown.affine, world_matrix=scan.matrix)
        assert np.corrcoef(there.data.ravel(), shown.data.ravel())[0, 1] > 0.97
    assert result.plot().size[0] > 100


def test_python_never_writes_over_a_scan(folder, empty, weights) -> None:
    model = bs.load_model(weights, threads=1)
    before = (folder / "a.nii.gz").read_bytes()
    result = bs.segment("a.nii.gz", empty("e.nii.gz"), model=model)
    for name in ("a.nii.gz", "./a.nii.gz", "e.nii.gz"):
        with pytest.raises(UsageError, match="is an input"):
            result.save(name)
    assert (folder / "a.nii.gz").read_bytes() == before
    result.save("labels.nii.gz")
    result.save("labels.nii.gz")
    assert (folder / "labels.json").is_file()


def test_many_visits_as_the_document_has_them(folder, weights, root, capsys) -> None:
    """One table for each scan that is one; the same code, but for the network."""
    (folder / "scans").mkdir()
    for name in "abc":
        (folder / f"{name}.nii.gz").rename(folder / "scans" / f"{name}.nii.gz")
    text = (root / "docs" / "python.md").read_text(encoding="utf-8")
    code = next(part for part in text.split("```") if part.startswith("python\nfrom pathlib"))
    code = code.removeprefix("python\n").replace("load_model(threads=2)", f"load_model({str(weights)!r})")
    exec(code, {"bs": bs})
    assert "c.nii.gz" in capsys.readouterr().out
    assert {path.name for path in (folder / "scans").glob("*.tsv")} == {"a_volumes.tsv", "b_volumes.tsv"}


def test_python_names_what_it_does_not_know(weights) -> None:
    for argument, value in (("device", "cuda:7"), ("precision", "bfloat16"), ("labels", "Fuller")):
        with pytest.raises(UsageError, match=f"{argument} '{value}' is not known"):
            bs.load_model(weights, **{argument: value})
    for wrong in (-1, float("nan")):
        with pytest.raises(UsageError, match="is no age"):
            bs.segment("a.nii.gz", age_months=wrong)
    with pytest.raises(UsageError, match="one after the other"):
        bs.segment(["a.nii.gz", "b.nii.gz"])
