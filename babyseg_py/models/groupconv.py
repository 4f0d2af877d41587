"""Group convolutions for inference: kernels merged, cast and laid out once, maps of each scan kept apart."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from babyseg_py.models.groupnet import Activation, GroupConv


@dataclass(frozen=True)
class Kernels:
    """Kernels of a group convolution, ready to be applied.

    With ``b`` and ``m`` its two branches, ``y_g = (b(x_g) + m(mean)) / 2`` is the same as
    ``merged(mean) + half_b(x_g - mean)``: as many convolutions as scans, one fewer than written, and
    one for one scan.

    Parameters
    ----------
    merged : (O, C, 3, 3, 3) Tensor
        Mean kernel of both branches.
    bias : (O,) Tensor
        Its bias.
    half_b : (O, C, 3, 3, 3) Tensor or None
        Half the kernel of ``b``, without bias; None if both branches have the same kernel, which then is
        applied to ``(x_g + mean) / 2``.
    """

    merged: Tensor
    bias: Tensor
    half_b: Tensor | None


def kernels_of(conv: GroupConv, dtype: torch.dtype) -> Kernels:
    """Prepare the kernels of a group convolution, merged in float32 before they are rounded."""
    weight, bias = conv.conv_b.weight, conv.conv_b.bias
    assert bias is not None
    merged = weight if conv.conv_m is None else (weight + conv.conv_m.weight) / 2
    half_b = None if conv.conv_m is None else laid_out(weight / 2, dtype)
    if conv.conv_m is not None and conv.conv_m.bias is not None:
        bias = (bias + conv.conv_m.bias) / 2
    return Kernels(laid_out(merged, dtype), bias.detach().to(dtype), half_b)


def laid_out(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Cast, and order channels last."""
    return x.detach().to(dtype).contiguous(memory_format=torch.channels_last_3d)


def group_inputs(maps: list[Tensor], kernels: Kernels) -> list[Tensor]:
    """Return what is to be convolved instead of all scans' maps, which are overwritten.

    With one kernel for both branches, each scan's maps halfway to their mean; otherwise the mean, and how
    each scan but the last differs from the last.
    """
    if len(maps) == 1:
        return list(maps)
    if kernels.half_b is None:
        for row in range(maps[0].shape[2]):  # a row at a time needs no room for another map
            parts = [x[:, :, row] for x in maps]
            mean = mean_of([parts[0].clone(), *parts[1:]])
            for part in parts:
                part.lerp_(mean, 0.5)
        return list(maps)
    last, differences = maps[-1], maps[:-1]
    for x in differences:
        x.sub_(last)
    for x in differences:
        last.add_(x, alpha=1 / len(maps))
    return [last, *differences]


def mean_of(maps: Iterable[Tensor]) -> Tensor:
    """Return the mean of all scans' maps, which may exist one after the other, in place of the first."""
    scans = iter(maps)
    total, count = next(scans), 1
    for x in scans:
        total.add_(x)
        count += 1
        del x  # before the next one is made
    return total.div_(count)


def group_outputs(results: list[Tensor], kernels: Kernels) -> list[Tensor]:
    """Return the maps of all scans from the convolved `group_inputs`, which are overwritten.

    The last scan differs from the mean by minus the mean difference, so that it needs no convolution.
    """
    if kernels.half_b is None:
        return results
    last, *differences = results
    for difference in differences:
        last.sub_(difference, alpha=1 / len(results))
    return [*(difference.add_(last) for difference in differences), last]


def group_conv(maps: list[Tensor], kernels: Kernels) -> list[Tensor]:
    """Apply a group convolution to whole maps, (1, C, I, J, K) per scan, which are overwritten and freed."""
    inputs = group_inputs(maps, kernels)
    maps.clear()
    results: list[Tensor] = []
    while inputs:
        results.append(convolve(inputs.pop(0), kernels, first=not results, padding=(1, 1, 1)))
    return group_outputs(results, kernels)


def convolve(x: Tensor, kernels: Kernels, *, first: bool, padding: tuple[int, int, int]) -> Tensor:
    """Apply the kernel that belongs to the first of the `group_inputs`, or to the others."""
    x = x.to(kernels.merged.dtype)  # intensities reach the first convolution in float32
    if first or kernels.half_b is None:
        return conv3d(x, kernels.merged, kernels.bias, padding=padding)
    return conv3d(x, kernels.half_b, None, padding=padding)


def conv3d(x: Tensor, weight: Tensor, bias: Tensor | None, *, padding: tuple[int, int, int]) -> Tensor:
    """Convolve, with oneDNN also where torch would not take it.

    In float32 torch leaves convolutions of 32 input channels and fewer to an implementation that unfolds the
    image: five to fifteen times slower, and 27 times the memory of its input.
    """
    if x.dtype == torch.float32 and torch.backends.mkldnn.is_available():
        y = torch.mkldnn_convolution(x, weight, bias, padding, (1, 1, 1), (1, 1, 1), 1)
    else:
        y = F.conv3d(x, weight, bias, padding=padding)
    return y.contiguous(memory_format=torch.channels_last_3d)  # of one channel, torch cannot tell the order


@dataclass(frozen=True)
class Norm:
    """Scale and shift of normalised maps; None of both for a network that does not normalise."""

    weight: Tensor | None
    bias: Tensor | None


def activated(x: Tensor, norm: Norm) -> Tensor:
    """Activate the maps of one scan, in place if possible."""
    if norm.weight is None:
        return F.elu(x, inplace=True)
    x = F.batch_norm(x, None, None, norm.weight, norm.bias, training=True)
    return F.leaky_relu(x, 0.01, inplace=True)


Layers = tuple[tuple[Kernels, Norm], ...]


def layers_of(modules: Iterable[nn.Module], dtype: torch.dtype) -> Layers:
    """Prepare convolutions that are each followed by an activation; what follows none is left out."""
    modules = list(modules)
    convs = [module for module in modules if isinstance(module, GroupConv)]
    acts = [module for module in modules if isinstance(module, Activation)]
    return tuple(
        (kernels_of(conv, dtype), Norm(act.weight, act.bias)) for conv, act in zip(convs, acts, strict=False)
    )


def run_layers(maps: list[Tensor], layers: Layers) -> list[Tensor]:
    """Apply convolutions and activations to whole maps; the list of inputs is emptied."""
    for kernels, norm in layers:
        maps = group_conv(maps, kernels)
        for number in range(len(maps)):
            maps[number] = activated(maps[number], norm)
    return maps


def layers_scan_by_scan(scans: int, read: Callable[[int], Tensor], layers: Layers) -> Iterator[Tensor]:
    """Yield each scan's maps as `run_layers` would, without room for those of more than one scan.

    The mean that each layer sees is found first, so that all layers but the last run again for the next one.

    Parameters
    ----------
    scans : int
        Their number.
    read : callable
        Makes the (1, C, I, J, K) input of the scan of a number, which is overwritten.
    layers : Layers
        Convolutions, each followed by an activation.
    """
    means: list[Tensor] = []
    for depth in range(len(layers)):
        means.append(mean_of(_through(read(scan), layers[:depth], means) for scan in range(scans)))
    return (_through(read(scan), layers, means) for scan in range(scans))


def _through(x: Tensor, layers: Layers, means: Sequence[Tensor]) -> Tensor:
    """Run layers on one scan, given the mean over the scans of what each of them sees."""
    for (kernels, norm), mean in zip(layers, means, strict=True):
        if kernels.half_b is None:
            x = convolve(x.lerp_(mean, 0.5), kernels, first=True, padding=(1, 1, 1))
        else:
            x = convolve(x.sub_(mean), kernels, first=False, padding=(1, 1, 1))
            x += convolve(mean, kernels, first=True, padding=(1, 1, 1))
        x = activated(x, norm)
    return x
