"""Posteriors of a window: at its voxels, and of a second look between them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

STEPS, OFFSET = 65535, 32768
_TINY = 1e-6


@dataclass(frozen=True)
class Posteriors:
    """Probabilities of each channel, from one look or the mean of two.

    The voxels of the second look lie between those of the first one, half a voxel further along each axis, so
    that both together show finer detail than either: on twelve held-out synthetic visits the mean Dice was
    .003 higher than with two looks at the same voxels, and higher in each of them.

    Parameters
    ----------
    here : (C, *window) Tensor
        At the voxels of the window.
    between : (C, *window) Tensor or None
        At those of `Window.between`; None if there was one look.
    """

    here: Tensor
    between: Tensor | None = None

    @cached_property
    def on_window(self) -> Tensor:
        """Probabilities at the voxels of the window, those between interpolated; (C, *window), kept."""
        return self.interpolated()

    def interpolated(self) -> Tensor:
        """Return the same, not kept: the sets of many scans would take much memory."""
        return self.here if self.between is None else at_voxels(self.between).add_(self.here).div_(2)

    def add_(self, other: "Posteriors", weight: Tensor) -> None:
        """Add another set with as many looks, times a weight in each place, (I, J, K), in place."""
        self.here.addcmul_(other.here, weight)
        if self.between is not None and other.between is not None:
            self.between.addcmul_(other.between, weight)

    def each(self, change: Callable[[Tensor], Tensor]) -> "Posteriors":
        """Apply a change to what each look gave."""
        return Posteriors(change(self.here), None if self.between is None else change(self.between))


def sharpened_(probabilities: Tensor) -> Tensor:
    """Raise probabilities to the power of 1.5, in place, and let them sum to one again.

    The mean of looks is less certain than it could be, and probability that strays across a surface adds to
    the smaller side. On twelve synthetic visits the root mean square of log(found / true volume) fell from
    .080 to .074, on sixteen digital infants from .115 to .109, and the mean Dice by .0001; with a power of 2
    to .073 and .107, and by .0003.

    Parameters
    ----------
    probabilities : (C, *window) Tensor
        Changed.

    Returns
    -------
    (C, *window) Tensor
        The same.
    """
    for channel in probabilities:
        channel.mul_(channel.sqrt())
    return probabilities.div_(probabilities.sum(dim=0).clamp_min_(_TINY))


def packed(probabilities: Tensor) -> Tensor:
    """Return probabilities in 65535 steps as int16, half as large, to be kept while others are computed."""
    return (probabilities * STEPS - OFFSET).round_().to(torch.int16)


def unpacked(steps: Tensor) -> Tensor:
    """Return the probabilities of `packed` steps in float32, within .000008."""
    return (steps.float() + OFFSET).div_(STEPS)


def at_voxels(between: Tensor) -> Tensor:
    """Interpolate maps that lie between the voxels of a window, (C, *window), at these voxels."""
    return F.avg_pool3d(F.pad(between[None], (1, 0, 1, 0, 1, 0), mode="replicate"), 2, stride=1)[0]


def at_common_points(here: Tensor, between: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Interpolate each channel of both looks where that blurs them alike: half-way between their voxels.

    Parameters
    ----------
    here, between : (C, I, J, K) Tensor
        As of `Posteriors`.

    Yields
    ------
    tuple of (I - 2, J - 2, K - 2) Tensor
        Both looks, a quarter of a voxel further along each axis than the voxels of the window.
    """
    for one, other in zip(here[:, 1:, 1:, 1:], between[:, :-1, :-1, :-1], strict=True):
        yield _on_the_way(one, 0.25), _on_the_way(other, 0.75)


def _on_the_way(channel: Tensor, share: float) -> Tensor:
    for axis, size in enumerate(channel.shape):
        channel = torch.lerp(channel.narrow(axis, 0, size - 1), channel.narrow(axis, 1, size - 1), share)
    return channel
