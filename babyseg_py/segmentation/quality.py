"""First quality measures of a segmentation: what users of other tools had to find out by eye.

Every measure is a row: its value, the limits within which it is plausible, and a sentence for the reader
when it is not. The limits are wide on purpose and not yet calibrated on judged cases.
"""

from dataclasses import dataclass

import cc3d
import numpy as np

from babyseg_py.images import Volume
from babyseg_py.labels import LEFT_RIGHT_PAIRS, STRUCTURES, structure_name
from babyseg_py.segmentation.anatomy import CEREBRUM, USUAL_LOG_SHARES
from babyseg_py.segmentation.calibration import Trust
from babyseg_py.segmentation.pose import FACINGS
from babyseg_py.segmentation.sampling import Segmentation

# Labelled brain in ml, wide around what is seen from a small preterm at term age to a large child of six.
BRAIN_ML = (220.0, 1600.0)
# The same by chronological age in months: (age, low, high), linear between.
BRAIN_ML_BY_AGE = (
    (0, 220, 620),
    (3, 330, 850),
    (6, 430, 1050),
    (12, 550, 1250),
    (24, 650, 1450),
    (72, 750, 1600),
)
HEMISPHERE_RATIO = (0.8, 1.25)
STRUCTURE_RATIO = (0.5, 2.0)
CEREBELLUM_SHARE = (0.04, 0.2)
STEM_ML = (1.5, 40.0)
SMALLEST_STRUCTURE_MM3 = 60.0
VENTRICLES = (4, 43)
# A structure is missing that has less than this share of its usual volume; ventricles differ most.
SMALLEST_OF_USUAL = 0.2
SMALLEST_VENTRICLE_OF_USUAL = 0.05
LARGEST_PART = (0.85, 1.0)
SCORE = (0.6, 1.0)
BRAIN_SCORE = (0.78, 1.0)
EDGE_SHARE = (0.0, 0.02)
MANUAL = "labels were corrected by hand: how sure the network was of its own says nothing of them"


@dataclass(frozen=True)
class Measure:
    """One row of the quality table.

    Parameters
    ----------
    scan : str
        Scan, ``n/a`` for the session.
    structure : str
        Structure, ``n/a`` for the whole brain.
    metric : str
        Name of the measure.
    value : float
        Its value.
    low, high : float
        Limits within which it is plausible.
    message : str
        What it means when it is not.
    unknown : str
        Why it has no value, where that is nothing to flag.
    """

    scan: str
    structure: str
    metric: str
    value: float
    low: float
    high: float
    message: str
    unknown: str = ""

    @property
    def flag(self) -> bool:
        """Whether the value lies outside its limits, or is not a number without a reason."""
        return not self.unknown and not self.low <= self.value <= self.high


def measure_quality(
    result: Segmentation, *, scan: str, age_months: float | None = None, manual: bool = False
) -> list[Measure]:
    """All measures of one segmentation.

    Parameters
    ----------
    result : Segmentation
        Labels, uncertainty and volumes.
    scan : str
        Name of the scan, ``n/a`` for the session.
    age_months : float, optional
        Chronological age; narrows what brain volume is plausible.
    manual : bool
        The labels are a correction by hand: what the network is unsure of says nothing of them.

    Returns
    -------
    list of Measure
        Whole-brain measures first, then those of each structure.
    """
    labels = result.labels
    counts = np.bincount(labels.data.ravel(), minlength=256)[:256]
    mm3 = counts * labels.voxel_volume_mm3
    rows = [
        _brain_volume(mm3, scan, age_months),
        _hemispheres(mm3, scan),
        _cerebellum(mm3, scan),
        _stem(mm3, scan),
        _largest_part(labels, scan),
        _edge(labels, scan),
    ]
    scores = structure_scores(result)
    brain = mm3[1:].sum()
    mean = sum(scores[s.id] * mm3[s.id] for s in STRUCTURES[1:] if mm3[s.id]) / brain if brain else np.nan
    unsure = "the network is unsure of the segmentation"
    rows.append(_score(scan, "n/a", float(mean), BRAIN_SCORE, unsure, manual=manual))
    if result.trust is not None:
        rows += _predicted_dice(result.trust, scan)
    return rows + _structures(mm3, scores, scan, manual=manual)


def finding(scan: str, metric: str, message: str) -> Measure:
    """Row for a flag that has no figure."""
    return Measure(scan, "n/a", metric, np.nan, 0, 0, message)


def _predicted_dice(trust: Trust, scan: str) -> list[Measure]:
    """Dice to be expected of the brain, as the mean over its structures, and of each structure."""
    message = (
        "the segmentation is probably poor: by what the network shows, it would agree badly with the truth"
    )
    rows = [Measure(scan, "n/a", "predicted_dice", trust.mean_dice, trust.least_mean_dice, 1.0, message)]
    message = "this structure is probably segmented badly"
    return rows + [
        Measure(scan, structure_name(n), "predicted_dice", value, trust.least_dice[n], 1.0, message)
        for n, value in trust.dice.items()
    ]


def orientation(facing: str) -> Measure:
    """Whether a visit's head faces as its header says, from what the first look found."""
    message = (
        f"the head lies {facing}, so that its header is wrong: it was segmented as it lies, but left and "
        "right are those of the header and cannot be trusted"
    )
    return Measure("n/a", "n/a", "reversed_axes", float(len(FACINGS[facing])), 0, 0, message)


def structure_scores(result: Segmentation) -> dict[int, float]:
    """Share of each structure's voxels that is expected to be right; NaN for an empty one."""
    flat = result.labels.data.ravel()
    counts = np.bincount(flat, minlength=256)
    sums = np.bincount(flat, weights=result.uncertainty.data.ravel(), minlength=256)
    with np.errstate(invalid="ignore"):
        return {
            s.id: float(1 - sums[s.id] / counts[s.id]) if counts[s.id] else np.nan for s in STRUCTURES[1:]
        }


def _score(
    scan: str, structure: str, value: float, limits: tuple[float, float], message: str, *, manual: bool
) -> Measure:
    if manual:
        return Measure(scan, structure, "score", np.nan, *limits, message, unknown=MANUAL)
    return Measure(scan, structure, "score", value, *limits, message)


def _brain_volume(mm3: np.ndarray, scan: str, age_months: float | None) -> Measure:
    low, high = BRAIN_ML
    if age_months is not None:
        ages, lows, highs = np.array(BRAIN_ML_BY_AGE).T
        low, high = float(np.interp(age_months, ages, lows)), float(np.interp(age_months, ages, highs))
    message = "brain volume is implausible for the age: wrong voxel size, part of a brain, or not a brain"
    return Measure(scan, "n/a", "brain_ml", float(mm3[1:].sum() / 1000), low, high, message)


def _hemispheres(mm3: np.ndarray, scan: str) -> Measure:
    left = sum(mm3[a] for a, _ in LEFT_RIGHT_PAIRS)
    right = sum(mm3[b] for _, b in LEFT_RIGHT_PAIRS)
    ratio = float(left / right) if right else np.nan
    message = "left and right halves differ wildly: half a brain, or a bad segmentation"
    return Measure(scan, "n/a", "left_right_ratio", ratio, *HEMISPHERE_RATIO, message)


def _cerebellum(mm3: np.ndarray, scan: str) -> Measure:
    brain = mm3[1:].sum()
    share = float((mm3[8] + mm3[47]) / brain) if brain else np.nan
    message = "hardly any cerebellum, or far too much: cut off by a mask or the field of view"
    return Measure(scan, "n/a", "cerebellum_share", share, *CEREBELLUM_SHARE, message)


def _stem(mm3: np.ndarray, scan: str) -> Measure:
    message = "hardly any brain stem, or far too much: cut off by a mask or the field of view"
    return Measure(scan, "n/a", "brain_stem_ml", float(mm3[16] / 1000), *STEM_ML, message)


def _largest_part(labels: Volume, scan: str) -> Measure:
    parts = cc3d.connected_components(labels.data > 0, connectivity=26)
    sizes = np.bincount(parts.ravel())[1:]
    share = float(sizes.max() / sizes.sum()) if len(sizes) else np.nan
    return Measure(scan, "n/a", "largest_part", share, *LARGEST_PART, "the brain is in fragments")


def _edge(labels: Volume, scan: str) -> Measure:
    brain = labels.data > 0
    faces = [np.take(brain, end, axis=axis) for axis in range(3) for end in (0, -1)]
    total = np.count_nonzero(brain) ** (2 / 3)
    share = float(max(np.count_nonzero(face) for face in faces) / total) if total else np.nan
    message = "the brain reaches the edge of the image: cut off by the field of view"
    return Measure(scan, "n/a", "edge_share", share, *EDGE_SHARE, message)


def _structures(mm3: np.ndarray, scores: dict[int, float], scan: str, *, manual: bool) -> list[Measure]:
    rows = []
    least = _least_mm3(mm3)
    for s in STRUCTURES[1:]:
        message = "structure is missing, or hardly any of it was found"
        volume = float(mm3[s.id])
        rows.append(Measure(scan, s.name, "volume_mm3", volume, least[s.id], np.inf, message))
        if volume:
            message = "the network is unsure of this structure"
            rows.append(_score(scan, s.name, scores[s.id], SCORE, message, manual=manual))
    for left, right in LEFT_RIGHT_PAIRS:
        if mm3[left] and mm3[right]:
            ratio = float(mm3[left] / mm3[right])
            name = structure_name(left)
            message = "left and right volumes differ by more than a factor of two"
            rows.append(Measure(scan, name, "left_right_ratio", ratio, *STRUCTURE_RATIO, message))
    return rows


def _least_mm3(mm3: np.ndarray) -> dict[int, float]:
    """Volume in mm³ below which each structure counts as missing, from that of the cerebrum."""
    cerebrum, least = float(mm3[list(CEREBRUM)].sum()), {}
    for label, usual in USUAL_LOG_SHARES.items():
        part = SMALLEST_VENTRICLE_OF_USUAL if label in VENTRICLES else SMALLEST_OF_USUAL
        least[label] = max(SMALLEST_STRUCTURE_MM3, part * cerebrum * float(np.exp(usual)))
    return least
