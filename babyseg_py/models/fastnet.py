"""A group network made ready for inference on a CPU: the same scores, in less time and memory.

What is done once: both branches' kernels are merged where they see the same input, cast and laid out. The
finest levels of a network without normalisation run as a stream of slabs; one with normalisation needs
statistics of whole maps, and runs on them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from babyseg_py.models.groupconv import (
    Kernels,
    Layers,
    activated,
    kernels_of,
    laid_out,
    layers_of,
    layers_scan_by_scan,
    mean_of,
    run_layers,
)
from babyseg_py.models.groupnet import GroupNet, GroupNetConfig
from babyseg_py.models.memory import ROWS, streams
from babyseg_py.models.slabs import (
    Slab,
    beside_upsampled,
    convolved,
    cut,
    even_rows,
    group_convolved,
    posteriors_of,
    upsampled_rows,
)
from babyseg_py.models.upsampled import UpsampledConv, phases, shuffled_kernels, upsampled_conv


@dataclass(frozen=True)
class FastNet:
    """A network ready for inference.

    Parameters
    ----------
    config : GroupNetConfig
        Its shape.
    dtype : torch.dtype
        Of maps and kernels.
    enc, dec : tuple of Layers
        Convolutions of each level; a streamed first level sees the eight phases of its maps, at half size.
    head : Layers
        Full-resolution convolutions before the last one.
    last : Kernels
        The last convolution.
    end : UpsampledConv or None
        The last convolution and the upsampling before it, if the finest levels are streamed.
    """

    config: GroupNetConfig
    dtype: torch.dtype
    enc: tuple[Layers, ...]
    dec: tuple[Layers, ...]
    head: Layers
    last: Kernels
    end: UpsampledConv | None


@torch.inference_mode()
def prepare(network: GroupNet, dtype: torch.dtype) -> FastNet:
    """Prepare a network for inference in one precision."""
    config = network.config
    end = None
    if streams(config):
        merged = kernels_of(network.last, torch.float32)
        end = upsampled_conv(merged.merged, merged.bias, config.encoder[0], dtype)
    enc = [layers_of(block.children(), dtype) for block in network.enc]
    if end:  # The first level sees intensities, of which bfloat16 would keep 8 bits, and is cheap.
        first = layers_of(network.enc[0].children(), torch.float32)
        enc[0] = tuple((shuffled_kernels(kernels), norm) for kernels, norm in first)
    return FastNet(
        config,
        dtype,
        tuple(enc),
        tuple(layers_of(block.children(), dtype) for block in network.dec),
        layers_of((*network.add, *network.act), dtype),
        kernels_of(network.last, dtype),
        end,
    )


@torch.inference_mode()
def run(net: FastNet, images: Tensor, *, rows: int = ROWS, keep_skips: bool = True) -> Tensor:
    """Posteriors of one visit.

    Parameters
    ----------
    net : FastNet
        The network.
    images : (G, I, J, K) Tensor
        Its scans, on the CPU, sides being multiples of ``config.multiple``.
    rows : int
        Thickness of the slabs at half resolution; time and memory depend on it, the result does not.
    keep_skips : bool
        Keep what is needed again: the maps of the second level for the decoder or, in a network that
        normalises, those of all scans at its finest levels; otherwise it is computed a second time.

    Returns
    -------
    (classes, I, J, K) Tensor
        Probabilities in float32.
    """
    multiple = net.config.multiple
    if any(side % multiple for side in images.shape[1:]):
        raise ValueError(f"grid {tuple(images.shape[1:])} is not a multiple of {multiple}")
    if net.end is None:
        return _whole(net, images, keep_skips)
    return _streamed(net, net.end, images, rows, keep_skips)


def _streamed(net: FastNet, end: UpsampledConv, images: Tensor, rows: int, keep_skips: bool) -> Tensor:
    skip, pooled = _finest_level(net, images, rows)
    total = skip.shape[2]

    def second_level() -> Iterator[Slab]:
        return convolved(cut(pooled, rows), net.enc[1], total)

    kept, quarter = _second_level(second_level(), total, keep=keep_skips)
    _, coarse = _levels(net, quarter, first=2)
    beside = beside_upsampled(cut(kept, rows) if keep_skips else second_level(), coarse)
    out = torch.empty((net.config.classes, *images.shape[1:]))
    posteriors_of(convolved(beside, net.dec[-1], total), skip, end, out)
    return out


def _finest_level(net: FastNet, images: Tensor, rows: int) -> tuple[Tensor, list[Tensor]]:
    """Run the first level; return the phases of the scans' mean map, and each scan's pooled map."""
    channels, half = net.config.encoder[0], [side // 2 for side in images.shape[1:]]
    skip = _empty(8 * channels, half, net.dtype)
    pooled = [_empty(channels, half, net.dtype) for _ in images]
    row = 0
    shuffled = (
        [laid_out(phases(image[None, None, start : start + 2 * rows]), torch.float32) for image in images]
        for start in range(0, images.shape[1], 2 * rows)
    )
    for maps in convolved(shuffled, net.enc[0], half[0]):
        at = slice(row, row + maps[0].shape[2])
        for whole, x in zip(pooled, maps, strict=True):
            whole[:, :, at] = x.unflatten(1, (channels, 8)).amax(dim=2)
        skip[:, :, at] = mean_of(maps)
        row = at.stop
    return skip, pooled


def _second_level(slabs: Iterator[Slab], total: int, *, keep: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Run the second level; return its maps if they are kept, and each scan's pooled map."""
    kept: list[Tensor] = []
    pooled: list[Tensor] = []
    row = 0
    for maps in even_rows(slabs):
        if not pooled:
            channels, dtype, (j, k) = maps[0].shape[1], maps[0].dtype, maps[0].shape[3:]
            pooled = [_empty(channels, (total // 2, j // 2, k // 2), dtype) for _ in maps]
            kept = [_empty(channels, (total, j, k), dtype) for _ in maps] if keep else []
        stop = row + maps[0].shape[2]
        for number, x in enumerate(maps):
            pooled[number][:, :, row // 2 : stop // 2] = F.max_pool3d(x, 2)
            if keep:
                kept[number][:, :, row:stop] = x
        row = stop
    return kept, pooled


def _empty(channels: int, size: Sequence[int], dtype: torch.dtype) -> Tensor:
    return torch.empty((1, channels, *size), dtype=dtype, memory_format=torch.channels_last_3d)


def _levels(net: FastNet, maps: list[Tensor], *, first: int) -> tuple[list[Tensor], list[Tensor]]:
    """Run all encoder levels from one on, and the decoder but for its last level.

    Returns the maps that this last level is to join, if ``first`` leaves any, and those to be upsampled.
    """
    skips = []
    for layers in net.enc[first:]:
        maps = run_layers(maps, layers)
        skips.append(maps)
        maps = [F.max_pool3d(x, 2) for x in maps]
    for number, layers in enumerate(net.dec[:-1]):
        maps = run_layers(_beside(skips.pop(), maps) if number else maps, layers)
    return skips.pop() if skips else [], maps


def _beside(skips: list[Tensor], maps: list[Tensor]) -> list[Tensor]:
    """Put whole maps, upsampled, beside those of the skip connection; both lists are emptied."""
    result = []
    while maps:
        result.append(_both(skips.pop(0), maps.pop(0)))
    return result


def _both(skip: Tensor, x: Tensor) -> Tensor:
    both = _empty(skip.shape[1] + x.shape[1], skip.shape[2:], x.dtype)
    both[:, : skip.shape[1]] = skip
    for start in range(0, skip.shape[2], ROWS):
        stop = min(start + ROWS, skip.shape[2])
        both[:, skip.shape[1] :, start:stop] = upsampled_rows(x, start, stop)
    return both


def _whole(net: FastNet, images: Tensor, keep: bool) -> Tensor:
    skip, pooled = _first_level(net.enc[0], images, keep)
    coarse = _last_level(net.dec[-1], *_levels(net, pooled, first=1), keep)
    last = _head(net.head, [skip], [coarse])
    out = torch.empty((net.config.classes, *images.shape[1:]))
    done = 0
    for (scores,) in group_convolved(cut(last, ROWS), net.last, images.shape[1]):
        out[:, done : done + scores.shape[2]] = scores[0].float().softmax(dim=0)
        done += scores.shape[2]
    return out


def _first_level(layers: Layers, images: Tensor, keep: bool) -> tuple[Tensor, list[Tensor]]:
    """Run the first level on whole maps; return the scans' mean map, and each scan's pooled map."""

    def read(scan: int) -> Tensor:
        return laid_out(images[scan][None, None].clone(), torch.float32)

    scans, pooled = len(images), []
    maps: Iterable[Tensor]
    if keep:
        maps = run_layers([read(scan) for scan in range(scans)], layers)
    else:
        maps = layers_scan_by_scan(scans, read, layers)

    def noting_pooled() -> Iterator[Tensor]:
        for x in maps:
            pooled.append(F.max_pool3d(x, 2))
            yield x
            del x  # before the next one is made

    return mean_of(noting_pooled()), pooled


def _last_level(layers: Layers, skips: list[Tensor], maps: list[Tensor], keep: bool) -> Tensor:
    """Run the decoder's last level on whole maps; return the scans' mean map."""
    if keep:
        return mean_of(run_layers(_beside(skips, maps) if skips else maps, layers))

    def read(scan: int) -> Tensor:
        return _both(skips[scan], maps[scan]) if skips else maps[scan].clone()

    return mean_of(layers_scan_by_scan(len(maps), read, layers))


def _head(head: Layers, skip: list[Tensor], coarse: list[Tensor]) -> list[Tensor]:
    """Run the full-resolution convolutions on the mean of the scans' maps, whose two parts are emptied.

    The widest maps of the network, both parts side by side, exist a slab at a time; the first convolution's
    maps take the place of the skip connection's where they have as many channels.
    """
    if not head:
        return _beside(skip, coarse)
    (kernels, norm), *rest = head
    channels, size = len(kernels.bias), skip[0].shape[2:]
    whole = skip[0] if skip[0].shape[1] == channels else _empty(channels, size, skip[0].dtype)
    done = 0
    for (x,) in group_convolved(beside_upsampled(cut(skip, ROWS), coarse), kernels, size[0]):
        whole[:, :, done : done + x.shape[2]] = x
        done += x.shape[2]
    skip.clear()
    coarse.clear()
    return run_layers([activated(whole, norm)], tuple(rest))
