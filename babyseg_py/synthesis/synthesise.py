"""Images from label maps by given parameters; the same code on CPU and GPU."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from babyseg_py.labels import LABELS
from babyseg_py.synthesis.anatomy import is_one_of, look_up, sample_map, taken_cortex, window_positions
from babyseg_py.synthesis.artefacts import apply_artefact
from babyseg_py.synthesis.fields import Fields
from babyseg_py.synthesis.grafting import graft_head
from babyseg_py.synthesis.imperfect import bitten, moved, strands
from babyseg_py.synthesis.labelbank import LabelBank
from babyseg_py.synthesis.randomise import Params
from babyseg_py.synthesis.tissues import tissue_table

# Channels of cerebellum and brain stem.
BELOW_CEREBRUM = tuple(LABELS.index(label) for label in (8, 16, 47))
WHITE = tuple(tissue_table().number(name) for name in ("white_matter", "deep_white_matter"))
CORTEX_TO_WHITE = torch.tensor(
    [LABELS.index({3: 2, 42: 41}.get(label, label)) for label in LABELS], dtype=torch.uint8
)
HEAD = tuple(
    number
    for number, name in enumerate(tissue_table().names)
    if name in ("skull", "scalp", "fat") or name.startswith("head_")
)
LAYERS = ("csf", "skull", "scalp", "fat")  # of the head of maps that have none, from the inside
EVERY = 7  # so many voxels, one is enough for the quantiles
LOW, HIGH = 0.005, 0.995  # quantiles of the non-zero voxels that become 0 and 1


@dataclass(frozen=True)
class Sample:
    """A synthetic visit.

    Parameters
    ----------
    images : (G, I, J, K) Tensor
        Scans, 0 to 1.
    target : (I, J, K) Tensor of uint8
        Channel of the structure that each voxel belongs to.
    """

    images: Tensor
    target: Tensor


def apply(bank: LabelBank, params: Params, *, device: torch.device | str = "cpu") -> Sample:
    """Make the images and the target of one visit that the parameters describe.

    Parameters
    ----------
    bank : LabelBank
        The bank that the parameters were drawn for.
    params : dict
        Result of `draw_params`.
    device : torch.device or str
        Where to compute.

    Returns
    -------
    Sample
        Scans and target.
    """
    device = torch.device(device)
    chosen = bank.maps[params["map"]]
    positions = window_positions(bank, params, device)
    classes, distance_mm = sample_map(chosen, positions)
    tissue = look_up(torch.from_numpy(bank.tissue.astype(np.uint8)).to(device), classes)
    number = tissue_table().number
    channel = bank.mirrored if params["anatomy"]["flip"] else bank.target
    target = look_up(torch.from_numpy(channel.astype(np.uint8)).to(device), classes)

    has_head = chosen.has_head and params["surroundings"]["own_head"]
    if params["graft"] is not None:
        tissue = graft(bank, params, positions, tissue, distance_mm)
        has_head = True
    tissue = surround(tissue, distance_mm, params["surroundings"], has_head=has_head)
    if params["surroundings"]["cerebrum_only"]:
        below = is_one_of(target, BELOW_CEREBRUM)
        tissue, target = tissue.masked_fill(below, 0), target.masked_fill(below, 0)
    white, fluid = taken_cortex(chosen, positions, tissue, params)
    tissue = tissue.masked_fill(white, number("white_matter")).masked_fill(fluid, number("csf"))
    target = torch.where(white, look_up(CORTEX_TO_WHITE.to(device), target), target).masked_fill(fluid, 0)
    if params["surroundings"].get("bites"):
        lost = bitten((distance_mm == 0) & (tissue > 0), params["surroundings"]["bites"])
        tissue, target = tissue.masked_fill(lost, 0), target.masked_fill(lost, 0)
    lesions = lesion_mask(tissue, params["lesions"])
    images = [render(tissue, scan, params["surroundings"], lesions) for scan in params["scans"]]
    seen = torch.stack([field_of_view(target.shape, scan, device) for scan in params["scans"]])
    target = target.masked_fill(~seen.any(dim=0), 0)
    if params["polarised"]:
        white, cortex = tissue == number("white_matter"), tissue == number("cortex")
        images = [invert(i) if i[white].mean() < i[cortex].mean() else i for i in images]
    return Sample(torch.stack(images), target)


def graft(bank: LabelBank, params: Params, positions: Tensor, tissue: Tensor, distance_mm: Tensor) -> Tensor:
    """Tissues with the head of another map around the brain, (I, J, K)."""
    outside = distance_mm > 0
    donor = bank.maps[params["graft"]["map"]]
    fit = {name: params["graft"][name] for name in ("gap_mm", "thinner")}
    head = graft_head(bank, bank.maps[params["map"]], donor, positions[:, outside], **fit)
    tissues = torch.from_numpy(bank.tissue.astype(np.uint8)).to(tissue.device)
    fluid = tissue_table().number("csf")
    tissue[outside] = look_up(tissues, head.clamp_min(0)).masked_fill_(head < 0, fluid)
    return tissue


def surround(tissue: Tensor, distance_mm: Tensor, around: Params, *, has_head: bool) -> Tensor:
    """Strip the skull, keep the map's own head or build one of layers; (I, J, K) tissue numbers."""
    number = tissue_table().number
    fields = Fields(around["seed"], tuple(tissue.shape), tissue.device)
    uneven = torch.exp(around["rim_unevenness"] * fields.smooth(14)[0])
    outside = distance_mm > 0
    if around["bare"]:
        rim = outside & (distance_mm <= around["rim_mm"] * uneven)
        if not has_head:
            tissue = torch.where(rim, number("csf"), tissue)
        return torch.where(outside & ~rim, 0, tissue)
    if has_head:
        return tissue

    depth = distance_mm / (0.6 + 0.4 * uneven)
    edges = np.cumsum([0.0, *(around[f"{name}_mm"] for name in LAYERS)]).tolist()
    numbers = [0, *(number(name) for name in LAYERS), 0]
    layer = torch.bucketize(depth, torch.tensor(edges, device=tissue.device), out_int32=True)
    layers = look_up(torch.tensor(numbers, dtype=tissue.dtype, device=tissue.device), layer)
    if around.get("hair"):
        layers.masked_fill_(strands(depth - edges[-1], around["hair"]), number("head_1"))
    if around["clutter"]:
        beyond = depth > around["csf_mm"] + around["skull_mm"]
        down = torch.linspace(1, -1, tissue.shape[2], device=tissue.device)  # the face and the neck lie below
        pattern = fields.smooth(9)[0] + 0.8 * fields.smooth(30)[0] + down
        for name, level in (("head_2", 1.1), ("head_3", 1.6), ("head_4", 2.1), ("air", 2.6)):
            layers.masked_fill_(beyond & (pattern > level), number(name))
    return torch.where(outside, layers, tissue)


def lesion_mask(tissue: Tensor, lesions: Params | None) -> Tensor | None:
    """Voxels of white matter that lesions take, (I, J, K) of bool; None without lesions."""
    if lesions is None:
        return None
    white = is_one_of(tissue, WHITE)
    if not white.any():
        return None
    pattern = Fields(lesions["seed"], tuple(tissue.shape), tissue.device).smooth(lesions["voxels"])[0]
    values = pattern[white].sort().values
    return white & (pattern > values[int((1 - lesions["share"]) * (len(values) - 1))])


def field_of_view(shape: tuple[int, ...], scan: Params, device: torch.device) -> Tensor:
    """Voxels that a scan reaches, (I, J, K) of bool."""
    seen = torch.ones(tuple(shape), dtype=torch.bool, device=device)
    side = shape[scan["crop_axis"]]
    lost = round(scan["crop"] * side)
    seen.narrow(scan["crop_axis"], side - lost if scan["crop_end"] else 0, lost).fill_(False)
    return seen


def render(tissue: Tensor, scan: Params, around: Params, lesions: Tensor | None = None) -> Tensor:
    """Image of the tissues as one scan sees them, (I, J, K), 0 to 1."""
    device = tissue.device
    fields = Fields(scan["seed"], tuple(tissue.shape), device)
    empty, tissue = tissue == 0, tissue.to(torch.int32)
    image = intensities(tissue, scan, fields, lesions)
    if around["zero_background"] or around["bare"]:
        image.masked_fill_(empty, 0)
    if scan.get("motion"):
        image, tissue = moved(image, tissue, scan["motion"])
        empty = tissue == 0

    image = acquire(image, scan, fields)
    if around["bare"] and around["zero_background"]:
        image.masked_fill_(empty, 0)
    if scan["masked"]:
        image.masked_fill_(empty | is_one_of(tissue, HEAD), 0)
    image.masked_fill_(~field_of_view(tissue.shape, scan, device), 0)
    return normalise(image) ** scan["gamma"]


def acquire(image: Tensor, scan: Params, fields: Fields) -> Tensor:
    """Do to (I, J, K) what scanners do: blur, slices, ghost, artefacts, bias field and noise."""
    image = blur(image, scan["blur_voxels"])
    if scan.get("resolution_voxels", 1) > 1:
        image = low_resolution(image, scan["resolution_voxels"])
    if scan["thick_axis"] >= 0:
        image = thick_slices(image, scan["thick_axis"], scan["thickness"], scan["slice_edge"])
    if scan["ghost"]:
        shift = round(scan["ghost_shift"] * image.shape[scan["ghost_axis"]])
        image = image + scan["ghost"] * torch.roll(image, shift, scan["ghost_axis"])
    for artefact in scan["artefacts"]:
        image = apply_artefact(image, artefact)
    image *= fields.smooth(scan["bias_voxels"])[0].mul_(scan["bias"]).exp_()
    image.add_(fields.normal(*image.shape), alpha=scan["noise"])
    if scan["rician"]:
        image.hypot_(fields.normal(*image.shape).mul_(scan["noise"]))
    return image


def intensities(tissue: Tensor, scan: Params, fields: Fields, lesions: Tensor | None) -> Tensor:
    """Intensities that the tissues, (I, J, K) of int32, have before the scanner sees them."""
    device = tissue.device
    means = torch.tensor(scan["means"], device=device)
    spreads = torch.tensor(scan["spreads"], device=device)
    textures = torch.tensor(scan["textures"], device=device)
    image = fields.normal(*tissue.shape).mul_(look_up(spreads, tissue)).add_(look_up(means, tissue))
    image.addcmul_(look_up(textures, tissue), fields.smooth(scan["texture_voxels"])[0])
    if scan["seconds"] is not None:
        seconds = torch.tensor(scan["seconds"], device=device)
        patches = fields.smooth(scan["texture_voxels"])[0] > 0
        image.addcmul_(look_up(seconds - means, tissue), patches.to(image.dtype))
    if scan["myelination"] is not None:
        slopes = torch.tensor(scan["myelination"]["slopes"], device=device)
        image.addcmul_(look_up(slopes, tissue), maturity_apart(scan["myelination"], fields))
    if lesions is not None:
        image += lesions * (scan["lesion_mean"] - look_up(means, tissue))
    return image


def maturity_apart(myelination: Params, fields: Fields) -> Tensor:
    """How much more mature than on average each voxel of the window is, (I, J, K), from -1 to 1.

    Myelination goes from the middle outwards, along the central plane, and from back to front (Dubois et
    al. 2014, doi:10.1016/j.neuroscience.2013.12.044).
    """
    middle = [(side - 1) / 2 + shift for side, shift in zip(fields.grid, myelination["shift"], strict=True)]
    x, y, z = (
        ((torch.arange(side, device=fields.device) - centre) / myelination["brain_voxels"]).square_()
        for side, centre in zip(fields.grid, middle, strict=True)
    )
    back = (middle[1] - torch.arange(fields.grid[1], device=fields.device)) / myelination["brain_voxels"]
    out, central, behind, patchy = myelination["weights"]
    pattern = patchy * fields.smooth(12)[0]
    pattern += out * (0.4 - (x[:, None, None] + (y[:, None] + z)).sqrt_())
    pattern += (central * (torch.exp(-y / 0.03) - 0.3) + behind * back)[:, None]
    mean = myelination["maturity"]
    return (pattern + mean).clamp_(0, 1) - mean


def blur(image: Tensor, sigma: list[float]) -> Tensor:
    """Blur (I, J, K) with Gaussians of given sigma in voxels along each axis."""
    for axis, width in enumerate(sigma):
        radius = max(1, round(3 * width))
        offsets = torch.arange(-radius, radius + 1, device=image.device)
        image = convolve(image, torch.exp(-0.5 * (offsets / max(width, 1e-3)) ** 2), axis)
    return image


def convolve(image: Tensor, kernel: Tensor, axis: int) -> Tensor:
    """Convolve (I, J, K) along one axis with a kernel of odd length, scaled to a sum of 1."""
    side, weights = image.shape[axis], (kernel / kernel.sum()).tolist()
    result = image * weights[len(weights) // 2]
    for place, weight in enumerate(weights):
        shift = place - len(weights) // 2
        if shift and abs(shift) < side:
            kept = side - abs(shift)
            into = result.narrow(axis, max(-shift, 0), kept)
            into.add_(image.narrow(axis, max(shift, 0), kept), alpha=weight)
    return result


def slice_profile(thickness: float, edge: float, device: torch.device) -> Tensor:
    """Sensitivity across a slice, in whole voxels from its middle.

    Parameters
    ----------
    thickness : float
        Full width at half maximum in voxels.
    edge : float
        Sigma of the edges of a box as a share of the thickness; 0 for a Gaussian instead.
    """
    if not edge:
        sigma = max(thickness / 2.355, 1e-3)
        radius = max(1, round(3 * sigma))
        offsets = torch.arange(-radius, radius + 1, device=device)
        return torch.exp(-0.5 * (offsets / sigma) ** 2)
    radius = max(1, round(thickness * (0.5 + 3 * edge)))
    offsets = torch.arange(-radius, radius + 1, device=device)
    width = edge * thickness * 2**0.5
    return torch.erf((offsets + thickness / 2) / width) - torch.erf((offsets - thickness / 2) / width)


def thick_slices(image: Tensor, axis: int, thickness: float, edge: float = 0.0) -> Tensor:
    """Acquire slices some voxels thick along one axis, see `slice_profile`, and interpolate them back."""
    size = list(image.shape)
    size[axis] = max(2, round(size[axis] / thickness))
    seen = convolve(image, slice_profile(thickness, edge, image.device), axis)
    coarse = F.interpolate(seen[None, None], size=size, mode="trilinear", align_corners=False)
    return F.interpolate(coarse, size=image.shape, mode="trilinear", align_corners=False)[0, 0]


def low_resolution(image: Tensor, voxels: float) -> Tensor:
    """Acquire voxels larger by a factor along every axis, and interpolate them back."""
    profile = slice_profile(voxels, 0.0, image.device)
    seen = image
    for axis in range(3):
        seen = convolve(seen, profile, axis)
    size = [max(2, round(side / voxels)) for side in image.shape]
    coarse = F.interpolate(seen[None, None], size=size, mode="trilinear", align_corners=False)
    return F.interpolate(coarse, size=image.shape, mode="trilinear", align_corners=False)[0, 0]


def invert(image: Tensor) -> Tensor:
    """Turn bright to dark in an image of 0 to 1; what is exactly 0 was cut away and stays so."""
    return torch.where(image == 0, image, 1 - image)


def normalise(image: Tensor) -> Tensor:
    """Map the .005 and .995 quantiles of the non-zero voxels to 0 and 1, and clip."""
    values = image.flatten()[::EVERY]
    values = values[values != 0].sort().values
    if len(values) < 2:
        return torch.zeros_like(image)
    low, high = (values[min(len(values) - 1, int(q * len(values)))] for q in (LOW, HIGH))
    scaled = ((image - low) / (high - low).clamp_min(1e-6)).clamp_(0, 1)
    return scaled.masked_fill_(image == 0, 0)
