"""One visit: segmented from all its scans together, and from each scan alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from babyseg_py.models.weights import FixedGrid
from babyseg_py.segmentation.calibration import Trust
from babyseg_py.segmentation.evidence import gather_evidence
from babyseg_py.segmentation.fixed_grid import predict_on_fixed_grid
from babyseg_py.segmentation.inference import (
    Segmenter,
    find_brain,
    predict_images,
    sample_scans,
    scans_stored_alike,
)
from babyseg_py.segmentation.postprocess import drop_fragments
from babyseg_py.segmentation.sampling import Segmentation, sample_posteriors
from babyseg_py.segmentation.window import Scan, Window

Progress = Callable[[str], None]


@dataclass(frozen=True)
class VisitResult:
    """What one visit gives.

    Parameters
    ----------
    together : Segmentation
        From all scans, on the session's grid.
    window : Window
        Grid of the network.
    posteriors : (C, *window) Tensor
        Probabilities from all scans, on the window.
    scans : list of Scan
        The scans with the polarity of their contrast.
    notes : tuple of str
        What the user should know about how they were seen.
    facing : str
        Which way the head faces in its image; "upright" if as the header says.
    evidence : (21, F) np.ndarray, optional
        What is known of the quality of each structure, see `evidence.FEATURES`; None if there was no mirror
        image to compare with.
    """

    together: Segmentation
    window: Window
    posteriors: Tensor
    scans: list[Scan]
    notes: tuple[str, ...] = ()
    facing: str = "upright"
    evidence: np.ndarray | None = None


def segment_visit(
    segmenter: Segmenter,
    scans: Sequence[Scan],
    shape: tuple[int, int, int],
    affine: np.ndarray,
    *,
    flip: bool = True,
    progress: Progress = lambda _: None,
) -> VisitResult:
    """Segment all scans of a visit together, by the recipe of the weights.

    Parameters
    ----------
    segmenter : Segmenter
        The network.
    scans : sequence of Scan
        One or more scans; their order matters only to weights whose recipe has a leading scan, which is the
        one whose world is the session's, else the first.
    shape, affine
        The session's grid.
    flip : bool
        Average with the mirrored images, where the recipe knows two looks.
    progress : callable
        Told the stage in words.

    Returns
    -------
    VisitResult
        Labels, uncertainty, volumes and posteriors.
    """
    polarised: list[Scan] = list(scans)
    notes: tuple[str, ...] = ()
    facing, evidence = "upright", None
    recipe = segmenter.info.preprocessing
    if isinstance(recipe, FixedGrid):
        progress("segmenting")
        window, posteriors, notes = predict_on_fixed_grid(segmenter, scans, recipe)
    else:
        look = find_brain(segmenter, scans, affine, progress)
        window, polarised, facing = look.window, look.scans, look.facing
        progress("segmenting")
        posteriors, evidence = _posteriors(segmenter, polarised, window, flip=flip)
    progress("sampling labels")
    together = sample_posteriors(
        posteriors, window, segmenter.info.labels, shape, affine, trust=_trust(segmenter, evidence)
    )
    return VisitResult(together, window, posteriors, polarised, notes, facing, evidence)


def segment_scan(segmenter: Segmenter, scan: Scan, window: Window, *, flip: bool = True) -> Segmentation:
    """Segment one scan of a visit alone, as `segment_visit` returned it, on its own grid.

    A scan that leads alone lays its own grid, so that the window counts only for the recipe of two looks.
    """
    recipe = segmenter.info.preprocessing
    evidence = None
    if isinstance(recipe, FixedGrid):
        window, posteriors, _ = predict_on_fixed_grid(segmenter, [scan], recipe)
    else:
        posteriors, evidence = _posteriors(segmenter, [scan], window, flip=flip)
    return on_own_grid(segmenter, posteriors, window, scan, evidence)


def on_own_grid(
    segmenter: Segmenter, posteriors: Tensor, window: Window, scan: Scan, evidence: np.ndarray | None = None
) -> Segmentation:
    """Bring posteriors of the session's world, with the evidence on them, to a scan's own grid."""
    to_session = np.linalg.inv(scan.matrix)
    volume = scan.volume
    return sample_posteriors(
        posteriors,
        window,
        segmenter.info.labels,
        volume.shape,
        volume.affine,
        to_session=to_session,
        trust=_trust(segmenter, evidence),
    )


def _posteriors(
    segmenter: Segmenter, scans: Sequence[Scan], window: Window, *, flip: bool
) -> tuple[Tensor, np.ndarray | None]:
    """Posteriors without fragments, and the evidence on them where both passes were made."""
    images = sample_scans(segmenter, scans_stored_alike(scans), window)
    averaged, passes = predict_images(segmenter, images, flip=flip)
    labels = segmenter.info.labels
    posteriors = drop_fragments(averaged, labels)
    return posteriors, None if passes is None else gather_evidence(posteriors, passes, images, labels)


def _trust(segmenter: Segmenter, evidence: np.ndarray | None) -> Trust | None:
    if segmenter.calibration is None or evidence is None:
        return None
    return segmenter.calibration.judge(evidence, segmenter.info.labels)
