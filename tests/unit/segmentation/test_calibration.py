"""Calibration: closed forms, planted miscalibration that is found again, and what inference does with it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from babyseg_py.segmentation.calibration import (
    TWO_SIDED,
    Calibration,
    find_calibration,
    predict_dice,
    save_calibration,
    standardise,
)
from babyseg_py.segmentation.calibration_fit import (
    common_limits,
    conformal_quantiles,
    expected_calibration_error,
    fit_logistic,
    fit_shared,
)
from babyseg_py.segmentation.evidence import FEATURES, NUMBERS

COUNT, WIDTH = len(NUMBERS), len(FEATURES)
COLUMNS = 1 + WIDTH + len(TWO_SIDED)
LABELS = (0, *NUMBERS)


@pytest.fixture
def calibration() -> Calibration:
    """Return one that adds 2 to the log odds of the Dice to expect (0 at evidence 0), and halves the odds."""
    dice = np.zeros((COUNT, COLUMNS))
    dice[:, 0] = 2.0
    return Calibration(
        weights="abc",
        features=FEATURES,
        centre=((0.0,) * WIDTH,) * COUNT,
        scale=((1.0,) * WIDTH,) * COUNT,
        dice=tuple(map(tuple, dice.tolist())),
        interval=((-1.0, 2.0),) * COUNT,
        spread=(0.03,) * COUNT,
        confidence=((-np.log(2), 1.0, 0.0),) * (1 + COUNT),
        least_dice=(0.7,) * COUNT,
        least_mean_dice=0.8,
        made_from={"visits": {"clean": 3}},
    )


def test_error_of_perfect_calibration_is_nought():
    confidence = np.array([0.1, 0.5, 0.95])
    voxels = np.array([100, 200, 1000])
    assert expected_calibration_error(confidence, voxels, confidence * voxels) == pytest.approx(0)


def test_error_is_the_distance_weighted_by_voxels():
    """A quarter of the voxels say .9 and are right in .5; the others say .3 and are right in .3."""
    error = expected_calibration_error(np.array([0.9, 0.3]), np.array([100, 300]), np.array([50, 90]))
    assert error == pytest.approx(0.4 / 4)


def test_bins_in_which_errors_cancel():
    """Within one bin a confidence that is too high and one that is too low cancel, by definition."""
    error = expected_calibration_error(np.array([0.61, 0.65]), np.array([10, 10]), np.array([6.5, 6.1]))
    assert error == pytest.approx(0)


def test_no_voxels_have_no_error():
    assert np.isnan(expected_calibration_error(np.zeros(2), np.zeros(2), np.zeros(2)))


def test_logistic_finds_a_temperature():
    """Log odds that are three times too large, and shifted, are found to be."""
    odds = np.linspace(-3, 12, 61)
    p = 1 / (1 + np.exp(-(0.4 + odds / 3)))
    columns = np.column_stack([np.ones_like(odds), odds, np.zeros_like(odds)])
    beta = fit_logistic(columns, np.full(61, 1e6), 1e6 * p, prior=1.0)
    assert beta == pytest.approx([0.4, 1 / 3, 0], abs=1e-3)


def test_logistic_without_data_corrects_nothing():
    beta = fit_logistic(np.ones((4, 3)), np.zeros(4), np.zeros(4), prior=1.0)
    assert beta == pytest.approx([0, 1, 0])


def test_dice_of_a_linear_world_is_found_and_missing_truth_left_out():
    rng = np.random.default_rng(0)
    columns = np.concatenate([np.ones((80, 3, 1)), rng.normal(size=(80, 3, 2))], axis=-1)
    truth = np.array([[0.8, 0.03, 0.0], [0.7, 0.03, 0.02], [0.6, 0.01, -0.02]])
    dice = (columns * truth).sum(axis=-1)
    dice[::7, 1] = np.nan
    found = fit_shared(columns, dice, shared=1e-6, own=1e-6)
    assert found == pytest.approx(truth, abs=1e-3)


def test_own_penalty_makes_structures_alike():
    rng = np.random.default_rng(1)
    columns = np.concatenate([np.ones((50, 2, 1)), rng.normal(size=(50, 2, 1))], axis=-1)
    dice = 0.5 + columns[..., 1] * np.array([0.02, 0.06])
    found = fit_shared(columns, dice, shared=1e-6, own=1e9)
    assert found[0, 1] == pytest.approx(found[1, 1], abs=1e-6)
    assert 0.02 < found[0, 1] < 0.06


def test_ridge_equals_scikit_learn():
    """With one structure the shared and own coefficients are one ridge of half the harmonic penalty."""
    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(2)
    x, noise = rng.normal(size=(40, 5)), rng.normal(size=40)
    y = 0.8 + x @ np.array([0.1, 0, 0.05, -0.1, 0]) + 0.02 * noise
    columns = np.concatenate([np.ones((40, 1)), x], axis=1)[:, None]
    found = fit_shared(columns, y[:, None], shared=3.0, own=6.0)
    reference = linear.Ridge(alpha=1 / (1 / 3 + 1 / 6)).fit(x, y)
    assert found[0, 1:] == pytest.approx(reference.coef_, abs=1e-4)
    assert predict_dice(np.zeros((40, 1)), columns, found)[:, 0] == pytest.approx(
        1 / (1 + np.exp(-reference.predict(x))), abs=1e-3
    )


def test_conformal_quantiles_cover_new_scores():
    rng = np.random.default_rng(3)
    cover = []
    for _ in range(300):
        low, high = conformal_quantiles(rng.standard_t(3, size=60))
        new = rng.standard_t(3, size=200)
        cover.append(np.mean((new >= low) & (new <= high)))
    assert 0.895 < np.mean(cover) < 0.92  # 2 of 61 gaps are left out on each side: 1 - 6 / 61 = .902


def test_few_scores_give_their_extremes():
    assert conformal_quantiles(np.array([3.0, np.nan, 1.0, 2.0])) == (1.0, 3.0)


def test_limits_let_few_sound_rows_pass():
    rng = np.random.default_rng(4)
    values = rng.normal([0.9, 0.8, 0.7], [0.01, 0.05, 0.02], size=(200, 3))
    limits = common_limits(values, share=0.05)
    assert (values < limits).any(axis=1).mean() == pytest.approx(0.05)
    assert (0.9 - limits[0]) / 0.01 == pytest.approx((0.8 - limits[1]) / 0.05, rel=0.3)


def test_trust_has_interval_spread_and_limits(calibration):
    trust = calibration.judge(np.zeros((COUNT, WIDTH)), LABELS)
    dice = np.exp(2) / (1 + np.exp(2))
    assert trust.dice[17] == pytest.approx(dice)
    assert trust.mean_dice == pytest.approx(dice)
    assert (trust.low[17], trust.high[17]) == pytest.approx((np.exp(dice - 1), np.exp(2 - 2 * dice)))
    assert trust.least_dice[17] == 0.7


def test_spread_is_never_less_than_its_smallest(calibration):
    sure = replace(calibration, dice=((9.0, *(0.0,) * (COLUMNS - 1)),) * COUNT)
    trust = sure.judge(np.zeros((COUNT, WIDTH)), LABELS)
    assert trust.low[2] == pytest.approx(np.exp(-0.03))


def test_confidence_is_of_the_label_of_the_channel(calibration):
    """Posteriors of a label with a slope of nought mean nothing; the others lose half of their odds."""
    rows = list(calibration.confidence)
    rows[1 + NUMBERS.index(17)] = (0.0, 0.0, 0.0)
    order = (17, 0, *(n for n in NUMBERS if n != 17))
    trust = replace(calibration, confidence=tuple(rows)).judge(np.zeros((COUNT, WIDTH)), order)
    found = trust.confidence(torch.tensor([0.9, 0.8]), torch.tensor([0, 1], dtype=torch.uint8))
    assert found.tolist() == pytest.approx([0.5, 2 / 3])


def test_evidence_beyond_what_was_seen_is_taken_as_at_its_edge():
    evidence = np.zeros((1, WIDTH))
    evidence[0, FEATURES.index("share")] = -100
    columns = standardise(evidence, np.zeros((1, WIDTH)), np.ones((1, WIDTH)))
    assert columns[0, 0] == 1
    assert columns[0, 1 + FEATURES.index("share")] == -4
    assert columns[0, 1 + WIDTH + TWO_SIDED.index("share")] == 16
    assert np.count_nonzero(columns) == 3


def test_file_gives_the_same_and_belongs_to_its_weights(calibration, tmp_path):
    path = tmp_path / "calibration.json"
    save_calibration(calibration, path)
    again = find_calibration("abc", path)
    evidence = np.random.default_rng(5).normal(size=(COUNT, WIDTH))
    one, other = (c.judge(evidence, LABELS) for c in (calibration, again))
    assert one.dice == pytest.approx(other.dice)
    assert one.high == pytest.approx(other.high, rel=1e-4)
    assert find_calibration("abd", path) is None
    assert find_calibration("", path) is None
    assert find_calibration("abc", tmp_path / "none.json") is None


def test_file_of_other_evidence_is_not_used(calibration, tmp_path):
    path = tmp_path / "calibration.json"
    save_calibration(calibration, path)
    values = json.loads(path.read_text(encoding="utf-8")) | {"features": ["size"]}
    path.write_text(json.dumps(values), encoding="utf-8")
    assert find_calibration("abc", path) is None
