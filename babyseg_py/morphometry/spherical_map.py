"""A closed mesh laid onto the unit sphere so that areas keep their proportions."""

import numpy as np
from scipy import sparse
from scipy.interpolate import PchipInterpolator
from scipy.sparse.csgraph import dijkstra
from scipy.sparse.linalg import splu

from babyseg_py.morphometry.meshes import Mesh, edges, vertex_areas

SMALLEST_WEIGHT = 0.05
BANDS = 16
GOOD_SPREAD = 0.03
MOST_STEPS = 40
_SMALLEST_STEP = 1 / 8
_LARGEST_PULL = 0.7
_UNTANGLING_ROUNDS = 200


class FoldedMapError(Exception):
    """A mesh that could not be laid onto the sphere without folds."""


def spherical_map(mesh: Mesh, /) -> np.ndarray:
    """Map a mesh of the topology of a sphere onto the sphere, one to one and with its areas in proportion.

    It starts as Brechbühler et al. 1995 (https://doi.org/10.1006/cviu.1995.1013) do: latitude and longitude
    are harmonic functions of the mesh between two poles, which lie as far apart on it as can be. Latitudes
    are then spread so that every cap has its share of the area. Steps along the gradient that carries area
    from where there is too much of it to where there is too little make the areas equal; a step that folds
    the map is untangled, or else halved.

    Parameters
    ----------
    mesh : Mesh
        With Euler characteristic 2.

    Returns
    -------
    (V, 3) np.ndarray
        Unit vectors. No triangle is turned over.

    Raises
    ------
    FoldedMapError
        The map has folds that could not be taken out.
    """
    places = _untangled(_first_map(mesh), mesh.faces)
    if places is None:
        raise FoldedMapError("its map onto the sphere has folds")
    wanted = vertex_areas(mesh.vertices, mesh.faces)
    wanted *= 4 * np.pi / wanted.sum()
    step = 1.0
    spread = area_spread(places, mesh.faces, wanted)
    for _ in range(MOST_STEPS):
        if spread < GOOD_SPREAD or step < _SMALLEST_STEP:
            break
        moved = _untangled(_normalised(places + step * _pull(places, mesh.faces, wanted)), mesh.faces)
        after = np.inf if moved is None else area_spread(moved, mesh.faces, wanted)
        if moved is not None and after < spread:
            places, spread, step = moved, after, min(2 * step, 1.0)
        else:
            step /= 2
    return places


def area_spread(places: np.ndarray, faces: np.ndarray, wanted: np.ndarray, /) -> float:
    """Root mean square, over the sphere, of the logarithm of the area of each vertex over that wanted."""
    ratio = np.log(wanted / vertex_areas(places, faces))
    ratio -= (ratio * wanted).sum() / wanted.sum()
    return float(np.sqrt((ratio**2 * wanted).sum() / wanted.sum()))


def folded(places: np.ndarray, faces: np.ndarray, /) -> np.ndarray:
    """Say of each triangle on the sphere whether it is turned over or has no area, (F,) of bool."""
    a, b, c = (places[faces[:, k]] for k in range(3))
    return np.einsum("ij,ij->i", a, np.cross(b, c)) <= 1e-12


def _first_map(mesh: Mesh) -> np.ndarray:
    """Harmonic latitude and longitude, latitudes spread by area."""
    weights = _weights(mesh.vertices, mesh.faces)
    north, south = _poles(mesh)
    count = len(mesh.vertices)
    free = np.setdiff1d(np.arange(count), [north, south])
    laplacian = (sparse.diags(weights.sum(axis=1).A1) - weights).tocsc()
    height = np.zeros(count)
    height[north] = 1.0
    inner = laplacian[free][:, free]
    height[free] = splu(inner).solve(-laplacian[free][:, [north]].toarray()[:, 0])

    jump = np.zeros(count)
    for west, east in _cut(mesh, north, south):
        weight = weights[west, east]
        jump[west] += 2 * np.pi * weight
        jump[east] -= 2 * np.pi * weight
    within = weights[free][:, free]
    around = (sparse.diags(within.sum(axis=1).A1) - within).tocsc()
    longitude = np.zeros(count)
    longitude[free[1:]] = splu(around[1:, 1:]).solve(jump[free[1:]])

    z = _spread_by_area(height, vertex_areas(mesh.vertices, mesh.faces))
    radius = np.sqrt(np.maximum(1 - z**2, 0))
    return np.stack([radius * np.cos(longitude), radius * np.sin(longitude), z], axis=1)


def _spread_by_area(height: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Turn heights between 0 and 1 into z, so that every cap has its share of the area.

    The function is smooth: one that follows every vertex turns thin triangles over.
    """
    order = np.argsort(height, kind="stable")
    below = (np.cumsum(area[order]) - area[order] / 2) / area.sum()
    picked = np.unique(np.searchsorted(below, np.linspace(0, 1, BANDS + 1)[1:-1]))
    knots = np.concatenate([[0], height[order][picked], [1]])
    return PchipInterpolator(knots, 2 * np.concatenate([[0], below[picked], [1]]) - 1)(height)


def _poles(mesh: Mesh) -> tuple[int, int]:
    """Two vertices that are far apart along the mesh: the farthest from the farthest from any."""
    graph = _lengths(mesh)
    north = int(dijkstra(graph, indices=0).argmax())
    return north, int(dijkstra(graph, indices=north).argmax())


def _lengths(mesh: Mesh) -> sparse.csr_matrix:
    pairs = edges(mesh.faces)
    length = np.linalg.norm(mesh.vertices[pairs[:, 0]] - mesh.vertices[pairs[:, 1]], axis=1)
    one_way = sparse.coo_matrix((length + 1e-9, pairs.T), (len(mesh.vertices),) * 2)
    return (one_way + one_way.T).tocsr()


def _cut(mesh: Mesh, north: int, south: int) -> list[tuple[int, int]]:
    """Edges that cross a path from pole to pole eastward: from a vertex of the path to one east of it."""
    _, before = dijkstra(_lengths(mesh), indices=north, return_predecessors=True)
    path = [south]
    while path[-1] != north:
        path.append(int(before[path[-1]]))
    path.reverse()
    opposite = {}
    for a, b, c in mesh.faces.tolist():
        opposite[a, b], opposite[b, c], opposite[c, a] = c, a, b
    crossing = []
    for last, here, following in zip(path, path[1:], path[2:], strict=False):
        east = opposite[here, following]  # Counter-clockwise from the way ahead to the way back.
        while east != last:
            crossing.append((here, east))
            east = opposite[here, east]
    return crossing


def _weights(vertices: np.ndarray, faces: np.ndarray) -> sparse.csr_matrix:
    """Cotangent weights of the edges, (V, V), kept above a small value so that harmonic maps do not fold."""
    parts = []
    for k in range(3):
        corner, one, other = faces[:, k], faces[:, (k + 1) % 3], faces[:, (k + 2) % 3]
        u, v = vertices[one] - vertices[corner], vertices[other] - vertices[corner]
        sine = np.maximum(np.linalg.norm(np.cross(u, v), axis=1), 1e-12)
        half = np.einsum("ij,ij->i", u, v) / sine / 2
        parts.append(sparse.coo_matrix((half, (one, other)), (len(vertices),) * 2))
    matrix = sum(parts).tocsr()
    matrix = matrix + matrix.T
    matrix.data = np.clip(matrix.data, SMALLEST_WEIGHT, 1 / SMALLEST_WEIGHT)
    return matrix


def _pull(places: np.ndarray, faces: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Gradient, on the sphere, of the function whose divergence is the lack of area; (V, 3)."""
    now = vertex_areas(places, faces)
    lack = np.clip(np.log(wanted / now), -1, 1)
    lack -= (lack * now).sum() / now.sum()
    weights = _weights(places, faces)
    laplacian = (sparse.diags(weights.sum(axis=1).A1) - weights).tocsc()
    potential = np.zeros(len(places))
    potential[1:] = splu(laplacian[1:, 1:]).solve(-(now * lack)[1:])
    a, b, c = (places[faces[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    double = np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    p = potential[faces]
    slope = p[:, :1] * (c - b) + p[:, 1:2] * (a - c) + p[:, 2:] * (b - a)
    gradient = np.repeat(np.cross(normal / double, slope) / 6, 3, axis=0)  # Times a third of its area.
    total = np.stack([np.bincount(faces.ravel(), gradient[:, k], minlength=len(places)) for k in range(3)], 1)
    pull = total / now[:, None]
    pull -= (pull * places).sum(axis=1, keepdims=True) * places
    length = np.linalg.norm(pull, axis=1, keepdims=True)
    return pull * np.minimum(1, _LARGEST_PULL / np.maximum(length, 1e-12))


def _untangled(places: np.ndarray, faces: np.ndarray) -> np.ndarray | None:
    """Smooth the map around folds until there are none; None if they stay."""
    bad = folded(places, faces)
    if not bad.any():
        return places
    pairs = edges(faces)
    links = sparse.coo_matrix((np.ones(len(pairs)), pairs.T), (len(places),) * 2)
    links = (links + links.T).tocsr()
    mean = sparse.diags(1 / links.sum(axis=1).A1) @ links
    for _ in range(_UNTANGLING_ROUNDS):
        near = np.zeros(len(places), bool)
        near[faces[bad].ravel()] = True
        near |= links @ near > 0
        places = np.where(near[:, None], _normalised(mean @ places + 1e-9 * places), places)
        bad = folded(places, faces)
        if not bad.any():
            return places
    return None


def _normalised(places: np.ndarray) -> np.ndarray:
    return places / np.maximum(np.linalg.norm(places, axis=1, keepdims=True), 1e-12)
