"""One visit: segmented from all its scans together, and from each scan alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from babyseg_py.errors import UnusableData
from babyseg_py.models.memory import return_freed_memory
from babyseg_py.models.weights import FixedGrid
from babyseg_py.segmentation.calibration import Trust
from babyseg_py.segmentation.cut import shares_left
from babyseg_py.segmentation.evidence import gather_evidence
from babyseg_py.segmentation.first_look import FirstLook, find_brain
from babyseg_py.segmentation.fixed_grid import leading_scan, predict_on_fixed_grid
from babyseg_py.segmentation.inference import Alone, Predicted, Segmenter, see_alone
from babyseg_py.segmentation.posteriors import Posteriors, sharpened_, unpacked
from babyseg_py.segmentation.postprocess import drop_fragments
from babyseg_py.segmentation.sampling import Segmentation, sample_posteriors
from babyseg_py.segmentation.several import (
    LeftOut,
    disagreeing,
    in_order_of_content,
    predict_several,
)
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
    posteriors : Posteriors
        Probabilities from all scans.
    scans : list of Scan
        The scans that were used, with the polarity of their contrast.
    notes : tuple of str
        What the user should know about how they were seen.
    facing : str
        Which way the head faces in its image; "upright" if as the header says.
    left_out : tuple of LeftOut
        Scans that were not used; the result is the one without them.
    evidence : (21, F) np.ndarray, optional
        What is known of the quality of each structure, see `evidence.FEATURES`; None if there was no mirror
        image to compare with.
    alone : tuple of Predicted
        What each of several scans gives by itself, `packed`; empty for weights with a leading scan.
    """

    together: Segmentation
    window: Window
    posteriors: Posteriors
    scans: list[Scan]
    notes: tuple[str, ...] = ()
    facing: str = "upright"
    left_out: tuple[LeftOut, ...] = ()
    evidence: np.ndarray | None = None
    alone: tuple[Predicted, ...] = ()


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
        One or more scans, of different names; their order matters only to weights whose recipe has a leading
        scan, which is the first one whose world is the session's, else the first.
    shape, affine
        The session's grid.
    flip : bool
        Look at the mirrored images too, where the recipe does not lay a grid of its own.
    progress : callable
        Told the stage in words.

    Returns
    -------
    VisitResult
        Labels, uncertainty, volumes and posteriors.
    """
    facing, evidence = "upright", None
    by_itself: tuple[Predicted, ...] = ()
    recipe = segmenter.info.preprocessing
    if isinstance(recipe, FixedGrid):
        progress("segmenting")
        used, left_out, (window, posteriors, notes) = _without_unusable(
            _lead_first(scans), lambda kept: predict_on_fixed_grid(segmenter, kept, recipe)
        )
    else:
        used, left_out, (look, alone) = _without_unusable(
            in_order_of_content(scans), lambda kept: _look_and_compare(segmenter, kept, affine, progress)
        )
        window, used, facing, notes = look.window, look.scans, look.facing, ()
        progress("segmenting")
        mixed, by_itself = predict_several(segmenter, used, window, alone, flip=flip)
        posteriors, evidence = _finished(segmenter, mixed, window=window, scans=used)
    progress("sampling labels")
    together = sample_posteriors(
        posteriors, window, segmenter.info.labels, shape, affine, trust=_trust(segmenter, evidence)
    )
    out = tuple(left_out)
    return VisitResult(together, window, posteriors, used, notes, facing, out, evidence, by_itself)


def _lead_first(scans: Sequence[Scan]) -> list[Scan]:
    lead = leading_scan(scans)
    return [lead, *in_order_of_content([scan for scan in scans if scan is not lead])]


T = TypeVar("T")


def _without_unusable(
    scans: Sequence[Scan], work: Callable[[list[Scan]], T]
) -> tuple[list[Scan], list[LeftOut], T]:
    """Do something with scans, again without one of several that turns out to be unusable."""
    kept = list(scans)
    left_out: list[LeftOut] = []
    while True:
        try:
            return kept, left_out, work(kept)
        except UnusableData as problem:
            if len(kept) == 1 or problem.path not in {scan.name for scan in kept}:
                raise
            left_out.append(LeftOut(problem.path, problem.what))
            kept = [scan for scan in kept if scan.name != problem.path]


def _look_and_compare(
    segmenter: Segmenter, scans: list[Scan], affine: np.ndarray, progress: Progress
) -> tuple[FirstLook, list[Alone]]:
    """Find the brain, and see what each of several scans shows of it alone.

    Raises
    ------
    UnusableData
        If hardly any brain is seen, or if a scan, which is named, disagrees with the others.
    """
    look = find_brain(segmenter, scans, affine, progress)
    if len(scans) == 1:
        return replace(look, seen={}), list(look.seen.values())
    progress("comparing the scans")
    alone = []
    for scan in look.scans:
        return_freed_memory()
        alone.append(look.seen.get(scan.name) or see_alone(segmenter, scan, look.window))
    odd = disagreeing(look.scans, alone)
    if odd:
        raise UnusableData(odd.name, odd.reason, "look at it")
    return replace(look, seen={}), alone


def segment_scan(
    segmenter: Segmenter, scan: Scan, window: Window, by_itself: Predicted | None = None
) -> Segmentation:
    """Segment one of several scans of a visit alone, on its own grid, from what `segment_visit` gave of it.

    With weights whose recipe has a leading scan that is nothing: this scan then leads, and lays its own grid.
    """
    recipe = segmenter.info.preprocessing
    evidence = None
    if by_itself:
        return_freed_memory()
        posteriors, evidence = _finished(segmenter, by_itself.each(unpacked), window=window, scans=[scan])
    elif isinstance(recipe, FixedGrid):
        window, posteriors, _ = predict_on_fixed_grid(segmenter, [scan], recipe)
    else:
        raise TypeError("these weights have no leading scan: give what the visit told of this one")
    return on_own_grid(segmenter, posteriors, window, scan, evidence)


def on_own_grid(
    segmenter: Segmenter,
    posteriors: Posteriors,
    window: Window,
    scan: Scan,
    evidence: np.ndarray | None = None,
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


def _finished(
    segmenter: Segmenter, predicted: Predicted, *, window: Window, scans: Sequence[Scan]
) -> tuple[Posteriors, np.ndarray | None]:
    """Posteriors without fragments, sharpened, and the evidence on them where both passes were made."""
    numbers = segmenter.info.labels
    posteriors = predicted.posteriors.each(lambda one: sharpened_(drop_fragments(one, numbers)))
    if predicted.passes is None:
        return posteriors, None
    labels = np.array(numbers)[posteriors.on_window.argmax(dim=0).numpy()]
    left = shares_left(labels, window, scans)
    return posteriors, gather_evidence(
        posteriors.on_window, predicted.passes, predicted.images, numbers, left
    )


def _trust(segmenter: Segmenter, evidence: np.ndarray | None) -> Trust | None:
    if segmenter.calibration is None or evidence is None:
        return None
    return segmenter.calibration.judge(evidence, segmenter.info.labels)
