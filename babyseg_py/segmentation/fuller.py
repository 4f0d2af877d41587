"""The fuller label set: structures of a finished segmentation divided into their parts."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from babyseg_py.errors import UsageError
from babyseg_py.images import Volume
from babyseg_py.labels import LABELS
from babyseg_py.labels.fuller import channels_of, fuller_structures, mirrored_parts, parts
from babyseg_py.models.refiner import load_refiner, shares
from babyseg_py.models.weights import Preprocessing
from babyseg_py.segmentation.calibration import Trust
from babyseg_py.segmentation.inference import Segmenter, sample_scans, scans_stored_alike
from babyseg_py.segmentation.sampling import Segmentation, covered, sample_channels
from babyseg_py.segmentation.visit import VisitResult


@dataclass(frozen=True)
class Divided:
    """A segmentation in the fuller label set.

    Parameters
    ----------
    whole : Segmentation
        The same in the 22 labels.
    labels : Volume
        Label numbers; those of the parts of a structure lie where the 22 labels have that structure.
    volumes_mm3 : dict of int to float
        Of each structure of the fuller set from posteriors; those of the parts add up to the whole.
    """

    whole: Segmentation
    labels: Volume
    volumes_mm3: dict[int, float]

    @property
    def trust(self) -> Trust | None:
        """What the calibration says of the 22 labels; nothing was calibrated for parts."""
        return self.whole.trust

    @property
    def intervals_mm3(self) -> dict[int, tuple[float, float]]:
        """Intervals of the structures that are not divided."""
        divided = {part.parent for part in parts()}
        return {n: ends for n, ends in self.whole.intervals_mm3.items() if n not in divided}

    @property
    def brain_mask(self) -> Volume:
        """One within the brain, its ventricles and the fluid in and close around it."""
        return self.labels.with_data((self.labels.data > 0).astype(np.uint8))


def with_refiner(segmenter: Segmenter, path: Path) -> Segmenter:
    """Give a segmenter what divides its structures into the fuller label set.

    Raises
    ------
    UsageError
        If its weights show a refiner other images or labels than those that it was trained on.
    UnusableData
        If the refiner's file cannot be used.
    """
    if not isinstance(segmenter.info.preprocessing, Preprocessing) or segmenter.info.labels != LABELS:
        raise UsageError("--labels fuller goes with weights that take two looks, such as the default ones")
    return replace(segmenter, refiner=load_refiner(path)[0])


@torch.inference_mode()
def divide(
    segmenter: Segmenter,
    visit: VisitResult,
    whole: Segmentation,
    *,
    to_session: np.ndarray | None = None,
) -> Divided:
    """Divide the structures of one segmentation of a visit.

    Parameters
    ----------
    segmenter : Segmenter
        The network that made it, with a refiner.
    visit : VisitResult
        The visit: its scans, its window and the posteriors there.
    whole : Segmentation
        Labels and volumes on the grid that is wanted.
    to_session : (4, 4) np.ndarray, optional
        The world of that grid to the session's world; identity if not given.

    Returns
    -------
    Divided
        Merged into the 22 labels it is `whole` again, voxel by voxel, but for the fluid spaces, which are
        background there.
    """
    if segmenter.refiner is None:
        raise TypeError("this segmenter has no refiner")
    image = sample_scans(segmenter, scans_stored_alike(visit.scans), visit.window).cpu().mean(dim=0)
    posteriors = visit.posteriors.on_window
    mirrored = posteriors[segmenter.mirrored_channels].flip(1)
    given = shares(segmenter.refiner(image, posteriors))
    given += shares(segmenter.refiner(image.flip(0), mirrored))[list(mirrored_parts())].flip(1)
    given /= 2
    parents = [LABELS.index(part.parent) for part in parts()]
    joint = posteriors[parents] * given
    labels = _divided_labels(joint, visit, whole.labels, to_session)
    return Divided(whole, labels, _divided_volumes(joint, visit, whole))


def _divided_labels(
    joint: Tensor, visit: VisitResult, whole: Volume, to_session: np.ndarray | None
) -> Volume:
    """Labels of the parts where a structure is divided, by the largest of its parts' posteriors."""
    labels = whole.data.copy()
    inside = covered(visit.window, whole.shape, whole.affine, to_session=to_session)
    for parent in dict.fromkeys(part.parent for part in parts()):
        channels = channels_of(parent)
        numbers = np.array([parts()[channel].label for channel in channels], dtype=labels.dtype)
        where = inside & (whole.data == parent)
        values = sample_channels(joint[channels], visit.window, whole.affine, where, to_session=to_session)
        labels[where] = np.where(values.any(axis=0), numbers[values.argmax(axis=0)], parent)
    return whole.with_data(labels)


def _divided_volumes(joint: Tensor, visit: VisitResult, whole: Segmentation) -> dict[int, float]:
    """Volumes of undivided structures, of parts by their share, and of fluid spaces from the window."""
    volumes = {s.id: 0.0 for s in fuller_structures() if s.id}
    divided = {part.parent for part in parts()}
    volumes |= {n: v for n, v in whole.volumes_mm3.items() if n not in divided}
    sums = joint.flatten(1).sum(dim=1).numpy()
    voxel_mm3 = visit.window.voxel_mm**3
    for parent in divided:
        channels = channels_of(parent)
        total = max(float(sums[channels].sum()), 1e-12)
        scale = whole.volumes_mm3[parent] / total if parent else voxel_mm3
        for channel in channels:
            label = parts()[channel].label
            if label:
                volumes[label] += float(sums[channel] * scale)
    return volumes
