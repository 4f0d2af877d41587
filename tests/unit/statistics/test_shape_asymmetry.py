"""Left against right: what is on one side only is found there, along a contrast and over all children."""

import numpy as np
import pytest
import statsmodels.api as sm
from cohort_of_shapes import scores_of, shapes_of, write_study
from scipy import stats
from shape_study import BUMP_DIRECTION

from babyseg_py.statistics.partial import false_discovery_rate
from babyseg_py.statistics.permutation import max_t_of_signs
from babyseg_py.statistics.surfaces import asymmetry, slope_map


def rows_of(study, **changes):
    """Compare a study; return its table by contrast and structure, without what there is not."""
    table = shapes_of(study, **changes).tables["shape"]
    return table.dropna(subset=["structure"]).set_index(["contrast", "structure"])


def from_the_bump(row):
    """Angle between the vertex of a row and the bump, in degrees."""
    place = row[["x_mm", "y_mm", "z_mm"]].to_numpy(float)
    return np.rad2deg(np.arccos(place @ BUMP_DIRECTION / np.linalg.norm(place)))


@pytest.fixture(scope="module")
def all_bumped(tmp_path_factory):
    """Twelve children, all with a bump of 1 mm on the left."""
    return write_study(tmp_path_factory.mktemp("all"), bump_mm=(1.0, 1.0), children=12, seed=1)


def test_a_bump_on_the_left_of_all_children_is_found_at_its_place(all_bumped):
    table = rows_of(all_bumped)
    found = table.loc[("left - right", "Hippocampus")]
    assert (found["kind"], found["side"], found["n"]) == ("asymmetry", "asymmetry", 12)
    assert found["p_max"] < 0.01
    assert 0.5 < found["effect_mm"] < 1.2
    assert from_the_bump(found) < 25
    assert table.loc[("B - A", "Hippocampus"), "p_max"] > 0.05


def test_alike_sides_have_an_asymmetry_no_more_often_than_chance(tmp_path):
    """Of 8 cohorts, 3 are significant by chance in fewer than one of 100 tries."""
    p = []
    for seed in range(8):
        (tmp_path / str(seed)).mkdir()
        table = rows_of(write_study(tmp_path / str(seed), bump_mm=(0.0, 0.0), children=10, seed=seed))
        p.append(table.loc[("left - right", "Hippocampus"), "p_max"])
    assert (np.array(p) < 0.05).sum() <= 2
    assert np.median(p) > 0.1


def test_a_bump_on_the_left_of_one_group_is_an_asymmetry_along_the_contrast(tmp_path):
    study = write_study(tmp_path, bump_mm=(0.0, 1.0), missing_right=(4, 5))
    table = rows_of(study, phenotype=scores_of(iq=[n % 2 + 0.01 * n for n in range(24)]), scores=["iq"])
    for contrast in ("B - A", "iq"):
        found = table.loc[(contrast, "Hippocampus")]
        assert found["p_max"] < 0.05
        assert found["effect_mm"] > 0
        assert found["n"] == 22
        assert "2 children without both surfaces" in found["notes"]
        assert from_the_bump(found) < 30


def test_a_family_is_all_that_was_compared_along_one_contrast(all_bumped):
    table = shapes_of(all_bumped).tables["shape"]
    for contrast, rows in (("B - A", 3), ("left - right", 1)):
        family = table[(table["contrast"] == contrast) & table["p_max"].notna()]
        assert len(family) == rows
        expected = false_discovery_rate(family["p_max"].to_numpy(float))
        np.testing.assert_allclose(family["p_fdr"].astype(float), expected)


def test_too_few_children_are_a_row_that_says_so(tmp_path):
    table = shapes_of(write_study(tmp_path, bump_mm=(0.0, 0.0), children=9)).tables["shape"]
    why = table.set_index("contrast").loc["left - right", "notes"]
    assert why == "9 children with surfaces: left is not compared with right"


def test_asymmetry_of_swapped_sides_has_the_other_sign():
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(2, 6, 642, 3))
    np.testing.assert_allclose(asymmetry(left, right), -asymmetry(right, left))


def test_a_slope_is_that_of_least_squares_whatever_the_mean():
    rng = np.random.default_rng(3)
    design, contrast = rng.normal(size=(20, 2)), rng.normal(size=20)
    moved = rng.normal(2, 1, (20, 642))
    found, moved_on = slope_map(moved, contrast, design), slope_map(moved + 5, contrast, design)
    fit = sm.OLS(moved[:, 7], sm.add_constant(np.column_stack([contrast, design]))).fit()
    assert found.t[7] == pytest.approx(fit.tvalues[1])
    np.testing.assert_allclose(moved_on.t, found.t)
    np.testing.assert_allclose(moved_on.p, found.p)


def test_t_of_signs_is_that_of_one_sample():
    differences = np.random.default_rng(0).normal(0.4, 1, (15, 5))
    t, p = max_t_of_signs(differences)
    np.testing.assert_allclose(t, stats.ttest_1samp(differences, 0).statistic)
    assert (np.argsort(np.abs(t)) == np.argsort(-p)).all()
    exact = stats.permutation_test(
        (differences[:, 0],), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    alone = max_t_of_signs(differences[:, :1])[1][0]
    assert alone == pytest.approx(exact.pvalue, abs=0.03)


def test_p_of_signs_keeps_its_level_over_many_variables():
    rng = np.random.default_rng(1)
    smallest = []
    for _ in range(300):
        smooth = np.cumsum(rng.normal(size=(12, 30)), axis=1)
        smallest.append(max_t_of_signs(smooth, draws=199)[1].min())
    assert 0.02 < np.mean(np.array(smallest) < 0.0501) < 0.09


def test_zero_everywhere_has_no_p():
    t, p = max_t_of_signs(np.column_stack([np.zeros(10), np.arange(10.0)]))
    assert np.isnan([t[0], p[0]]).all()
    assert np.isfinite([t[1], p[1]]).all()
