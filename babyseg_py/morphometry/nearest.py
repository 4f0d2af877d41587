"""Distances between sets of grid cells, exact and fast where the sets lie close to each other."""

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

# Columns are looked through within this many steps around a cell (geometric mean of both directions).
_REACH = 16.0
_FAR = 254  # height that stands for no cell in the column


def grid_axes(affine: np.ndarray, /) -> np.ndarray:
    """Return the steps in mm along the voxel axes, (3, 3) in columns, turned to the world's if they can be.

    Distances do not depend on how a grid lies in the world. Where its axes are perpendicular their
    lengths alone are kept, which makes distances free of rounding; a sheared grid keeps its axes.
    """
    axes = np.asarray(affine, dtype=np.float64)[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    cosines = (axes / lengths).T @ (axes / lengths)
    return np.diag(lengths) if np.allclose(cosines, np.eye(3), atol=1e-4) else axes


def nearest_mm(cells: np.ndarray, others: np.ndarray, axes_mm: np.ndarray, /) -> np.ndarray:
    """Distance of each cell to the nearest of other cells.

    Near cells are found by looking through the columns around each cell, nearest column first, in a map
    of the height to the next cell of the column; those further away in a k-d tree.

    Parameters
    ----------
    cells : (3, N) np.ndarray
        Indices of cells.
    others : (3, M) np.ndarray
        Indices of the cells to be reached.
    axes_mm : (3, 3) np.ndarray
        Steps in mm along the three axes, in columns.

    Returns
    -------
    (N,) np.ndarray
        Distances in mm, infinite if there are no others.
    """
    distance = np.full(cells.shape[1], np.inf)
    if not cells.size or not others.size:
        return distance
    axes_mm = np.asarray(axes_mm, dtype=np.float64)
    left = np.arange(cells.shape[1])
    if np.array_equal(axes_mm, np.diag(np.diag(axes_mm))):
        columns = _Columns.of(cells, others, np.diag(axes_mm))
        distance, left = columns.look_up(cells)
    if len(left):
        distance[left] = _by_tree(cells[:, left], others, axes_mm)
    return distance


def _by_tree(cells: np.ndarray, others: np.ndarray, axes_mm: np.ndarray) -> np.ndarray:
    tree = cKDTree((axes_mm @ others).T, balanced_tree=False, compact_nodes=False)
    nearest = tree.query((axes_mm @ cells).T)[1]
    return np.linalg.norm(axes_mm @ (cells - others[:, nearest]), axis=0)


@dataclass(frozen=True)
class _Columns:
    """Heights in columns along the axis with the shortest step, in a box around all cells.

    Parameters
    ----------
    lengths : (3,) np.ndarray
        Step in mm along each axis.
    order : (3,) np.ndarray
        Axes from the shortest to the longest step; the columns run along the first.
    low : (3,) np.ndarray
        First cell of the box, axes in that order.
    height : (A, B, C) np.ndarray of np.uint8
        Number of steps from each cell of the box to the nearest one to be reached in its column.
    reach : (2,) np.ndarray
        Number of columns that the box has as a margin on either side.
    """

    lengths: np.ndarray
    order: np.ndarray
    low: np.ndarray
    height: np.ndarray
    reach: np.ndarray

    @classmethod
    def of(cls, cells: np.ndarray, others: np.ndarray, lengths: np.ndarray) -> "_Columns":
        order = np.argsort(lengths, kind="stable")
        across = lengths[order[1:]]
        reach = np.floor(_REACH * np.sqrt(across.prod()) / across + 1e-9).astype(int)

        margin = np.array([0, *reach])
        low = np.minimum(cells.min(axis=1), others.min(axis=1))[order] - margin
        high = np.maximum(cells.max(axis=1), others.max(axis=1))[order] + margin
        height = np.full(high - low + 1, _FAR, dtype=np.uint8)
        height[tuple(others[order] - low[:, None])] = 0
        for run in (height, height[::-1]):
            for before, here in itertools.pairwise(run):
                np.minimum(here, np.minimum(before, _FAR - 1) + 1, out=here)
        return cls(lengths, order, low, height, reach)

    def look_up(self, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distances in mm, and the positions of those cells whose distance is beyond reach."""
        index = cells[self.order] - self.low[:, None]
        strides = np.array([self.height.shape[1] * self.height.shape[2], self.height.shape[2], 1])
        square = (np.arange(_FAR + 1) * self.lengths[self.order[0]]) ** 2
        square[_FAR:] = np.inf

        height = self.height.ravel()
        result = np.full(cells.shape[1], np.inf)
        left = np.arange(cells.shape[1])
        place = strides @ index
        best, last = np.full(len(left), np.inf), 0.0
        for across, steps in self._shells():
            unsettled = best > across
            if not unsettled.all():
                result[left[~unsettled]] = best[~unsettled]
                left, place, best = left[unsettled], place[unsettled], best[unsettled]
            if not len(left):
                break
            lowest = height.take(place + steps[0], mode="clip")  # All steps stay inside the box.
            for step in steps[1:]:
                np.minimum(lowest, height.take(place + step, mode="clip"), out=lowest)
            np.minimum(best, across + square[lowest], out=best)
            last = across
        settled = best <= last
        result[left[settled]] = best[settled]
        return np.sqrt(result), np.flatnonzero(np.isinf(result))

    def _shells(self) -> list[tuple[float, np.ndarray]]:
        """Squared distances in mm² of the columns around, ascending, and the flat steps to them."""
        lengths = self.lengths[self.order[1:]]
        steps = np.array(list(itertools.product(*(range(-n, n + 1) for n in self.reach))))
        squares = ((steps * lengths) ** 2).sum(axis=1)
        highest = (_FAR - 1) * self.lengths[self.order[0]]
        limit = min(_REACH**2 * lengths.prod(), highest**2) * (1 + 1e-9)
        steps, squares = steps[squares <= limit], squares[squares <= limit]
        order = np.argsort(squares, kind="stable")
        starts = np.flatnonzero(np.diff(squares[order]) > 1e-9 * limit) + 1
        flat = steps @ np.array([self.height.shape[2], 1])
        return [(float(squares[part[0]]), flat[part]) for part in np.split(order, starts)]
