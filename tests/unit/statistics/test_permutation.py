import numpy as np
import pytest

from babyseg_py.statistics.partial import basis_of, centred_ranks, partial_spearman, smallest_detectable
from babyseg_py.statistics.permutation import Battery, max_t


def family(rng, n=30, m=4, *, effect=0.0, blocks=None):
    covariate = rng.normal(size=(n, 1))
    response = rng.normal(size=n) + covariate[:, 0]
    variables = rng.normal(size=(n, m)) + covariate
    variables[:, 0] += effect * response
    ranks = centred_ranks(variables)
    basis, _ = basis_of(centred_ranks(covariate))
    return Battery(centred_ranks(response[:, None])[:, 0], ranks, basis, n - 3, blocks)


def test_one_test_has_nearly_its_analytic_p(rng):
    covariate, x = rng.normal(size=(2, 40))
    y = rng.normal(size=40) + 0.3 * x
    p = partial_spearman(x, y, covariate[:, None]).p
    basis, _ = basis_of(centred_ranks(covariate[:, None]))
    ranks = centred_ranks(np.column_stack([y, x]))
    tests = Battery(ranks[:, 0], ranks[:, 1:], basis, 37)
    assert max_t([tests], draws=5000)[0][0] == pytest.approx(p, abs=0.015)


def test_family_wise_error_is_kept_and_a_planted_effect_is_found():
    rng = np.random.default_rng(3)
    least = [min(max_t([family(rng, m=6)], draws=99, seed=i)[0]) for i in range(400)]
    assert np.mean(np.array(least) <= 0.05) == pytest.approx(0.05, abs=0.03)
    p = max_t([family(rng, n=60, effect=1.0)])[0]
    assert p[0] < 0.01 < min(p[1:])


def test_equal_variables_cost_nothing_and_unlike_ones_do(rng):
    tests = family(rng, m=1, effect=0.4)
    alone = max_t([tests])[0][0]
    twice = Battery(tests.response, np.repeat(tests.variables, 5, axis=1), tests.basis, tests.df)
    assert max_t([twice])[0] == pytest.approx([alone] * 5)
    others = Battery(tests.response, rng.normal(size=(30, 20)), tests.basis, tests.df)
    assert max_t([tests, others])[0][0] > alone


def test_rows_stay_within_their_block():
    blocks = np.array([2, 0, 1, 0, 2, 1])
    tests = Battery(blocks.astype(float), np.eye(6)[:, :2], np.zeros((6, 0)), 4, blocks)
    assert max_t([tests], draws=50)[0] == pytest.approx([1, 1])  # every order leaves the response as it was


@pytest.mark.parametrize(("n", "k", "rho"), [(30, 2, 0.51), (85, 1, 0.303)])
def test_the_smallest_detectable_correlation_is_detected_four_times_in_five(rng, n, k, rho):
    assert smallest_detectable(n, k) == pytest.approx(rho, abs=0.02)
    assert smallest_detectable(n, k, alpha=0.001) > smallest_detectable(n, k)
    assert np.isnan(smallest_detectable(9, 0))
