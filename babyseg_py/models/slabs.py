"""Maps that come as a stream of slabs along their first axis, so that the largest ones never exist whole.

A slab is a list with one (1, C, rows, J, K) tensor per scan. Each convolution holds back the last two rows
that it has seen, so that nothing is computed twice and the result is that of whole maps, whatever the
thickness of the slabs.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from babyseg_py.models.groupconv import (
    Kernels,
    Layers,
    Norm,
    activated,
    convolve,
    group_inputs,
    group_outputs,
    mean_of,
)
from babyseg_py.models.upsampled import UpsampledConv, scores_of_rows

Slab = list[Tensor]


def cut(maps: list[Tensor], rows: int) -> Iterator[Slab]:
    """Cut whole maps into slabs of so many rows."""
    for start in range(0, maps[0].shape[2], rows):
        parts = [x[:, :, start : start + rows] for x in maps]
        yield [part.clone() for part in parts] if len(parts) > 1 else parts  # groups are overwritten


class _Rows:
    """The rows around those that a 3-voxel kernel can be applied to so far, zeros around the map included."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.seen = 0
        self.held: list[Tensor] = []

    def joined(self, parts: list[Tensor]) -> list[Tensor]:
        """Rows held back, then the new ones; all that follows them is zero once the map has ended."""
        if not self.held:
            self.held = [torch.zeros_like(part[:, :, :1]) for part in parts]
        self.seen += parts[0].shape[2]
        ends = [torch.zeros_like(part[:, :, :1]) for part in parts] if self.seen == self.total else None
        result = []
        for number, part in enumerate(parts):
            pieces = (self.held[number], part) if ends is None else (self.held[number], part, ends[number])
            result.append(torch.cat(pieces, dim=2))
            self.held[number] = result[-1][:, :, -2:].clone()
        return result


def convolved(slabs: Iterator[Slab], layers: Layers, total: int) -> Iterator[Slab]:
    """Apply convolutions and activations to slabs of maps of so many rows."""
    for kernels, norm in layers:
        if norm.weight is not None:
            raise ValueError("normalisation needs whole maps")
        slabs = _activated(group_convolved(slabs, kernels, total), norm)
    return slabs


def _activated(slabs: Iterator[Slab], norm: Norm) -> Iterator[Slab]:
    for maps in slabs:
        yield [activated(x, norm) for x in maps]


def group_convolved(slabs: Iterator[Slab], kernels: Kernels, total: int) -> Iterator[Slab]:
    """Apply one group convolution, without activation, to slabs of maps of so many rows."""
    rows = _Rows(total)
    for maps in slabs:
        inputs = rows.joined(group_inputs(maps, kernels))
        del maps  # no longer needed, and large
        if inputs[0].shape[2] < 3:
            continue
        results: list[Tensor] = []
        while inputs:
            results.append(convolve(inputs.pop(0), kernels, first=not results, padding=(0, 1, 1)))
        yield group_outputs(results, kernels)


def even_rows(slabs: Iterator[Slab]) -> Iterator[Slab]:
    """Regroup slabs so that each has an even number of rows, for pooling."""
    held: Slab = []
    for maps in slabs:
        joined = [torch.cat(pair, dim=2) for pair in zip(held, maps, strict=True)] if held else maps
        even = joined[0].shape[2] // 2 * 2
        held = [x[:, :, even:].clone() for x in joined] if even < joined[0].shape[2] else []
        if even:
            yield [x[:, :, :even] for x in joined]


def upsampled_rows(x: Tensor, start: int, stop: int) -> Tensor:
    """Rows of maps upsampled twofold, (1, C, stop - start, 2J, 2K), made from the few rows that they need."""
    low, high = max(start // 2 - 1, 0), min((stop + 1) // 2 + 1, x.shape[2])
    up = F.interpolate(x[:, :, low:high], scale_factor=2, mode="trilinear", align_corners=False)
    return up[:, :, start - 2 * low : stop - 2 * low]


def beside_upsampled(skips: Iterator[Slab], coarse: list[Tensor]) -> Iterator[Slab]:
    """Put upsampled maps beside those of the skip connection."""
    row = 0
    for maps in skips:
        stop = row + maps[0].shape[2]
        yield [
            torch.cat((skip, upsampled_rows(x, row, stop)), dim=1)
            for skip, x in zip(maps, coarse, strict=True)
        ]
        row = stop


def posteriors_of(slabs: Iterator[Slab], skip: Tensor, conv: UpsampledConv, out: Tensor) -> None:
    """Fill posteriors, (O, 2I, 2J, 2K), from slabs of the last maps at half resolution and the skip's phases.

    Only the scans' mean reaches the last convolution.
    """
    rows, seen, done = _Rows(skip.shape[2]), 0, 0
    for maps in slabs:
        mean = mean_of(maps)
        stop = seen + mean.shape[2]
        (x,) = rows.joined([torch.cat((skip[:, :, seen:stop], mean), dim=1)])
        seen = stop
        if x.shape[2] < 3:
            continue
        scores = scores_of_rows(x, conv, first=done == 0, last=seen == skip.shape[2])
        write_softmax(scores, out[:, 2 * done : 2 * (done + scores.shape[2])])
        done += scores.shape[2]


def write_softmax(scores: Tensor, out: Tensor) -> None:
    """Write the softmax over outputs of (1, O * 8, R, J, K) phases into (O, 2R, 2J, 2K)."""
    classes, (rows, j, k) = len(out), scores.shape[2:]
    for row in range(rows):  # a row at a time stays in the processor's cache
        channels_last = scores[0, :, row].permute(1, 2, 0).reshape(j * k, -1)
        p = channels_last.t().contiguous().view(classes, -1).float().softmax(dim=0)
        fine = out[:, 2 * row : 2 * row + 2].view(classes, 2, j, 2, k, 2)
        fine.copy_(p.view(classes, 2, 2, 2, j, k).permute(0, 1, 4, 2, 5, 3))
