"""The pictures and the table of shape."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from babyseg_py.morphometry.alignment import icosphere
from babyseg_py.report.figures import Shelf
from babyseg_py.report.shape import outward, shape_table, surfaces
from babyseg_py.statistics.shape import COLUMNS, WITHOUT


@pytest.fixture
def found():
    """One surface with a bump at its lateral side, and one that could not be compared."""
    points = icosphere(3)[0] * [7, 15, 6]
    bump = np.exp(-(((points - [-7, 0, 0]) ** 2).sum(axis=1)) / 9)
    vertices = pd.DataFrame(points, columns=["x_mm", "y_mm", "z_mm"]).assign(
        contrast="B - A", structure="Left-Hippocampus", vertex=np.arange(len(points)),
        effect_mm=bump, t=8 * bump,
        p_max=np.where(bump > 0.5, 0.001, 0.8),
    )  # fmt: skip
    row = {"contrast": "B - A", "kind": "group", "structure": "Left-Hippocampus", "n": 40.0, "t_max": 8.0}
    row |= {"effect_mm": 1.0, "p_max": 0.001, "p_fdr": 0.002, "location": "lateral", "area_mm2": 30.0}
    other = {"contrast": "B - A", "structure": "Left-Caudate", "n": 3.0, "notes": "3 surfaces: not compared"}
    return SimpleNamespace(
        more={"shape": pd.DataFrame([other, row], columns=COLUMNS), "shape_vertices": vertices}
    )


def test_the_surface_is_drawn_with_its_numbers_beside_it(found, tmp_path):
    part = surfaces(found, Shelf(tmp_path))
    assert part.kind == "plot"
    assert "left hippocampus" in part.pictures[0].title
    assert len(part.pictures[0].source) < 400_000
    assert len(pd.read_csv(tmp_path / "shape_B___A_Left_Hippocampus.tsv", sep="\t")) == 642


def test_the_table_begins_with_the_smallest_p_and_says_what_failed(found):
    part = shape_table(found, Shelf())
    assert [row[1] for row in part.rows] == ["Left hippocampus", "Left caudate"]
    assert part.rows[1][-1] == "3 surfaces: not compared"


def test_without_surfaces_the_reason_is_given():
    nothing = SimpleNamespace(more={"shape": pd.DataFrame([{"notes": WITHOUT}], columns=COLUMNS)})
    assert WITHOUT in surfaces(nothing, Shelf()).reason
    assert WITHOUT in shape_table(nothing, Shelf()).reason


def test_asymmetry_is_named_and_comes_after_groups(found, tmp_path):
    table, vertices = found.more["shape"], found.more["shape_vertices"]
    both = {"structure": "Hippocampus", "side": "asymmetry", "effect_mm": 0.4, "n": 40.0}
    along = both | {"contrast": "B - A", "kind": "group", "p_max": 0.04}
    mean = both | {"contrast": "left - right", "kind": "asymmetry", "p_max": 0.0005}
    more = pd.DataFrame([along, mean], columns=COLUMNS)
    again = [vertices.assign(structure="Hippocampus", contrast=one["contrast"]) for one in (along, mean)]
    found.more |= {"shape": pd.concat([table, more]), "shape_vertices": pd.concat([vertices, *again])}
    titles = [picture.title for picture in surfaces(found, Shelf(tmp_path)).pictures]
    assert [title.partition(":")[0] for title in titles] == [
        "B - A, left hippocampus",
        "B - A, hippocampus, left less right",
        "left - right, hippocampus",
    ]


def bent(points: np.ndarray) -> np.ndarray:
    """Stretch a ball to a sausage and bend it to three quarters of a ring, as a caudate is bent."""
    angle, reach = 2.4 * points[:, 1], 10 + 3 * points[:, 0]
    return np.stack([reach * np.cos(angle), reach * np.sin(angle), 3 * points[:, 2]], axis=1)


@pytest.mark.parametrize("mirror", [1, -1])
def test_normals_point_out_of_a_bent_body(mirror) -> None:
    """Out is where the surface of a slightly larger ball goes, not away from the middle of the body."""
    points, faces = icosphere(3)
    there, further = (bent(share * points) * (mirror, 1, 1) for share in (1.0, 1.001))
    normals = outward(there, faces)
    way = (further - there)[faces].mean(axis=1)
    assert np.all(np.einsum("ij,ij->i", normals, way) > 0)
    from_the_middle = there[faces].mean(axis=1) - there.mean(axis=0)
    assert np.mean(np.einsum("ij,ij->i", normals, from_the_middle) < 0) > 0.1
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1)
