"""Several scans of one visit: their order, which of them disagrees with the others, and what each counts."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from babyseg_py.images import Volume
from babyseg_py.images.geometry import stored_alike
from babyseg_py.models.memory import return_freed_memory
from babyseg_py.segmentation.inference import (
    Alone,
    Predicted,
    Segmenter,
    by_local_certainty,
    predict_alone,
    predict_images,
    see_alone,
)
from babyseg_py.segmentation.posteriors import Posteriors, packed
from babyseg_py.segmentation.window import Scan, Window

# Mean Dice of the labels from one scan alone with those from another, below which one of them is wrong. Two
# good scans of one head have 0.80 to 0.92; labels that lie 2 voxels off have 0.61 to 0.67, 4 voxels 0.40 to
# 0.44.
SMALLEST_AGREEMENT = 0.6
# Dice of all that is labelled, likewise: 0.95 to 0.99 for good scans, 0.80 to 0.85 where a third of the brain
# is missing. A poor scan of thick slices had 0.90: it is kept.
SMALLEST_BRAIN_AGREEMENT = 0.87
# How much surer of one of two scans that disagree the network has to be to outweigh that the session is laid
# along the other one.
CLEARLY_SURER = 0.05


@dataclass(frozen=True)
class LeftOut:
    """A scan that was not used.

    Parameters
    ----------
    name : str
        Its name, as that of the `Scan`.
    reason : str
        What is wrong with it.
    """

    name: str
    reason: str


def fingerprint(volume: Volume, matrix: np.ndarray | None = None) -> str:
    """Digest of an image, its grid and its place: the same whatever the name and the position in a list."""
    digest = hashlib.blake2b(np.ascontiguousarray(volume.data).data, digest_size=16)
    digest.update(np.array(volume.shape).tobytes() + volume.affine.tobytes())
    digest.update(b"" if matrix is None else np.asarray(matrix, dtype=np.float64).tobytes())
    return digest.hexdigest()


def in_order_of_content(scans: Sequence[Scan]) -> list[Scan]:
    """Sort scans by `fingerprint`, so that rounding does not follow the order in which they were given."""
    return sorted(scans, key=lambda scan: fingerprint(stored_alike(scan.volume), scan.matrix))


def disagreeing(scans: Sequence[Scan], alone: Sequence[Alone]) -> LeftOut | None:
    """Find the scan whose labels agree least with those of the others, if that is too little.

    Of two scans that disagree it is the one that shows less of a brain, or, if both show as much, the one of
    which the network is less certain, unless it is the one along which the session is laid and the network is
    hardly surer of the other.
    """
    if len(scans) < 2:
        return None
    structures = _median_with_others([[mean_dice(a.channels, b.channels) for b in alone] for a in alone])
    brains = [one.channels > 0 for one in alone]
    brain = _median_with_others([[mean_dice(a, b) for b in brains] for a in brains])
    agreement = np.minimum(structures / SMALLEST_AGREEMENT, brain / SMALLEST_BRAIN_AGREEMENT)
    if agreement.min() >= 1:
        return None
    if structures.min() < SMALLEST_AGREEMENT:
        leads = [CLEARLY_SURER * np.allclose(scan.matrix, np.eye(4)) for scan in scans]
        trust = [one.certainty + lead for one, lead in zip(alone, leads, strict=True)]
    else:
        trust = [float(np.count_nonzero(one)) for one in brains]
    worst = min(range(len(scans)), key=lambda i: (round(float(agreement[i]), 6), trust[i]))
    what = (
        "its labels do not agree with those of the other scans (Dice of structures "
        f"{structures[worst]:.2f}, of the brain {brain[worst]:.2f}): it shows another head or but part of "
        "this one, lies elsewhere or is too poor"
    )
    return LeftOut(scans[worst].name, what)


def _median_with_others(table: list[list[float]]) -> np.ndarray:
    """Median of each row without the diagonal."""
    values = np.array(table)
    return np.median(values[~np.eye(len(values), dtype=bool)].reshape(len(values), -1), axis=1)


def mean_dice(a: np.ndarray, b: np.ndarray) -> float:
    """Mean Dice over the structures that either of two maps of channels holds; 0 if there is none."""
    count = int(max(a.max(), b.max())) + 1
    joint = np.bincount(a.ravel().astype(np.intp) * count + b.ravel(), minlength=count**2)
    joint = joint.reshape(count, count)
    total = (joint.sum(axis=0) + joint.sum(axis=1))[1:]
    both = np.diag(joint)[1:]
    return float(np.mean(2 * both[total > 0] / total[total > 0])) if total.any() else 0.0


def predict_several(
    segmenter: Segmenter, scans: Sequence[Scan], window: Window, alone: list[Alone], *, flip: bool
) -> tuple[Predicted, tuple[Predicted, ...]]:
    """Segment all scans together and each by itself, and mix these in every place by certainty.

    A scan that is much poorer than another one may only blur what that one shows, in one place or everywhere;
    on the other hand, all together show what none shows alone.

    Parameters
    ----------
    segmenter : Segmenter
        The network.
    scans : sequence of Scan
        One or more.
    window : Window
        Grid of the network.
    alone : list of Alone
        What it makes of each scan; may be empty for one scan. Emptied, since many take much memory.
    flip : bool
        Take a second look, at the mirrored images.

    Returns
    -------
    mixed : Predicted
        From all scans; its passes are those of all scans together.
    by_itself : tuple of Predicted
        From each of several scans, its posteriors `packed`.
    """
    if len(scans) == 1:
        one = alone.pop() if alone else see_alone(segmenter, scans[0], window)
        return predict_alone(segmenter, one, flip=flip), ()
    images = torch.cat([one.images for one in alone])
    between = torch.cat([one.between for one in alone]) if flip else None
    together, passes = predict_images(segmenter, images, between)
    by_itself: list[Predicted] = []

    def ways() -> Iterator[Posteriors]:
        yield together
        while alone:
            return_freed_memory()
            predicted = predict_alone(segmenter, alone.pop(0), flip=flip)
            by_itself.append(predicted.each(packed))
            yield predicted.posteriors

    mixed = by_local_certainty(ways())
    return Predicted(mixed, passes, images), tuple(by_itself)
