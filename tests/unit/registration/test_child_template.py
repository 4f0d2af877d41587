"""The template of a child: no visit favoured, invertible, and growth in its Jacobian."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from babyseg_py.registration import child_template
from babyseg_py.registration.child_template import STEPS, Seen, make_template

SHAPE = (26, 28, 24)
SPACING = 3.0


@pytest.fixture(autouse=True)
def _coarse(monkeypatch):
    """Grids of a phantom of 60 mm."""
    monkeypatch.setattr(child_template, "TEMPLATE_MM", 3.0)
    monkeypatch.setattr(child_template, "SCHEDULE", ((4.0, 8.0, 8), (3.0, 6.0, 12)))


def phantom(grow: float = 1.0, *, bump_mm: float = 0.0, matrix: np.ndarray | None = None) -> Seen:
    """Two halves of a brain with three structures off centre; scaled in all lengths, moved by a matrix."""
    affine = np.diag([SPACING, SPACING, SPACING, 1.0])
    affine[:3, 3] = -SPACING * (np.array(SHAPE) - 1) / 2
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    world = index * SPACING + affine[:3, 3]
    if matrix is not None:
        inverse = np.linalg.inv(matrix)
        world = world @ inverse[:3, :3].T + inverse[:3, 3]
    x = world / grow
    labels = np.zeros(SHAPE, int)
    brain = (x / np.array([22.0, 27.0, 19.0])) ** 2
    labels[brain.sum(-1) < 1] = 1
    labels[(brain.sum(-1) < 1) & (x[..., 0] > 0)] = 11
    for channel, centre, radius in ((5, (-9, -4, 2), 6), (15, (9, -5, 2), 6), (8, (-12, 8, -5), 5 + bump_mm)):
        labels[((x - centre) ** 2).sum(-1) < radius**2] = channel
    soft = np.stack([gaussian_filter((labels == c).astype(np.float32), 0.6) for c in range(22)])
    return Seen(np.round(soft * STEPS).astype(np.uint8), affine)


def moved(degrees: float, shift_mm: tuple[float, float, float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", [degrees, -degrees / 2, degrees], degrees=True).as_matrix()
    matrix[:3, 3] = shift_mm
    return matrix


def inside(template, least_mm: float = 18.0) -> torch.Tensor:
    points = template.box.points()
    return points[points.norm(dim=-1) < least_mm]


def test_identical_visits_give_the_identity():
    one = phantom()
    template = make_template([one, one])
    for place in range(2):
        np.testing.assert_allclose(template.ways[place].affine[:3, :3], np.eye(3), atol=1e-6)
        assert not template.ways[place].velocity.any()
        np.testing.assert_allclose(template.jacobian(place), 1, atol=1e-4)


def test_the_order_of_the_visits_changes_no_bit():
    visits = [phantom(), phantom(1.1, bump_mm=1.5), phantom(1.15, matrix=moved(6, (2, -1, 3)))]
    one, other = make_template(visits), make_template(visits[::-1])
    for place in range(3):
        np.testing.assert_array_equal(one.ways[place].affine, other.ways[2 - place].affine)
        assert torch.equal(one.ways[place].velocity, other.ways[2 - place].velocity)


def test_the_ways_are_inverse_of_each_other():
    template = make_template([phantom(), phantom(1.12, bump_mm=1.5, matrix=moved(5, (1, 2, -3)))])
    points = inside(template)
    for place in range(2):
        back = template.from_visit(template.to_visit(points, place), place)
        off = (back - points).norm(dim=-1)
        assert off.mean() < 0.02
        assert off.max() < 0.15


def test_no_visit_is_favoured():
    """Sizes, turns and velocities of the visits are as far from the template on either side."""
    template = make_template([phantom(), phantom(1.2, bump_mm=2, matrix=moved(8, (4, 0, -2)))])
    one, other = (way.affine[:3, :3] for way in template.ways)
    assert np.linalg.det(one) * np.linalg.det(other) == pytest.approx(1)
    np.testing.assert_allclose(one @ other / np.cbrt(np.linalg.det(one @ other)), np.eye(3), atol=1e-6)
    total = template.ways[0].velocity + template.ways[1].velocity
    assert total.abs().max() < 1e-5


def test_uniform_growth_is_in_the_jacobian():
    """All lengths 1.1 times: 1.331 times the volume everywhere."""
    template = make_template([phantom(), phantom(1.1)])
    ratio = template.jacobian(1) / template.jacobian(0)
    points = template.box.points().norm(dim=-1).numpy()
    assert ratio[points < 15].mean() == pytest.approx(1.1**3, rel=0.03)


def test_the_pose_of_a_visit_is_no_growth():
    template = make_template([phantom(), phantom(matrix=moved(10, (5, -4, 3)))])
    ratio = template.jacobian(1) / template.jacobian(0)
    points = template.box.points().norm(dim=-1).numpy()
    assert ratio[points < 15].mean() == pytest.approx(1, abs=0.02)


def test_one_structure_that_grows_is_found():
    template = make_template([phantom(), phantom(bump_mm=1.5)])
    ratio = template.jacobian(1) / template.jacobian(0)
    points = template.box.points() - torch.tensor([-12.0, 8.0, -5.0])
    other = template.box.points() - torch.tensor([9.0, -5.0, 2.0])
    assert ratio[points.norm(dim=-1).numpy() < 5].mean() > 1.2
    assert ratio[other.norm(dim=-1).numpy() < 5].mean() == pytest.approx(1, abs=0.08)


def test_fewer_than_two_visits():
    with pytest.raises(ValueError, match="two visits or more, not 1"):
        make_template([phantom()])


def test_a_visit_without_labels():
    one = phantom()
    empty = one.steps.copy()
    empty[1:], empty[0] = 0, STEPS
    with pytest.raises(ValueError, match="no labelled voxel"):
        make_template([one, Seen(empty, one.affine)])
