"""From scans to posteriors: a first look that finds the brain, a second one that segments it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from babyseg_py.errors import UnusableData, UsageError
from babyseg_py.images import Volume
from babyseg_py.images.geometry import (
    AFFINE_DECIMALS,
    antialias,
    corners,
    crop_or_pad,
    resample,
    stored_alike,
)
from babyseg_py.labels import LABELS, LEFT_RIGHT_PAIRS
from babyseg_py.models.checkpoint import load_networks
from babyseg_py.models.fastnet import prepare, run
from babyseg_py.models.groupnet import GroupNet
from babyseg_py.models.memory import plan_run
from babyseg_py.models.refiner import Refiner
from babyseg_py.models.weights import ModelInfo, Networks, Preprocessing
from babyseg_py.segmentation.calibration import Calibration, find_calibration
from babyseg_py.segmentation.evidence import Passes, compare_passes
from babyseg_py.segmentation.head_axes import angle_deg
from babyseg_py.segmentation.pose import (
    FACING_MARGIN,
    FACINGS,
    LARGE_TILT_DEG,
    SMALLEST_TILT_DEG,
    SURE_OF_FACING,
    TILT_MARGIN,
    Frame,
    head_frame,
    reversed_window,
)
from babyseg_py.segmentation.postprocess import drop_fragments
from babyseg_py.segmentation.window import (
    Scan,
    Window,
    anatomical_axes,
    brain_box,
    head_box,
    window_around,
    window_at,
)

# Labelled brain to the brain with the fluid between its folds, by volume.
CLOSED_PER_LABELLED = 1.08
SMALLEST_BRAIN_MM3 = 30_000
FIRST_MM_LIMITS = (1.2, 5.0)
VOXEL_MM_LIMITS = (0.8, 2.4)
# Of 8 scans whose medians left the polarity open, the network was surer of the wrong one by .026 at most, and
# surer of the right one by .072 where the medians were wrong.
POLARITY_MARGIN = 0.03
WHITE = (2, 41)
GREY = ((3, 42), (10, 49, 11, 50, 169, 176))


@dataclass(frozen=True)
class Segmenter:
    """A network ready to be used.

    Parameters
    ----------
    networks : Networks
        On their device, in evaluation mode.
    info : ModelInfo
        Labels and preprocessing.
    device : torch.device
        Where it runs.
    precision : str
        ``fp32`` or ``bf16``.
    calibration : Calibration or None
        What its certainty is worth; None for weights that were not calibrated.
    refiner : Refiner or None
        What divides structures into the fuller label set; None for the 22 labels.
    """

    networks: Networks
    info: ModelInfo
    device: torch.device
    precision: str
    calibration: Calibration | None = None
    refiner: Refiner | None = None

    @property
    def mirrored_channels(self) -> list[int]:
        """Channel of each structure's mirror image."""
        swap = {**dict(LEFT_RIGHT_PAIRS), **{right: left for left, right in LEFT_RIGHT_PAIRS}}
        return [self.info.labels.index(swap.get(label, label)) for label in self.info.labels]


def load_segmenter(weights: Path | str, *, device: str = "auto", precision: str = "auto") -> Segmenter:
    """Load weights onto a device.

    Raises
    ------
    UsageError
        If a GPU is asked for and there is none.
    UnusableData
        If the weights cannot be used.
    """
    has_gpu = torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise UsageError("no CUDA device is available: use --device cpu or auto")
    chosen = torch.device("cuda" if device in ("auto", "cuda") and has_gpu else "cpu")
    if precision == "auto":
        fast = chosen.type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
        precision = "bf16" if fast else "fp32"
    networks, info = load_networks(weights)
    if info.labels[0] != 0 or sorted(info.labels) != list(LABELS):
        what = f"segments labels {', '.join(map(str, info.labels))}, not background and the 21 structures"
        raise UnusableData(str(weights), what, "give weights for the label table of this program")
    for network in networks.by_role.values():
        network.to(chosen, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return Segmenter(networks, info, chosen, precision, find_calibration(info.checksum))


@dataclass(frozen=True)
class FirstLook:
    """What the first look found.

    Parameters
    ----------
    window : Window
        Window around the brain, along the axes of the head, at the resolution that the brain's size asks for.
    scans : list of Scan
        The scans, those to be inverted marked.
    facing : str
        Which way the head faces in its image, a key of `FACINGS`.
    """

    window: Window
    scans: list[Scan]
    facing: str


def find_brain(
    segmenter: Segmenter,
    scans: Sequence[Scan],
    affine: np.ndarray,
    progress: Callable[[str], None] = lambda _: None,
) -> FirstLook:
    """Take a first look: where the brain is, how it lies, and whether white matter or grey is brighter.

    Raises
    ------
    UnusableData
        If hardly any brain is seen.
    """
    recipe, multiple = segmenter.info.preprocessing, segmenter.info.network.multiple
    if not isinstance(recipe, Preprocessing):
        raise TypeError("these weights take one look, not two")
    progress("looking for the brain")
    alike = scans_stored_alike(scans)
    head = head_box(alike, anatomical_axes(np.round(affine, AFFINE_DECIMALS)))
    first_mm = float(np.clip(np.cbrt(head.volume_mm3) / recipe.head_voxels, *FIRST_MM_LIMITS))
    window = window_around(head, first_mm, multiple)
    facing, look = _most_certain_facing(segmenter, sample_scans(segmenter, alike, window), window)
    if look.volume_mm3 < SMALLEST_BRAIN_MM3:
        names = ", ".join(scan.name for scan in scans)
        what = f"no brain was found: {look.volume_mm3 / 1000:.0f} ml look like one"
        raise UnusableData(names, what, "check that this is a brain scan with a right header")
    look = _straightened(segmenter, alike, look)
    voxel_mm = np.cbrt(CLOSED_PER_LABELLED * look.volume_mm3) / recipe.brain_voxels
    box = brain_box(look.labels, look.window, look.window.axes @ look.frame.rotation)
    voxel_mm = float(np.clip(voxel_mm, *VOXEL_MM_LIMITS))
    around = window_at(look.frame.anchor_mm, box, voxel_mm, multiple)
    marked = [
        replace(scan, inverted=_is_inverted(segmenter, same, image.cpu().numpy(), look.labels, around))
        for scan, same, image in zip(scans, alike, look.images, strict=True)
    ]
    return FirstLook(around, marked, facing)


@dataclass(frozen=True)
class _Look:
    """One try at the first look: label numbers on a window, and how certain the network is of them."""

    window: Window
    images: Tensor
    labels: np.ndarray
    certainty: float
    volume_mm3: float
    frame: Frame


def _look(segmenter: Segmenter, images: Tensor, window: Window) -> _Look:
    locate = segmenter.networks.locate
    if locate is None:
        raise TypeError("these weights take one look, not two")
    posteriors = drop_fragments(forward(segmenter, locate, images), segmenter.info.labels)
    labels = np.array(segmenter.info.labels)[posteriors.argmax(dim=0).numpy()]
    volume_mm3 = float(posteriors[1:].sum()) * window.voxel_mm**3
    frame = head_frame(posteriors, segmenter.info.labels, window)
    return _Look(window, images, labels, certainty_of(posteriors), volume_mm3, frame)


def _most_certain_facing(segmenter: Segmenter, images: Tensor, window: Window) -> tuple[str, _Look]:
    """Which way the head faces: as its header says, unless the network is more certain of another way."""
    best, found = "upright", _look(segmenter, images, window)
    if found.certainty > SURE_OF_FACING:
        return best, found
    bar = found.certainty + FACING_MARGIN
    for facing, axes in FACINGS.items():
        if not axes:
            continue
        # A window is symmetric about its centre: images on the reversed one are the same images, reversed.
        look = _look(segmenter, images.flip([axis + 1 for axis in axes]), reversed_window(window, axes))
        if look.certainty > bar:
            best, found, bar = facing, look, look.certainty
    return best, found


def _straightened(segmenter: Segmenter, scans: Sequence[Scan], look: _Look) -> _Look:
    """Look again along the axes of the head, and once more if it was far from them.

    Two images of one head that lie differently are then seen nearly alike, and so are segmented alike.
    """
    tilt_deg = angle_deg(look.frame.rotation)
    looks = int(tilt_deg > SMALLEST_TILT_DEG) + int(tilt_deg > LARGE_TILT_DEG)
    for _ in range(looks):
        look = _look_along_head(segmenter, scans, look)
    return look


def _look_along_head(segmenter: Segmenter, scans: Sequence[Scan], look: _Look) -> _Look:
    """Look along the axes of the head; keep the look before if the network becomes less certain."""
    box = brain_box(look.labels, look.window, look.window.axes @ look.frame.rotation)
    multiple = segmenter.info.network.multiple
    window = window_at(look.frame.anchor_mm, box, look.window.voxel_mm, multiple)
    again = _look(segmenter, sample_scans(segmenter, scans, window), window)
    return again if again.certainty > look.certainty - TILT_MARGIN else look


@dataclass(frozen=True)
class Polarity:
    """Whether white matter is darker than grey matter in a scan.

    Parameters
    ----------
    darker : bool
        Than the mean of the medians of cortex and deep grey matter.
    clear : bool
        It is so for each of the two.
    """

    darker: bool
    clear: bool


def polarity(image: np.ndarray, labels: np.ndarray) -> Polarity:
    """Tell the polarity of a contrast from a rough segmentation.

    Cortex and deep grey matter vote with equal weight, because a rough cortex holds fluid too and the
    deep nuclei follow the cortex in T1w and T2w at most ages. Around three to six months white matter of T1w
    lies between the two.
    """
    white = np.median(image[np.isin(labels, WHITE)])
    grey = [np.median(image[np.isin(labels, group)]) for group in GREY if np.isin(labels, group).any()]
    darker = bool(grey) and bool(white < np.mean(grey))
    return Polarity(darker, all((white < median) == darker for median in grey))


def _is_inverted(
    segmenter: Segmenter, scan: Scan, image: np.ndarray, labels: np.ndarray, window: Window
) -> bool:
    """Tell whether a scan has to be inverted: by its medians, or if they leave it open by certainty."""
    found = polarity(image, labels)
    if found.clear:
        return found.darker
    as_found, otherwise = (
        certainty_of(
            forward(
                segmenter,
                segmenter.networks.segment,
                sample_scans(segmenter, [replace(scan, inverted=either)], window),
            )
        )
        for either in (found.darker, not found.darker)
    )
    return found.darker != (otherwise > as_found + POLARITY_MARGIN)


def certainty_of(posteriors: Tensor) -> float:
    """Mean of the largest posterior over what is labelled; 0 if nothing is."""
    certainty, channels = posteriors.max(dim=0)
    brain = channels > 0
    return float(certainty[brain].mean()) if brain.any() else 0.0


def predict_images(
    segmenter: Segmenter, images: Tensor, *, flip: bool, direct: Tensor | None = None
) -> tuple[Tensor, Passes | None]:
    """Posteriors of all scans together from their images on one window, and how both passes agree.

    Parameters
    ----------
    segmenter : Segmenter
        The network.
    images : (G, *window) Tensor
        The scans, from `sample_scans`.
    flip : bool
        Average with the mirrored images, left and right swapped back.
    direct : (C, *window) Tensor, optional
        Posteriors of the images as they are, if they are known already.

    Returns
    -------
    posteriors : (C, *window) Tensor
        Probabilities, float32 on the CPU.
    passes : Passes or None
        How those of the images and of the mirrored images agree; None without the latter.
    """
    network = segmenter.networks.segment
    direct = forward(segmenter, network, images) if direct is None else direct
    if not flip:
        return direct, None
    mirrored = forward(segmenter, network, images.flip(1))[segmenter.mirrored_channels].flip(1)
    return (direct + mirrored) / 2, compare_passes(direct, mirrored)


@torch.inference_mode()
def forward(segmenter: Segmenter, network: GroupNet, images: Tensor) -> Tensor:
    """Posteriors of one network for images on one grid, (G, *grid) to (C, *grid) in float32 on the CPU.

    Raises
    ------
    UnusableData
        If they do not fit the memory of a CPU, in slabs either.
    """
    if segmenter.device.type == "cpu":
        dtype = torch.bfloat16 if segmenter.precision == "bf16" else torch.float32
        plan = plan_run(network.config, images.shape[1:], len(images), dtype.itemsize)
        return run(prepare(network, dtype), images, rows=plan.rows, keep_skips=plan.keep_skips)
    with torch.autocast(segmenter.device.type, torch.bfloat16, enabled=segmenter.precision == "bf16"):
        scores = network(images[None])
    channels_last = scores[0].permute(1, 2, 3, 0).float()  # as in memory, so that softmax reads in order
    return channels_last.softmax(dim=-1).permute(3, 0, 1, 2).contiguous().cpu()


def scans_stored_alike(scans: Sequence[Scan]) -> list[Scan]:
    """Return the scans with their voxels in one order, so that rounding does not depend on the file's."""
    return [replace(scan, volume=stored_alike(scan.volume)) for scan in scans]


def sample_scans(segmenter: Segmenter, scans: Sequence[Scan], window: Window) -> Tensor:
    """Images of all scans on the window, (G, I, J, K), on the segmenter's device."""
    return torch.stack([sample_scan(scan, window, segmenter.info) for scan in scans]).to(segmenter.device)


def sample_scan(scan: Scan, window: Window, info: ModelInfo) -> Tensor:
    """Image of a scan on the window, 0 to 1, float32, (I, J, K)."""
    volume = _crop_to(scan, window)
    blurred = antialias(volume, window.affine, world_matrix=scan.matrix)
    image = resample(blurred, window.shape, window.affine, order=1, world_matrix=scan.matrix).data
    image = np.where(np.abs(image) < 1e-6 * max(np.abs(image).max(), 1e-30), 0, image)
    values = image[image != 0]
    if values.size < 1000:
        what = "hardly any of it lies where the other scans show the head"
        raise UnusableData(scan.name, what, "check its registration and header")
    low, high = np.quantile(values[::3], (info.preprocessing.low, info.preprocessing.high))
    scaled = np.clip((image - low) / max(high - low, 1e-30), 0, 1)
    if scan.inverted:
        scaled = 1 - scaled
    scaled[image == 0] = 0
    return torch.from_numpy(scaled.astype(np.float32))


def _crop_to(scan: Scan, window: Window) -> Volume:
    """Part of a scan that the window needs, so that blurring a large image does no idle work."""
    volume = scan.volume
    points = corners(window.shape, np.linalg.solve(volume.affine, scan.matrix @ window.affine))
    low = np.floor(points.min(axis=0)).astype(int) - 4
    high = np.ceil(points.max(axis=0)).astype(int) + 5
    low, high = np.clip(low, 0, volume.shape), np.clip(high, 0, volume.shape)
    if np.any(high - low < 2):
        return volume
    return crop_or_pad(volume, tuple(low), tuple(high - low))
