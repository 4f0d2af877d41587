"""Labels of a session that were corrected by hand take the place of the network's."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume
from babyseg_py.images.geometry import resample
from babyseg_py.labels import BRAIN_LABELS, LEFT_RIGHT_PAIRS, structure_name
from babyseg_py.names import CORRECTED_METRIC
from babyseg_py.segmentation.quality import Measure
from babyseg_py.segmentation.sampling import Segmentation

LEAST_OVERLAP = 0.5  # Dice of the whole brain; a correction of this session has far more


def take_correction(
    network: Segmentation, corrected: Volume, path: Path
) -> tuple[Segmentation, list[Measure]]:
    """Put corrected labels in the place of the network's.

    Parameters
    ----------
    network : Segmentation
        What the network made of the session.
    corrected : Volume
        Corrected labels in the session's world; brought to its grid by nearest neighbour.
    path : Path
        File of the correction, for messages.

    Returns
    -------
    Segmentation
        The corrected labels, the network's uncertainty, and as volumes those of the corrected labels.
    list of Measure
        Dice of the network's labels with the corrected ones: mean over structures, and of each.

    Raises
    ------
    UnusableData
        If the corrected brain hardly overlaps with the session's, or left and right are exchanged in it.
    """
    grid = network.labels
    labels = resample(corrected, grid.shape, grid.affine, order=0).data.astype(grid.data.dtype)
    overlap = _dice(labels > 0, grid.data > 0)
    if not overlap >= LEAST_OVERLAP:
        what = f"hardly overlaps with the brain of its session (Dice {overlap:.2f})"
        raise UnusableData(str(path), what, "save the correction in session space, over the labels it was of")
    if _mean_dice(_swapped(labels), grid.data) > _mean_dice(labels, grid.data):
        what = "has left and right exchanged: its labels fit those of the network better the other way round"
        raise UnusableData(str(path), what, "exchange the numbers, or save it without mirroring the image")
    counts = np.bincount(labels.ravel(), minlength=256)
    volumes = {label: float(counts[label] * grid.voxel_volume_mm3) for label in network.volumes_mm3}
    dice = {label: _dice(labels == label, grid.data == label) for label in BRAIN_LABELS}
    rows = [("n/a", float(np.nanmean(list(dice.values()))))]
    rows += [(structure_name(label), value) for label, value in dice.items() if np.isfinite(value)]
    measures = [Measure("n/a", name, CORRECTED_METRIC, value, 0, 1, "") for name, value in rows]
    # What the calibration expects is about the network's labels.
    return replace(network, labels=grid.with_data(labels), volumes_mm3=volumes, trust=None), measures


def _swapped(labels: np.ndarray) -> np.ndarray:
    lookup = np.arange(256, dtype=labels.dtype)
    for left, right in LEFT_RIGHT_PAIRS:
        lookup[[left, right]] = right, left
    return lookup[labels]


def _mean_dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.nanmean([_dice(a == label, b == label) for pair in LEFT_RIGHT_PAIRS for label in pair]))


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / total if total else np.nan
