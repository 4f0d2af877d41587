"""What a segmentation shows of its quality: how sure it is, what its mirror image says, how the scan looks.

All of it comes from what inference computes anyway, so that it costs next to nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from babyseg_py.labels import LEFT_RIGHT_PAIRS, STRUCTURES

NUMBERS = tuple(s.id for s in STRUCTURES[1:])
WHITE, CORTEX = (2, 41), (3, 42)
# Of each structure, then of the whole visit. Shares are of the brain, ratios are natural logarithms.
FEATURES = (
    "expected_dice",  # logit of the Dice to expect of the whole structure if every probability were right
    "flip_dice",  # logit of the overlap of both passes: the image and its mirror image
    "flip_volume",  # size of the log ratio of the volumes of both passes
    "softness",  # size of the log ratio of the volumes from posteriors and from labels
    "size",  # log of the number of voxels
    "share",  # log of the share of the brain
    "asymmetry",  # size of the log ratio of left and right
    "right",  # middle of the structure within the box around the brain, -.5 to .5 along each axis
    "front",
    "up",
    "edge",  # log ratio of the mean step of intensity across its surface and within it
    "mean_expected_dice",
    "least_expected_dice",
    "mean_flip_dice",
    "noise",  # log of the robust deviation from the mean of the six neighbours, within the brain
    "explained",  # share of the variance of intensity within the brain that is between structures
    "contrast",  # log of the difference between the medians of white matter and cortex over their spread
    "detail",  # log of the mean gradient over the spread of intensities, within the brain
    "coarseness",  # log ratio of the largest and the smallest mean gradient along an axis
)
_SMALLEST = 1e-3


@dataclass(frozen=True)
class Passes:
    """How the posteriors of an image and of its mirror image agree.

    Parameters
    ----------
    dice : (C,) np.ndarray
        Soft Dice of each channel: twice the sum of the smaller probabilities over the sum of both.
    log_ratio : (C,) np.ndarray
        Log ratio of the volumes of each channel.
    """

    dice: np.ndarray
    log_ratio: np.ndarray


def compare_passes(pairs: Iterable[tuple[Tensor, Tensor]]) -> Passes:
    """Compare the posteriors of both passes at the same points, channel by channel."""
    sums = []
    for one, other in pairs:
        shared = torch.minimum(one, other)
        sums.append([float(x.sum(dtype=torch.float64)) for x in (shared, one, other)])
    shared, one, other = np.array(sums).T
    total = np.maximum(one + other, _SMALLEST)
    return Passes(2 * shared / total, np.log(np.maximum(one, 1) / np.maximum(other, 1)))


def gather_evidence(
    posteriors: Tensor,
    passes: Passes,
    images: Tensor,
    label_numbers: tuple[int, ...],
    left: Mapping[int, float],
) -> np.ndarray:
    """Gather the evidence on every structure.

    Parameters
    ----------
    posteriors : (C, I, J, K) Tensor
        Probabilities that the labels are taken from.
    passes : Passes
        How both passes agree.
    images : (G, I, J, K) Tensor
        Scans as the network saw them, 0 to 1.
    label_numbers : tuple of int
        Label of each channel.
    left : mapping of int to float
        Share that is left of structures that are cut off, from `cut.shares_left`. If all that is left were
        right, the Dice with the whole structure would be 2 s / (1 + s).

    Returns
    -------
    (21, F) np.ndarray
        The features `FEATURES` of each structure, in the order of the label table; finite, also for a
        structure that was not found.
    """
    order = [label_numbers.index(number) for number in NUMBERS]
    best, index = posteriors.max(dim=0)
    channels = index.numpy().ravel()
    counts = np.bincount(channels, minlength=len(label_numbers)).astype(float)
    sure = np.bincount(channels, weights=best.numpy().ravel(), minlength=len(label_numbers))
    soft = posteriors.flatten(1).sum(dim=1, dtype=torch.float64).numpy()
    shares = np.array([left.get(number, 1.0) for number in NUMBERS])
    expected = (2 * sure / np.maximum(counts + soft, _SMALLEST))[order] * 2 * shares / (1 + shares)
    flip = passes.dice[order]
    counts, soft = counts[order], soft[order]
    share = np.log(np.maximum(counts, 1) / max(counts.sum(), 1))
    rows = [
        _logit(expected),
        _logit(flip),
        np.minimum(np.abs(passes.log_ratio[order]), 2),
        np.minimum(np.abs(np.log(np.maximum(soft, 1) / np.maximum(counts, 1))), 2),
        np.log(np.maximum(counts, 1)),
        share,
        _asymmetry(counts),
    ]
    labels = np.array(label_numbers)[index.numpy()]
    looks = [image.float().cpu().numpy() for image in images]
    rows += [*_middles(labels).T, _mean([_edges(image, labels) for image in looks])]
    whole = [_logit(expected).mean(), _logit(expected).min(), _logit(flip).mean()]
    whole += list(_mean([_look(image, labels) for image in looks]))
    return np.column_stack([*rows, np.tile(whole, (len(order), 1))])


def _mean(of_scans: Sequence[Sequence[float] | np.ndarray]) -> np.ndarray:
    """Mean over the scans, the same to the last bit in whatever order they come."""
    return np.sort(np.array(of_scans), axis=0).mean(axis=0)


def _logit(share: np.ndarray) -> np.ndarray:
    share = np.clip(share, _SMALLEST, 1 - _SMALLEST)
    return np.log(share / (1 - share))


def _asymmetry(counts: np.ndarray) -> np.ndarray:
    result = np.zeros(len(NUMBERS))
    for left, right in LEFT_RIGHT_PAIRS:
        pair = [NUMBERS.index(left), NUMBERS.index(right)]
        one, other = np.maximum(counts[pair], 1)
        result[pair] = min(abs(np.log(one / other)), 2)
    return result


def _middles(labels: np.ndarray) -> np.ndarray:
    """Middle of each structure within the bounding box of the brain, (21, 3); 0 for what was not found."""
    result = np.zeros((len(NUMBERS), 3))
    flat = labels.ravel()
    counts = np.bincount(flat, minlength=256)[list(NUMBERS)]
    for axis in range(3):
        filled = np.flatnonzero((labels > 0).any(axis=tuple({0, 1, 2} - {axis})))
        if not filled.size:
            continue
        place = (np.arange(labels.shape[axis]) - filled.mean()) / max(np.ptp(filled), 1)
        shape = [-1 if a == axis else 1 for a in range(3)]
        spread = np.broadcast_to(place.reshape(shape), labels.shape).ravel()
        sums = np.bincount(flat, weights=spread, minlength=256)[list(NUMBERS)]
        result[:, axis] = sums / np.maximum(counts, 1)
    return result


def _edges(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Log ratio of the mean step of intensity across the surface of each structure and within it, (21,)."""
    across, within = np.zeros((2, 256)), np.zeros((2, 256))  # sums and numbers by label
    for axis in range(3):
        before, after = (
            tuple(slice(*ends) if a == axis else slice(None) for a in range(3))
            for ends in ((0, -1), (1, None))
        )
        one, other = labels[before].ravel(), labels[after].ravel()
        step = np.abs(image[after] - image[before]).ravel()
        differ = one != other
        for side in (one, other):
            across += [np.bincount(side[differ], w, minlength=256) for w in (step[differ], None)]
        same = ~differ & (one > 0)
        within += [np.bincount(one[same], w, minlength=256) for w in (step[same], None)]
    means = [(sums / np.maximum(numbers, 1))[list(NUMBERS)] for sums, numbers in (across, within)]
    return np.log((means[0] + _SMALLEST) / (means[1] + _SMALLEST))


def _explained(image: np.ndarray, labels: np.ndarray) -> float:
    """Share of the variance within the brain that lies between the means of the structures."""
    brain = labels > 0
    values, of = image[brain].astype(float), labels[brain]
    numbers = np.bincount(of, minlength=256)
    means = np.bincount(of, weights=values, minlength=256) / np.maximum(numbers, 1)
    return float(means[of].var() / max(values.var(), 1e-12))


def _look(image: np.ndarray, labels: np.ndarray) -> tuple[float, float, float, float, float]:
    """Noise, explained variance, contrast, detail and coarseness of one scan within the labelled brain."""
    brain = labels > 0
    inner = brain[1:-1, 1:-1, 1:-1]
    if not inner.any():
        return 0.0, 0.0, 0.0, 0.0, 0.0
    middle = (slice(1, -1),) * 3
    neighbours, steps = np.zeros_like(image[middle]), []
    for axis in range(3):
        before, after = (
            image[
                tuple(
                    slice(1 + s, n - 1 + s) if a == axis else slice(1, n - 1)
                    for a, n in enumerate(image.shape)
                )
            ]
            for s in (-1, 1)
        )
        neighbours += (before + after) / 6
        steps.append(float(np.abs(after - before)[inner].mean()) / 2)
    residual = np.abs(image[middle] - neighbours)[inner]
    spread = float(image[brain].std())
    noise = np.log(np.median(residual) + _SMALLEST)
    detail = np.log((np.mean(steps) + _SMALLEST) / (spread + _SMALLEST))
    coarseness = np.log((max(steps) + _SMALLEST) / (min(steps) + _SMALLEST))
    explained, contrast = _explained(image, labels), _contrast(image, labels)
    return float(noise), explained, contrast, float(detail), float(coarseness)


def _contrast(image: np.ndarray, labels: np.ndarray) -> float:
    groups = [image[np.isin(labels, numbers)] for numbers in (WHITE, CORTEX)]
    if any(group.size == 0 for group in groups):
        return float(np.log(0.05))
    middles = [float(np.median(group)) for group in groups]
    spreads = [float(np.median(np.abs(g - m))) for g, m in zip(groups, middles, strict=True)]
    return float(np.log(abs(middles[0] - middles[1]) / (sum(spreads) + 0.01) + 0.05))
