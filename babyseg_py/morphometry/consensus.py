"""What several raters agree on: majority vote and STAPLE of their label maps, and each rater's performance.

STAPLE for many labels is that of Warfield, Zou and Wells 2004, https://doi.org/10.1109/TMI.2004.828354, with
one prior for all voxels and no neighbourhood.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MAX_ROUNDS = 500
_SETTLED = 1e-9
_LEAST = 1e-12
_MARGIN = 1


@dataclass(frozen=True)
class Consensus:
    """A label map that stands for those of several raters.

    Parameters
    ----------
    labels : (X, Y, Z) array of int
        The consensus.
    numbers : (L,) array of int
        Label numbers that any rater used, ascending.
    confusion : (R, L, L) array of float
        Share of the voxels that are truly a label (last axis) to which each rater gave each label; NaN where
        the consensus has no voxel of it.
    truth : (L,) array of float
        Voxels of each label in the truth; in STAPLE the sum of their probabilities.
    certainty : (X, Y, Z) array of float
        STAPLE: posterior probability of the label; majority: share of the raters that gave it.
    """

    labels: np.ndarray
    numbers: np.ndarray
    confusion: np.ndarray
    truth: np.ndarray
    certainty: np.ndarray


@dataclass(frozen=True)
class Votes:
    """Each combination of labels that the raters gave to a voxel, once.

    Parameters
    ----------
    codes : (K, R) array of int
        Places in ``numbers``.
    counts : (K,) array of float
        How many voxels of the region have it.
    place : (N,) array of int
        The combination of each voxel of the region.
    region : tuple of slice
        The part of the grid that counts.
    numbers : (L,) array of int
        Label numbers, ascending.
    """

    codes: np.ndarray
    counts: np.ndarray
    place: np.ndarray
    region: tuple[slice, ...]
    numbers: np.ndarray


def majority(maps: Sequence[np.ndarray], /) -> Consensus:
    """Take for each voxel the label that most raters gave.

    Of labels with equally many votes the one counts that is more frequent in all maps together, then the
    lower number; the order of the raters changes nothing.

    Parameters
    ----------
    maps : sequence of (X, Y, Z) array of int
        Label maps on one grid, two or more.

    Returns
    -------
    Consensus
        ``confusion`` is that of each rater against the majority.
    """
    votes = _votes(maps)
    shares = _shares(votes)
    weights = np.zeros_like(shares)
    weights[np.arange(len(shares)), _best(shares, _prior(shares, votes))] = 1.0
    confusion = _confusion(weights, votes)
    return _consensus(maps[0].shape, votes, shares, confusion, votes.counts @ weights)


def staple(maps: Sequence[np.ndarray], /) -> Consensus:
    r"""Estimate the truth and the performance of the raters together, by expectation and maximisation.

    With :math:`\theta_{j s' s}` the probability that rater :math:`j` gives label :math:`s'` where the truth
    is :math:`s`, and the prior :math:`f(s)` (its share of all votes):
    :math:`W_{is} \propto f(s) \prod_j \theta_{j d_{ij} s}` and
    :math:`\theta_{j s' s} = \sum_{i: d_{ij} = s'} W_{is} / \sum_i W_{is}`, from the shares of the votes until
    nothing changes by more than 1e-9. Counted are the voxels of the box around all labels, with a margin of
    one voxel: specificity depends on how much background is counted. A structure that is much smaller than
    what the raters confuse with it can be taken for their error: then the majority is the safer choice.

    Parameters
    ----------
    maps : sequence of (X, Y, Z) array of int
        Label maps on one grid, two or more.

    Returns
    -------
    Consensus

    Raises
    ------
    ValueError
        Fewer than two maps, or unlike shapes.
    """
    votes = _votes(maps)
    shares = _shares(votes)
    prior = np.maximum(_prior(shares, votes), _LEAST)
    weights, confusion = shares, _confusion(shares, votes)
    raters = np.arange(votes.codes.shape[1])
    for _ in range(MAX_ROUNDS):
        # (K, R, L): probability of each rater's label under each truth
        likelihood = np.log(np.maximum(np.nan_to_num(confusion), _LEAST))[raters[None], votes.codes]
        score = np.log(prior) + likelihood.sum(axis=1)
        weights = np.exp(score - score.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        before, confusion = confusion, _confusion(weights, votes)
        if np.nanmax(np.abs(confusion - before)) < _SETTLED:
            break
    return _consensus(maps[0].shape, votes, weights, confusion, votes.counts @ weights)


def _votes(maps: Sequence[np.ndarray]) -> Votes:
    if len(maps) < 2:
        raise ValueError(f"{len(maps)} label map has no consensus")
    if len({one.shape for one in maps}) > 1:
        raise ValueError(f"label maps of shapes {[one.shape for one in maps]} are not on one grid")
    region = _region(np.logical_or.reduce([one != 0 for one in maps]))
    stack = np.stack([one[region].ravel() for one in maps], axis=1)  # N, R
    numbers, flat = np.unique(stack, return_inverse=True)
    codes, place, counts = np.unique(
        flat.reshape(stack.shape), axis=0, return_inverse=True, return_counts=True
    )
    return Votes(codes, counts.astype(float), place.ravel(), region, numbers)


def _region(labelled: np.ndarray) -> tuple[slice, ...]:
    """Return the box around all that is labelled, with a margin; the whole grid if nothing is."""
    places = np.nonzero(labelled)
    if not places[0].size:
        return tuple(slice(None) for _ in labelled.shape)
    return tuple(slice(max(axis.min() - _MARGIN, 0), axis.max() + 1 + _MARGIN) for axis in places)


def _shares(votes: Votes) -> np.ndarray:
    """Share of the raters that gave each label, (K, L)."""
    truth = np.arange(len(votes.numbers))
    return (votes.codes[:, :, None] == truth).mean(axis=1)


def _prior(shares: np.ndarray, votes: Votes) -> np.ndarray:
    return votes.counts @ shares / votes.counts.sum()


def _confusion(weights: np.ndarray, votes: Votes) -> np.ndarray:
    n = len(votes.numbers)
    total = votes.counts @ weights
    table = np.zeros((votes.codes.shape[1], n, n))
    for rater, given in enumerate(votes.codes.T):
        np.add.at(table[rater], given, weights * votes.counts[:, None])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, table / total, np.nan)


def _best(weights: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Return the place of the largest weight; of equal ones that of the larger prior, then the lower."""
    tied = weights >= weights.max(axis=1, keepdims=True) - 1e-9
    return np.argmax(np.where(tied, prior, -1.0), axis=1)


def _consensus(
    shape: tuple[int, ...], votes: Votes, weights: np.ndarray, confusion: np.ndarray, truth: np.ndarray
) -> Consensus:
    best = _best(weights, _prior(_shares(votes), votes))
    inside = tuple(range(*cut.indices(size)) for cut, size in zip(votes.region, shape, strict=True))
    box = tuple(len(axis) for axis in inside)
    labels = np.zeros(shape, dtype=votes.numbers.dtype)
    certainty = np.ones(shape, dtype=np.float32)
    labels[votes.region] = votes.numbers[best][votes.place].reshape(box)
    largest = weights[np.arange(len(best)), best].astype(np.float32)
    certainty[votes.region] = largest[votes.place].reshape(box)
    return Consensus(labels, votes.numbers, confusion, truth, certainty)
