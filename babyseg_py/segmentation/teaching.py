"""What weights make of real scans without labels, ready to be learned from."""

from collections.abc import Sequence

import numpy as np
import torch

from babyseg_py.segmentation.first_look import CLOSED_PER_LABELLED
from babyseg_py.segmentation.inference import Segmenter, sample_scans
from babyseg_py.segmentation.visit import segment_visit
from babyseg_py.segmentation.window import Scan
from babyseg_py.training.losses import IGNORED
from babyseg_py.training.unlabelled import RealVisit

SURE = 0.5  # posterior from which on a label is taught


def teach(
    segmenter: Segmenter, name: str, scans: Sequence[Scan], shape: tuple[int, int, int], affine: np.ndarray
) -> RealVisit:
    """Segment all scans of a visit together, and keep what is needed to learn from it.

    Parameters
    ----------
    segmenter : Segmenter
        The weights that teach, of two looks.
    name : str
        Of the visit.
    scans, shape, affine
        As for `segment_visit`.

    Raises
    ------
    UnusableData
        If the scans cannot be used.
    """
    visit = segment_visit(segmenter, scans, shape, affine)
    surest, target = visit.posteriors.on_window.max(dim=0)
    brain = target > 0
    target = target.to(torch.uint8).masked_fill_(surest < SURE, IGNORED)
    places = torch.nonzero(brain).numpy()
    images = sample_scans(segmenter, visit.scans, visit.window).cpu()
    return RealVisit(
        name,
        (images * 255).round_().to(torch.uint8),
        target,
        float(np.cbrt(CLOSED_PER_LABELLED * len(places))),
        (places.min(axis=0) + places.max(axis=0)) / 2,
    )
