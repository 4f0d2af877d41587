"""Detectors of what goes wrong unnoticed: not a brain, part of one, other tissue in it, a wrong voxel size.

They look at the labels on the network's window, whose voxels are some sixtieth of the brain, so that the
figures do not depend on the resolution of the scan. The limits stand in one table, `LIMITS`;
docs/segmentation.md says how often each was wrong on clean cases and right on planted ones.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from scipy import ndimage

from babyseg_py.images import Volume
from babyseg_py.images.geometry import reorient, resample
from babyseg_py.labels import LEFT_RIGHT_PAIRS
from babyseg_py.segmentation.anatomy import CEREBELLUM_AND_STEM, CEREBRUM, LOG_SHARES
from babyseg_py.segmentation.cut import flat_face
from babyseg_py.segmentation.head_axes import FEWEST_STRUCTURES, PLACES
from babyseg_py.segmentation.pose import head_frame
from babyseg_py.segmentation.quality import Measure
from babyseg_py.segmentation.visit import VisitResult
from babyseg_py.segmentation.window import Scan, Window

LIMITS = {
    "layout_misfit": (0.0, 0.045),
    "share_misfit": (0.0, 2.5),
    "length_to_width": (0.92, 1.6),
    "height_to_width": (0.64, 1.0),
    "far_cortex_share": (0.0, 0.005),
    "flat_face": (0.0, 0.35),
}
NO_BRAIN = "not a brain, part of one, or a failed segmentation"
VOXELS = "wrong voxel size along one axis, or part of a brain"
MESSAGES = {
    "layout_misfit": f"its structures do not lie as those of a brain do: {NO_BRAIN}",
    "share_misfit": f"its structures are not of the sizes of a brain's: {NO_BRAIN}",
    "length_to_width": f"the brain is too long or too short for its width: {VOXELS}",
    "height_to_width": f"the brain is too high or too low for its width: {VOXELS}",
    "far_cortex_share": "cortex far from white matter: skull, eye or other tissue taken for brain",
    "flat_face": "the brain ends in a plane where the image ends: cut off by a mask or the field of view",
}
FAR_MM = 14.0
COARSE_MM = 1.4
CORTEX = (3, 42)


def detect_visit(
    result: VisitResult, label_numbers: Sequence[int], corrected: Volume | None = None
) -> list[Measure]:
    """Return the measures of `detect` for a segmented visit.

    Parameters
    ----------
    result : VisitResult
        What the network made of it.
    label_numbers : sequence of int
        Labels that its channels stand for.
    corrected : Volume, optional
        Labels of the session that were corrected by hand; they are measured in place of the network's.
    """
    window = result.window
    if corrected is None:
        labels = np.array(label_numbers)[result.posteriors.on_window.argmax(dim=0).numpy()].astype(np.int32)
    else:
        labels = resample(corrected, window.shape, window.affine, order=0).data.astype(np.int32)
    if result.facing == "upright":  # otherwise the axes of the window follow the head, against its header
        along_head = reorient(Volume(labels, window.affine), "RAS")
        axes = along_head.affine[:3, :3] / window.voxel_mm
        labels, window = along_head.data, replace(window, shape=along_head.shape, axes=axes)
    return detect(labels, window, result.scans)


def detect(labels: np.ndarray, window: Window, scans: Sequence[Scan]) -> list[Measure]:
    """Measure what tells a plausible brain from anything else.

    Parameters
    ----------
    labels : (I, J, K) np.ndarray
        Label numbers on the network's window.
    window : Window
        Its place in the session's world.
    scans : sequence of Scan
        The scans that were segmented.

    Returns
    -------
    list of Measure
        A row of the session for each entry of `LIMITS`; NaN, which is flagged, where hardly any label is.
    """
    labels, window = _coarser(labels, window)
    length, height = _proportions(labels, window)
    values = {
        "layout_misfit": _layout_misfit(labels),
        "share_misfit": _share_misfit(labels),
        "length_to_width": length,
        "height_to_width": height,
        "far_cortex_share": _far_cortex_share(labels, window.voxel_mm),
        "flat_face": flat_face(labels > 0, window, scans),
    }
    return [
        Measure("n/a", "n/a", name, float(value), *LIMITS[name], MESSAGES[name])
        for name, value in values.items()
    ]


def _coarser(labels: np.ndarray, window: Window) -> tuple[np.ndarray, Window]:
    """Every n-th voxel of a window that is finer than need be."""
    step = max(1, round(COARSE_MM / window.voxel_mm))
    if step == 1:
        return labels, window
    part = labels[::step, ::step, ::step]
    middle = (np.array(part.shape) - 1) * step / 2  # centre of what is left, in voxels of the whole
    centre = window.affine[:3, :3] @ middle + window.affine[:3, 3]
    return part, Window(part.shape, window.axes, step * window.voxel_mm, centre)


def _layout_misfit(labels: np.ndarray) -> float:
    """How far from where they are in the mean infant an affine map of the head leaves its structures.

    Root mean square distance of centroids, in units of the cube root of the volume of the mean brain. The map
    leads to the mean infant, not from it: structures that all lie in one place are explained by no map.
    """
    place = np.argwhere(labels > 0)
    flat = labels[tuple(place.T)]
    counts = np.bincount(flat, minlength=256)
    sums = np.stack([np.bincount(flat, weights=axis, minlength=256) for axis in place.T], axis=1)
    found, expected = [], []
    for label, centroid in PLACES.items():
        if counts[label]:
            found.append([*(sums[label] / counts[label]), 1.0])
            expected.append(centroid)
    if len(found) < FEWEST_STRUCTURES:
        return np.nan
    x, y = np.array(found), np.array(expected)
    off = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    return float(np.sqrt((off**2).sum(axis=1).mean()))


def _share_misfit(labels: np.ndarray) -> float:
    """Root mean square deviation of the log shares from `LOG_SHARES`, in standard deviations."""
    counts = np.bincount(labels.ravel(), minlength=256)
    cerebrum = counts[list(CEREBRUM)].sum()
    if not cerebrum:
        return np.nan
    pairs = dict(LEFT_RIGHT_PAIRS)
    z = [
        (np.log(max(counts[left] + counts[pairs[left]], 1) / cerebrum) - mean) / spread
        for left, (mean, spread) in LOG_SHARES.items()
        if left in CEREBRUM
    ]
    return float(np.sqrt(np.mean(np.square(z))))


def _proportions(labels: np.ndarray, window: Window) -> tuple[float, float]:
    """Length and height of the cerebrum over its width, along the axes of the head."""
    place = np.argwhere(np.isin(labels, CEREBRUM))
    if len(place) < 100:
        return np.nan, np.nan
    numbers = list(PLACES)
    certain = torch.from_numpy(np.stack([np.zeros_like(labels), *(labels == n for n in numbers)])).float()
    rotation = head_frame(certain, [0, *numbers], window).rotation
    low, high = np.percentile(place @ rotation, (1, 99), axis=0)
    width, length, height = high - low
    return float(length / width), float(height / width)


def _far_cortex_share(labels: np.ndarray, voxel_mm: float) -> float:
    """Share of the cortex that is more than 14 mm from everything that cortex covers."""
    cortex = np.isin(labels, CORTEX)
    inner = (labels > 0) & ~cortex & ~np.isin(labels, CEREBELLUM_AND_STEM)
    if not cortex.any() or not inner.any():
        return np.nan
    distance = ndimage.distance_transform_edt(~inner, sampling=voxel_mm)
    return float((distance[cortex] > FAR_MM).mean())
