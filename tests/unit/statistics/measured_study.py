"""Samples with a known correlation of the true volume with a score, and a volume measured with error."""

import numpy as np

from babyseg_py.statistics.associations import estimate
from babyseg_py.statistics.measurement import pool
from babyseg_py.statistics.pairing import Rule
from babyseg_py.statistics.sample import Sample
from babyseg_py.statistics.scores import Covariates


def true_rho(r):
    """Return Spearman's correlation of two normal variables with Pearson's correlation r."""
    return 6 / np.pi * np.arcsin(r / 2)


def measured_sample(rng, n, r, reliability):
    """Return the plain estimate and the errors: correlation r given age, errors of unlike size."""
    age = rng.normal(size=n)
    true = rng.normal(size=n)
    score = r * true + np.sqrt(1 - r**2) * rng.normal(size=n) + 0.5 * age
    s = np.sqrt((1 - reliability) / reliability) * rng.uniform(0.7, 1.3, n) / np.sqrt(1.03)
    measured = 1000 + 100 * (true + 0.5 * age + s * rng.normal(size=n))
    covariates = Covariates(age[:, None], ("age",), ("age",))
    rule = Rule("birth", 0.0, None, False)
    sample = Sample(None, score, covariates, rule, ())
    return estimate(measured, np.full(n, np.nan), sample, "none"), 100 * s


def coverage(rng, runs, n, r, reliability):
    """Return for the plain and the pooled intervals: coverage, mean width, mean rho, share of p < .05."""
    plain, pooled = [], []
    target = true_rho(r)
    for _ in range(runs):
        one, errors = measured_sample(rng, n, r, reliability)
        for found, kept in ((one.result, plain), (pool(one, errors), pooled)):
            inside = found.ci_low <= target <= found.ci_high
            kept.append([inside, found.ci_high - found.ci_low, found.rho, found.p < 0.05])
    return np.mean(plain, axis=0), np.mean(pooled, axis=0)
