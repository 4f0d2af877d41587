"""Majority and STAPLE of several raters."""

import itertools

import nibabel as nib
import numpy as np
import pytest

from babyseg_py.cli import main
from babyseg_py.morphometry.consensus import majority, staple
from babyseg_py.statistics.files import read_table

SHAPE = (14, 12, 10)


@pytest.fixture
def truth():
    """Return three blocks, one within another."""
    data = np.zeros(SHAPE, dtype=int)
    data[2:8, 2:9, 2:8], data[8:12, 2:9, 2:8], data[4:8, 3:8, 3:7] = 2, 41, 17
    return data


def rate(truth, rng, sensitivity):
    """Give each voxel of the blocks its own label with a probability, else one of the others."""
    numbers = np.unique(truth)
    wrong = rng.choice(numbers, truth.shape)
    keep = rng.uniform(size=truth.shape) < sensitivity
    return np.where(keep | (truth == 0), truth, wrong)


@pytest.mark.parametrize("join", [majority, staple])
def test_raters_who_agree_are_the_consensus(truth, join):
    made = join([truth, truth, truth])
    assert (made.labels == truth).all()
    assert np.allclose(made.confusion, np.eye(4))
    assert np.allclose(made.certainty, 1)


def test_majority_of_three_voxels():
    maps = [np.array(values).reshape(1, 1, 4) for values in ([2, 2, 41, 2], [2, 41, 41, 41], [41, 41, 41, 0])]
    made = majority(maps)
    assert made.labels.ravel().tolist() == [2, 41, 41, 41]  # the last is a tie: 41 has more votes in all
    assert made.certainty.ravel() == pytest.approx([2 / 3, 2 / 3, 1, 1 / 3])


@pytest.mark.parametrize("join", [majority, staple])
def test_the_order_of_raters_changes_nothing(truth, rng, join):
    maps = [rate(truth, rng, share) for share in (0.9, 0.6, 0.7)]
    made = [join(list(order)) for order in itertools.permutations(maps)]
    assert all((one.labels == made[0].labels).all() for one in made)
    assert np.allclose(made[-1].confusion[::-1], made[0].confusion, atol=1e-6)


def test_staple_finds_who_is_right_where_the_majority_is_wrong(truth, rng):
    """One careful rater outweighs two careless ones, and the performance is as it was planted."""
    big = np.repeat(np.repeat(truth, 3, axis=0), 3, axis=1)
    shares = (0.97, 0.6, 0.65)
    maps = [rate(big, rng, share) for share in shares]
    found, voted = staple(maps), majority(maps)
    assert (found.labels != big).mean() < 0.5 * (voted.labels != big).mean()
    for rater, share in enumerate(shares):
        sensitivity = np.diag(found.confusion[rater])[1:]
        assert sensitivity == pytest.approx(share + (1 - share) / 4, abs=0.05)


def test_two_labels_agree_with_the_definition_in_loops(truth, rng):
    """Warfield's equations for two labels, voxel by voxel, from the same start."""
    maps = [(rate(truth, rng, share) > 0).astype(int) for share in (0.95, 0.8, 0.85)]
    maps = [np.where(rng.uniform(size=SHAPE) < 0.05, 1 - one, one) for one in maps]
    made = staple(maps)
    votes = np.stack([one.ravel() for one in maps])
    weight, prior = votes.mean(axis=0), votes.mean()
    for _ in range(300):
        p = (votes * weight).sum(axis=1) / weight.sum()
        q = ((1 - votes) * (1 - weight)).sum(axis=1) / (1 - weight).sum()
        a, b = np.full(votes.shape[1], prior), np.full(votes.shape[1], 1 - prior)
        for d, sensitivity, specificity in zip(votes, p, q, strict=True):
            a *= np.where(d == 1, sensitivity, 1 - sensitivity)
            b *= np.where(d == 1, 1 - specificity, specificity)
        weight = a / (a + b)
    assert (made.labels.ravel() == (weight > 0.5)).all()
    assert made.confusion[:, 1, 1] == pytest.approx(p, abs=1e-7)
    assert made.confusion[:, 0, 0] == pytest.approx(q, abs=1e-7)


def test_one_map_and_unlike_grids_are_refused(truth):
    with pytest.raises(ValueError, match="no consensus"):
        staple([truth])
    with pytest.raises(ValueError, match="not on one grid"):
        majority([truth, truth[1:]])


def test_the_command_writes_labels_and_the_raters_performance(tmp_path, truth, rng, oblique_affine, capsys):
    raters = [truth, truth, rate(truth, rng, 0.7)]
    paths = [tmp_path / f"rater{number}.nii.gz" for number in (1, 2, 3)]
    for path, data in zip(paths, raters, strict=True):
        nib.save(nib.Nifti1Image(data.astype(np.uint8), oblique_affine), path)
    out, table = tmp_path / "x_dseg.nii.gz", tmp_path / "raters.tsv"
    assert main(["consensus", *map(str, paths), "-o", str(out), "--performance", str(table)]) == 0
    assert (np.asarray(nib.load(out).dataobj) == truth).all()
    assert (tmp_path / "x_dseg.tsv").exists()
    found = read_table(table).set_index(["rater", "label"])
    assert found.loc[("rater1", 17), ["dice", "assd_mm"]].tolist() == [1, 0]
    other = found.loc["rater3"]
    expected = [(raters[2][truth == number] == number).mean() for number in (2, 17, 41)]
    assert other["sensitivity"].astype(float).loc[[2, 17, 41]].tolist() == pytest.approx(expected, abs=1e-6)
    assert "rater1: mean Dice 1.000" in capsys.readouterr().out
    assert main(["consensus", str(paths[0]), "-o", str(out)]) == 2


def test_a_map_in_which_nobody_drew_has_no_vote(tmp_path, truth, oblique_affine, capsys):
    paths = [tmp_path / f"rater{number}.nii.gz" for number in (1, 2, 3)]
    for path, data in zip(paths, (truth, truth * 0, truth), strict=True):
        nib.save(nib.Nifti1Image(data.astype(np.uint8), oblique_affine), path)
    out = tmp_path / "x_dseg.nii.gz"
    assert main(["consensus", *map(str, paths), "-o", str(out)]) == 65
    assert "rater2.nii.gz: is empty: nothing was drawn in it" in capsys.readouterr().err
    assert not out.exists()
