"""The first look: where the brain is, how it lies, and whether white or grey matter is brighter."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from babyseg_py.errors import UnusableData
from babyseg_py.images.geometry import AFFINE_DECIMALS
from babyseg_py.models.groupnet import GroupNet
from babyseg_py.models.memory import return_freed_memory
from babyseg_py.models.weights import Preprocessing
from babyseg_py.segmentation.head_axes import angle_deg
from babyseg_py.segmentation.inference import (
    Alone,
    Segmenter,
    certainty_of,
    forward,
    sample_scans,
    scans_stored_alike,
    see_alone,
)
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
SMALLEST_BRAIN_SHARE = 0.2  # of what an image shows, that a part of a brain alone is not refused
TELLS_FACING_MM3 = 250_000  # less is part of a brain, which does not show how the head lies
LARGEST_HEAD_MM3 = 60_000_000  # ten adult heads; a field of view of 390 mm, were it all foreground
FIRST_MM_LIMITS = (1.2, 5.0)
VOXEL_MM_LIMITS = (0.8, 2.4)
# White matter that differs from cortex and deep grey matter by less than this, of intensities of 0 to 1, does
# not tell the polarity of a scan: rough labels hold fluid, and white matter that myelinates is bright in one
# place and dark in another. Certainty does, with some weight of the gap to cortex: of 118 synthetic scans of
# 1 to 24 months with smaller gaps the medians were wrong (by more than .01 Dice) for 16, this for 4. Keeping
# both ways where neither is surer by .015 lost nothing on average; by .03 it brought T1w and T2w of the
# template of 6 months together (Dice .849 to .876), and cost .001 and .002 on held-out synthetic visits.
CLEAR_GAP = 0.12
GAP_WEIGHT = 0.15
HARDLY_SURER = 0.03
WHITE = (2, 41)
GREY = ((3, 42), (10, 49, 11, 50, 169, 176))


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
    seen : dict of str to Alone
        What the network makes of scans by themselves on that window, by name, if their polarity was open.
    """

    window: Window
    scans: list[Scan]
    facing: str
    seen: dict[str, Alone]


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
        If hardly any brain is seen, or what is seen is far too large.
    """
    recipe = segmenter.info.preprocessing
    if not isinstance(recipe, Preprocessing):
        raise TypeError("these weights take one look, not two")
    progress("looking for the brain")
    alike = scans_stored_alike(scans)
    head = head_box(alike, anatomical_axes(np.round(affine, AFFINE_DECIMALS)))
    names = ", ".join(scan.name for scan in scans)
    if head.volume_mm3 > LARGEST_HEAD_MM3:
        what = f"shows {head.volume_mm3 / 1e6:.0f} litres, which is no head"
        raise UnusableData(names, what, "check the voxel size in its header")
    first_mm = float(np.clip(np.cbrt(head.volume_mm3) / recipe.head_voxels, *FIRST_MM_LIMITS))
    window = window_around(head, first_mm, _first_network(segmenter).config.multiple)
    images = sample_scans(segmenter, alike, window)
    if head.volume_mm3 < TELLS_FACING_MM3:
        facing, look = "upright", _look(segmenter, images, window)
    else:
        facing, look = _most_certain_facing(segmenter, images, window)
    if look.volume_mm3 < min(SMALLEST_BRAIN_MM3, SMALLEST_BRAIN_SHARE * head.volume_mm3):
        what = f"no brain was found: {look.volume_mm3 / 1000:.0f} ml look like one"
        raise UnusableData(names, what, "check that this is a brain scan with a right header")
    look = _straightened(segmenter, alike, look)
    voxel_mm = np.cbrt(CLOSED_PER_LABELLED * look.volume_mm3) / recipe.brain_voxels
    box = brain_box(look.labels, look.window, look.window.axes @ look.frame.rotation)
    voxel_mm = float(np.clip(voxel_mm, *VOXEL_MM_LIMITS))
    around = window_at(look.frame.anchor_mm, box, voxel_mm, segmenter.info.network.multiple)
    marked, seen = [], {}
    for scan, same, image in zip(scans, alike, look.images, strict=True):
        if len(scans) > 1:
            return_freed_memory()
        inverted, alone = settle_polarity(segmenter, same, image.cpu().numpy(), look.labels, around)
        marked.append(replace(scan, inverted=inverted))
        if alone:
            seen[scan.name] = alone
    return FirstLook(around, marked, facing, seen)


@dataclass(frozen=True)
class _Look:
    """One try at the first look: label numbers on a window, and how certain the network is of them."""

    window: Window
    images: Tensor
    labels: np.ndarray
    certainty: float
    volume_mm3: float
    frame: Frame


def _first_network(segmenter: Segmenter) -> GroupNet:
    if segmenter.networks.locate is None:
        raise TypeError("these weights take one look, not two")
    return segmenter.networks.locate


def _look(segmenter: Segmenter, images: Tensor, window: Window) -> _Look:
    posteriors = forward(segmenter, _first_network(segmenter), images)
    posteriors = drop_fragments(posteriors, segmenter.info.labels)
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
    multiple = _first_network(segmenter).config.multiple
    window = window_at(look.frame.anchor_mm, box, look.window.voxel_mm, multiple)
    again = _look(segmenter, sample_scans(segmenter, scans, window), window)
    return again if again.certainty > look.certainty - TILT_MARGIN else look


def white_over_grey(image: np.ndarray, labels: np.ndarray) -> list[float]:
    """By how much white matter is brighter than cortex and than deep grey matter, from a rough segmentation.

    Differences of medians; empty without white or grey matter, one where only one of the two is there.
    """
    white = image[np.isin(labels, WHITE)]
    greys = [image[np.isin(labels, group)] for group in GREY]
    return [float(np.median(white) - np.median(grey)) for grey in greys if grey.size and white.size]


def settle_polarity(
    segmenter: Segmenter, scan: Scan, image: np.ndarray, labels: np.ndarray, window: Window
) -> tuple[bool, Alone | None]:
    """Tell whether a scan has to be inverted: by its medians, or where these leave it open by certainty too.

    In the latter case what the network makes of the scan that way comes with the answer and, where it is
    hardly surer of that way, of the other way.
    """
    gaps = white_over_grey(image, labels)
    if gaps and (min(gaps) > CLEAR_GAP or max(gaps) < -CLEAR_GAP):
        return max(gaps) < 0, None
    as_it_is, turned = (
        see_alone(segmenter, replace(scan, inverted=inverted), window) for inverted in (False, True)
    )
    surer_turned = turned.certainty - as_it_is.certainty - GAP_WEIGHT * (gaps[0] if gaps else 0)
    inverted = surer_turned > 0
    chosen, other = (turned, as_it_is) if inverted else (as_it_is, turned)
    return inverted, replace(chosen, other=other) if abs(surer_turned) < HARDLY_SURER else chosen
