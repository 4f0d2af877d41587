import warnings

import numpy as np
import pytest
import statsmodels.api as sm

from babyseg_py.statistics.mixed import fit_fixed, fit_mixed, random_effects


def draw(rng, n=60):
    visits = rng.integers(1, 6, n)
    child = np.repeat(np.arange(n), visits)
    t, x = rng.uniform(0, 3, len(child)), rng.normal(size=len(child))
    own, slope = rng.normal(size=n)[child], rng.normal(0, 0.4, n)[child]
    y = own + slope * t + t + 0.3 * x + rng.normal(size=len(child))
    ones = np.ones(len(child))
    return y, np.column_stack([ones, t, x]), np.column_stack([ones, t]), child


@pytest.mark.parametrize("restricted", [True, False])
@pytest.mark.parametrize("q", [1, 2])
def test_the_fit_is_that_of_statsmodels(rng, q, restricted):
    y, x, z, child = draw(rng)
    ours = fit_mixed(y, x, z[:, :q], child, restricted=restricted)
    model = sm.MixedLM(y, x, groups=child, exog_re=z[:, :q])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = model.fit(reml=restricted, method=["bfgs", "cg"], gtol=1e-12)
    assert ours.log_likelihood >= theirs.llf - 1e-8
    np.testing.assert_allclose(ours.beta, theirs.fe_params, atol=1e-8)
    assert ours.log_likelihood == pytest.approx(theirs.llf, abs=1e-8)
    np.testing.assert_allclose(ours.random, theirs.cov_re, atol=1e-6)
    beta, _ = model.get_fe_params(ours.ratio, np.array([]))
    np.testing.assert_allclose(ours.beta, beta, atol=1e-11)
    names, effects = random_effects(ours, y, x, z[:, :q], child)
    own = np.array([theirs.random_effects[name] for name in names])
    np.testing.assert_allclose(effects, own, atol=1e-6)


def test_without_random_effects_it_is_least_squares(rng):
    y, x, _, _ = draw(rng)
    ours, theirs = fit_fixed(y, x), sm.OLS(y, x).fit()
    np.testing.assert_allclose(ours.beta, theirs.params, atol=1e-10)
    np.testing.assert_allclose(ours.covariance, theirs.cov_params(), atol=1e-10)


def test_children_who_do_not_differ_have_no_variance(rng):
    y, x, z, child = draw(rng)
    noise = x[:, 2] + rng.normal(size=len(y))
    for one in np.unique(child):
        noise[child == one] -= noise[child == one].mean()
    assert fit_mixed(noise, x, z[:, :1], child).random[0, 0] == 0
