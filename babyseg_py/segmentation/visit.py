"""One visit: segmented from all its scans together, and from each scan alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from babyseg_py.segmentation.inference import Segmenter, find_brain, predict
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
    """

    together: Segmentation
    window: Window
    posteriors: Tensor
    scans: list[Scan]


def segment_visit(
    segmenter: Segmenter,
    scans: Sequence[Scan],
    shape: tuple[int, int, int],
    affine: np.ndarray,
    *,
    flip: bool = True,
    progress: Progress = lambda _: None,
) -> VisitResult:
    """Segment all scans of a visit together.

    Parameters
    ----------
    segmenter : Segmenter
        The network.
    scans : sequence of Scan
        One or more scans; their order does not matter.
    shape, affine
        The session's grid.
    flip : bool
        Average with the mirrored images.
    progress : callable
        Told the stage in words.

    Returns
    -------
    VisitResult
        Labels, uncertainty, volumes and posteriors.
    """
    window, polarised = find_brain(segmenter, scans, affine, progress)
    progress("segmenting")
    posteriors = drop_fragments(predict(segmenter, polarised, window, flip=flip), segmenter.info.labels)
    progress("bringing labels to the session's grid")
    together = sample_posteriors(posteriors, window, segmenter.info.labels, shape, affine)
    return VisitResult(together, window, posteriors, polarised)


def segment_scan(segmenter: Segmenter, scan: Scan, window: Window, *, flip: bool = True) -> Segmentation:
    """Segment one scan of a visit alone, as `segment_visit` returned it, on its own grid."""
    posteriors = drop_fragments(predict(segmenter, [scan], window, flip=flip), segmenter.info.labels)
    return on_own_grid(segmenter, posteriors, window, scan)


def on_own_grid(segmenter: Segmenter, posteriors: Tensor, window: Window, scan: Scan) -> Segmentation:
    """Bring posteriors of the session's world to a scan's own grid."""
    to_session = np.linalg.inv(scan.matrix)
    volume = scan.volume
    return sample_posteriors(
        posteriors, window, segmenter.info.labels, volume.shape, volume.affine, to_session=to_session
    )
