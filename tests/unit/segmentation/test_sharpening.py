"""Posteriors of visits that sharpen each other, and the file they come from."""

import nibabel as nib
import numpy as np
import pytest

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume
from babyseg_py.registration import child_template
from babyseg_py.registration.child_template import STEPS, Seen, make_template
from babyseg_py.segmentation.longitudinal import jacobian_volumes, most_probable, pooled, sharpen
from babyseg_py.segmentation.probseg import certain, read_probabilities, write_probabilities

AFFINE = np.array([[3.0, 0, 0, -36], [0, 3.0, 0, -39], [0, 0, 3.0, -33], [0, 0, 0, 1]])
SHAPE = (25, 27, 23)


@pytest.fixture(autouse=True)
def _coarse(monkeypatch):
    monkeypatch.setattr(child_template, "TEMPLATE_MM", 3.0)
    monkeypatch.setattr(child_template, "SCHEDULE", ((4.0, 8.0, 5),))


def ball(radius_mm: float = 20.0, thalamus_mm: float = 8.0) -> Volume:
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    world = index @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    labels = np.where(np.linalg.norm(world, axis=-1) < radius_mm, np.where(world[..., 0] < 0, 2, 41), 0)
    labels[np.linalg.norm(world - (-8, 3, 0), axis=-1) < thalamus_mm] = 10
    return Volume(labels.astype(np.uint8), AFFINE)


def seen(labels: Volume) -> Seen:
    return Seen(certain(labels), labels.affine)


def test_strength_zero_leaves_a_visit_as_it_is():
    visits = [seen(ball()), seen(ball(22))]
    kept = sharpen(make_template(visits), visits, 0, strength=0)
    np.testing.assert_array_equal(kept.labels, ball().data)
    assert kept.posterior_mm3[10] == np.count_nonzero(ball().data == 10) * 27


def test_identical_visits_change_nothing():
    visits = [seen(ball())] * 2
    template = make_template(visits)
    same = sharpen(template, visits, 0, strength=1)
    np.testing.assert_array_equal(same.labels, ball().data)
    for label, volume in same.posterior_mm3.items():
        assert volume == pytest.approx(np.count_nonzero(ball().data == label) * 27, abs=1)


def test_noise_of_one_visit_is_drawn_to_the_others():
    """Of equal brains, one has half of its thalamus mislabelled as white matter."""
    odd = ball(thalamus_mm=6)
    visits = [seen(ball()), seen(ball()), seen(odd)]
    template = make_template(visits)
    true = np.count_nonzero(ball().data == 10) * 27
    by_strength = [sharpen(template, visits, 2, strength=s).posterior_mm3[10] for s in (0, 0.5, 1)]
    errors = np.abs(np.array(by_strength) - true)
    assert errors[0] > errors[1] > errors[2]


def test_the_order_of_the_visits_changes_no_bit():
    visits = [seen(ball()), seen(ball(21)), seen(ball(23, 9))]
    one, other = make_template(visits), make_template(visits[::-1])
    np.testing.assert_array_equal(pooled(one, visits), pooled(other, visits[::-1]))
    a = sharpen(one, visits, 0, strength=0.5)
    b = sharpen(other, visits[::-1], 2, strength=0.5)
    np.testing.assert_array_equal(a.labels, b.labels)
    assert a.posterior_mm3 == b.posterior_mm3


def test_jacobian_and_sharpened_volumes_agree():
    """With one segmentation for all visits both are the same integral, on two grids of 3 mm."""
    visits = [seen(ball(18, 7)), seen(ball(22, 9))]
    template = make_template(visits)
    probabilities = pooled(template, visits)
    for place in range(2):
        carried = jacobian_volumes(probabilities, template.jacobian(place), template.box.spacing_mm**3)
        sharpened = sharpen(template, visits, place, strength=1).posterior_mm3
        for label in (2, 41, 10):
            assert carried[label] == pytest.approx(sharpened[label], rel=0.06)


def test_a_strength_that_is_none():
    visits = [seen(ball())] * 2
    with pytest.raises(ValueError, match=r"strength of 1.5 is not from 0 to 1"):
        sharpen(make_template(visits), visits, 0, strength=1.5)


def test_most_probable_label():
    labels = ball()
    np.testing.assert_array_equal(most_probable(certain(labels), AFFINE).data, labels.data)


def test_a_file_of_probabilities(tmp_path):
    labels, path = ball(), tmp_path / "sub-1_ses-1_space-session_desc-babyseg_probseg.nii.gz"
    write_probabilities(certain(labels), AFFINE, path)
    found = read_probabilities(path)
    box = most_probable(found.seen.steps, found.seen.affine)
    assert found.seen.steps.shape[1] < SHAPE[0]
    np.testing.assert_array_equal(found.on_grid(box.data).data, labels.data)
    np.testing.assert_array_equal(found.grid.affine, AFFINE)
    first = path.read_bytes()
    write_probabilities(certain(labels), AFFINE, path)
    assert path.read_bytes() == first
    assert path.with_name(path.name.replace(".nii.gz", ".json")).is_file()


def _damage(kind, path):
    steps = certain(ball())
    if kind == "empty":
        steps[1:], steps[0] = 0, STEPS
    if kind == "sum":
        steps[3] = 200
    write_probabilities(steps, AFFINE, path)
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:200])
    if kind == "missing":
        path.unlink()
    if kind == "other":
        nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.uint8), AFFINE), path)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("empty", "holds no brain"),
        ("sum", "do not sum to 1"),
        ("cut", "cannot be read"),
        ("missing", "cannot be read"),
        ("other", "not one map for each"),
    ],
)
def test_an_unusable_file_of_probabilities(tmp_path, kind, words):
    path = tmp_path / "a_probseg.nii.gz"
    _damage(kind, path)
    with pytest.raises(UnusableData, match=words):
        read_probabilities(path)
