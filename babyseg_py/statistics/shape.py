"""Local differences of shape between groups and along scores, point by point on the surface."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from babyseg_py.morphometry.alignment import align_all, icosphere
from babyseg_py.morphometry.meshes import vertex_areas, vertex_normals
from babyseg_py.morphometry.spharm import basis, mirrored, truncated
from babyseg_py.statistics.associations import gather_cohort
from babyseg_py.statistics.descriptions import Described, read_descriptions
from babyseg_py.statistics.groups import draw_groups
from babyseg_py.statistics.partial import basis_of, centred_ranks, false_discovery_rate
from babyseg_py.statistics.permutation import DRAWS, Battery, max_t
from babyseg_py.statistics.sample import draw_sample
from babyseg_py.statistics.structures import BRAIN_VOLUME, volume_matrix
from babyseg_py.statistics.visits import VISIT

COLUMNS = [
    "contrast", "kind", "structure", "side", "n", "t_max", "effect_mm", "p_max", "p_fdr", "location",
    "x_mm", "y_mm", "z_mm", "area_mm2", "area_percent", "degree", "n_permutations", "covariates",
    "size", "visit_rule", "notes",
]  # fmt: skip
VERTEX_COLUMNS = ["contrast", "structure", "vertex", "x_mm", "y_mm", "z_mm", "effect_mm", "t", "p_max"]
FEWEST = 10
ALPHA = 0.05
LEVEL = 3
SIZE = "scaled by the cube root of brain volume, the logarithm of which is a covariate too"
WITHOUT = "there are no surfaces (--shape false, or every visit failed)"
_WORDS = (("lateral", "medial"), ("posterior", "anterior"), ("inferior", "superior"))
_CLEARLY = 0.4


@dataclass(frozen=True)
class Contrast:
    """What shapes are compared by: one visit of every child, with a number that it may go with.

    Parameters
    ----------
    name, kind : str
        For example ``B - A``, a ``group``; or a column of the score table, a ``score``.
    visits : pandas.MultiIndex
        participant_id, session_id of n children.
    response : (n,) np.ndarray
        1 in the second group and 0 in the first, or the ranks of a score over their standard deviation.
    design : (n, k) np.ndarray
        Covariates.
    covariates, rule : str
        In words.
    notes : tuple of str
    """

    name: str
    kind: str
    visits: pd.MultiIndex
    response: np.ndarray
    design: np.ndarray
    covariates: str
    rule: str
    notes: tuple[str, ...]


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


@dataclass(frozen=True)
class Map:
    """Result at every vertex: difference in mm (outward positive), t, and p by the largest t."""

    effect_mm: np.ndarray
    t: np.ndarray
    p: np.ndarray


def shape_tables(
    volumes: pd.DataFrame,
    facts: pd.DataFrame,
    phenotype: pd.DataFrame,
    shapes: Path | None,
    *,
    scores: list[str],
    covariates: list[str],
    flagged: set[tuple[str, str]],
    source: str,
) -> dict[str, pd.DataFrame]:
    """Compare the surfaces of the described structures between groups and along scores.

    One visit per child; the rules for visits and covariates are those of the group comparison and of the
    associations. Surfaces are scaled by brain volume, of which the logarithm is a covariate too, as a
    structure need not grow in proportion. They are aligned to their mean (`align_all`), the right ones
    mirrored. The displacement of a vertex is its way from the mean along the normal of the mean surface. Each
    vertex is regressed on the contrast and the covariates; p is by the largest t of the surface under 2,000
    permutations of Freedman and Lane, and adjusted over the structures of a contrast.

    Parameters
    ----------
    volumes, facts, phenotype, scores, covariates, flagged, source
        As of `babyseg_py.statistics.associations.association_tables`.
    shapes : Path or None
        Folder of the ``_shape.json`` of the visits.

    Returns
    -------
    dict of str to pandas.DataFrame
        ``shape``, with a row per structure and contrast, and ``shape_vertices``, with the surfaces of which
        p is below .05, and that of the smallest p of every contrast.
    """
    found = read_descriptions(shapes) if shapes else {}
    matrix = volume_matrix(volumes, source)
    measured = matrix.index[[key in found for key in matrix.index]]
    if BRAIN_VOLUME not in matrix or not len(measured):
        return _tables([{"notes": WITHOUT}], [])
    brain = matrix.loc[measured, BRAIN_VOLUME]
    brain = brain[brain > 0]
    cohort, _, names = gather_cohort(
        volumes, facts, phenotype, scores=scores, covariates=covariates, flagged=flagged, source=source
    )
    cohort = replace(cohort, segmented=brain.index)
    contrasts = [
        *_group_contrasts(facts, matrix.loc[[key for key in brain.index if key not in flagged]]),
        *(_score_contrast(score, names, cohort) for score in scores),
    ]
    usable = [one for one in contrasts if not isinstance(one, str)]
    reasons = [one for one in contrasts if isinstance(one, str)]
    if not usable:
        return _tables([{"notes": "; ".join(reasons) or "there are neither groups nor scores"}], [])
    wanted = sorted({key for one in usable for key in one.visits})
    results = {
        name: align_structure(name, {key: found[key] for key in wanted}, brain)
        for name in sorted({structure for one in found.values() for structure in one.names})
    }
    rows, vertices = [], []
    for contrast in usable:
        compared = [
            pair for name, aligned in results.items() for pair in _compare(name, aligned, contrast, brain)
        ]
        _adjust(compared)
        rows += [row for row, _ in compared]
        vertices += list(_kept(compared, results))
    return _tables(rows, vertices)


def _tables(rows: list[dict], vertices: list[pd.DataFrame]) -> dict[str, pd.DataFrame]:
    nothing = pd.DataFrame(columns=VERTEX_COLUMNS)
    return {
        "shape": pd.DataFrame(rows, columns=COLUMNS),
        "shape_vertices": pd.concat(vertices, ignore_index=True) if vertices else nothing,
    }


def _group_contrasts(facts: pd.DataFrame, matrix: pd.DataFrame) -> list[Contrast | str]:
    sample = draw_groups(facts, matrix, ("sex", "site"))
    if isinstance(sample, str):
        return [sample]
    contrasts: list[Contrast | str] = []
    for first, second in combinations(sorted(set(sample.groups)), 2):
        there = np.isin(sample.groups, [first, second])
        contrasts.append(
            Contrast(
                f"{second} - {first}",
                "group",
                pd.MultiIndex.from_frame(sample.visits.loc[there, VISIT]),
                (sample.groups[there] == second).astype(float),
                sample.design[there],
                "; ".join(sample.described) or "none",
                sample.rule,
                sample.notes,
            )
        )
    return contrasts


def _score_contrast(score: str, covariates: list[str], cohort) -> Contrast | str:
    sample, _ = draw_sample(score, covariates, cohort)
    if len(sample.score) < FEWEST or np.ptp(sample.score) == 0:
        return f"{score}: {len(sample.score)} children with surfaces and all covariates, or one value only"
    ranks = centred_ranks(sample.score[:, None])[:, 0]
    return Contrast(
        score,
        "score",
        pd.MultiIndex.from_frame(sample.visits[VISIT]),
        ranks / ranks.std(),
        sample.covariates.design,
        "; ".join(sample.covariates.described) or "none",
        sample.rule.words,
        sample.notes,
    )


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
        for side in ("left", "right"):
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
    of = {side: np.flatnonzero(np.array(sides) == side) for side in ("left", "right")}
    return Aligned(
        {side: points[rows] for side, rows in of.items()},
        {
            side: pd.MultiIndex.from_tuples([visits[row] for row in rows], names=VISIT)
            for side, rows in of.items()
        },
        degree,
    )


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
    mean = points.mean(axis=0)
    normals = vertex_normals(mean, icosphere(LEVEL)[1])
    moved = np.einsum("nvc,vc->nv", points - mean, normals)
    covariates, _ = basis_of(design - design.mean(axis=0))
    centred = response - response.mean()
    left = centred - covariates @ (covariates.T @ centred)
    df = len(response) - covariates.shape[1] - 2
    if df < FEWEST // 2 or left @ left < 1e-9 * (centred @ centred):
        return "too few children for the covariates, or the contrast follows from them: not compared"
    rest = moved - covariates @ (covariates.T @ moved)
    effect = left @ rest / (left @ left)
    r = left @ rest / np.sqrt((left @ left) * np.maximum((rest**2).sum(axis=0), 1e-300))
    t = r * np.sqrt(df / np.maximum(1 - r**2, 1e-15))
    (p,) = max_t([Battery(centred, moved, covariates, df)])
    return Map(effect, t, p)


def _compare(
    name: str, aligned: Aligned | str, contrast: Contrast, brain: pd.Series
) -> Iterator[tuple[dict, Map | None]]:
    """Make a row, and the map where there is one, for each side of a structure."""
    design = np.column_stack([contrast.design, np.log(brain.loc[contrast.visits].to_numpy(float))])
    for side in ("left", "right"):
        row: dict = dict.fromkeys(COLUMNS)
        row |= {"contrast": contrast.name, "kind": contrast.kind, "side": side, "size": SIZE, "n": 0}
        row |= {"structure": f"{side.capitalize()}-{name}", "covariates": contrast.covariates}
        row |= {"visit_rule": contrast.rule, "notes": "; ".join(contrast.notes) or None}
        if isinstance(aligned, str):
            yield row | {"notes": aligned}, None
            continue
        place = aligned.visits[side].get_indexer(contrast.visits)
        there = place >= 0
        row |= {"n": int(there.sum()), "degree": aligned.degree}
        notes = list(contrast.notes)
        if not there.all():
            notes.append(f"{int((~there).sum())} children without this surface")
        groups = contrast.response[there]
        enough = there.sum() >= FEWEST and (contrast.kind != "group" or 4 < groups.sum() < len(groups) - 4)
        found = (
            vertex_map(aligned.points[side][place[there]], groups, design[there])
            if enough
            else f"{int(there.sum())} children with this surface, or fewer than 5 in a group: not compared"
        )
        if isinstance(found, str):
            yield row | {"notes": "; ".join([found, *notes])}, None
        else:
            yield row | _numbers(found, aligned.template) | {"notes": "; ".join(notes) or None}, found


def _numbers(found: Map, template: np.ndarray) -> dict:
    where = int(np.abs(found.t).argmax())
    areas = vertex_areas(template, icosphere(LEVEL)[1])
    area = float(areas[found.p < ALPHA].sum())
    return {
        "t_max": found.t[where],
        "effect_mm": found.effect_mm[where],
        "p_max": found.p.min(),
        "location": location(template, where),
        **dict(zip(("x_mm", "y_mm", "z_mm"), template[where].tolist(), strict=True)),
        "area_mm2": area,
        "area_percent": 100 * area / areas.sum(),
        "n_permutations": DRAWS,
    }


def location(template: np.ndarray, vertex: int, /) -> str:
    """Say where a vertex lies on a left (or mirrored right) surface, such as ``lateral anterior``."""
    centred = template - template.mean(axis=0)
    along = centred[vertex] / np.abs(centred).max(axis=0)
    words = [pair[int(value > 0)] for pair, value in zip(_WORDS, along, strict=True) if abs(value) > _CLEARLY]
    return " ".join(words) or "middle"


def _adjust(compared: list[tuple[dict, Map | None]]) -> None:
    p = np.array([np.nan if row["p_max"] is None else row["p_max"] for row, _ in compared], dtype=float)
    for (row, _), adjusted in zip(compared, false_discovery_rate(p), strict=True):
        row["p_fdr"] = adjusted


def _kept(
    compared: list[tuple[dict, Map | None]], aligned: dict[str, Aligned | str]
) -> Iterator[pd.DataFrame]:
    """Yield the maps of one contrast that are kept as tables."""
    maps = [(row, found) for row, found in compared if found is not None]
    best = min((row["p_max"] for row, _ in maps), default=0.0)
    for row, found in maps:
        of = aligned[row["structure"].partition("-")[2]]
        if row["p_max"] > max(best, np.nextafter(ALPHA, 0)) or isinstance(of, str):
            continue
        numbers = np.column_stack([of.template, found.effect_mm, found.t, found.p]).round(4)
        table = pd.DataFrame(numbers, columns=VERTEX_COLUMNS[3:])
        table.insert(0, "vertex", np.arange(len(table)))
        table.insert(0, "structure", row["structure"])
        table.insert(0, "contrast", row["contrast"])
        yield table
