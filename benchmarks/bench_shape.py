"""Whether a planted bump of 1 mm is found where it is, how often nothing is found where there is nothing.

Prints Markdown tables: ``python benchmarks/bench_shape.py [RUNS] [CHILDREN_PER_GROUP] [PART …]`` (200 runs
and 12 children by default; parts: bump, planted, null, accuracy, asymmetry). Bodies are those of the unit
tests.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "unit" / "statistics"))

from shape_study import BUMP_DIRECTION, BUMP_WIDTH, body

from babyseg_py.morphometry.alignment import align_all, icosphere
from babyseg_py.morphometry.meshes import (
    euler_characteristic,
    find_surface,
    vertex_areas,
    volume_mm3,
)
from babyseg_py.morphometry.spharm import basis, describe, mirrored, truncated
from babyseg_py.morphometry.spherical_map import spherical_map
from babyseg_py.statistics.shape import ALPHA
from babyseg_py.statistics.surfaces import LEVEL, Map, asymmetry, mean_map, slope_map, vertex_map

NEAR_MM = 5.0
OUTSIDE_MM = 2.5  # what a description of .3 mm and a 1.3 mm grid may smear a bump by


def table(title: str, head: list[str], rows: Iterable[list]) -> None:
    """Print a Markdown table, a row as soon as it is known."""
    print(f"\n**{title}**\n\n| {' | '.join(head)} |\n|{' --- |' * len(head)}", flush=True)
    for row in rows:
        cells = (f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row)
        print(f"| {' | '.join(cells)} |", flush=True)


def accuracy() -> None:
    """Volume, area, topology and reconstruction error of spheres and bodies sampled on 1.3 mm voxels."""
    head = ["body", "volume error %", "Euler", "vertices", "degree", "mean mm", "p95 mm", "max mm", "CPU s"]
    table("One surface, from posteriors to harmonics", head, _accuracy())


def _accuracy() -> Iterator[list]:
    rng = np.random.default_rng(0)
    for name in ("Hippocampus", "Thalamus"):
        for bump in (0.0, 1.0):
            one = body(rng, name, bump_mm=bump)
            start = time.process_time()
            mesh = find_surface(one.field(), sphere=True).mesh
            found = describe(mesh, spherical_map(mesh))
            spent = time.process_time() - start
            directions, faces = icosphere(6)
            points = directions * one.radius_mm(directions)[:, None]
            true = volume_mm3(type(mesh)(points, faces))
            yield [
                f"{name}, bump {bump:g} mm", 100 * (volume_mm3(mesh) / true - 1), euler_characteristic(mesh),
                len(mesh.vertices), found.degree, found.mean_mm, found.p95_mm, found.max_mm, spent,
            ]  # fmt: skip


def bump(per_group: int) -> None:
    """Plant 1 mm on the left hippocampus of one group; compare both sides of two structures, from voxels."""
    head = ["surface", "n", "smallest p", "t", "effect mm", "off by mm", "area mm²", "of it farther off",
            "bump's own area mm²"]  # fmt: skip
    table("A planted bump of 1 mm on the left hippocampus of one group", head, _bump(per_group))


def _bump(per_group: int) -> Iterator[list]:
    rng = np.random.default_rng(7)
    group = np.repeat([0.0, 1.0], per_group)
    for name in ("Hippocampus", "Thalamus"):
        terms, degrees = [], []
        for right in (False, True):
            for member in group:
                planted = member if name == "Hippocampus" and not right else 0.0
                mesh = find_surface(body(rng, name, right=right, bump_mm=planted).field(), sphere=True).mesh
                found = describe(mesh, spherical_map(mesh))
                terms.append(mirrored(found.terms) if right else found.terms)
                degrees.append(found.degree)
        aligned = align_all([truncated(one, max(degrees)) for one in terms])
        points = np.einsum("vk,nkc->nvc", basis(icosphere(LEVEL)[0], max(degrees)), aligned)
        for side, of in (("left", points[: len(group)]), ("right", points[len(group) :])):
            result = vertex_map(of, group, np.zeros((len(group), 0)))
            yield [f"{side} {name.lower()}", len(group), *_found(result, points.mean(axis=0))]


def _found(result: Map | str, template: np.ndarray) -> list:
    if isinstance(result, str):
        return [result]
    areas = vertex_areas(template, icosphere(LEVEL)[1])
    centred = template - (template * areas[:, None]).sum(axis=0) / areas.sum()
    along = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    peak = centred[np.argmax(along @ BUMP_DIRECTION)]
    from_peak = np.linalg.norm(centred - peak, axis=1)
    foot = np.arccos(np.clip(along @ BUMP_DIRECTION, -1, 1)) < 1.5 * BUMP_WIDTH  # a tenth of its height
    rim = from_peak[foot].max() + OUTSIDE_MM
    there = result.p < ALPHA
    best = int(np.abs(result.t).argmax())
    return [
        float(result.p.min()), float(result.t[best]), float(result.effect_mm[best]), float(from_peak[best]),
        float(areas[there].sum()), float(areas[there & (from_peak > rim)].sum()), float(areas[foot].sum()),
    ]  # fmt: skip


def planted(runs: int, per_group: int) -> None:
    """Cohorts with a bump of 1 mm on the left of one group, from coefficients; both sides are compared."""
    head = ["children", "cohorts", "left: p < .05", "within 5 mm of the top", "some of it beyond the bump",
            "right: p < .05"]  # fmt: skip
    table("A planted bump of 1 mm in many cohorts", head, _planted(runs, per_group))


def _planted(runs: int, per_group: int) -> Iterator[list]:
    group = np.repeat([0.0, 1.0], per_group)
    found, near, beyond, right = 0, 0, 0, 0
    for run in range(runs):
        rng = np.random.default_rng(9000 + run)
        terms = [body(rng, "Hippocampus", bump_mm=member).terms() for member in group]
        terms += [mirrored(body(rng, "Hippocampus", right=True).terms()) for _ in group]
        points = np.einsum("vk,nkc->nvc", basis(icosphere(LEVEL)[0], 10), align_all(terms))
        nothing, template = np.zeros((len(group), 0)), points.mean(axis=0)
        p, _, _, off_by_mm, _, outside_mm2, _ = _found(
            vertex_map(points[: len(group)], group, nothing), template
        )
        found += p < ALPHA
        near += p < ALPHA and off_by_mm < NEAR_MM
        beyond += outside_mm2 > 0
        other = vertex_map(points[len(group) :], group, nothing)
        right += not isinstance(other, str) and bool((other.p < ALPHA).any())
    yield [2 * per_group, runs, *(count / runs for count in (found, near, beyond, right))]


def null(runs: int, per_group: int) -> None:
    """Cohorts without a difference, in which the groups differ in age and age changes the shape."""
    head = ["children", "cohorts", "with p < .05", "share"]
    table("Nothing planted; groups of unlike age, age a covariate", head, _null(runs, per_group))


def _null(runs: int, per_group: int) -> Iterator[list]:
    group = np.repeat([0.0, 1.0], per_group)
    hits = 0
    for run in range(runs):
        rng = np.random.default_rng(1000 + run)
        age = rng.normal(size=len(group)) + group
        terms = [body(rng, "Hippocampus", grown_mm=0.5 * years).terms() for years in age]
        points = np.einsum("vk,nkc->nvc", basis(icosphere(LEVEL)[0], 10), align_all(terms))
        result = vertex_map(points, group, age[:, None])
        hits += not isinstance(result, str) and bool((result.p < ALPHA).any())
    yield [2 * per_group, runs, hits, hits / runs]


def sides(runs: int, per_group: int) -> None:
    """Cohorts with a bump on the left of nobody, of all, or of one group: mean asymmetry and its slope."""
    head = [
        "bump mm, group A",
        "group B",
        "children",
        "cohorts",
        "mean: p < .05",
        "within 25°",
        "groups: p < .05",
    ]
    table("Left less mirrored right", head, _sides(runs, per_group))


def _sides(runs: int, per_group: int) -> Iterator[list]:
    group = np.repeat([0, 1], per_group)
    for heights in ((0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.0, 1.5)):
        found, near, along = 0, 0, 0
        for run in range(runs):
            moved, template = _asymmetries(np.random.default_rng(5000 + run), np.array(heights)[group])
            mean, slope = mean_map(moved), slope_map(moved, group.astype(float), np.zeros((len(group), 0)))
            if isinstance(mean, str) or isinstance(slope, str):
                continue
            place = template[np.abs(mean.t).argmax()]
            close = place @ BUMP_DIRECTION > np.cos(np.deg2rad(25)) * np.linalg.norm(place)
            found += mean.p.min() < ALPHA
            near += mean.p.min() < ALPHA and close
            along += slope.p.min() < ALPHA
        yield [*heights, len(group), runs, found / runs, near / runs, along / runs]


def _asymmetries(rng: np.random.Generator, bump_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Asymmetry of children with these bumps on the left, (n, V), and the mean surface."""
    left = [body(rng, "Hippocampus", bump_mm=height).terms() for height in bump_mm]
    right = [mirrored(body(rng, "Hippocampus", right=True).terms()) for _ in bump_mm]
    points = np.einsum("vk,nkc->nvc", basis(icosphere(LEVEL)[0], 10), align_all([*left, *right]))
    return asymmetry(points[: len(left)], points[len(left) :]), points.mean(axis=0)


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    chosen = [word for word in sys.argv[1:] if not word.isdigit()] or [
        "accuracy",
        "bump",
        "planted",
        "null",
        "asymmetry",
    ]
    cohorts, size = (*numbers, *(200, 12)[len(numbers) :])
    parts = {
        "accuracy": accuracy,
        "bump": lambda: bump(size),
        "planted": lambda: planted(cohorts, size),
        "null": lambda: null(cohorts, size),
        "asymmetry": lambda: sides(cohorts, size),
    }
    for part in chosen:
        parts[part]()
