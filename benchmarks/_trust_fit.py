"""From records to a calibration, and how well one holds on records that it was not made from."""

from collections.abc import Callable, Sequence

import numpy as np
from _trust_cases import CLEAN
from _trust_records import EDGES, Record

from babyseg_py.labels import LEFT_RIGHT_PAIRS
from babyseg_py.segmentation.calibration import (
    Calibration,
    Trust,
    expected_odds,
    log_odds,
    predict_dice,
    standardise,
)
from babyseg_py.segmentation.calibration_fit import (
    common_limits,
    conformal_quantiles,
    fit_logistic,
    fit_shared,
)
from babyseg_py.segmentation.evidence import FEATURES, NUMBERS

LABELS = (0, *NUMBERS)
CENTRES = (EDGES[:-1] + EDGES[1:]) / 2
PENALTIES = (1.0, 10.0, 100.0, 1000.0, 10000.0)  # of the coefficients that all structures share
OWN = 1.0  # penalty of a structure's deviations from them, relative to that
SMALLEST_SPREAD = 0.03
PRIOR = 1000.0  # in voxels
LEVEL = 0.92  # of the intervals, to cover .90: visits of one label map err together
MARGIN = 1.6  # by which limits are widened, for the same reason
FALSE_ALARMS = 0.02  # share of sound visits with any structure below its limit, and with the brain below


def fit(records: Sequence[Record], *, weights: str = "", made_from: dict | None = None) -> Calibration:
    """Fit every number of a calibration on some records.

    What depends on the predicted Dice is fitted on predictions for records that were left out with all of
    their kind, or their label map if they are sound; so is the penalty chosen.
    """
    evidence, dice = stacked(records, "evidence"), stacked(records, "dice")
    centre = evidence.mean(axis=0)
    scale = np.maximum(evidence.std(axis=0), 1e-3)
    columns, expected = standardise(evidence, centre, scale), expected_odds(evidence)
    lacking = log_odds(dice) - expected
    groups = np.array([group(record) for record in records])

    def left_out(penalty: float) -> np.ndarray:
        predicted = np.empty_like(dice)
        for name in np.unique(groups):
            own = groups == name
            found = fit_shared(columns[~own], lacking[~own], shared=penalty, own=OWN * penalty)
            predicted[own] = predict_dice(expected[own], columns[own], found)
        return predicted

    tried = {penalty: left_out(penalty) for penalty in PENALTIES}
    penalty = min(PENALTIES, key=lambda one: np.nanmean(np.abs(tried[one] - dice)))
    predicted = tried[penalty]
    coefficients = fit_shared(columns, lacking, shared=penalty, own=OWN * penalty)
    scores = log_ratios(records) / np.maximum(1 - predicted, SMALLEST_SPREAD)
    clean = predicted[[record.kind == CLEAN for record in records]]
    return Calibration(
        weights=weights,
        features=FEATURES,
        centre=_rows(centre),
        scale=_rows(scale),
        dice=_rows(coefficients),
        interval=_rows(_intervals(scores)),
        spread=(SMALLEST_SPREAD,) * len(NUMBERS),
        confidence=_rows(_fit_confidence(records, predicted.mean(axis=1))),
        least_dice=tuple(common_limits(clean, share=FALSE_ALARMS, margin=MARGIN).tolist()),
        least_mean_dice=float(
            common_limits(clean.mean(axis=1, keepdims=True), share=FALSE_ALARMS, margin=MARGIN)[0]
        ),
        made_from={**(made_from or {}), "penalty": penalty},
    )


def _intervals(scores: np.ndarray) -> np.ndarray:
    """Quantiles of the scores of each structure, those of left and right taken together, (21, 2)."""
    twin = {label: other for pair in LEFT_RIGHT_PAIRS for label, other in (pair, pair[::-1])}
    twins = [NUMBERS.index(twin.get(label, label)) for label in NUMBERS]
    pairs = [np.unique([place, other]) for place, other in enumerate(twins)]
    return np.array([conformal_quantiles(scores[:, pair].ravel(), LEVEL) for pair in pairs])


def group(record: Record) -> str:
    """Name what is left out together: the kind of a degraded visit, the label map of a sound one."""
    return map_group(record) if record.kind == CLEAN else record.kind


def map_group(record: Record) -> str:
    """Name the label map of a record; the adults count as one."""
    return "adults" if record.source.startswith("adult") else record.source


def judge(calibration: Calibration, records: Sequence[Record]) -> list[Trust]:
    """Judge records as inference would."""
    return [calibration.judge(record.evidence, LABELS) for record in records]


def crossfitted(
    records: Sequence[Record], group: Callable[[Record], str], more: Sequence[Record] = ()
) -> list[Trust]:
    """Judge every record by a calibration made from the records of other groups, and from some more."""
    trusts: dict[int, Trust] = {}
    groups = [group(record) for record in records]
    for name in sorted(set(groups)):
        inside = [n for n, own in enumerate(groups) if own == name]
        others = [records[n] for n, own in enumerate(groups) if own != name]
        calibration = fit([*others, *more])
        trusts |= dict(zip(inside, judge(calibration, [records[n] for n in inside]), strict=True))
    return [trusts[n] for n in range(len(records))]


def stacked(records: Sequence[Record], name: str) -> np.ndarray:
    """Stack one array of all records."""
    return np.stack([getattr(record, name) for record in records])


def log_ratios(records: Sequence[Record]) -> np.ndarray:
    """Log ratio of the true volume to that from posteriors, (N, 21); NaN where there is none."""
    true, found = stacked(records, "true_mm3"), stacked(records, "posterior_mm3")
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(true / found)
    return np.where(np.isfinite(ratio), ratio, np.nan)


def covered(records: Sequence[Record], trusts: Sequence[Trust]) -> np.ndarray:
    """Whether the true volume lies in the interval, (N, 21)."""
    true, found = stacked(records, "true_mm3"), stacked(records, "posterior_mm3")
    low, high = (np.array([list(getattr(t, end).values()) for t in trusts]) for end in ("low", "high"))
    return (true >= found * low) & (true <= found * high)


def confidences(trusts: Sequence[Trust]) -> np.ndarray:
    """Calibrated confidence of every label and bin of the posterior, (N, 22, B)."""
    offset, slope = (np.stack([getattr(t, name) for t in trusts]) for name in ("offset", "slope"))
    return 1 / (1 + np.exp(-(offset[..., None] + slope[..., None] * CENTRES)))


def _fit_confidence(records: Sequence[Record], mean_dice: np.ndarray) -> np.ndarray:
    odds = log_odds(mean_dice)
    voxels, right = stacked(records, "voxels"), stacked(records, "right")
    columns = np.stack(
        [
            np.ones((len(records), len(CENTRES))),
            np.tile(CENTRES, (len(records), 1)),
            np.tile(odds[:, None], (1, len(CENTRES))),
        ],
        axis=-1,
    ).reshape(-1, 3)
    fitted = []
    for row in range(len(LABELS)):
        n, k = voxels[:, row].ravel().astype(float), right[:, row].ravel().astype(float)
        some = n > 0
        # Voxels of one visit err together: count each visit as some thousand of them.
        share = np.repeat(5000 / np.maximum(voxels[:, row].sum(axis=1), 5000), len(CENTRES))[some]
        fitted.append(fit_logistic(columns[some], n[some] * share, k[some] * share, prior=PRIOR))
    return np.array(fitted)


def _rows(array: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(map(float, row)) for row in array)
