"""Local differences of shape between groups, along scores and between sides, point by point."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from babyseg_py.labels.table import BRAIN_VOLUME
from babyseg_py.morphometry.alignment import icosphere
from babyseg_py.morphometry.meshes import vertex_areas
from babyseg_py.statistics.contrasts import (
    ASYMMETRY,
    Contrast,
    NoContrast,
    asymmetry_contrast,
    group_contrasts,
    score_contrast,
    with_keys,
)
from babyseg_py.statistics.descriptions import read_descriptions
from babyseg_py.statistics.partial import ALPHA, false_discovery_rate
from babyseg_py.statistics.permutation import DRAWS
from babyseg_py.statistics.structures import volume_matrix
from babyseg_py.statistics.study import Study, gather_cohort
from babyseg_py.statistics.surface_maps import SurfaceMap, metric_name, sided_name
from babyseg_py.statistics.surfaces import (
    LEVEL,
    Aligned,
    Map,
    align_structure,
    location,
    mean_map,
    slope_map,
)

COLUMNS = [
    "contrast", "kind", "structure", "side", "n", "t_max", "effect_mm", "p_max", "p_fdr", "location",
    "x_mm", "y_mm", "z_mm", "area_mm2", "area_percent", "degree", "n_permutations", "covariates",
    "size", "visit_rule", "surface", "notes",
]  # fmt: skip
VERTEX_COLUMNS = ["contrast", "structure", "vertex", "x_mm", "y_mm", "z_mm", "effect_mm", "t", "p_max"]
SCALED = "scaled by the cube root of brain volume"
SIZE = f"{SCALED}, the logarithm of which is a covariate too"
WITHOUT = "there are no surfaces (--shape false, or every visit failed)"


@dataclass(frozen=True)
class Shapes:
    """What came of comparing the surfaces of a cohort.

    Parameters
    ----------
    tables : dict of str to pandas.DataFrame
        ``shape``, with a row per structure and contrast, and ``shape_vertices``, with the surfaces of which
        p is below .05, and that of the smallest p of every contrast.
    maps : tuple of SurfaceMap
        All that could be compared.
    """

    tables: dict[str, pd.DataFrame]
    maps: tuple[SurfaceMap, ...] = ()


def compare_shapes(study: Study, shapes: Path | None) -> Shapes:
    """Compare the surfaces of the described structures between groups, along scores and between sides.

    One visit per child; the rules for visits and covariates are those of the group comparison and of the
    associations. Surfaces are scaled by brain volume, of which the logarithm is a covariate too, as a
    structure need not grow in proportion. They are aligned to their mean (`align_structure`), the right ones
    mirrored. The displacement of a vertex is its way from the mean along the normal of the mean surface. Each
    vertex is regressed on the contrast and the covariates; p is by the largest t of the surface under 2,000
    permutations of Freedman and Lane, and adjusted over the rows of a contrast. The asymmetry, displacement
    of left less that of right, is one more number of a vertex; its mean over all children is compared with
    zero under 2,000 flips of signs.

    Parameters
    ----------
    study : Study
        Its volumes are those of the visits that are not flagged.
    shapes : Path or None
        Folder of the ``_shape.json`` of the visits.

    Returns
    -------
    Shapes
    """
    found = read_descriptions(shapes) if shapes else {}
    matrix = volume_matrix(study.volumes, study.source)
    measured = matrix.index[[key in found for key in matrix.index]]
    if BRAIN_VOLUME not in matrix or not len(measured):
        return Shapes(_tables([{"notes": WITHOUT}], []))
    brain = matrix.loc[measured, BRAIN_VOLUME]
    brain = brain[brain > 0]
    contrasts = _contrasts(study, matrix, brain.index)
    usable = with_keys([one for one in contrasts if isinstance(one, Contrast)])
    wanted = sorted({key for one in usable for key in one.visits})
    aligned = {
        name: align_structure(name, {key: found[key] for key in wanted}, brain)
        for name in sorted({structure for one in found.values() for structure in one.names})
    }
    refused = [_refused(one) for one in contrasts if isinstance(one, NoContrast)]
    return _joined([_compare(aligned, contrast, brain) for contrast in usable], refused)


@dataclass(frozen=True)
class _Compared:
    """A row of the table, and what it is drawn from, if anything could be compared."""

    row: dict
    map: SurfaceMap | None = None


def _contrasts(study: Study, matrix: pd.DataFrame, measured: pd.MultiIndex) -> list[Contrast | NoContrast]:
    """Make every contrast of the visits that have surfaces and a brain volume."""
    gathered = gather_cohort(study)
    cohort = replace(gathered.cohort, segmented=measured)
    clean = matrix.loc[[key for key in measured if key not in study.flagged]]
    return [
        *group_contrasts(study.facts, clean),
        *(score_contrast(score, gathered.covariates, cohort) for score in gathered.scores),
        asymmetry_contrast(study.facts, clean.index),
    ]


def _joined(families: list[list[_Compared]], refused: list[dict]) -> Shapes:
    compared = [one for family in families for one in _adjusted(family)]
    kept = [table for family in families for table in _kept([one.map for one in family if one.map])]
    tables = _tables([*(one.row for one in compared), *refused], kept)
    return Shapes(tables, tuple(one.map for one in compared if one.map))


def _refused(one: NoContrast) -> dict:
    return {"contrast": one.name, "kind": one.kind, "notes": one.why}


def _tables(rows: list[dict], vertices: list[pd.DataFrame]) -> dict[str, pd.DataFrame]:
    nothing = pd.DataFrame(columns=VERTEX_COLUMNS)
    return {
        "shape": pd.DataFrame(rows, columns=COLUMNS),
        "shape_vertices": pd.concat(vertices, ignore_index=True) if vertices else nothing,
    }


def _compare(
    structures: Mapping[str, Aligned | str], contrast: Contrast, brain: pd.Series
) -> list[_Compared]:
    """Compare both sides of every structure, and their asymmetry: the family of a contrast."""
    if contrast.kind != ASYMMETRY:
        design = np.column_stack([contrast.design, np.log(brain.loc[contrast.visits].to_numpy(float))])
        contrast = replace(contrast, design=design)
    return [
        _compare_side(name, side, aligned, contrast)
        for name, aligned in structures.items()
        for side in contrast.sides
    ]


def _compare_side(name: str, side: str, aligned: Aligned | str, contrast: Contrast) -> _Compared:
    row = dict.fromkeys(COLUMNS) | {
        "contrast": contrast.name,
        "kind": contrast.kind,
        "structure": sided_name(name, side),
        "side": side,
        "n": 0,
        "covariates": contrast.covariates,
        "size": SCALED if contrast.kind == ASYMMETRY else SIZE,
        "visit_rule": contrast.rule,
    }
    if isinstance(aligned, str):
        return _Compared(row | {"notes": "; ".join([aligned, *contrast.notes])})
    there = aligned.has(side, contrast.visits)
    n, surface = int(there.sum()), "both surfaces" if side == ASYMMETRY else "this surface"
    row |= {"n": n, "degree": aligned.degree}
    few = ", or fewer than 5 in a group" if contrast.kind == "group" else ""
    notes = [*contrast.notes] + ([] if there.all() else [f"{len(there) - n} children without {surface}"])
    found = (
        _found(aligned, side, contrast, there)
        if contrast.enough(there)
        else f"{n} children with {surface}{few}: not compared"
    )
    if isinstance(found, str):
        return _Compared(row | {"notes": "; ".join([found, *notes])})
    row |= _numbers(found, aligned.template) | {"notes": "; ".join(notes) or None}
    row |= {"surface": metric_name(name, side, contrast)}
    return _Compared(row, SurfaceMap(name, side, contrast, aligned.template, found))


def _found(aligned: Aligned, side: str, contrast: Contrast, there: np.ndarray) -> Map | str:
    moved = aligned.moved(side, contrast.visits[there])
    if contrast.kind == ASYMMETRY:
        return mean_map(moved)
    return slope_map(moved, contrast.response[there], contrast.design[there])


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


def _adjusted(family: list[_Compared]) -> list[_Compared]:
    """Fill p_fdr, over all that was compared along one contrast."""
    p = np.array([one.row["p_max"] for one in family], dtype=float)
    adjusted = false_discovery_rate(p)
    return [replace(one, row=one.row | {"p_fdr": value}) for one, value in zip(family, adjusted, strict=True)]


def _kept(maps: list[SurfaceMap]) -> Iterator[pd.DataFrame]:
    """Yield the maps of one contrast that are kept as tables."""
    best = min((one.found.p.min() for one in maps), default=0.0)
    for one in maps:
        found = one.found
        if found.p.min() > max(best, np.nextafter(ALPHA, 0)):
            continue
        numbers = np.column_stack([one.template, found.effect_mm, found.t, found.p]).round(4)
        table = pd.DataFrame(numbers, columns=VERTEX_COLUMNS[3:])
        table.insert(0, "vertex", np.arange(len(table)))
        table.insert(0, "structure", one.name)
        table.insert(0, "contrast", one.contrast.name)
        yield table
