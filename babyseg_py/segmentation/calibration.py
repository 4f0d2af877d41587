"""What the certainty of given weights is worth: numbers fitted on cases with a known truth, and their use.

The numbers lie in ``calibration.json`` beside this module, with the checksum of the weights that they
belong to; other weights have none. ``benchmarks/calibrate.py`` makes them.
"""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from babyseg_py.segmentation.evidence import FEATURES, NUMBERS
from babyseg_py.writing import appearing

FILE = "calibration.json"
BACKGROUND = 0
TWO_SIDED = ("share", "right", "front", "up")
LEAST_SHARE, LARGEST_SHARE = 0.02, 0.99
_LARGEST_Z = 4.0  # evidence beyond what was seen is taken as at its edge


@dataclass(frozen=True)
class Trust:
    """What is to be expected of one segmentation.

    Parameters
    ----------
    dice : dict of int to float
        Predicted Dice of each structure with the truth.
    low, high : dict of int to float
        The volume from posteriors times these is the interval that holds the true one in nine of ten cases.
    offset, slope : (C,) np.ndarray
        Of the log odds that the label of a voxel is right, on the log odds of its posterior, by channel.
    least_dice : dict of int to float
        Limits below which a structure's predicted Dice is flagged.
    least_mean_dice : float
        Limit below which the mean over the structures is flagged.
    """

    dice: dict[int, float]
    low: dict[int, float]
    high: dict[int, float]
    offset: np.ndarray
    slope: np.ndarray
    least_dice: dict[int, float]
    least_mean_dice: float

    @property
    def mean_dice(self) -> float:
        """Predicted Dice, mean over the structures."""
        return float(np.mean(list(self.dice.values())))

    def confidence(self, posterior: Tensor, channel: Tensor) -> Tensor:
        """Probability that the label of a voxel is right, from the posterior of that label; any shape."""
        index = channel.long()
        offset, slope = (torch.from_numpy(x).float()[index] for x in (self.offset, self.slope))
        odds = torch.logit(posterior, eps=1e-6)
        return torch.sigmoid(offset + slope * odds)


@dataclass(frozen=True)
class Calibration:
    """Fitted numbers of some weights.

    Parameters
    ----------
    weights : str
        Checksum of the weights.
    features : tuple of str
        Names of the evidence, in order.
    centre, scale : tuple of tuples
        Mean and standard deviation of the evidence on each structure, (21, F).
    dice : tuple of tuples
        What is added to the log odds of the Dice to expect if every posterior were right: coefficients of
        each structure for the columns of `standardise`, (21, P).
    interval : tuple of tuples
        Quantiles of .05 and .95 of the log ratio of true to posterior volume over its spread, (21, 2).
    spread : tuple
        Smallest spread, (21,): it is one minus the predicted Dice, and not below this.
    confidence : tuple of tuples
        Background and the structures: offset, slope, and change of the offset with the log odds of the
        predicted mean Dice, (22, 3).
    least_dice : tuple
        Predicted Dice below which a structure is flagged, (21,).
    least_mean_dice : float
        Predicted mean Dice below which the brain is flagged.
    made_from : dict
        What it was fitted on, in words and numbers.
    """

    weights: str
    features: tuple[str, ...]
    centre: tuple[tuple[float, ...], ...]
    scale: tuple[tuple[float, ...], ...]
    dice: tuple[tuple[float, ...], ...]
    interval: tuple[tuple[float, ...], ...]
    spread: tuple[float, ...]
    confidence: tuple[tuple[float, ...], ...]
    least_dice: tuple[float, ...]
    least_mean_dice: float
    made_from: dict[str, Any]

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """The numbers as arrays."""
        names = ("centre", "scale", "dice", "interval", "spread", "confidence", "least_dice")
        return {name: np.array(getattr(self, name), dtype=float) for name in names}

    def judge(self, evidence: np.ndarray, label_numbers: tuple[int, ...]) -> Trust:
        """Judge a segmentation by the evidence on it.

        Parameters
        ----------
        evidence : (21, F) np.ndarray
            From `evidence.gather_evidence`.
        label_numbers : tuple of int
            Label of each channel.

        Returns
        -------
        Trust
        """
        own = self.arrays
        columns = standardise(evidence, own["centre"], own["scale"])
        dice = predict_dice(expected_odds(evidence), columns, own["dice"])
        spread = np.maximum(1 - dice, own["spread"])
        low, high = np.exp(own["interval"].T * spread)
        case = np.array([1.0, 0.0, float(log_odds(dice.mean()))])
        rows = [0 if n == BACKGROUND else 1 + NUMBERS.index(n) for n in label_numbers]
        confidence = own["confidence"][rows]
        return Trust(
            dice=dict(zip(NUMBERS, dice.tolist(), strict=True)),
            low=dict(zip(NUMBERS, low.tolist(), strict=True)),
            high=dict(zip(NUMBERS, high.tolist(), strict=True)),
            offset=confidence @ case,
            slope=confidence[:, 1],
            least_dice=dict(zip(NUMBERS, own["least_dice"].tolist(), strict=True)),
            least_mean_dice=self.least_mean_dice,
        )


def standardise(evidence: np.ndarray, centre: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Columns 1, z, and z² of what may deviate to both sides, of each structure, (…, 21, P)."""
    z = np.clip((evidence - centre) / scale, -_LARGEST_Z, _LARGEST_Z)
    squares = z[..., [FEATURES.index(name) for name in TWO_SIDED]] ** 2
    return np.concatenate([np.ones((*z.shape[:-1], 1)), z, squares], axis=-1)


def expected_odds(evidence: np.ndarray) -> np.ndarray:
    """Log odds of the Dice to expect if every posterior were right, (…, 21), from evidence, (…, 21, F)."""
    return log_odds(1 / (1 + np.exp(-evidence[..., FEATURES.index("expected_dice")])))


def predict_dice(expected: np.ndarray, columns: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Dice to be expected, (…, 21).

    Parameters
    ----------
    expected : (…, 21) np.ndarray
        From `expected_odds`.
    columns : (…, 21, P) np.ndarray
        From `standardise`.
    coefficients : (21, P) np.ndarray
        Of the columns, in log odds.
    """
    return 1 / (1 + np.exp(-expected - (columns * coefficients).sum(axis=-1)))


def log_odds(share: np.ndarray) -> np.ndarray:
    """Natural logarithm of the odds, kept finite: shares below .02 and above .99 count as these."""
    share = np.clip(share, LEAST_SHARE, LARGEST_SHARE)
    return np.log(share / (1 - share))


def find_calibration(checksum: str, path: Path | None = None) -> Calibration | None:
    """Calibration of the weights with a checksum; None if the numbers at hand belong to others.

    Parameters
    ----------
    checksum : str
        `ModelInfo.checksum`.
    path : Path, optional
        File of a calibration; the one in the package if not given.
    """
    source = files("babyseg_py.segmentation").joinpath(FILE) if path is None else path
    if not checksum or not source.is_file():
        return None
    values = json.loads(source.read_text(encoding="utf-8"))
    if values["weights"] != checksum or tuple(values["features"]) != FEATURES:
        return None
    return Calibration(**values)


def save_calibration(calibration: Calibration, path: Path) -> None:
    """Write the numbers with five significant digits; the file appears whole or not at all."""
    text = json.dumps(_short(asdict(calibration)), ensure_ascii=False, indent=1)
    with appearing(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: _short(one) for name, one in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_short(one) for one in value]
    return value
