"""Surfaces of known bodies: their area, volume, place and topology."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from babyseg_py.images import Volume
from babyseg_py.morphometry.meshes import (
    NoSurfaceError,
    area_mm2,
    edges,
    euler_characteristic,
    find_surface,
    vertex_normals,
    volume_mm3,
)
from babyseg_py.morphometry.topology import mended

OBLIQUE = np.array([[1.2, 0.3, 0.0, 7.0], [-0.3, 1.1, 0.2, -4.0], [0.0, -0.2, 1.4, 2.0], [0, 0, 0, 1]])


def world_of(shape, affine):
    """World coordinates of all voxels, (*shape, 3)."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    return index @ affine[:3, :3].T + affine[:3, 3]


def ellipsoid(axes_mm, *, affine=OBLIQUE, shape=(25, 27, 24)):
    """Field of an ellipsoid in the middle of a grid, and its centre."""
    points = world_of(shape, affine)
    centre = points.reshape(-1, 3).mean(axis=0)
    scaled = np.linalg.norm((points - centre) / axes_mm, axis=-1)
    return Volume(np.clip((1 - scaled) * min(axes_mm) / 2, -1, 1), affine), centre


@pytest.fixture(scope="module")
def sphere():
    field, centre = ellipsoid((9.0, 9.0, 9.0))
    return find_surface(field, sphere=True), centre


def test_a_sphere_has_its_area_volume_and_place(sphere):
    surface, centre = sphere
    assert area_mm2(surface.mesh) == pytest.approx(4 * np.pi * 81, rel=0.01)
    assert volume_mm3(surface.mesh) == pytest.approx(4 / 3 * np.pi * 729, rel=0.01)
    radii = np.linalg.norm(surface.mesh.vertices - centre, axis=1)
    assert np.abs(radii - 9).max() < 0.1
    assert (surface.handles, surface.mended_mm3, surface.dropped_mm3) == (0, 0, 0)


def test_the_triangles_close_and_face_outwards(sphere):
    surface, centre = sphere
    mesh = surface.mesh
    assert euler_characteristic(mesh) == 2
    assert 2 * len(edges(mesh.faces)) == 3 * len(mesh.faces)
    outwards = (mesh.vertices - centre) / np.linalg.norm(mesh.vertices - centre, axis=1, keepdims=True)
    assert (vertex_normals(mesh.vertices, mesh.faces) * outwards).sum(axis=1).min() > 0.9


def with_handle():
    """Return a ball with a ring of 2 mm thickness through it, half of which sticks out."""
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    points = world_of((24, 32, 24), affine) - (11.5, 11.5, 11.5)
    ball = 8 - np.linalg.norm(points, axis=-1)
    ring = np.hypot(np.hypot(points[..., 0], points[..., 1] - 9) - 5, points[..., 2])
    return Volume(np.clip(np.maximum(ball, 1.2 - ring) / 2, -1, 1), affine)


def test_a_handle_is_found_and_mended():
    field = with_handle()
    as_it_is, cut = (find_surface(field, sphere=mend) for mend in (False, True))
    assert euler_characteristic(as_it_is.mesh) == 0
    assert (cut.handles, euler_characteristic(cut.mesh)) == (1, 2)
    assert 0 < cut.mended_mm3 < 30
    assert volume_mm3(cut.mesh) == pytest.approx(volume_mm3(as_it_is.mesh), rel=0.02)


def test_a_thin_hole_is_filled_rather_than_the_body_cut():
    block = np.full((13, 14, 15), -1.0)
    block[2:11, 2:12, 2:13] = 1
    block[6, 6, :] = -1
    values, changed = mended(block)
    assert changed == 1
    assert (values > 0).sum() == (block > 0).sum() + 1


@pytest.mark.parametrize("seed", range(3))
def test_any_ragged_body_becomes_a_sphere(seed):
    field, _ = ellipsoid((9.0, 8.0, 7.0), affine=np.diag([1.0, 1.0, 1.0, 1.0]))
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=field.shape), 0.8)
    surface = find_surface(field.with_data(field.data + 0.5 * noise / noise.std()), sphere=True)
    assert euler_characteristic(surface.mesh) == 2


def test_what_is_apart_is_dropped_and_a_cavity_filled():
    field, _ = ellipsoid((8.0, 8.0, 8.0), affine=np.diag([1.0, 1.0, 1.0, 1.0]))
    data = field.data.copy()
    data[12, 13, 12], data[0:2, 0:2, 0:2] = -1, 1
    surface = find_surface(field.with_data(data), sphere=True)
    assert surface.dropped_mm3 == pytest.approx(8, rel=0.6)
    assert volume_mm3(surface.mesh) == pytest.approx(4 / 3 * np.pi * 512, rel=0.02)


def test_too_little_for_a_surface():
    field, _ = ellipsoid((2.0, 2.0, 2.0), affine=np.eye(4))
    with pytest.raises(NoSurfaceError, match="too little"):
        find_surface(field, sphere=True)
