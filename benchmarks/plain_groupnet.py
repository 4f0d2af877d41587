"""The published network written down plainly: the yardstick of `bench_segment.py` and of tests.

Each group convolution is two convolutions, of each scan's maps and of their mean over the scans; every map is
held whole, in float32 and in the usual memory layout. Nothing is merged, cut or reused.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from babyseg_py.models.groupnet import GroupNet


def plain_scores(network: GroupNet, images: Tensor) -> Tensor:
    """Class scores of one visit, (G, I, J, K) to (C, I, J, K), with the weights of a network."""
    state = network.state_dict()
    config = network.config
    if config.norm or config.shared or config.head:
        raise ValueError("the published network has no norm, no shared kernels and no head")

    def conv(name: str, x: Tensor) -> Tensor:
        each = F.conv3d(x, state[f"{name}.conv_b.weight"], state[f"{name}.conv_b.bias"], padding=1)
        mean = x.mean(dim=0, keepdim=True)
        group = F.conv3d(mean, state[f"{name}.conv_m.weight"], state[f"{name}.conv_m.bias"], padding=1)
        return (each + group) / 2

    def block(name: str, x: Tensor) -> Tensor:
        return F.elu(conv(f"{name}.2", F.elu(conv(f"{name}.0", x))))

    x = images.unsqueeze(1)
    skips = []
    for level in range(len(config.encoder)):
        x = block(f"enc.{level}", x)
        skips.append(x)
        x = F.max_pool3d(x, 2)
    for level in range(len(config.decoder)):
        x = block(f"dec.{level}", x)
        x = F.interpolate(x, scale_factor=2, mode="trilinear", align_corners=False)
        x = torch.cat((skips.pop(), x), dim=1)
    return conv("add.0", x.mean(dim=0, keepdim=True))[0]


def plain_posteriors(network: GroupNet, images: Tensor) -> Tensor:
    """Posteriors of one visit, (G, I, J, K) to (C, I, J, K)."""
    return plain_scores(network, images).softmax(dim=0)
