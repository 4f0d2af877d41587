"""Surfaces of a cohort in one frame, and what they go with, vertex by vertex."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from babyseg_py.morphometry.alignment import align_all, icosphere
from babyseg_py.morphometry.meshes import vertex_normals
from babyseg_py.morphometry.spharm import basis, mirrored, truncated
from babyseg_py.statistics.contrasts import ASYMMETRY, FEWEST, SIDES
from babyseg_py.statistics.descriptions import Described
from babyseg_py.statistics.partial import basis_of
from babyseg_py.statistics.permutation import Battery, max_t, max_t_of_signs
from babyseg_py.statistics.visits import VISIT

LEVEL = 3
SMALLEST_MM = 0.001
ALIKE = f"the surfaces are the same within {SMALLEST_MM} mm: not compared"
_WORDS = (("lateral", "medial"), ("posterior", "anterior"), ("inferior", "superior"))
_CLEARLY = 0.4


@dataclass(frozen=True)
class Aligned:
    """Surfaces of one structure, left and mirrored right, in one frame.

    Parameters
    ----------
    points : dict of str to (n, V, 3) np.ndarray
        By side, in mm; vertices of `icosphere`.
    visits : dict of str to pandas.MultiIndex
        Which visit each of them is.
    degree : int
        Of the spherical harmonics.
    """

    points: dict[str, np.ndarray]
    visits: dict[str, pd.MultiIndex]
    degree: int

    @property
    def template(self) -> np.ndarray:
        """Mean surface over both sides, (V, 3), as a left one."""
        return np.concatenate(list(self.points.values())).mean(axis=0)

    def has(self, side: str, visits: pd.MultiIndex, /) -> np.ndarray:
        """Say which visits have the surface of a side, or for an asymmetry those of both, (n,) of bool."""
        of = SIDES if side == ASYMMETRY else (side,)
        return np.all([visits.isin(self.visits[one]) for one in of], axis=0)

    def moved(self, side: str, visits: pd.MultiIndex, /) -> np.ndarray:
        """Displacement of every vertex in mm, or its asymmetry, at visits that have what it needs, (n, V)."""
        points = {one: self.points[one][self.visits[one].get_indexer(visits)]
                  for one in (SIDES if side == ASYMMETRY else (side,))}  # fmt: skip
        return asymmetry(**points) if side == ASYMMETRY else displacement(points[side])


@dataclass(frozen=True)
class Map:
    """Result at every vertex: difference in mm (outward positive), t, and p by the largest t."""

    effect_mm: np.ndarray
    t: np.ndarray
    p: np.ndarray


def align_structure(
    name: str, found: Mapping[tuple[str, str], Described], brain: pd.Series, /
) -> Aligned | str:
    """Scale, mirror and align the surfaces of one structure, both sides together.

    Parameters
    ----------
    name : str
        Without its side.
    found : mapping of (participant_id, session_id) to Described
    brain : pandas.Series
        Brain volumes in mm³ of these visits.

    Returns
    -------
    Aligned or str
        Why not, where hardly any visit has the surface.
    """
    scale = (brain / brain.mean()) ** (-1 / 3)
    sides, visits, surfaces, degrees = [], [], [], []
    for key, one in found.items():
        for side in SIDES:
            terms, degree = one.terms(name, side)
            if terms is None:
                continue
            sides.append(side)
            visits.append(key)
            degrees.append(degree)
            surfaces.append((mirrored(terms) if side == "right" else terms) * scale[key])
    if len(surfaces) < FEWEST:
        return f"{len(surfaces)} surfaces of {name}: not compared"
    degree = max(degrees)
    aligned = align_all([truncated(terms, degree) for terms in surfaces])
    points = np.einsum("vk,nkc->nvc", basis(icosphere(LEVEL)[0], degree), aligned)
    of = {side: np.flatnonzero(np.array(sides) == side) for side in SIDES}
    return Aligned(
        {side: points[rows] for side, rows in of.items()},
        {
            side: pd.MultiIndex.from_tuples([visits[row] for row in rows], names=VISIT)
            for side, rows in of.items()
        },
        degree,
    )


def displacement(points: np.ndarray, /) -> np.ndarray:
    """Way of every vertex from the mean surface along its normal, outward positive.

    Parameters
    ----------
    points : (n, V, 3) np.ndarray
        Aligned surfaces in mm, on the vertices of `icosphere`.

    Returns
    -------
    (n, V) np.ndarray
        In mm.
    """
    mean = points.mean(axis=0)
    return np.einsum("nvc,vc->nv", points - mean, vertex_normals(mean, icosphere(LEVEL)[1]))


def asymmetry(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Displacement of left surfaces less that of mirrored right ones, along the normals of their common mean.

    Parameters
    ----------
    left, right : (n, V, 3) np.ndarray
        Of the same children, aligned to one mean, in mm; the right ones mirrored.

    Returns
    -------
    (n, V) np.ndarray
        In mm; positive where the left surface lies further out.
    """
    normals = vertex_normals((left + right).mean(axis=0) / 2, icosphere(LEVEL)[1])
    return np.einsum("nvc,vc->nv", left - right, normals)


def vertex_map(points: np.ndarray, response: np.ndarray, design: np.ndarray, /) -> Map | str:
    """Regress the displacement of every vertex on a contrast; say why not where that cannot be done.

    Parameters
    ----------
    points : (n, V, 3) np.ndarray
        Aligned surfaces in mm, on the vertices of `icosphere`.
    response : (n,) np.ndarray
        The contrast.
    design : (n, k) np.ndarray
        Covariates without intercept.

    Returns
    -------
    Map or str
    """
    return slope_map(displacement(points), response, design)


def slope_map(moved: np.ndarray, response: np.ndarray, design: np.ndarray, /) -> Map | str:
    """Regress numbers of the vertices, (n, V) in mm, on a contrast, as `vertex_map` does."""
    covariates, _ = basis_of(design - design.mean(axis=0))
    centred = response - response.mean()
    left = centred - covariates @ (covariates.T @ centred)
    df = len(response) - covariates.shape[1] - 2
    if df < FEWEST // 2 or left @ left < 1e-9 * (centred @ centred):
        return "too few children for the covariates, or the contrast follows from them: not compared"
    moved = moved - moved.mean(axis=0)
    rest = moved - covariates @ (covariates.T @ moved)
    if _alike(rest):
        return ALIKE
    effect = left @ rest / (left @ left)
    r = left @ rest / np.sqrt((left @ left) * np.maximum((rest**2).sum(axis=0), 1e-300))
    t = r * np.sqrt(df / np.maximum(1 - r**2, 1e-15))
    (p,) = max_t([Battery(centred, moved, covariates, df)])
    return Map(effect, t, p)


def mean_map(moved: np.ndarray, /) -> Map | str:
    """Compare the mean of numbers of the vertices, (n, V) in mm, with zero, by flips of their signs."""
    if _alike(moved):
        return ALIKE
    t, p = max_t_of_signs(moved)
    return Map(moved.mean(axis=0), t, p)


def _alike(moved: np.ndarray) -> bool:
    """Whether nothing moved by more than what rounding of the coefficients may do."""
    return bool(np.sqrt((moved**2).mean(axis=0)).max() < SMALLEST_MM)


def location(template: np.ndarray, vertex: int, /) -> str:
    """Say where a vertex lies on a left (or mirrored right) surface, such as ``lateral anterior``."""
    centred = template - template.mean(axis=0)
    along = centred[vertex] / np.abs(centred).max(axis=0)
    words = [pair[int(value > 0)] for pair, value in zip(_WORDS, along, strict=True) if abs(value) > _CLEARLY]
    return " ".join(words) or "middle"
