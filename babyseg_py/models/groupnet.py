"""The group network of BabySeg: any number of scans in, in any order (Hoffmann, Zöllei, Dalca 2025)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class GroupNetConfig:
    """Shape of a group network.

    Parameters
    ----------
    classes : int
        Output channels, background included.
    encoder : tuple of int
        Width of each encoder level, finest first; each level is followed by pooling.
    decoder : tuple of int
        Width of each decoder level, coarsest first; as many as encoder levels.
    head : tuple of int
        Widths of full-resolution convolutions before the last one; none in the published network.
    norm : bool
        Normalise every feature map to zero mean and unit variance per scan, and replace ELU by leaky ReLU,
        which is several times cheaper; not in the published network.
    shared : bool
        Use one kernel for both branches of each group convolution; not in the published network.
    """

    classes: int = 22
    encoder: tuple[int, ...] = (1, 64, 64, 64, 64, 64)
    decoder: tuple[int, ...] = (64, 64, 64, 64, 64, 64)
    head: tuple[int, ...] = ()
    norm: bool = False
    shared: bool = False

    def __post_init__(self) -> None:
        if len(self.encoder) != len(self.decoder):
            raise ValueError(f"{len(self.encoder)} encoder and {len(self.decoder)} decoder levels differ")
        widths = (self.classes, *self.encoder, *self.decoder, *self.head)
        if not all(isinstance(width, int) and width > 0 for width in widths) or not self.encoder:
            raise ValueError("classes and widths of the network are whole numbers from 1 on")
        if not isinstance(self.norm, bool) or not isinstance(self.shared, bool):
            raise ValueError("norm and shared of the network are true or false")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "GroupNetConfig":
        """Build from plain values, as read from JSON or YAML, where tuples are lists."""
        if not isinstance(values, dict):
            raise ValueError(f"network is {values!r}, not settings of a network")
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**plain)

    @property
    def multiple(self) -> int:
        """Number of voxels that every side of the grid has to be a multiple of."""
        return 2 ** len(self.encoder)


class GroupConv(nn.Module):
    """Convolution over a group of scans: ``y_g = (conv_b(x_g) + conv_m(mean_g x)) / 2``.

    With a shared kernel that is one convolution of ``(x_g + mean_g x) / 2``. For one scan both branches
    see the same input, so that their mean kernel is applied once.
    """

    def __init__(self, inputs: int, outputs: int, *, shared: bool) -> None:
        super().__init__()
        self.conv_b = nn.Conv3d(inputs, outputs, 3, padding=1)
        self.conv_m = None if shared else nn.Conv3d(inputs, outputs, 3, padding=1)

    def merged(self, x: Tensor) -> Tensor:
        """Apply both branches to the same input, (N, C, *size)."""
        if self.conv_m is None:
            return self.conv_b(x)
        weight = (self.conv_b.weight + self.conv_m.weight) / 2
        bias = (self.conv_b.bias + self.conv_m.bias) / 2  # type: ignore[operator]  # bias is always on
        return F.conv3d(x, weight, bias, padding=1)

    def forward(self, x: Tensor, scans: int) -> Tensor:
        """Map (B * scans, C, *size) to (B * scans, outputs, *size)."""
        if scans == 1:
            return self.merged(x)
        mean = group_mean(x, scans)
        if self.conv_m is None:
            return self.conv_b(halfway_to_group(x, mean, scans))
        return halfway_to_group(self.conv_b(x), self.conv_m(mean), scans)


class Activation(nn.Module):
    """Activation function, after normalisation of each scan's feature maps if asked for."""

    def __init__(self, channels: int, *, norm: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels)) if norm else None
        self.bias = nn.Parameter(torch.zeros(channels)) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        if self.weight is None:
            return F.elu(x)
        # Batch normalisation of one sample is instance normalisation, and several times faster on CPUs.
        parts = [self._normalised(part) for part in (x.split(1) if len(x) > 1 else (x,))]
        x = torch.cat(parts) if len(parts) > 1 else parts[0]
        return F.leaky_relu(x, 0.01, inplace=True)

    def _normalised(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, None, None, self.weight, self.bias, training=True)


class Block(nn.ModuleList):
    """Two group convolutions, each followed by its activation."""

    def __init__(self, inputs: int, outputs: int, *, norm: bool, shared: bool) -> None:
        super().__init__(
            (
                GroupConv(inputs, outputs, shared=shared),
                Activation(outputs, norm=norm),
                GroupConv(outputs, outputs, shared=shared),
                Activation(outputs, norm=norm),
            )
        )

    def forward(self, x: Tensor, scans: int) -> Tensor:
        for layer in self:
            x = layer(x, scans) if isinstance(layer, GroupConv) else layer(x)
        return x


class GroupNet(nn.Module):
    """Group network: U-Net of group convolutions whose head and last convolution see the mean over scans."""

    def __init__(self, config: GroupNetConfig) -> None:
        super().__init__()
        self.config = config
        enc, dec, norm, shared = config.encoder, config.decoder, config.norm, config.shared
        self.enc = nn.ModuleList(
            Block(a, b, norm=norm, shared=shared) for a, b in zip((1, *enc[:-1]), enc, strict=True)
        )
        skips = (0, *enc[:0:-1])
        self.dec = nn.ModuleList(
            Block(a + s, b, norm=norm, shared=shared)
            for a, s, b in zip((enc[-1], *dec[:-1]), skips, dec, strict=True)
        )
        widths = (dec[-1] + enc[0], *config.head)
        self.add = nn.ModuleList(
            GroupConv(a, b, shared=shared)
            for a, b in zip(widths, (*config.head, config.classes), strict=True)
        )
        self.act = nn.ModuleList(Activation(width, norm=norm) for width in config.head)

    def forward(self, images: Tensor) -> Tensor:
        """Return class scores before softmax.

        Parameters
        ----------
        images : (B, G, I, J, K) Tensor
            G scans of each of B visits on one grid, sides being multiples of ``config.multiple``.

        Returns
        -------
        (B, classes, I, J, K) Tensor
        """
        multiple = self.config.multiple
        if any(side % multiple for side in images.shape[2:]):
            raise ValueError(f"grid {tuple(images.shape[2:])} is not a multiple of {multiple}")
        scans = images.shape[1]
        x = images.flatten(0, 1).unsqueeze(1)
        if x.device.type == "cpu":
            x = x.contiguous(memory_format=torch.channels_last_3d)

        skips = []
        for block in self.enc:
            x = block(x, scans)
            skips.append(x)
            x = F.max_pool3d(x, 2)
        for block in self.dec:
            x, skip = block(x, scans), skips.pop()
            if not skips:
                x, skip = group_mean(x, scans), group_mean(skip, scans)
            x = F.interpolate(x, scale_factor=2, mode="trilinear", align_corners=False)
            x = torch.cat((skip, x), dim=1)
        for layer, act in zip(self.add, self.act, strict=False):
            assert isinstance(layer, GroupConv)
            x = act(layer.merged(x))
        return self.last.merged(x)

    @property
    def last(self) -> GroupConv:
        """Return the convolution that makes the class scores."""
        last = self.add[-1]
        assert isinstance(last, GroupConv)
        return last


def group_mean(x: Tensor, scans: int) -> Tensor:
    """Mean over the scans of each visit, (B * scans, C, *size) to (B, C, *size)."""
    if scans == 1:
        return x
    # A sum of whole maps keeps the memory format, which a reduction over a new axis does not.
    parts = x.unflatten(0, (-1, scans)).unbind(dim=1)
    total = parts[0] + parts[1]
    for part in parts[2:]:
        total = total + part
    return total / scans


def halfway_to_group(x: Tensor, mean: Tensor, scans: int) -> Tensor:
    """Average each scan's maps, (B * scans, C, *size), with the one map of their visit, (B, C, *size)."""
    parts = x.unflatten(0, (-1, scans))
    return torch.lerp(parts, mean.unsqueeze(1).expand_as(parts), 0.5).flatten(0, 1)
