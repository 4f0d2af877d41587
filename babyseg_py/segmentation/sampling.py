"""Posteriors brought to a grid of the user's: labels come from resampled posteriors, never from labels."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from babyseg_py.images import Volume
from babyseg_py.images.geometry import corners, reorient_like, stored_alike
from babyseg_py.segmentation.calibration import Trust
from babyseg_py.segmentation.posteriors import Posteriors
from babyseg_py.segmentation.window import Window

SLAB_VOXELS = 2_000_000
# Where the background takes all but this much in the whole neighbourhood, nothing else is looked at. On a
# real scan it left out .04 % of the volume of a structure at most, and spared more than half of the work.
NOTHING = 1e-3


@dataclass(frozen=True)
class Segmentation:
    """Result on one grid.

    Parameters
    ----------
    labels : Volume
        Label numbers.
    uncertainty : Volume
        Probability that the label is wrong, 0 to 1: calibrated where there is `trust`, else one minus the
        largest posterior.
    volumes_mm3 : dict of int to float
        Sum of the posterior of each label times the voxel volume.
    trust : Trust or None
        What the calibration of the weights makes of the evidence; None where there is none.
    """

    labels: Volume
    uncertainty: Volume
    volumes_mm3: dict[int, float]
    trust: Trust | None = None

    @property
    def intervals_mm3(self) -> dict[int, tuple[float, float]]:
        """Interval that holds the true volume of each label in nine of ten cases; empty without `trust`."""
        if self.trust is None:
            return {}
        return {n: (v * self.trust.low[n], v * self.trust.high[n]) for n, v in self.volumes_mm3.items()}


def sample_posteriors(
    posteriors: Posteriors,
    window: Window,
    label_numbers: tuple[int, ...],
    shape: tuple[int, int, int],
    affine: np.ndarray,
    *,
    to_session: np.ndarray | None = None,
    trust: Trust | None = None,
) -> Segmentation:
    """Interpolate posteriors linearly on a grid and take the most probable label.

    Parameters
    ----------
    posteriors : Posteriors
        Probabilities on the network's window.
    window : Window
        Its place in the session's world.
    label_numbers : tuple of int
        Label of each channel, background first.
    shape : tuple of int
        Size of the grid.
    affine : (4, 4) np.ndarray
        Grid to its own world, RAS mm.
    to_session : (4, 4) np.ndarray, optional
        The grid's world to the session's world; identity if not given.
    trust : Trust, optional
        What probabilities are worth; taken as they are if not given.

    Returns
    -------
    Segmentation
        What lies outside the window is background, and so is, with certainty, what has less than .001 of
        all labels together around it.
    """
    wanted = Volume(np.broadcast_to(np.uint8(0), shape), affine)
    grid = stored_alike(wanted)
    shape, affine = grid.shape, grid.affine
    matrix = affine if to_session is None else to_session @ affine
    to_window = np.linalg.solve(window.affine, matrix)
    lookup = np.array(label_numbers, dtype=np.uint16)
    labels = np.zeros(shape, dtype=np.uint16)
    unsure = np.zeros(shape, dtype=np.float32)
    sums = np.zeros(len(label_numbers))

    something = _something(posteriors)
    low, high = _box_in_grid(window, to_window, shape)
    depth = max(1, SLAB_VOXELS // max(1, int(np.prod((high - low)[1:]))))
    for start in range(low[0], high[0], depth):
        part = (slice(start, min(start + depth, high[0])), slice(low[1], high[1]), slice(low[2], high[2]))
        places = _places(window, to_window, part)
        nearest = F.grid_sample(something, places, "nearest", padding_mode="border", align_corners=True)
        here = nearest[0, 0] > 0
        p = _sample_both(posteriors, places[0][here][None, None, None])[:, 0, 0]
        sums += p.sum(dim=1).numpy()
        p[0] += (1 - p.sum(dim=0)).clamp_min(0)
        index, best = _first_largest(p)
        labels[part][here.numpy()] = lookup[index.numpy()]
        unsure[part][here.numpy()] = 1 - (best if trust is None else trust.confidence(best, index)).numpy()

    voxel_mm3 = abs(np.linalg.det(affine[:3, :3]))
    volumes = {n: float(s * voxel_mm3) for n, s in zip(label_numbers, sums, strict=True) if n}
    return Segmentation(
        labels=reorient_like(grid.with_data(labels), wanted),
        uncertainty=reorient_like(grid.with_data(np.clip(unsure, 0, 1)), wanted),
        volumes_mm3=volumes,
        trust=trust,
    )


def _box_in_grid(
    window: Window, to_window: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """First and last-plus-one index of the part of the grid that the window covers."""
    points = corners(window.shape, np.linalg.inv(to_window))
    low = np.clip(np.floor(points.min(axis=0)).astype(int), 0, shape)
    high = np.clip(np.ceil(points.max(axis=0)).astype(int) + 1, 0, shape)
    return low, high


def _places(window: Window, to_window: np.ndarray, part: tuple[slice, ...]) -> Tensor:
    """Places of a block of grid voxels in the window, -1 to 1 from centre to centre, last axis first."""
    size = torch.tensor(window.shape, dtype=torch.float32)
    axes = [torch.arange(p.start, p.stop, dtype=torch.float32) for p in part]
    matrix = torch.from_numpy(to_window).float()
    position = (
        matrix[:3, 0] * axes[0][:, None, None, None]
        + matrix[:3, 1] * axes[1][None, :, None, None]
        + matrix[:3, 2] * axes[2][None, None, :, None]
        + matrix[:3, 3]
    )
    return (2 * position / (size - 1) - 1).flip(-1)[None]


def _something(posteriors: Posteriors) -> Tensor:
    """One where a voxel or one of its neighbours may be more than background, else zero, (1, 1, *window)."""
    background = posteriors.here[:1]
    if posteriors.between is not None:
        background = torch.minimum(background, posteriors.between[:1])
    labelled = (1 - background[None] > NOTHING).float()
    return F.max_pool3d(labelled, kernel_size=3, stride=1, padding=1)


def _sample_both(posteriors: Posteriors, places: Tensor) -> Tensor:
    """Average both looks at places of the window; (C, *places), 0 beyond its ends."""
    found = _sample(posteriors.here, places)
    if posteriors.between is None:
        return found
    size = torch.tensor(posteriors.here.shape[:0:-1], dtype=torch.float32)
    return found.add_(_sample(posteriors.between, places - 1 / (size - 1))).div_(2)


def _sample(maps: Tensor, places: Tensor) -> Tensor:
    """Interpolate maps of the window, (C, *window), at places of it; (C, *places), 0 beyond its ends."""
    return F.grid_sample(maps[None], places, align_corners=True, padding_mode="zeros")[0]


def _first_largest(p: Tensor) -> tuple[Tensor, Tensor]:
    """Index of the largest of the first axis, the first of equal ones, and its value; faster than max."""
    best, index = p[0].clone(), torch.zeros(p.shape[1:], dtype=torch.uint8)
    for number, channel in enumerate(p[1:], start=1):
        index[channel > best] = number
        torch.maximum(best, channel, out=best)
    return index, best


def covered(
    window: Window, shape: tuple[int, ...], affine: np.ndarray, *, to_session: np.ndarray | None = None
) -> np.ndarray:
    """Box of a grid that holds all that the window covers, as a mask of the grid."""
    matrix = affine if to_session is None else to_session @ affine
    low, high = _box_in_grid(window, np.linalg.solve(window.affine, matrix), shape)
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


def sample_channels(
    channels: Tensor,
    window: Window,
    affine: np.ndarray,
    where: np.ndarray,
    *,
    to_session: np.ndarray | None = None,
) -> np.ndarray:
    """Interpolate maps of the window linearly at some voxels of a grid.

    Parameters
    ----------
    channels : (C, *window) Tensor
        Maps on the network's window.
    window : Window
        Its place in the session's world.
    affine : (4, 4) np.ndarray
        Grid to its own world, RAS mm.
    where : (I, J, K) np.ndarray of bool
        Voxels that are wanted.
    to_session : (4, 4) np.ndarray, optional
        The grid's world to the session's world; identity if not given.

    Returns
    -------
    (C, N) np.ndarray of float32
        In the order of ``np.nonzero(where)``; zero outside the window.
    """
    matrix = affine if to_session is None else to_session @ affine
    to_window = torch.from_numpy(np.linalg.solve(window.affine, matrix)).float()
    voxels = torch.from_numpy(np.argwhere(where)).float()
    size = torch.tensor(window.shape, dtype=torch.float32)
    result = np.empty((len(channels), len(voxels)), dtype=np.float32)
    for start in range(0, len(voxels), SLAB_VOXELS):
        part = slice(start, start + SLAB_VOXELS)
        position = voxels[part] @ to_window[:3, :3].T + to_window[:3, 3]
        places = (2 * position / (size - 1) - 1).flip(-1)[None, None, None]
        result[:, part] = _sample(channels, places)[:, 0, 0].numpy()
    return result


def probabilities_on_grid(
    posteriors: Posteriors, window: Window, shape: tuple[int, int, int], affine: np.ndarray
) -> np.ndarray:
    """Posteriors on a grid in the session's world, (C, *shape) float32; background outside the window."""
    to_window = np.linalg.solve(window.affine, affine)
    result = np.zeros((len(posteriors.here), *shape), dtype=np.float32)
    result[0] = 1
    low, high = _box_in_grid(window, to_window, shape)
    for start in range(low[0], high[0]):
        part = (slice(start, start + 1), slice(low[1], high[1]), slice(low[2], high[2]))
        p = _sample_both(posteriors, _places(window, to_window, part))
        p[0] += (1 - p.sum(dim=0)).clamp_min(0)
        result[(slice(None), *part)] = p.numpy()
    return result
