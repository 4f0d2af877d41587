"""Local differences of shape: coloured surfaces, and a table of all that was compared."""

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from babyseg_py.morphometry.alignment import icosphere
from babyseg_py.report.figures import INK, WIDTH_IN, Shelf, file_name
from babyseg_py.report.parts import Absent, Part, Picture, Plot, Table
from babyseg_py.report.results import Results
from babyseg_py.report.words import count, number, p_equals, p_value, plain_name, text
from babyseg_py.statistics.partial import ALPHA

SURFACES_DRAWN = 6
# Where a left structure is seen from: towards the viewer, and to the right of the picture.
VIEWS = {
    "from lateral": ((-1, 0, 0), (0, -1, 0)),
    "from medial": ((1, 0, 0), (0, 1, 0)),
    "from above": ((0, 0, 1), (1, 0, 0)),
}
_COLOURS = colormaps["RdBu_r"]


def surfaces(results: Results, shelf: Shelf) -> Part:
    """Draw the mean surfaces coloured by displacement, those of the smallest p first."""
    table = results.more.get("shape", pd.DataFrame())
    vertices = results.more.get("shape_vertices", pd.DataFrame())
    if table.empty or vertices.empty:
        return _why(table)
    best = table.dropna(subset=["p_max"]).sort_values("p_max", kind="stable")
    best = best.sort_values("kind", key=lambda kind: kind == "asymmetry", kind="stable")
    pictures: list[Picture] = []
    for row in best.to_dict("records"):
        of = vertices[(vertices["contrast"] == row["contrast"]) & (vertices["structure"] == row["structure"])]
        if len(of) and len(pictures) < SURFACES_DRAWN:
            pictures.append(_picture(row, of.sort_values("vertex"), shelf))
    return Plot(tuple(pictures)) if pictures else _why(table)


def shape_table(results: Results, shelf: Shelf) -> Part:
    """Tabulate all comparisons, the smallest p first; rows without an estimate say why."""
    table = results.more.get("shape", pd.DataFrame())
    if table.empty or table["structure"].isna().all():
        return _why(table)
    rows = [
        (
            text(row["contrast"]), _name(row), number(row["n"], 0),
            number(row["effect_mm"]), text(row["location"]), number(row["t_max"]),
            p_value(row["p_max"]), p_value(row["p_fdr"]),
            number(row["area_mm2"], 0), text(row["notes"], ""),
        )
        for row in table.sort_values("p_max", kind="stable").to_dict("records")
    ]  # fmt: skip
    columns = ("Contrast", "Structure", "n", "Largest (mm)", "Where", "t", "p", "p adjusted", "Area (mm²)",
               "Notes")  # fmt: skip
    return Table(
        columns,
        rows,
        frozenset({2, 3, 5, 6, 7, 8}),
        folded=f"Comparisons of shape, {count(len(rows), 'row')}",
    )


def _name(row: dict) -> str:
    """Name what is compared, such as ``Left hippocampus``, or ``Hippocampus, left less right`` in groups."""
    name = plain_name(text(row["structure"]))
    told = row["side"] != "asymmetry" or row["kind"] == "asymmetry"
    return name if told else f"{name}, left less right"


def _why(table: pd.DataFrame) -> Absent:
    notes = table["notes"].dropna() if "notes" in table else pd.Series(dtype=object)
    because = f": {notes.mode().iloc[0]}" if len(notes) else ""
    return Absent(f"No comparison of shape{because}.")


def _picture(row: dict, of: pd.DataFrame, shelf: Shelf) -> Picture:
    points = of[["x_mm", "y_mm", "z_mm"]].to_numpy(float)
    effect, p = of["effect_mm"].to_numpy(float), of["p_max"].to_numpy(float)
    mirror = np.array([-1 if row["structure"].startswith("Right-") else 1, 1, 1])
    reach = float(np.abs(effect).max()) or 1.0
    figure = Figure(figsize=(WIDTH_IN, 2.6))
    panels = figure.subplots(1, len(VIEWS))
    for axes, (name, (front, right)) in zip(panels, VIEWS.items(), strict=True):
        _draw(
            axes,
            points * mirror,
            effect / reach,
            p,
            seen=(np.array(front) * mirror, np.array(right) * mirror),
        )
        axes.set_title(name)
    scale = ScalarMappable(Normalize(-reach, reach), _COLOURS)
    unit = "mm per SD of the score's ranks" if row["kind"] == "score" else "mm, outward positive"
    figure.colorbar(scale, ax=list(panels), label=unit, shrink=0.8, aspect=14)
    words = f"{row['contrast']}, {_name(row).lower()}"
    title = f"{words}: {number(row['effect_mm'])} mm {text(row['location'])}, {p_equals(row['p_max'])}"
    alt = f"Mean surface from three sides, coloured by displacement. {title}; n = {number(row['n'], 0)}."
    name = file_name("shape", f"{row['contrast']}_{row['structure']}")
    return shelf.add(name, figure, of, table="shape_vertices", alt=alt, title=title)


def _draw(
    axes: Axes, points: np.ndarray, colour: np.ndarray, p: np.ndarray, *, seen: tuple[np.ndarray, np.ndarray]
) -> None:
    """Draw the triangles that face the viewer, the nearest last, and the rim of what is significant."""
    front, right = seen
    _, faces = icosphere(_level(len(points)))
    up = np.cross(front, right)
    up = up * np.sign(up.sum())
    flat = np.stack([points @ right, points @ up], axis=1)
    centre, facing = points[faces].mean(axis=1), outward(points, faces) @ front
    shown = np.flatnonzero(facing > 0)
    shown = shown[np.argsort(centre[shown] @ front)]
    shades = _COLOURS(0.5 + colour[faces[shown]].mean(axis=1) / 2)
    shades[:, :3] *= (0.55 + 0.45 * facing[shown])[:, None]
    axes.add_collection(
        PolyCollection(flat[faces[shown]], facecolors=shades, edgecolors=shades, linewidths=0.3)
    )
    rim = [line for face in faces[shown] for line in _crossing(flat[face], p[face])]
    axes.add_collection(LineCollection(rim, colors=INK, linewidths=0.9))
    axes.set_aspect("equal")
    axes.autoscale_view()
    axes.axis("off")


def outward(points: np.ndarray, faces: np.ndarray, /) -> np.ndarray:
    """Return the unit normals that point out of a closed surface, also where it is bent around itself.

    Parameters
    ----------
    points : (n, 3) array
    faces : (m, 3) array of int
        Triangles that all turn the same way.

    Returns
    -------
    (m, 3) array
    """
    corners = points[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    inside_is_left = np.einsum("ij,ij", corners.mean(axis=1) - points.mean(axis=0), normal) < 0
    normal = -normal if inside_is_left else normal
    return normal / np.maximum(np.linalg.norm(normal, axis=1), 1e-12)[:, None]


def _crossing(corners: np.ndarray, p: np.ndarray) -> list[np.ndarray]:
    """Return the line through a triangle where p passes .05, if it does."""
    inside = p < ALPHA
    if inside.all() or not inside.any():
        return []
    ends = [(corners[a] + corners[b]) / 2 for a, b in ((0, 1), (1, 2), (2, 0)) if inside[a] != inside[b]]
    return [np.stack(ends)]


def _level(vertices: int) -> int:
    """Return how often an icosahedron was divided to have so many vertices: 10 · 4^level + 2."""
    return round(float(np.log2((vertices - 2) / 10)) / 2)
