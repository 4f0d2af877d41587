"""Local differences of shape: a bump is found where it is, on its side, and not elsewhere."""

import numpy as np
import pytest
import statsmodels.api as sm
from cohort_of_shapes import scores_of, shapes_of, write_study
from shape_study import BUMP_DIRECTION, body

from babyseg_py.errors import UnusableData
from babyseg_py.morphometry.alignment import align, align_all, icosphere
from babyseg_py.morphometry.meshes import vertex_normals
from babyseg_py.morphometry.spharm import basis, mirrored
from babyseg_py.statistics.descriptions import read_descriptions
from babyseg_py.statistics.shape import COLUMNS, VERTEX_COLUMNS, WITHOUT
from babyseg_py.statistics.surfaces import LEVEL, location, vertex_map

GROUP = np.repeat([0.0, 1.0], 10)


def sampled(terms):
    """Aligned surfaces on the vertices that are compared."""
    return np.einsum("vk,nkc->nvc", basis(icosphere(LEVEL)[0], 10), align_all(terms))


@pytest.fixture(scope="module")
def bumped():
    """Twenty surfaces, ten of them with a bump of 1 mm."""
    rng = np.random.default_rng(3)
    return sampled([body(rng, "Hippocampus", bump_mm=member, sd_mm=0.2).terms() for member in GROUP])


def test_a_bump_is_found_where_it_was_planted(bumped):
    found = vertex_map(bumped, GROUP, np.zeros((20, 0)))
    template = bumped.mean(axis=0)
    along = (template - template.mean(axis=0)) @ BUMP_DIRECTION
    there = found.p < 0.05
    angle = np.arccos(along / np.linalg.norm(template - template.mean(axis=0), axis=1))
    assert there.any()
    assert angle[there].max() < 0.9
    assert np.rad2deg(angle[np.abs(found.t).argmax()]) < 25
    assert 0.5 < found.effect_mm[np.abs(found.t).argmax()] < 1.2


def test_nothing_is_found_among_equal_groups(bumped):
    mixed = np.tile([0.0, 1.0], 10)
    assert vertex_map(bumped, mixed, np.zeros((20, 0))).p.min() > 0.05


def test_t_is_that_of_least_squares(bumped):
    rng = np.random.default_rng(0)
    design = rng.normal(size=(20, 2))
    found = vertex_map(bumped, GROUP, design)
    mean = bumped.mean(axis=0)
    moved = np.einsum("nvc,vc->nv", bumped - mean, vertex_normals(mean, icosphere(LEVEL)[1]))
    x = sm.add_constant(np.column_stack([GROUP, design]))
    for vertex in (0, 100, 641):
        fit = sm.OLS(moved[:, vertex], x).fit()
        assert found.t[vertex] == pytest.approx(fit.tvalues[1], abs=1e-8)
        assert found.effect_mm[vertex] == pytest.approx(fit.params[1], abs=1e-8)


def test_a_contrast_that_follows_from_the_covariates_is_refused(bumped):
    assert "not compared" in vertex_map(bumped, GROUP, GROUP[:, None] * 3.0 + 1)


def test_pose_does_not_change_an_aligned_surface():
    rng = np.random.default_rng(1)
    one = body(rng, "Hippocampus")
    moved = type(one)(one.axes_mm, one.varied, 0.0, np.eye(3), np.array([30.0, -5.0, 8.0]), right=False)
    reference = body(np.random.default_rng(9), "Hippocampus").terms()
    reference[0] = 0
    np.testing.assert_allclose(align(one.terms(), reference), align(moved.terms(), reference), atol=0.05)


@pytest.mark.parametrize("seed", [3, 4, 7])
def test_surfaces_are_as_near_to_their_mean_as_aligning_them_anew_brings_them(seed):
    rng = np.random.default_rng(seed)
    surfaces = [body(rng, "Hippocampus", sd_mm=0.2).terms() for _ in range(24)]
    aligned = align_all(surfaces)
    again = np.stack([align(terms, aligned.mean(axis=0)) for terms in surfaces])
    assert again.var(axis=0).sum() > 0.99 * aligned.var(axis=0).sum()


def test_a_mirrored_right_body_is_the_left_one():
    left, right = (body(np.random.default_rng(5), "Hippocampus", right=side) for side in (False, True))
    reference = left.terms()
    reference[0] = 0
    np.testing.assert_allclose(
        align(mirrored(right.terms()), reference), align(left.terms(), reference), atol=0.05
    )


def test_locations_in_words():
    directions, _ = icosphere(LEVEL)
    ends = {"lateral": -directions[:, 0], "anterior": directions[:, 1], "inferior": -directions[:, 2]}
    assert {word: location(directions, int(along.argmax())) for word, along in ends.items()} == {
        word: word for word in ends
    }


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Twenty-four children with both hippocampi; those of group B have a bump on the left one."""
    return write_study(tmp_path_factory.mktemp("shapes"), bump_mm=(0.0, 1.0), missing_right=(5,))


def test_the_table_of_a_cohort(study):
    tables = shapes_of(study).tables
    table = tables["shape"].query("contrast == 'B - A'").set_index("structure")
    assert [*tables["shape"].columns] == COLUMNS
    assert [*tables["shape_vertices"].columns] == VERTEX_COLUMNS
    assert table.loc["Left-Hippocampus", "p_max"] < 0.01
    assert "lateral" in table.loc["Left-Hippocampus", "location"]
    assert table.loc["Right-Hippocampus", "p_max"] > 0.05
    assert table.loc["Right-Hippocampus", "n"] == 23
    assert "1 children without this surface" in table.loc["Right-Hippocampus", "notes"]
    assert "not compared" in table.loc["Left-Caudate", "notes"]
    kept = tables["shape_vertices"]
    assert "Left-Hippocampus" in set(kept["structure"])
    assert len(kept) == 642 * len(kept.drop_duplicates(["contrast", "structure"]))


def test_along_a_score(study):
    scores = scores_of(iq=[90 + 10 * (n % 2) + 0.1 * n for n in range(24)])
    without_groups = (study[0], study[1].assign(group=None), study[2])
    table = shapes_of(without_groups, phenotype=scores, scores=["iq"]).tables["shape"]
    assert table.set_index("structure").loc["Left-Hippocampus", "p_max"] < 0.05
    assert table.loc[table["kind"] == "group", "notes"].tolist() == [
        "no child with volumes has a group in the samplesheet"
    ]


def test_without_surfaces_the_table_says_so(study):
    tables = shapes_of(study, shapes=None).tables
    assert tables["shape"]["notes"].tolist() == [WITHOUT]
    assert tables["shape_vertices"].empty


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "sub-01_ses-A_space-session_desc-spharm_shape.json").write_text('{"participant_id": "01"}')
    with pytest.raises(UnusableData, match="does not hold the surfaces"):
        read_descriptions(tmp_path)
