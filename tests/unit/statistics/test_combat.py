import numpy as np
import pytest

from babyseg_py.statistics.combat import combat


def cohort(rng, n=120, m=12, *, visits=1, shift=0.1, factor=1.6):
    """Return volumes of two sites, B larger by ``shift`` and noisier by ``factor``, and the truth."""
    child = np.repeat(np.arange(n), visits)
    site = np.array(["A", "B"])[child % 2]
    age = rng.uniform(1, 24, len(child))
    base = rng.uniform(2000, 30000, m)
    own = rng.normal(0, 0.06, (n, m))[child] * (visits > 1)
    clean = base * (1 + 0.02 * age[:, None] + own)
    noise = base * rng.normal(0, 0.05, clean.shape)
    here = (site == "B")[:, None]
    measured = clean + np.where(here, factor * noise + shift * base, noise)
    return measured, clean + noise, site, age[:, None], child


def gap(values, site, age):
    x = np.column_stack([np.ones(len(site)), site == "B", age])
    return np.linalg.lstsq(x, values, rcond=None)[0][1:] / values.mean(axis=0)


@pytest.mark.parametrize("visits", [1, 3])
def test_planted_site_effects_vanish_and_planted_age_effects_stay(rng, visits):
    measured, truth, site, age, child = cohort(rng, visits=visits)
    done = combat(measured, site, age, child, repeated=visits > 1)
    before, after = gap(measured, site, age), gap(done.volumes, site, age)
    assert before[0].mean() == pytest.approx(0.08, abs=0.02)
    assert np.abs(after[0]).mean() < 0.01
    np.testing.assert_allclose(after[1], before[1], rtol=0.02)
    np.testing.assert_allclose(after[1].mean(), gap(truth, site, age)[1].mean(), rtol=0.12)
    assert done.sites.tolist() == ["A", "B"]
    ratio = (done.scale[1] / done.scale[0]).mean()
    assert ratio == pytest.approx(1.6, abs=0.25)


def test_without_site_effects_little_changes(rng):
    measured, _, site, age, child = cohort(rng, shift=0.0, factor=1.0)
    done = combat(measured, site, age, child, repeated=False)
    assert np.abs(done.volumes / measured - 1).max() < 0.05


def test_the_estimates_are_those_of_the_published_formulas(rng):
    measured, _, site, age, child = cohort(rng, n=40, m=5)
    done = combat(measured, site, age, child, repeated=False)
    dummies = np.eye(2)[(site == "B").astype(int)]
    x = np.column_stack([dummies, age])
    beta = np.linalg.lstsq(x, measured, rcond=None)[0]
    grand = dummies.mean(axis=0) @ beta[:2] + age.mean() * beta[2]
    sigma = np.sqrt(((measured - x @ beta) ** 2).mean(axis=0))
    z = (measured - grand - (age - age.mean()) @ beta[2:]) / sigma
    for place, name in enumerate("AB"):
        of = z[site == name]
        gamma, delta = of.mean(axis=0), of.var(axis=0, ddof=1)
        location, scale = done.location[place], done.scale[place] ** 2
        tau = gamma.var(ddof=1)
        fixed = (len(of) * tau * gamma + scale * gamma.mean()) / (len(of) * tau + scale)
        np.testing.assert_allclose(location, fixed, atol=1e-7)
        mean, variance = delta.mean(), delta.var(ddof=1)
        a, b = (2 * variance + mean**2) / variance, (mean * variance + mean**3) / variance
        squares = ((of - location) ** 2).sum(axis=0)
        np.testing.assert_allclose(scale, (b + squares / 2) / (len(of) / 2 + a - 1), atol=1e-7)


def test_missing_volumes_stay_missing_and_disturb_no_other_structure(rng):
    measured, _, site, age, child = cohort(rng, visits=2)
    holed = measured.copy()
    holed[3, 0] = np.nan
    done, whole = (combat(v, site, age, child, repeated=True).volumes for v in (holed, measured))
    assert np.isnan(done[3, 0])
    assert np.isfinite(done).sum() == done.size - 1
    np.testing.assert_allclose(done[:, 1:], whole[:, 1:], rtol=1e-3)
