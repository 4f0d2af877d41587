"""Spherical maps and harmonics of bodies whose answer is known."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from test_meshes import ellipsoid

from babyseg_py.morphometry.alignment import align, icosphere
from babyseg_py.morphometry.meshes import Mesh, area_mm2, euler_characteristic, find_surface, vertex_areas
from babyseg_py.morphometry.spharm import basis, describe, first_order, mirrored, truncated, turned
from babyseg_py.morphometry.spherical_map import area_spread, folded, spherical_map

TURN = Rotation.from_rotvec([0.4, -0.9, 0.7]).as_matrix()


@pytest.fixture(scope="module")
def fitted():
    """Mesh, map and description of an ellipsoid with half-axes of 6, 8 and 14 mm."""
    field, centre = ellipsoid((6.0, 8.0, 14.0), affine=np.diag([1.0, 1.0, 1.0, 1.0]), shape=(18, 22, 34))
    mesh = find_surface(field, sphere=True).mesh
    places = spherical_map(mesh)
    return mesh, places, describe(mesh, places), centre


def test_the_harmonics_are_orthonormal():
    directions, faces = icosphere(4)
    design = basis(directions, 4)
    gram = design.T @ (vertex_areas(directions, faces)[:, None] * design)
    np.testing.assert_allclose(gram, np.eye(25), atol=1e-2)


def test_the_map_keeps_areas_and_does_not_fold(fitted):
    mesh, places, _, _ = fitted
    wanted = vertex_areas(mesh.vertices, mesh.faces)
    assert area_spread(places, mesh.faces, 4 * np.pi * wanted / wanted.sum()) < 0.05
    assert not folded(places, mesh.faces).any()
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), 1)


def test_an_ellipsoid_is_described_to_the_tolerance(fitted):
    _, _, found, centre = fitted
    assert found.p95_mm < 0.3
    assert found.mean_mm <= found.p95_mm <= found.max_mm
    axes = np.linalg.svd(first_order(found.terms), compute_uv=False)
    assert axes[0] > 1.4 * axes[1] > 1.4 * axes[2] * 0.9
    np.testing.assert_allclose(found.terms[0] * basis(np.eye(3), 0)[0], centre, atol=0.1)


def test_known_coefficients_come_back():
    """A sphere of 10 mm about (1, 2, 3), mapped by its own directions."""
    directions, faces = icosphere(4)
    found = describe(Mesh(10 * directions + [1, 2, 3], faces), directions)
    np.testing.assert_allclose(first_order(found.terms), 10 * np.eye(3), atol=1e-6)
    np.testing.assert_allclose(found.terms[0] / np.sqrt(4 * np.pi), [1, 2, 3], atol=1e-6)
    np.testing.assert_allclose(found.terms[4:], 0, atol=1e-6)


def test_turning_the_map():
    rng = np.random.default_rng(0)
    terms, directions = rng.normal(size=(36, 3)), icosphere(1)[0]
    np.testing.assert_allclose(
        basis(directions, 5) @ turned(terms, TURN), basis(directions @ TURN.T, 5) @ terms, atol=1e-10
    )
    np.testing.assert_allclose(turned(terms, np.diag([1.0, -1.0, -1.0]))[0], terms[0])


def test_mirroring_the_points():
    rng = np.random.default_rng(0)
    terms, directions = rng.normal(size=(36, 3)), icosphere(1)[0]
    flip = np.array([-1, 1, 1])
    np.testing.assert_allclose(
        basis(directions, 5) @ mirrored(terms), (basis(directions * flip, 5) @ terms) * flip, atol=1e-10
    )
    np.testing.assert_allclose(mirrored(mirrored(terms)), terms)


def test_alignment_undoes_rotation_translation_and_the_map(fitted):
    terms = truncated(fitted[2].terms, 10)
    terms += np.random.default_rng(2).normal(size=terms.shape) * 0.05  # an ellipsoid is its own mirror
    terms[4:9] += [[1.0, 0.4, 0.2], [0.3, 0.8, 0], [0, 0.5, 1.0], [0.6, 0, 0.2], [0.2, 0.7, 0]]
    reference = terms.copy()
    reference[0] = 0
    moved = turned(terms, TURN) @ TURN
    moved[0] += [20, -30, 50]
    np.testing.assert_allclose(align(moved, reference), reference, atol=1e-2)


@pytest.mark.parametrize(("level", "count"), [(0, 12), (3, 642)])
def test_icospheres(level, count):
    directions, faces = icosphere(level)
    mesh = Mesh(directions, faces)
    assert len(directions) == count
    assert euler_characteristic(mesh) == 2
    assert not folded(directions, faces).any()
    assert level == 0 or area_mm2(mesh) == pytest.approx(4 * np.pi, rel=0.02)
