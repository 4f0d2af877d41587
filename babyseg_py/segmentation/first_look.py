"""The first look: where the brain is, how it lies, and whether white or grey matter is brighter."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from babyseg_py.errors import UnusableData
from babyseg_py.images.geometry import AFFINE_DECIMALS
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
FIRST_MM_LIMITS = (1.2, 5.0)
VOXEL_MM_LIMITS = (0.8, 2.4)
# Of 25 scans whose medians left the polarity open and to which it mattered (by more than .015 Dice), the way
# that medians and certainty agreed on was the better one of 15 and the worse one of 1. Where they disagreed
# certainty was right in 7 of 9, and mixing both ways lost .014 at most and won .035.
CLEARLY_SURER = 0.03
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
    marked, seen = [], {}
    for scan, same, image in zip(scans, alike, look.images, strict=True):
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


def settle_polarity(
    segmenter: Segmenter, scan: Scan, image: np.ndarray, labels: np.ndarray, window: Window
) -> tuple[bool, Alone | None]:
    """Tell whether a scan has to be inverted: by its medians, or if they leave it open by certainty.

    In the latter case what the network makes of the scan that way comes with the answer, and, where medians
    and certainty disagree and the latter is not clear either, of the other way.
    """
    found = polarity(image, labels)
    if found.clear:
        return found.darker, None
    as_found, otherwise = (
        see_alone(segmenter, replace(scan, inverted=either), window)
        for either in (found.darker, not found.darker)
    )
    surer = otherwise.certainty - as_found.certainty
    if surer <= 0:
        return found.darker, as_found
    return not found.darker, otherwise if surer > CLEARLY_SURER else replace(otherwise, other=as_found)
