"""Surfaces of structures as triangle meshes, below the size of a voxel, closed and of known topology."""

from dataclasses import dataclass

import numpy as np
from nibabel.affines import apply_affine
from scipy import ndimage, sparse
from skimage.measure import marching_cubes

from babyseg_py.images import Volume
from babyseg_py.morphometry.topology import mended

FINEST_MM, COARSEST_MM = 0.4, 1.1
VERTICES_WANTED = 2500
FEWEST_MM3 = 50.0
_VERTICES_PER_STEP2 = 8.8  # of a surface of six times the volume to the power 2/3, as was counted
_INSIDE = 0.1
_CLEARANCE = 0.05
_SHRINK, _GROW, _ROUNDS = 0.5, -0.53, 10


class NoSurfaceError(Exception):
    """A structure of which no surface can be made; the message says why."""


@dataclass(frozen=True)
class Mesh:
    """A closed triangle mesh.

    Parameters
    ----------
    vertices : (V, 3) np.ndarray
        In mm, RAS+ world.
    faces : (F, 3) np.ndarray
        Indices of vertices, counter-clockwise as seen from outside.
    """

    vertices: np.ndarray
    faces: np.ndarray


@dataclass(frozen=True)
class Surface:
    """A mesh and what was done to get it.

    Parameters
    ----------
    mesh : Mesh
    dropped_mm3 : float
        Volume of the parts that are not connected to the largest one, which is the mesh.
    handles : int
        Handles of the surface before it was mended (its genus); cavities are always filled.
    mended_mm3 : float
        Volume that was cut or filled to mend them.
    """

    mesh: Mesh
    dropped_mm3: float
    handles: int
    mended_mm3: float


def face_areas(vertices: np.ndarray, faces: np.ndarray, /) -> np.ndarray:
    """Areas of triangles, (F,), in the unit of the vertices squared."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def vertex_areas(vertices: np.ndarray, faces: np.ndarray, /) -> np.ndarray:
    """Area that belongs to each vertex, (V,): a third of the triangles around it."""
    thirds = np.repeat(face_areas(vertices, faces) / 3, 3)
    return np.bincount(faces.ravel(), thirds, minlength=len(vertices))


def area_mm2(mesh: Mesh, /) -> float:
    """Area of a mesh in mm²."""
    return float(face_areas(mesh.vertices, mesh.faces).sum())


def volume_mm3(mesh: Mesh, /) -> float:
    """Volume inside a closed mesh in mm³, positive if its triangles face outwards."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def euler_characteristic(mesh: Mesh, /) -> int:
    """Vertices less edges and faces; 2 for one closed surface without handles."""
    return len(mesh.vertices) - len(edges(mesh.faces)) + len(mesh.faces)


def edges(faces: np.ndarray, /) -> np.ndarray:
    """Edges of a mesh, (E, 2), each once, the smaller index first."""
    pairs = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return np.unique(pairs, axis=0)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray, /) -> np.ndarray:
    """Outward unit normals of the vertices, (V, 3), weighted by the area of the triangles around."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    crossed = np.repeat(np.cross(b - a, c - a), 3, axis=0)
    normals = np.stack(
        [np.bincount(faces.ravel(), crossed[:, k], minlength=len(vertices)) for k in range(3)], axis=1
    )
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def find_surface(field: Volume, /, *, sphere: bool) -> Surface:
    """Find the surface on which a field is zero, around its largest part.

    The field is interpolated by cubic splines on a grid of .4 to 1.1 mm, finer for small structures, so that
    their meshes have about 2,500 vertices or more. Parts are connected through faces of voxels. Triangles
    come from marching cubes on the sign of the field, and vertices lie where the field is zero along
    an edge of the grid. The mesh is smoothed lightly (Taubin 1995, https://doi.org/10.1145/218380.218473) and
    scaled about its centroid to the volume that it had before.

    Parameters
    ----------
    field : Volume
        Positive inside, such as the probability of the structure less that of its best rival.
    sphere : bool
        Mend the topology to that of a sphere.

    Returns
    -------
    Surface

    Raises
    ------
    NoSurfaceError
        The structure is smaller than 50 mm³, or its topology could not be mended.
    """
    volume = float((field.data > 0).sum()) * field.voxel_volume_mm3
    if volume < FEWEST_MM3:
        raise NoSurfaceError(f"has {volume:.0f} mm³, too little for a surface")
    step = np.sqrt(_VERTICES_PER_STEP2 * volume ** (2 / 3) / VERTICES_WANTED)
    fine = _refined(field, float(np.clip(step, FINEST_MM, COARSEST_MM)))
    voxel = fine.voxel_volume_mm3
    values, dropped = _largest_part(fine.data)
    raw = _triangulated(values, fine.affine)
    handles, changed = 1 - euler_characteristic(raw) // 2, 0
    if sphere and handles:
        values, changed = mended(values)
        raw = _triangulated(values, fine.affine)
        if euler_characteristic(raw) != 2:
            raise NoSurfaceError(f"has {handles} handles that could not be mended")
    return Surface(smoothed(raw), dropped * voxel, handles, changed * voxel)


def smoothed(mesh: Mesh, /) -> Mesh:
    """Smooth a mesh a little, and give it back its volume."""
    count, pairs = len(mesh.vertices), edges(mesh.faces)
    links = sparse.coo_matrix((np.ones(len(pairs)), pairs.T), (count, count))
    links = (links + links.T).tocsr()
    mean = sparse.diags(1 / links.sum(axis=1).A1) @ links
    vertices = mesh.vertices
    for _ in range(_ROUNDS):
        for step in (_SHRINK, _GROW):
            vertices = vertices + step * (mean @ vertices - vertices)
    wanted, centre = volume_mm3(mesh), vertices.mean(axis=0)
    scale = (wanted / volume_mm3(Mesh(vertices, mesh.faces))) ** (1 / 3)
    return Mesh(centre + scale * (vertices - centre), mesh.faces)


def _refined(field: Volume, step_mm: float) -> Volume:
    """Return a field on a finer grid along the same axes, with two voxels of outside around it."""
    data = np.pad(field.data.astype(np.float32), 2, constant_values=-1)
    old = np.array(data.shape)
    new = np.maximum(np.round((old - 1) * field.spacing_mm / step_mm).astype(int) + 1, old)
    if (new > old).any():
        data = ndimage.zoom(data, new / old, output=np.float32, order=3, mode="nearest")
    affine = field.affine.copy()
    affine[:3, 3] = apply_affine(affine, [-2, -2, -2])
    affine[:3, :3] *= (old - 1) / (new - 1)
    return Volume(data, affine)


def _largest_part(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Turn what is not connected to the largest part to outside, and what it encloses to inside."""
    parts, _ = ndimage.label(values > 0)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    largest = parts == sizes.argmax()
    solid = ndimage.binary_fill_holes(largest, np.ones((3, 3, 3)))
    away = np.maximum(np.abs(values), _CLEARANCE)
    return np.where(solid, away, -away), int(sizes.sum() - sizes.max())


def _triangulated(values: np.ndarray, affine: np.ndarray) -> Mesh:
    """Mesh the zero of a field.

    What is inside is weak and what is outside is strong here, so that marching cubes never joins parts
    across a diagonal: the mesh has the topology of the voxels, inside connected through faces only.
    """
    signs = np.where(values > 0, np.float32(_INSIDE), np.float32(-1))
    places, faces, _, _ = marching_cubes(signs, 0.0)
    mesh = Mesh(apply_affine(affine, _on_zero(places.astype(float), values)), faces.astype(np.int64))
    return mesh if volume_mm3(mesh) > 0 else Mesh(mesh.vertices, mesh.faces[:, ::-1])


def _on_zero(places: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Move the vertices along their edges of the grid to where the field is zero."""
    apart = np.abs(places - np.round(places))
    axis = apart.argmax(axis=1)
    rows = np.arange(len(places))
    on_edge = (apart > 1e-3).sum(axis=1) == 1  # others lie within a cell of an ambiguous pattern
    low = np.round(places).astype(int)
    low[rows, axis] = np.floor(places[rows, axis]).astype(int)
    high = low.copy()
    high[rows, axis] += 1
    a, b = values[tuple(low.T)], values[tuple(np.minimum(high, np.array(values.shape) - 1).T)]
    moved = places.copy()
    with np.errstate(divide="ignore", invalid="ignore"):
        moved[rows, axis] = low[rows, axis] + np.clip(a / (a - b), 0.02, 0.98)
    return np.where(on_edge[:, None], moved, places)
