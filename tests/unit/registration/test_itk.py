"""Transforms on disk, against ANTs."""

import ants
import numpy as np
import pytest
from head_phantom import grid, head, rigid
from scipy.io import savemat

from babyseg_py.images import save_image
from babyseg_py.images.geometry import resample
from babyseg_py.registration.itk import read_transform, write_transform

MATRIX = rigid((5, -8, 12), (3, -2, 6))


def test_a_written_transform_is_read_back(tmp_path):
    write_transform(MATRIX, tmp_path / "xfm.mat", centre=np.array([1.0, 2, 3]))
    np.testing.assert_allclose(read_transform(tmp_path / "xfm.mat"), MATRIX, atol=1e-12)
    assert [p.name for p in tmp_path.iterdir()] == ["xfm.mat"]


def test_the_same_transform_gives_the_same_bytes(tmp_path):
    write_transform(MATRIX, tmp_path / "a.mat")
    write_transform(MATRIX, tmp_path / "b.mat")
    assert (tmp_path / "a.mat").read_bytes() == (tmp_path / "b.mat").read_bytes()


def test_a_transform_written_by_ants_is_read(tmp_path):
    lps = np.diag([-1.0, -1, 1, 1]) @ MATRIX @ np.diag([-1.0, -1, 1, 1])
    transform = ants.create_ants_transform(
        transform_type="AffineTransform", dimension=3, matrix=lps[:3, :3], offset=lps[:3, 3]
    )
    ants.write_transform(transform, str(tmp_path / "ants.mat"))
    np.testing.assert_allclose(read_transform(tmp_path / "ants.mat"), MATRIX, atol=1e-5)


def test_a_file_without_a_matrix_is_refused(tmp_path):
    savemat(tmp_path / "other.mat", {"x": np.zeros(3)}, format="4")
    with pytest.raises(ValueError, match="no affine transform"):
        read_transform(tmp_path / "other.mat")


@pytest.mark.parametrize("flip_x", [False, True])
def test_ants_applies_the_file_as_we_apply_the_matrix(tmp_path, flip_x):
    session = head(grid((2.5, 3, 4), size_mm=(100, 110, 90), turn_deg=(5, 10, 0), flip_x=flip_x))
    scan = head(grid((3, 2, 5), size_mm=(110, 100, 100), turn_deg=(0, -15, 20), flip_x=not flip_x))
    write_transform(MATRIX, tmp_path / "xfm.mat", centre=np.array([1.0, 2, 3]))
    images = []
    for name, volume in (("session", session), ("scan", scan)):
        save_image(volume, tmp_path / f"{name}.nii.gz")
        images.append(ants.image_read(str(tmp_path / f"{name}.nii.gz")))
    theirs = ants.apply_transforms(*images, [str(tmp_path / "xfm.mat")], interpolator="linear").numpy()
    ours = resample(scan, session.shape, session.affine, world_matrix=MATRIX).data
    to_scan = np.linalg.inv(scan.affine) @ MATRIX @ session.affine
    index = to_scan[:3, :3] @ np.indices(session.shape).reshape(3, -1) + to_scan[:3, 3:]
    inside = ((index > 0) & (index < np.array(scan.shape)[:, None] - 1)).all(axis=0).reshape(session.shape)
    assert inside.mean() > 0.5
    np.testing.assert_allclose(theirs[inside], ours[inside], atol=0.5)
