"""Surface elements of label maps: where the surfaces run, and how large each piece is.

A cell is the cube between 2 x 2 x 2 neighbouring voxel centres. A structure's surface passes through a
cell where some of its eight corners belong to the structure and some do not; which of them do is the
cell's code. The piece of surface in it, the surfel, is found by marching cubes with vertices half-way
along the edges (Lorensen and Cline 1987, https://doi.org/10.1145/37401.37422), and placed at the centre
of the cell. Outside the grid is background, so that every surface is closed.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

# Corner n of a cell is bit 1 << n of its code.
CORNERS = tuple(itertools.product((0, 1), repeat=3))

Point = tuple[float, float, float]
Edge = frozenset[tuple[int, ...]]


@dataclass(frozen=True)
class Surfels:
    """Surface elements of one structure.

    Parameters
    ----------
    cells : (3, N) np.ndarray of np.int32
        Indices of the cells that the surface passes through; the last corner of cell (i, j, k) is voxel
        (i, j, k).
    codes : (N,) np.ndarray of np.uint8
        Corners of each cell that belong to the structure, as bits.
    """

    cells: np.ndarray
    codes: np.ndarray


def find_surfels(data: np.ndarray, /, *, labels: Sequence[int]) -> dict[int, Surfels]:
    """Surface elements of all structures of a label map, in one pass.

    Parameters
    ----------
    data : (I, J, K) np.ndarray
        Label map of whole numbers.
    labels : sequence of int
        The structures wanted, at most 255; every other number is background.

    Returns
    -------
    dict of int to Surfels
        One entry per wanted label, without elements for a structure that is not in the map.

    Raises
    ------
    ValueError
        If more than 255 labels are wanted.
    """
    if len(labels) > 255:
        raise ValueError(f"{len(labels)} labels are wanted, at most 255 are possible")
    compact = number_labels(data, labels=labels)
    box = _bounding_box(compact)
    cells, corners = _mixed_cells(np.pad(compact[box], 1))
    cells += np.array([[side.start] for side in box], dtype=np.int32)

    # One surfel for each label among a cell's corners, gathered by label.
    places, numbers, codes = zip(*_split(corners), strict=True)
    place, number, code = (np.concatenate(parts) for parts in (places, numbers, codes))
    order = np.argsort(number, kind="stable")
    ends = np.searchsorted(number[order], np.arange(len(labels) + 2))
    found = {}
    for row, label in enumerate(labels, start=1):
        chosen = order[ends[row] : ends[row + 1]]
        found[label] = Surfels(cells[:, place[chosen]], code[chosen])
    return found


def number_labels(data: np.ndarray, /, *, labels: Sequence[int]) -> np.ndarray:
    """Map of 1-based positions in a list of at most 255 labels, 0 elsewhere, as (I, J, K) np.uint8."""
    top = max(labels, default=0) + 1
    lookup = np.zeros(top + 1, dtype=np.uint8)
    lookup[list(labels)] = np.arange(1, len(labels) + 1)
    return lookup[np.clip(data, 0, top)]


def surfel_areas(axes_mm: np.ndarray, /) -> np.ndarray:
    """Area of the surface element of each code.

    Corners on the smaller side of a cell are cut off one by one where a face leaves the choice; of the
    ways to divide a polygon into triangles, the one with the largest area in a cubic cell is taken. With
    these two rules the areas are those of Nikolov et al. 2018, https://arxiv.org/abs/1809.04430.

    Parameters
    ----------
    axes_mm : (3, 3) np.ndarray
        Steps in mm along the three voxel axes, in columns.

    Returns
    -------
    (256,) np.ndarray
        Area in mm² by code.
    """
    codes, triangles = _all_triangles()
    a, b, c = np.moveaxis(triangles @ np.asarray(axes_mm, dtype=np.float64).T, 1, 0)
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    return np.bincount(codes, weights=areas, minlength=256)


def _bounding_box(data: np.ndarray) -> tuple[slice, ...]:
    seen_along = np.bitwise_or.reduce(data, axis=0), np.bitwise_or.reduce(data, axis=2)
    profiles = seen_along[1].any(axis=1), seen_along[0].any(axis=1), seen_along[0].any(axis=0)
    used = [np.flatnonzero(profile) for profile in profiles]
    return tuple(slice(int(u[0]), int(u[-1]) + 1) if len(u) else slice(0, 0) for u in used)


def _mixed_cells(padded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cells whose corners differ, (3, N), and the labels at their corners, (8, N)."""
    i, j, k = (n - 1 for n in padded.shape)
    mixed = np.zeros((i, j, k), dtype=bool)
    for a, b, c in CORNERS[1:]:
        mixed |= padded[a : a + i, b : b + j, c : c + k] != padded[:i, :j, :k]
    cells = np.stack(np.unravel_index(np.flatnonzero(mixed), mixed.shape))

    strides = np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1])
    first = strides @ cells
    corners = np.stack([padded.ravel()[first + corner @ strides] for corner in np.array(CORNERS)])
    return cells.astype(np.int32), corners


def _split(corners: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Position in the list of cells, label and code of each label's surfel, corner by corner."""
    for first, label in enumerate(corners):
        new = label > 0
        for earlier in corners[:first]:
            new &= earlier != label
        place = np.flatnonzero(new)
        code = np.full(len(place), 1 << first, dtype=np.uint8)
        for later in range(first + 1, 8):
            code |= (corners[later, place] == label[place]).astype(np.uint8) << np.uint8(later)
        yield place, label[place], code


@cache
def _all_triangles() -> tuple[np.ndarray, np.ndarray]:
    """Triangles of all codes in the unit cell: codes (T,) and vertices (T, 3, 3)."""
    codes, triangles = [], []
    for code in range(1, 255):
        for polygon in _polygons(code):
            found = max(_triangulations(polygon), key=lambda parts: round(sum(map(_area, parts)), 9))
            codes += [code] * len(found)
            triangles += found
    return np.array(codes), np.array(triangles)


def _polygons(code: int) -> list[list[Point]]:
    """Return the closed polygons that part the corners of a code, vertices half-way along the cut edges."""
    inside = {corner for bit, corner in enumerate(CORNERS) if code >> bit & 1}
    smaller = inside if len(inside) <= 4 else set(CORNERS) - inside
    neighbours: dict[Edge, list[Edge]] = {}
    for one, other in itertools.chain.from_iterable(_cuts(face, smaller) for face in _faces()):
        neighbours.setdefault(one, []).append(other)
        neighbours.setdefault(other, []).append(one)

    polygons = []
    left = dict.fromkeys(neighbours)  # a set that keeps its order
    while left:
        polygon = [next(iter(left))]
        left.pop(polygon[0])
        while following := [edge for edge in neighbours[polygon[-1]] if edge in left]:
            polygon.append(following[0])
            left.pop(following[0])
        polygons.append([_middle(edge) for edge in polygon])
    return polygons


def _faces() -> list[list[tuple[int, ...]]]:
    """Corners of the six faces of the unit cell, each in cyclic order."""
    faces = []
    for axis, side in itertools.product(range(3), (0, 1)):
        square = ((0, 0), (0, 1), (1, 1), (1, 0))
        faces.append([(*pair[:axis], side, *pair[axis:]) for pair in square])
    return faces


def _cuts(face: list[tuple[int, ...]], smaller: set) -> list[tuple[Edge, Edge]]:
    """Pairs of edges of a face that a line of the surface joins."""
    edges = [frozenset((face[n], face[(n + 1) % 4])) for n in range(4)]
    cut = [edge for edge in edges if len(edge & smaller) == 1]
    if len(cut) == 2:
        return [(cut[0], cut[1])]
    around = [(edges[n - 1], edges[n]) for n in range(4) if face[n] in smaller]
    return around if len(cut) == 4 else []


def _middle(edge: Edge) -> Point:
    one, other = edge
    return tuple((a + b) / 2 for a, b in zip(one, other, strict=True))  # type: ignore[return-value]


def _triangulations(polygon: Sequence[Point]) -> Iterator[list[tuple[Point, Point, Point]]]:
    """Every way to divide a polygon into triangles between its vertices."""
    if len(polygon) < 3:
        yield []
        return
    for apex in range(1, len(polygon) - 1):
        for before in _triangulations(polygon[: apex + 1]):
            for after in _triangulations(polygon[apex:]):
                yield [(polygon[0], polygon[apex], polygon[-1]), *before, *after]


def _area(triangle: tuple[Point, Point, Point]) -> float:
    a, b, c = triangle
    u, v = ([q - p for p, q in zip(a, end, strict=True)] for end in (b, c))
    cross = (u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0])
    return math.hypot(*cross) / 2
