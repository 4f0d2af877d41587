import numpy as np
import pytest
from growing_study import growing_study, growing_visits, true_volume, true_z
from scipy import stats

from babyseg_py.statistics.centiles import CENTILES, CHILD_COLUMNS, COLUMNS, centile_tables, fit_curves
from babyseg_py.statistics.growthmodels import Visits

AGES = 30.4375 * np.array([3.0, 6.0, 12.0, 24.0])


def test_known_centiles_are_recovered_within_two_points():
    rng = np.random.default_rng(4)
    off, covered = [], []
    for _ in range(4):
        curves = fit_curves(growing_visits(rng, 4000, visits=(1, 2)))
        for centile in CENTILES:
            z = stats.norm.ppf(centile / 100)
            volume = curves.volume(AGES, z)
            off.append(100 * stats.norm.cdf(true_z(AGES, volume)) - centile)
            error = curves.errors(lambda theta, z=z, c=curves: np.log(c.volume(AGES, z, theta)), len(AGES))
            covered.append(np.abs(np.log(volume / true_volume(AGES, z))) < 2 * error)
    mean = np.reshape(off, (4, len(CENTILES), len(AGES))).mean(axis=0)
    assert np.abs(mean).max() < 2
    assert np.mean(covered) == pytest.approx(0.95, abs=0.1)


def test_few_children_fall_below_a_centile_as_often_as_it_says():
    rng = np.random.default_rng(20)
    below, held = [], []
    for _ in range(60):
        curves = fit_curves(growing_visits(rng, 20))
        reach = stats.t.ppf(0.975, curves.df)
        for centile in CENTILES:
            volume, error = curves.centile(AGES, centile)
            true = true_volume(AGES, stats.norm.ppf(centile / 100))
            below.append(100 * stats.norm.cdf(true_z(AGES, volume)) - centile)
            held.append(np.abs(np.log(volume / true)) <= reach * error)
    outer = np.reshape(below, (60, len(CENTILES), len(AGES)))[:, [0, 1, -2, -1]].mean(axis=(0, 2))
    assert np.abs(outer).max() < 2
    assert np.mean(held) == pytest.approx(0.95, abs=0.03)


def test_visits_in_two_waves_make_a_curve_without_waves():
    rng = np.random.default_rng(3)
    for _ in range(10):
        child = np.repeat(np.arange(20), 2)
        days = 30.4375 * np.tile([1.0, 12.0], 20) * np.exp(0.1 * rng.normal(size=40))
        volumes = true_volume(days, (rng.normal(size=20)[child] + 0.5 * rng.normal(size=40)) / 1.25**0.5)
        curves = fit_curves(Visits(days, volumes, np.char.mod("%02d", child)))
        ages = np.exp(np.linspace(*np.log([days.min(), days.max()]), 40))
        median, _ = curves.centile(ages, 50)
        assert (np.diff(median) > 0).all()
        assert np.abs(np.log(median / true_volume(ages, 0))).max() < 0.15


def test_z_and_volume_are_inverse_and_curves_do_not_cross(rng):
    curves = fit_curves(growing_visits(rng, 100))
    for z in (-2.0, 0.0, 1.5):
        assert curves.z(AGES, curves.volume(AGES, z)) == pytest.approx([z] * 4)
    volumes = np.stack([curves.volume(AGES, z) for z in (-2, -1, 0, 1, 2)])
    assert (np.diff(volumes, axis=0) > 0).all()


def test_few_children_have_wide_bands(rng):
    widths = []
    for n in (16, 60, 400):
        facts, volumes = growing_study(rng, n)
        curves, _ = centile_tables(volumes, facts, source="labels")
        outer = curves[curves["centile"] == 97]
        widths.append(((outer["ci_high"] - outer["ci_low"]) / outer["volume_mm3"]).astype(float).median())
        assert (curves["n"] == n).all()
    assert widths[0] > 1.5 * widths[1] > 2 * widths[2]


def test_every_visit_has_its_centile_and_a_planted_crossing_is_marked(rng):
    facts, volumes = growing_study(rng, 80, visits=(2,))
    here = (volumes["participant_id"] == "0007") & (volumes["session_id"] == "v2")
    volumes.loc[here, "volume_mm3"] *= 1.5
    curves, children = centile_tables(volumes, facts, source="labels")
    assert list(curves.columns) == COLUMNS
    assert list(children.columns) == CHILD_COLUMNS
    assert len(children) == len(facts)
    own = children[children["participant_id"] == "0007"].iloc[1]
    assert own["crossing"] == 1
    assert own["centile"] > 97
    assert own["centile_ci_low"] < own["centile"] <= own["centile_ci_high"]
    assert children["crossing"].mean() < 0.15
    inside = (children["centile"] > 10) & (children["centile"] < 90)
    assert inside.mean() == pytest.approx(0.8, abs=0.08)


@pytest.mark.parametrize(
    ("n", "factor", "words"),
    [(14, 1, "n = 14 children is below 15"), (20, 0, "volumes are 0")],
)
def test_no_centiles_without_enough(rng, n, factor, words):
    facts, volumes = growing_study(rng, n)
    curves, children = centile_tables(
        volumes.assign(volume_mm3=volumes["volume_mm3"] * factor), facts, source="labels"
    )
    assert words in curves["notes"].iloc[0]
    assert children.empty


def test_one_visit_at_one_age_each_is_enough_for_a_flat_curve(rng):
    facts, volumes = growing_study(rng, 30, visits=(1,))
    facts["age_months"] = 6.0 + 0.01 * np.arange(30)
    curves, _ = centile_tables(volumes, facts, source="labels")
    assert (curves["median_scale"] == "constant").all()
    assert np.isfinite(curves["ci_high"].astype(float)).all()
