import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from growing_study import growing_study, growing_visits, true_volume

from babyseg_py.statistics.agescales import AgeScale, candidate_scales, natural_spline, spline_scale
from babyseg_py.statistics.growthmodels import COLUMNS, Visits, fit_growth, growth_models


def test_a_natural_spline_is_linear_outside_and_smooth_inside():
    knots = np.array([1.0, 2.0, 3.0, 4.0])
    outside = np.linspace(4, 9, 6)
    for column in natural_spline(outside, knots).T:
        assert np.abs(np.diff(column, 2)).max() < 1e-9
    assert (natural_spline(np.linspace(-3, 1, 5), knots)[:, 1:] == 0).all()
    assert natural_spline(outside, knots).shape == (6, 3)


def test_scales_are_no_richer_than_the_ages():
    two_waves = 30.4375 * np.array([1.0, 1.0, 12.0, 12.0])
    assert all(scale(two_waves).shape[1] == 1 for scale in candidate_scales(two_waves))
    many = 30.4375 * np.linspace(0, 24, 80)
    names = [scale.name for scale in candidate_scales(many)]
    assert len(names) == len(set(names)) == 2 + 6 + 36 + 3
    assert spline_scale(many, 3)(many).shape == (80, 3)


def test_the_model_is_that_of_statsmodels(rng):
    days, children = growing_visits(rng, 80).days, growing_visits(rng, 80).children
    size = min(len(days), len(children))
    days, children = days[:size], children[:size]
    scale = AgeScale("log", centre=12.0)
    x = np.column_stack([np.ones(size), scale(days)])
    _, codes = np.unique(children, return_inverse=True)
    own = rng.multivariate_normal([0, 0], [[4, 0.5], [0.5, 2]], 80)[codes]
    volumes = (x * (own + np.array([20, 5]))).sum(axis=1) + rng.normal(size=size)
    ours = fit_growth(Visits(days, volumes, children), scale, restricted=True).model
    model = sm.MixedLM(volumes, x, groups=children, exog_re=x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = model.fit(method=["bfgs", "cg"], gtol=1e-12)
    np.testing.assert_allclose(ours.beta, theirs.fe_params, rtol=1e-8)
    np.testing.assert_allclose(ours.random, theirs.cov_re, rtol=1e-6)
    assert ours.residual == pytest.approx(theirs.scale, rel=1e-6)


def test_the_curve_is_that_of_the_simulation(rng):
    facts, volumes = growing_study(rng, 150)
    table = growth_models(volumes, facts, source="labels")
    assert list(table.columns) == COLUMNS
    chosen = table[table["chosen"] == 1]
    assert (chosen["n"] == 150).all()
    assert chosen["n_one_visit"].iloc[0] == (facts["participant_id"].value_counts() == 1).sum() > 20
    for row in chosen.itertuples():
        truth = true_volume([row.age_days - 15, row.age_days, row.age_days + 15], 0.0)
        assert row.volume_mm3 == pytest.approx(truth[1], rel=0.04)
        slope = (truth[2] - truth[0]) * 30.4375 / 30
        assert row.change_mm3_per_month == pytest.approx(slope, rel=0.15, abs=80)
    others = table[table["chosen"] == 0]
    assert (others["bic_difference"] > 0).all()
    linear = others[others["age_scale"] == "linear"].iloc[0]
    assert linear["bic_difference"] > 50  # growth slows


def test_references_stay_apart_and_missing_visits_are_no_loss(rng):
    birth, early = growing_study(rng, 30)
    conception, late = growing_study(rng, 20, reference="conception")
    conception["participant_id"] = "c" + conception["participant_id"]
    late["participant_id"] = "c" + late["participant_id"]
    table = growth_models(pd.concat([early, late]), pd.concat([birth, conception]), source="labels")
    assert table.groupby("age_reference")["n"].first().to_dict() == {"birth": 30, "conception": 20}


@pytest.mark.parametrize(
    ("n", "visits", "random"),
    [(25, (3,), "intercept and slope"), (12, (2,), "intercept"), (25, (1,), "none")],
)
def test_what_varies_between_children_is_what_they_can_tell(rng, n, visits, random):
    facts, volumes = growing_study(rng, n, visits=visits)
    table = growth_models(volumes, facts, source="labels")
    assert (table["random_effects"] == random).all()
    assert table["volume_mm3"].notna().sum() == 3


def test_too_little_is_a_row_with_the_reason(rng):
    facts, volumes = growing_study(rng, 5)
    assert growth_models(volumes, facts, source="labels")["notes"].tolist() == [
        "n = 5 children is below 10: not estimated"
    ]
    facts, volumes = growing_study(rng, 20)
    constant = growth_models(volumes.assign(volume_mm3=3.0), facts, source="labels")
    assert constant["notes"].tolist() == ["the volume is constant: not estimated"]
    ageless = facts.assign(age_months=np.nan)
    assert growth_models(volumes, ageless, source="labels").empty
