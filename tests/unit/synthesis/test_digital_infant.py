"""The digital infant: growth, differences between children, known answers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume, load_labels
from babyseg_py.labels.merge import merge_labels
from babyseg_py.labels.table import STRUCTURES
from babyseg_py.synthesis.digital_infant import draw_child, grow, load_model, mean_child

BRAIN = [s.id for s in STRUCTURES if s.in_brain_volume]


@pytest.fixture(scope="module")
def model():
    return load_model()


def brain_ml(labels: Volume) -> float:
    merged = merge_labels(labels.data, labels.affine)
    return np.isin(merged, BRAIN).sum() * labels.voxel_volume_mm3 / 1000


def volume(labels: Volume, label: int) -> float:
    return (labels.data == label).sum() * labels.voxel_volume_mm3


def test_package_file_is_small_and_plain(root):
    path = root / "babyseg_py" / "synthesis" / "digital_infant.npz"
    assert path.stat().st_size < 3e6
    with np.load(path, allow_pickle=False) as stored:
        assert all(stored[name].dtype.kind in "iuf" for name in stored.files)


def test_mean_child_grows_from_a_newborn_to_three_years(model):
    sizes = [brain_ml(grow(model, mean_child(model), age, spacing_mm=2)) for age in (0, 2, 6, 12, 36)]
    assert np.all(np.diff(sizes) > 0)
    assert 340 < sizes[0] < 430
    assert 1000 < sizes[-1] < 1150


def test_left_lies_at_negative_x_and_all_structures_are_there(model):
    labels = grow(model, mean_child(model), 3.0, spacing_mm=2)
    merged = merge_labels(labels.data, labels.affine)
    assert set(np.unique(merged)) == {s.id for s in STRUCTURES}
    for left, right in ((2, 41), (17, 53)):
        x = [(np.argwhere(merged == n).mean(0) @ labels.affine[:3, :3].T + labels.affine[:3, 3])[0] for n in
             (left, right)]  # fmt: skip
        assert x[0] < -5 < 5 < x[1]


def test_equal_generators_give_equal_children_and_others_differ(model):
    one, same, other = (
        grow(model, draw_child(model, np.random.default_rng(seed)), 6.0, spacing_mm=3) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.data, same.data)
    assert one.shape != other.shape or np.mean(one.data != other.data) > 0.05


def test_planted_volume_is_what_the_child_has_and_other_structures_keep_theirs(model):
    plain = grow(model, mean_child(model), 12.0)
    larger = grow(model, replace(mean_child(model), structures={17: 0.2}), 12.0)
    assert volume(larger, 17) / volume(plain, 17) == pytest.approx(np.exp(0.2), rel=0.05)
    assert volume(larger, 53) == volume(plain, 53)
    assert brain_ml(larger) == pytest.approx(brain_ml(plain), rel=0.002)


def test_a_child_stays_the_same_child(model):
    children = [draw_child(model, np.random.default_rng(seed)) for seed in range(6)]
    young, old = (
        [volume(grow(model, child, age, spacing_mm=2), 53) for child in children] for age in (2.0, 24.0)
    )
    assert spearmanr(young, old).statistic > 0.7
    assert 0.06 < np.std(np.log(old)) < 0.25


@pytest.mark.parametrize("seed", [15, 22, 26])
def test_no_structure_floods_its_neighbours(model, seed):
    """Children whose shape alone would shrink their pallidum most."""
    mean = grow(model, mean_child(model), 12.0, spacing_mm=2)
    child = grow(model, draw_child(model, np.random.default_rng(seed)), 12.0, spacing_mm=2)
    for left, right in ((10, 49), (11, 50), (12, 51), (13, 52), (17, 53), (18, 54)):
        ours, typical = (volume(of, left) + volume(of, right) for of in (child, mean))
        assert 0.5 < ours / typical < 2


@pytest.mark.parametrize("age", [-0.1, 36.5, float("nan")])
def test_illegal_age(model, age):
    with pytest.raises(ValueError, match="not between 0 and 36"):
        grow(model, mean_child(model), age)


def test_a_file_that_is_no_model_is_named(tmp_path):
    path = tmp_path / "model.npz"
    path.write_text("no model")
    with pytest.raises(UnusableData, match=r"model\.npz: not a digital infant"):
        load_model(path)
    np.savez(path, labels=np.zeros(3))
    with pytest.raises(UnusableData, match="not a digital infant"):
        load_model(path)


def test_volumes_by_age_follow_the_label_maps(model, shared_data):
    errors = []
    for path in (shared_data / "labelmaps" / "infant").glob("*.nii.gz"):
        numbers = path.name.removeprefix("age-").split("mo_")[0].split("-")
        age = np.mean([float(n) for n in numbers])
        true = brain_ml(load_labels(path))
        errors.append(brain_ml(grow(model, mean_child(model), float(age), spacing_mm=2)) / true - 1)
    assert len(errors) == 11
    assert np.abs(errors).max() < 0.2
    assert np.abs(np.mean(errors)) < 0.04


def test_no_child_of_the_maps_comes_out(model, shared_data):
    """Even the mean of a map's age, scaled to the map's box, has other folds than the map."""
    for name, age in (("age-1mo", 1.0), ("age-34-38mo", 36.0)):
        real = load_labels(shared_data / "labelmaps" / "infant" / f"{name}_dseg.nii.gz")
        grown = grow(model, mean_child(model), age)
        boxes = [np.argwhere(v.data > 0) for v in (real, grown)]
        axis = torch.linspace(0, 1, 60).numpy()
        white = []
        for v, inside in zip((real, grown), boxes, strict=True):
            low, high = inside.min(0), inside.max(0)
            index = [np.rint(a + axis * (b - a)).astype(int) for a, b in zip(low, high, strict=True)]
            data = np.isin(v.data, (2, 41))[np.ix_(*index)]
            white.append(data[::-1] if v.affine[0, 0] < 0 else data)
        dice = 2 * (white[0] & white[1]).sum() / (white[0].sum() + white[1].sum())
        assert 0.4 < dice < 0.85
