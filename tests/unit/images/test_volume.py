"""An array and its affine."""

import numpy as np
import pytest

from babyseg_py.images import Volume


def test_geometry_is_that_of_the_affine(oblique_affine):
    volume = Volume(np.zeros((7, 8, 9)), oblique_affine)
    assert volume.shape == (7, 8, 9)
    assert np.allclose(volume.spacing_mm, (0.8, 1.1, 2.0))
    assert volume.voxel_volume_mm3 == pytest.approx(0.8 * 1.1 * 2.0)
    assert volume.axcodes == ("R", "A", "S")


def test_volume_of_a_sheared_left_handed_voxel():
    affine = np.array([[-1, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]])
    assert Volume(np.zeros((2, 2, 2)), affine).voxel_volume_mm3 == pytest.approx(2)


def test_the_world_goes_along(oblique_affine):
    volume = Volume(np.zeros((7, 8, 9)), oblique_affine, space_code=3)
    assert volume.with_data(np.ones((7, 8, 9))).space_code == 3
    assert volume.on_grid(np.ones((1, 2, 3)), np.eye(4)).space_code == 3


@pytest.mark.parametrize(
    ("data", "affine"), [(np.zeros((2, 2)), np.eye(4)), (np.zeros((2, 2, 2)), np.eye(3))]
)
def test_illegal_shapes(data, affine):
    with pytest.raises(ValueError, match="shape"):
        Volume(data, affine)
