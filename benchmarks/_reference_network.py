"""MONAI's DynUNet set up as nnU-Net sets up its 3-D U-Net, trained on our samples for a given time."""

import time
from itertools import cycle
from pathlib import Path

import torch
from monai.losses import DiceCELoss
from monai.networks.nets import DynUNet
from torch import Tensor, nn
from torch.utils.data import DataLoader

from babyseg_py.training.loop import split_bank
from babyseg_py.training.recipe import Recipe
from babyseg_py.training.samples import Samples
from babyseg_py.writing import appearing

FILTERS = (32, 64, 128, 256)  # nnU-Net's, as many levels as the window has halvings
MOMENTUM, RATE, POLYNOMIAL, DECAY, CLIP = 0.99, 0.01, 0.9, 3e-5, 12.0  # nnU-Net's


class Reference(nn.Module):
    """The reference in the place of a group network: it sees the mean of a visit's scans."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        levels = len(FILTERS)
        self.network = DynUNet(
            spatial_dims=3,
            in_channels=1,
            out_channels=classes,
            kernel_size=[3] * levels,
            strides=[1] + [2] * (levels - 1),
            upsample_kernel_size=[2] * (levels - 1),
            filters=FILTERS,
            norm_name=("INSTANCE", {"affine": True}),
            deep_supervision=False,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Class scores, (B, C, I, J, K), of (B, G, I, J, K) scans."""
        return self.network(images.mean(dim=1, keepdim=True))


def train_reference(recipe: Recipe, seconds: float, folder: Path) -> nn.Module:
    """Train on the samples of a recipe for some seconds of training, with nnU-Net's optimiser and loss."""
    kept = folder / "reference.pt"
    torch.manual_seed(recipe.seed)
    network = Reference(recipe.network.classes).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    if kept.exists():
        network.load_state_dict(torch.load(kept, weights_only=True))
        return network.eval()
    optimiser = torch.optim.SGD(
        network.parameters(), lr=RATE, momentum=MOMENTUM, nesterov=True, weight_decay=DECAY
    )
    loss_of = DiceCELoss(to_onehot_y=True, softmax=True, batch=True, include_background=False)
    samples = Samples(split_bank(recipe)[0], recipe)
    loader = DataLoader(samples, batch_size=None, num_workers=1, prefetch_factor=4)
    spent, steps = 0.0, 0
    for images, target in cycle(loader):
        begin = time.perf_counter()
        share = min(1.0, spent / seconds)
        for group in optimiser.param_groups:
            group["lr"] = RATE * max(1 - share, 1e-3) ** POLYNOMIAL
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            scores = network(images[None])
        loss_of(scores.float(), target[None, None].long()).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimiser.step()
        spent, steps = spent + time.perf_counter() - begin, steps + 1
        if spent >= seconds:
            break
    print(f"reference: {steps} steps in {spent / 60:.1f} minutes", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    with appearing(kept) as partial:
        torch.save(network.state_dict(), partial)
    return network.eval()
