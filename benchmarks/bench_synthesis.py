"""Speed of synthesis beside TorchIO, MONAI and cornucopia: docs/training.md, "Speed".

    python benchmarks/bench_synthesis.py [--side N] [--samples N] [--threads N] [--device cpu|cuda]

Every library makes an image and its labels from one label map of a digital infant, of N voxels a side, with
the nearest of its effects: affine and smooth warp of the labels, one Gaussian per tissue, bias field, blur,
thick slices, noise, gamma. Which effects each chain has is printed with the times. All run in turn in one
process, a sample of each at a time; the median over samples counts. Every chain draws anew for every sample.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from babyseg_py.models.memory import keep_freed_memory
from babyseg_py.synthesis.anatomy import sample_map, window_positions
from babyseg_py.synthesis.digital_infant import grow, load_model, mean_child
from babyseg_py.synthesis.labelbank_build import describe_map, make_bank
from babyseg_py.synthesis.randomise import Ranges, draw_params
from babyseg_py.synthesis.synthesise import apply

OTHERS = ("torchio", "monai", "cornucopia")
AGE_MONTHS = 12
BRAIN_SHARE = 0.7  # cube root of the brain's volume over the side of the grid, as in training


@dataclass(frozen=True)
class Chain:
    """A way of making one sample.

    Parameters
    ----------
    name : str
        Library and version.
    effects : str
        What it does to labels and image.
    sample : callable
        Makes image and labels of a given number, (N, N, N) each.
    """

    name: str
    effects: str
    sample: Callable[[int], tuple[Tensor, Tensor]]


def ours(side: int, device: str) -> tuple[Chain, Tensor]:
    """Our chain at the package's ranges, and the label map that the others start from, (N, N, N) tissues."""
    volume = grow(load_model(), mean_child(load_model()), AGE_MONTHS)
    bank = make_bank([describe_map(volume, name="digital infant", age_months=AGE_MONTHS)])
    size = BRAIN_SHARE * side
    ranges = Ranges.from_dict({"grid": [side] * 3, "brain_voxels": [0.9 * size, 1.1 * size]})

    def sample(number: int) -> tuple[Tensor, Tensor]:
        made = apply(bank, draw_params(np.random.default_rng(number), bank, ranges), device=device)
        return made.images[0], made.target

    params = draw_params(np.random.default_rng(0), bank, ranges)
    classes, _ = sample_map(bank.maps[0], window_positions(bank, params, torch.device("cpu")))
    effects = (
        "flip, affine, two smooth warps; surroundings or bare brain; Gaussians by tissue and age; texture; "
        "blur; thick slices (p .25); ghost (p .15); bias; Gaussian or Rician noise; gamma"
    )
    return Chain(f"babyseg-py {version('babyseg-py')}", effects, sample), torch.from_numpy(bank.tissue)[
        classes
    ]


def torchio_chain(labels: Tensor, device: str) -> Chain:
    """TorchIO: the chain of its guide to synthesis from labels."""
    import torchio as tio  # noqa: PLC0415  # may be absent, which main says

    chain = tio.Compose(
        [
            tio.RandomFlip(axes=(0,)),
            tio.RandomAffine(scales=0.1, degrees=15, label_interpolation="nearest"),
            tio.RandomElasticDeformation(num_control_points=7, label_interpolation="nearest"),
            tio.RandomLabelsToImage(label_key="labels", image_key="image", ignore_background=True),
            tio.RandomBlur(std=(0.25, 0.8)),
            tio.RandomAnisotropy(downsampling=(1.3, 3.5), p=0.25),
            tio.RandomGhosting(p=0.15),
            tio.RandomBiasField(),
            tio.RandomNoise(),
            tio.RandomGamma(),
        ]
    )
    subject = tio.Subject(labels=tio.LabelMap(tensor=labels[None].to(torch.uint8)))

    def sample(number: int) -> tuple[Tensor, Tensor]:
        torch.manual_seed(number)
        made: Any = chain(subject)
        return made["image"].data[0], made["labels"].data[0]

    effects = (
        "flip, affine, B-spline warp; Gaussians by label; blur; thick slices (p .25); ghost (p .15); bias; "
        "noise; gamma"
    )
    return Chain(f"TorchIO {version('torchio')}", effects, sample)


def monai_chain(labels: Tensor, device: str) -> Chain:
    """MONAI: its transforms of arrays; Gaussians by label, which it lacks, are two look-ups."""
    import monai.transforms as mt  # noqa: PLC0415  # may be absent, which main says

    spatial = mt.Rand3DElastic(
        sigma_range=(9, 13),
        magnitude_range=(50, 300),
        prob=1,
        rotate_range=(0.26, 0.26, 0.26),
        scale_range=(0.1, 0.1, 0.1),
        mode="nearest",
        device=torch.device(device),
    )
    flip = mt.RandFlip(prob=0.5, spatial_axis=0)
    intensity = mt.Compose(
        [
            mt.RandGaussianSmooth((0.25, 0.8), (0.25, 0.8), (0.25, 0.8), prob=1),
            mt.RandSimulateLowResolution(prob=0.25, zoom_range=(0.3, 0.8)),
            mt.RandBiasField(prob=1),
            mt.RandRicianNoise(prob=1, std=0.1),
            mt.RandAdjustContrast(prob=1, gamma=(0.6, 1.6)),
        ]
    )
    start, count = labels[None].float().to(device), int(labels.max()) + 1

    def sample(number: int) -> tuple[Tensor, Tensor]:
        for transform in (spatial, flip, intensity):
            transform.set_random_state(number)
        generator = torch.Generator().manual_seed(number)
        moved = torch.as_tensor(flip(spatial(start))).long()
        means, spreads = torch.rand(2, count, generator=generator).to(device)
        image = means[moved] + 0.1 * spreads[moved] * torch.randn(moved.shape, generator=generator).to(device)
        return intensity(image * (moved > 0))[0], moved[0]

    effects = (
        "flip, affine, smooth warp; Gaussians by label; blur; low resolution (p .25); bias; noise; gamma"
    )
    return Chain(f"MONAI {version('monai')}", effects, sample)


def cornucopia_chain(labels: Tensor, device: str) -> Chain:
    """Cornucopia: its transform for SynthSeg, with linear fields, its faster way."""
    import cornucopia as cc  # noqa: PLC0415  # may be absent, which main says

    chain = cc.SynthFromLabelTransform(order=1, resolution=3.5, motion_fwhm=2)
    start = labels[None].long().to(device)

    def sample(number: int) -> tuple[Tensor, Tensor]:
        torch.manual_seed(number)
        made = chain(start)
        return made["image"][0], made["label"][0]

    effects = (
        "affine, smooth warp; Gaussians by label, smoothed; blur; thick slices or low resolution; bias; "
        "noise; gamma"
    )
    return Chain(f"cornucopia {version('cornucopia')}", effects, sample)


def measure(chains: list[Chain], samples: int, device: str) -> list[np.ndarray]:
    """Wall and CPU seconds of each sample, (samples, 2) for each chain; the first sample is not counted."""
    times: list[list[tuple[float, float]]] = [[] for _ in chains]
    for number in range(samples + 1):
        for chain, kept in zip(chains, times, strict=True):
            wall, cpu = time.perf_counter(), time.process_time()
            image, target = chain.sample(number)
            if device == "cuda":
                torch.cuda.synchronize()
            kept.append((time.perf_counter() - wall, time.process_time() - cpu))
            if image.shape != target.shape or not torch.isfinite(image).all() or not target.any():
                raise SystemExit(f"{chain.name} made no image with labels")
    return [np.array(kept[1:]) for kept in times]


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--samples", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_freed_memory()  # as in training; all chains gain by it
    absent = [name for name in OTHERS if not find_spec(name)]
    if absent:
        raise SystemExit(f"lacks {', '.join(absent)}: pip install -c requirements.lock -e '.[bench]'")

    mine, labels = ours(args.side, args.device)
    makers = (torchio_chain, monai_chain, cornucopia_chain)
    chains = [mine, *(make(labels, args.device) for make in makers)]
    seconds = measure(chains, args.samples, args.device)
    medians = [np.median(taken, axis=0) for taken in seconds]
    counts = f"{args.side}³ voxels, {args.samples} samples, {args.threads} threads, {args.device}"
    print(f"{counts}; torch {torch.__version__}\n")
    print("| chain | s a sample | slower than ours | CPU s a sample | more than ours | effects |")
    print("| --- | --- | --- | --- | --- | --- |")
    for chain, (wall, cpu) in zip(chains, medians, strict=True):
        ratios = (f"{wall / medians[0][0]:.1f}", f"{cpu / medians[0][1]:.1f}")
        print(f"| {chain.name} | {wall:.2f} | {ratios[0]} | {cpu:.2f} | {ratios[1]} | {chain.effects} |")


if __name__ == "__main__":
    main()
