"""From image files to a segmentation, without a pipeline: what the command and the Python interface share."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from babyseg_py.images import Volume, load_image
from babyseg_py.models.default import default_weights
from babyseg_py.registration.visit import align_to_first
from babyseg_py.segmentation.detectors import detect_visit
from babyseg_py.segmentation.inference import Segmenter, load_segmenter
from babyseg_py.segmentation.quality import Measure, measure_quality, orientation
from babyseg_py.segmentation.visit import Progress, VisitResult, segment_visit
from babyseg_py.segmentation.window import Scan


@dataclass(frozen=True)
class SegmentedFiles:
    """Segmentation of the scans of one visit, on the grid of the first one.

    Parameters
    ----------
    sources : tuple of str
        Image files, the first one first.
    first : Volume
        Image of the first one.
    visit : VisitResult
        Labels, uncertainty, volumes and posteriors.
    measures : tuple of Measure
        Quality measures.
    """

    sources: tuple[str, ...]
    first: Volume
    visit: VisitResult
    measures: tuple[Measure, ...]


def load_model(
    weights: Path | str | None = None, *, device: str = "auto", precision: str = "auto", threads: int = 0
) -> Segmenter:
    """Load the network once, for any number of visits.

    Parameters
    ----------
    weights : Path or str, optional
        Weights of this package, or a checkpoint in the published BabySeg format; the default ones if not
        given.
    device : str
        ``cpu``, ``cuda``, or ``auto`` for a GPU if there is one.
    precision : str
        ``fp32``, ``bf16``, or ``auto`` for bfloat16 where the device has it.
    threads : int
        Largest number of threads of this process; 0 leaves it as it is.

    Returns
    -------
    Segmenter
        For `segment_files`.

    Raises
    ------
    UsageError
        If a GPU is asked for and there is none.
    UnusableData
        If the weights cannot be used.
    """
    if threads:
        torch.set_num_threads(threads)
    return load_segmenter(weights or default_weights(), device=device, precision=precision)


def stage_count(segmenter: Segmenter, scans: int) -> int:
    """Count the stages that `segment_files` tells of for so many scans, and one of writing."""
    return 4 + (scans > 1) + (segmenter.networks.locate is not None)


def segment_files(
    segmenter: Segmenter,
    images: Sequence[Path | str],
    *,
    flip: bool = True,
    age_months: float | None = None,
    progress: Progress = lambda _: None,
) -> SegmentedFiles:
    """Segment the scans of one visit together; they are registered to the first one.

    Parameters
    ----------
    segmenter : Segmenter
        As `load_model` returns it.
    images : sequence of Path or str
        One or more scans of one child at one visit, any contrasts, NIfTI or MGH.
    flip : bool
        Average with the mirrored images.
    age_months : float, optional
        Chronological age, narrows what volume is plausible.
    progress : callable
        Told each stage in words.

    Returns
    -------
    SegmentedFiles
        On the grid of the first image.

    Raises
    ------
    UnusableData
        If an image cannot be used, does not match the first one, or shows hardly any brain.
    """
    progress("reading")
    volumes = [load_image(path) for path in images]
    scans = [Scan(str(path), volume, np.eye(4)) for path, volume in zip(images, volumes, strict=True)]
    if len(scans) > 1:
        progress("registering")
        scans = align_to_first(scans)
    first = volumes[0]
    visit = segment_visit(segmenter, scans, first.shape, first.affine, flip=flip, progress=progress)
    measures = [orientation(visit.facing), *detect_visit(visit, segmenter.info.labels)]
    measures += measure_quality(visit.together, scan="n/a", age_months=age_months)
    return SegmentedFiles(tuple(map(str, images)), first, visit, tuple(measures))
