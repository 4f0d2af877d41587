"""The Python interface: ``import babyseg_py as bs``. It does what ``babyseg segment`` does, without files."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pandas as pd
from PIL import Image

from babyseg_py.errors import UsageError
from babyseg_py.images import Volume
from babyseg_py.labels.lut import label_files
from babyseg_py.report.snapshot import draw_snapshot
from babyseg_py.segmentation import outputs
from babyseg_py.segmentation.from_files import SegmentedFiles, load_model, segment_files
from babyseg_py.segmentation.inference import Segmenter
from babyseg_py.writing import check_outputs

__all__ = ["Result", "load_model", "segment"]


@dataclass(frozen=True)
class Result:
    """Segmentation of the scans of one visit.

    Parameters
    ----------
    done : SegmentedFiles
        All that came out, posteriors included.
    model : Segmenter
        The network that made it.
    """

    done: SegmentedFiles
    model: Segmenter

    @property
    def labels(self) -> Volume:
        """FreeSurfer label numbers on the grid of the first scan, ``.data`` (I, J, K) and ``.affine``."""
        return self.done.result.labels

    @property
    def uncertainty(self) -> Volume:
        """Probability that the label of a voxel is wrong, on the same grid; see `calibrated`."""
        return self.done.visit.together.uncertainty

    @property
    def calibrated(self) -> bool:
        """Whether the certainty of these weights was calibrated; it counts with mirrored images only."""
        return self.done.visit.together.trust is not None

    @property
    def volumes(self) -> pd.DataFrame:
        """Volumes in mm³ by structure, from labels and from posteriors; indexed by label number.

        `volume_ci_low` and `volume_ci_high` are the ends of an interval that holds the true volume in nine of
        ten cases; NaN if not `calibrated`.
        """
        return outputs.volume_frame(self.done.result).set_index("label")

    @property
    def qc(self) -> pd.DataFrame:
        """Quality measures and the limits within which they are plausible; ``flag`` is 1 outside."""
        return outputs.quality_frame(self.done.measures)

    @property
    def flags(self) -> list[str]:
        """What is wrong in words; empty if nothing is."""
        return outputs.sentences(self.done.measures)

    @property
    def left_out(self) -> dict[str, str]:
        """Scans that were not used, and why; the result is the one without them."""
        return {one.name: one.reason for one in self.done.visit.left_out}

    def plot(self) -> Image.Image:
        """Draw slices of the first scan with the outlines of the labels.

        Returns
        -------
        PIL.Image.Image
            Axial, coronal and sagittal slices with the 22 labels; left of the picture is left of the child. A
            notebook shows it, ``.save(path)`` keeps it.
        """
        title = Path(self.done.sources[0]).name
        return Image.open(
            BytesIO(draw_snapshot(self.done.first, self.done.visit.together.labels, title=title))
        )

    def save(self, path: Path | str) -> None:
        """Write the label map with its sidecar JSON, BIDS table and colour table, over existing files too.

        Raises
        ------
        UsageError
            If one of these files is a scan that was given.
        UnusableData
            If it cannot be written.
        """
        visit = self.done.visit
        check_outputs(label_files(Path(path)), inputs=[*self.done.sources, *self.left_out])
        outputs.write_labels(
            self.done.result,
            Path(path),
            sources=self.done.sources,
            segmenter=self.model,
            notes=outputs.notes_of(visit),
        )


def segment(
    *images: Path | str,
    model: Segmenter | None = None,
    flip: bool = True,
    age_months: float | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Result:
    """Segment the scans of one visit together.

    Parameters
    ----------
    *images : Path or str
        One or more scans of one child at one visit, any contrasts, NIfTI or MGH, in any order. The labels are
        on the grid of the first one. A scan that is unusable is left out, which `Result.left_out` tells.
    model : Segmenter, optional
        As `load_model` returns it, to be used for many visits; the default weights if not given.
    flip : bool
        Average with the mirrored images, for twice the time.
    age_months : float, optional
        Chronological age, narrows what volume is plausible.
    progress : callable
        Told each stage in words, for example ``print``.

    Returns
    -------
    Result
        With ``labels``, ``uncertainty``, ``volumes``, ``qc``, ``flags``, ``left_out``, ``plot()`` and
        ``save(path)``.

    Raises
    ------
    UsageError
        If an argument means nothing, such as a negative age.
    UnusableData
        If no scan can be used, a file is missing or the first one has no usable header; says which, what is
        wrong with it, and what to do.
    """
    if not images:
        raise UsageError("name at least one image")
    if not all(isinstance(image, str | Path) for image in images):
        raise UsageError("name the scans one after the other, segment(one, two): each a path")
    if age_months is not None and not 0 <= age_months < math.inf:
        raise UsageError(f"age_months {age_months} is no age")
    model = model or load_model()
    return Result(segment_files(model, images, flip=flip, age_months=age_months, progress=progress), model)
