"""A 3³ convolution of maps upsampled twofold, as one convolution of the maps themselves.

Trilinear upsampling and the convolution after it are both linear. Each voxel of the coarse grid holds eight
of the fine one, and their scores are eight sums over the same 3³ coarse neighbours: one convolution with
eight times the outputs, which never makes the large upsampled maps. Upsampling repeats the outermost voxels
and the convolution surrounds the result with zeros, so that the outermost coarse voxels have kernels of
their own.
"""

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from babyseg_py.models.groupconv import Kernels, conv3d, laid_out

FIRST, INNER, LAST = range(3)
PLACES = (FIRST, INNER, LAST)
NONE = (0, 0, 0)


@dataclass(frozen=True)
class UpsampledConv:
    """Convolution of a full-resolution skip and of maps upsampled to it.

    Parameters
    ----------
    weights : dict of (int, int, int) to (O * 8, 8 * S + C, 3, 3, 3) Tensor
        Kernels by the place of the coarse voxel along each axis: first, inner or last. Inputs are the skip's
        S maps, each as its eight phases, and the C coarse maps; outputs are O scores, each in eight phases.
    bias : (O * 8,) Tensor
        Bias of each output.
    """

    weights: dict[tuple[int, ...], Tensor]
    bias: Tensor


def upsampled_conv(weight: Tensor, bias: Tensor, skips: int, dtype: torch.dtype) -> UpsampledConv:
    """Compose upsampling with a convolution, (O, skips + C, 3, 3, 3); its first inputs are full-size maps."""
    fine, coarse = weight.detach().float().split((skips, weight.shape[1] - skips), dim=1)
    same = _of_phases(fine)
    axis = torch.stack([_through_upsampling(place) for place in PLACES])
    up = torch.einsum("oixyz,palx,qbmy,rcnz->pqroabcilmn", coarse, axis, axis, axis)
    up = up.reshape(3, 3, 3, -1, coarse.shape[1], 3, 3, 3)
    places = product(PLACES, repeat=3)
    weights = {place: laid_out(torch.cat((same, up[place]), dim=1), dtype) for place in places}
    return UpsampledConv(weights, bias.detach().repeat_interleave(8).to(dtype))


def _through_upsampling(place: int) -> Tensor:
    """Weight of coarse neighbour n for tap t of fine phase p along one axis: (phase, neighbour, tap)."""
    result = torch.zeros(2, 3, 3)
    for phase, tap in product(range(2), range(3)):
        fine = phase + tap - 1  # place of the tap on the fine grid, voxel 0 being this coarse voxel's first
        if (place == FIRST and fine < 0) or (place == LAST and fine > 1):
            continue  # zeros that the convolution pads with
        position = (fine - 0.5) / 2  # on the coarse grid, this voxel being 0
        low = -1 if position < 0 else 0
        for neighbour, share in ((low, 1 - (position - low)), (low + 1, position - low)):
            inside = (
                max(neighbour, 0) if place == FIRST else min(neighbour, 0) if place == LAST else neighbour
            )
            result[phase, inside + 1, tap] += share
    return result


def _through_shuffling() -> Tensor:
    """Weight of phase q of coarse neighbour n for tap t of phase p: (phase, q, neighbour, tap)."""
    result = torch.zeros(2, 2, 3, 3)
    for phase, tap in product(range(2), range(3)):
        neighbour, own = divmod(phase + tap - 1, 2)
        result[phase, own, neighbour + 1, tap] = 1
    return result


def _of_phases(weight: Tensor) -> Tensor:
    """Turn kernels, (O, C, 3, 3, 3), into those of `phases`, (O * 8, C * 8, 3, 3, 3)."""
    axis = _through_shuffling()
    kernel = torch.einsum("oixyz,aplx,bqmy,crnz->oabcipqrlmn", weight, axis, axis, axis)
    return kernel.reshape(weight.shape[0] * 8, weight.shape[1] * 8, 3, 3, 3)


def shuffled_kernels(kernels: Kernels) -> Kernels:
    """Return kernels for maps ordered by `phases`, inputs and outputs alike."""
    dtype = kernels.merged.dtype
    half_b = None if kernels.half_b is None else laid_out(_of_phases(kernels.half_b), dtype)
    return Kernels(laid_out(_of_phases(kernels.merged), dtype), kernels.bias.repeat_interleave(8), half_b)


def phases(x: Tensor) -> Tensor:
    """Order (1, C, 2I, 2J, 2K) as eight phases of each channel, (1, C * 8, I, J, K)."""
    _, channels, i, j, k = x.shape
    parts = x.reshape(channels, i // 2, 2, j // 2, 2, k // 2, 2).permute(0, 2, 4, 6, 1, 3, 5)
    return parts.reshape(1, channels * 8, i // 2, j // 2, k // 2)


def scores_of_rows(x: Tensor, conv: UpsampledConv, *, first: bool, last: bool) -> Tensor:
    """Scores of the inner rows of a slab.

    Parameters
    ----------
    x : (1, 8 * S + C, R + 2, J, K) Tensor
        A row of coarse voxels before and after the rows in question; anything where the map ends.
    conv : UpsampledConv
        Prepared kernels.
    first, last : bool
        The slab holds the first or the last row of the map.

    Returns
    -------
    (1, O * 8, R, J, K) Tensor
        Scores, the eight phases of each output side by side.
    """
    rows = x.shape[2] - 2
    scores = _plane(x, conv, INNER)
    if first:
        scores[:, :, :1] = _plane(x[:, :, :3], conv, FIRST)
    if last:
        scores[:, :, rows - 1 :] = _plane(x[:, :, rows - 1 :], conv, LAST)
    return scores


def _plane(x: Tensor, conv: UpsampledConv, row: int) -> Tensor:
    """Scores of rows of one kind, their faces and edges put right after the rest."""
    scores = conv3d(x, conv.weights[row, INNER, INNER], conv.bias, padding=(0, 1, 1))
    sides = {FIRST: (slice(0, 2), slice(0, 1)), LAST: (slice(-2, None), slice(-1, None))}
    for place, (near, at) in sides.items():
        pad = (1, 0) if place == FIRST else (0, 1)
        face = F.pad(x[:, :, :, near], (1, 1, *pad))
        scores[:, :, :, at] = conv3d(face, conv.weights[row, place, INNER], conv.bias, padding=NONE)
        face = F.pad(x[..., near], (*pad, 1, 1))
        scores[..., at] = conv3d(face, conv.weights[row, INNER, place], conv.bias, padding=NONE)
    for place_j, place_k in product((FIRST, LAST), repeat=2):
        (near_j, at_j), (near_k, at_k) = sides[place_j], sides[place_k]
        pad_j, pad_k = ((1, 0) if place == FIRST else (0, 1) for place in (place_j, place_k))
        edge = F.pad(x[:, :, :, near_j, near_k], (*pad_k, *pad_j))
        scores[:, :, :, at_j, at_k] = conv3d(
            edge, conv.weights[row, place_j, place_k], conv.bias, padding=NONE
        )
    return scores
