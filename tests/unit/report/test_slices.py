import numpy as np
import pytest
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform

from babyseg_py.images import Volume
from babyseg_py.report.slices import Box, Plane, bounding_box, image_slice, label_fields, sample

FRAME = Box(np.array([-8.0, -6.0, -5.0]), np.array([8.0, 6.0, 5.0]))


def _ramp(affine: np.ndarray, shape: tuple[int, int, int]) -> Volume:
    """Return a volume of value 100 + x + 10 y + 0.1 z of the world, so that linear sampling is exact."""
    world = np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    return Volume((100 + world @ [1.0, 10.0, 0.1]).astype(np.float32), affine)


@pytest.mark.parametrize(("axis", "size"), [(0, (12, 10)), (1, (16, 10)), (2, (16, 12))])
def test_pixels_lie_where_the_plane_says(axis, size):
    plane = Plane(axis, 1.5, FRAME)
    points = plane.points(1.0)
    assert plane.size_mm == size
    assert points.shape == (size[1], size[0], 3)
    assert np.all(points[..., axis] == 1.5)
    across, up = (other for other in range(3) if other != axis)
    assert points[0, 0, across] == FRAME.low[across] + 0.5
    assert points[-1, 0, up] == FRAME.high[up] - 0.5


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_oblique_grid_is_sampled_by_its_world(oblique_affine, axis):
    volume = _ramp(oblique_affine, (60, 60, 30))
    centre = (oblique_affine @ [30, 30, 15, 1])[:3]
    plane = Plane(axis, centre[axis], Box(centre - 4, centre + 4))
    found = image_slice(volume, plane, step_mm=1.0)
    assert found == pytest.approx(100 + plane.points(1.0) @ [1.0, 10.0, 0.1], abs=1e-3)


@pytest.mark.parametrize("codes", ["LPS", "AIR", "SRP", "PLI"])
def test_every_orientation_of_a_grid_gives_the_same_picture(oblique_affine, codes):
    volume = _ramp(oblique_affine, (20, 24, 9))
    turn = ornt_transform(io_orientation(oblique_affine), axcodes2ornt(codes))
    turned = Volume(
        apply_orientation(volume.data, turn), oblique_affine @ inv_ornt_aff(turn, volume.data.shape)
    )
    plane = Plane(1, 12.0, bounding_box(np.ones(volume.shape, bool), oblique_affine))
    assert image_slice(turned, plane, step_mm=0.7) == pytest.approx(
        image_slice(volume, plane, step_mm=0.7), abs=1e-3
    )


def test_outside_of_the_grid_is_zero():
    volume = Volume(np.ones((4, 5, 6)), np.eye(4))
    assert sample(volume, np.array([[1.0, 1, 1], [-3, 0, 0], [0, 0, 40]])).tolist() == [1, 0, 0]


def test_the_box_is_tight_in_the_world_when_the_grid_is_oblique(oblique_affine, rng):
    mask = rng.random((7, 8, 9)) > 0.9
    world = np.argwhere(mask) @ oblique_affine[:3, :3].T + oblique_affine[:3, 3]
    box = bounding_box(mask, oblique_affine)
    assert box.low == pytest.approx(world.min(axis=0))
    assert box.high == pytest.approx(world.max(axis=0))


def test_an_empty_mask_has_no_box():
    assert bounding_box(np.zeros((3, 4, 5), bool), np.eye(4)) is None


def test_label_shares_are_those_of_the_label_alone():
    data = np.zeros((7, 8, 9), np.int32)
    data[2:5, 2:6, 3:7] = 17
    data[3, 4, 5] = 53
    plane = Plane(2, 5.0, Box(np.array([-0.5, -0.5, 0]), np.array([6.5, 7.5, 8])))
    fields = label_fields(Volume(data, np.eye(4)), [plane], step_mm=1.0)
    assert sorted(fields) == [17, 53]
    assert np.array_equal(fields[17][0].T, data[:, :, 5] == 17)
    assert np.array_equal(fields[53][0].T, data[:, :, 5] == 53)
