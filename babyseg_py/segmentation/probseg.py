"""The posteriors of a session as a file: one byte for each label and voxel."""

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume
from babyseg_py.images.nifti import UNREADABLE
from babyseg_py.labels import LABELS, STRUCTURES
from babyseg_py.registration.child_template import STEPS, Seen
from babyseg_py.segmentation.inference import Segmenter
from babyseg_py.segmentation.sampling import probabilities_on_grid
from babyseg_py.segmentation.visit import VisitResult
from babyseg_py.writing import appearing, write_json

SUM_TOLERANCE = 0.1  # of the sum over labels, which rounding of 22 of them keeps to 0.05
ADVICE = "run `babyseg segment` on the visit again"
_MARGIN = 2  # voxels kept around what may be brain
_SLAB = 16  # slices that are sampled at once


@dataclass(frozen=True)
class SessionPosteriors:
    """Posteriors of a session, without the empty surroundings.

    Parameters
    ----------
    seen : Seen
        The box around the brain.
    grid : Volume
        The session's whole grid, without values of its own.
    start : tuple of int
        First voxel of the box on that grid.
    """

    seen: Seen
    grid: Volume
    start: tuple[int, int, int]

    def on_grid(self, data: np.ndarray) -> Volume:
        """Put values of the box (I, J, K) on the session's grid; 0 around it."""
        whole = np.zeros(self.grid.shape, data.dtype)
        whole[tuple(slice(a, a + n) for a, n in zip(self.start, data.shape, strict=True))] = data
        return self.grid.with_data(whole)


def session_probabilities(
    result: VisitResult, segmenter: Segmenter, shape: tuple[int, int, int], affine: np.ndarray
) -> np.ndarray:
    """Sample the posteriors of a visit on the session's grid.

    Returns
    -------
    (22, *shape) np.ndarray of np.uint8
        Probabilities in 255 steps, in the order of the label table, background first.
    """
    order = [segmenter.info.labels.index(s.id) for s in STRUCTURES]
    steps = np.empty((len(order), *shape), np.uint8)
    for first in range(0, shape[0], _SLAB):
        depth = min(_SLAB, shape[0] - first)
        slab = affine.copy()
        slab[:3, 3] += affine[:3, 0] * first
        data = probabilities_on_grid(result.posteriors, result.window, (depth, *shape[1:]), slab)
        steps[:, first : first + depth] = np.round(np.clip(data[order], 0, 1) * STEPS)
    return steps


def certain(labels: Volume, /) -> np.ndarray:
    """Probabilities of labels that are certain, as corrected ones are: (22, I, J, K) of 0 and 255."""
    return np.stack([(labels.data == label).astype(np.uint8) * np.uint8(STEPS) for label in LABELS])


def write_probabilities(steps: np.ndarray, affine: np.ndarray, path: Path) -> None:
    """Write probabilities as 4-D NIfTI of bytes that are scaled to 1, with a JSON that names the labels.

    Parameters
    ----------
    steps : (22, I, J, K) np.ndarray of np.uint8
        In 255 steps, in the order of the label table.
    affine : (4, 4) np.ndarray
        Voxel to world, RAS mm.
    path : Path
        ``…_probseg.nii.gz``; the same probabilities always give the same bytes.
    """
    image = nib.Nifti1Image(np.moveaxis(steps, 0, -1), affine)
    image.header.set_slope_inter(1 / STEPS, 0)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    with appearing(path) as partial:
        partial.write_bytes(gzip.compress(image.to_bytes(), compresslevel=4, mtime=0))
    content = {
        "LabelMap": [s.name for s in STRUCTURES],
        "Labels": list(LABELS),
        "SpatialReference": "the grid of this file",
        "Description": "Probability of each label, in the order of LabelMap along the fourth dimension.",
    }
    write_json(path.with_name(path.name.removesuffix(".nii.gz") + ".json"), content)


def read_probabilities(path: Path | str, /) -> SessionPosteriors:
    """Read what `write_probabilities` wrote.

    Raises
    ------
    UnusableData
        The file is absent, damaged, has another number of maps, other values or no brain.
    """
    try:
        image = nib.Nifti1Image.from_filename(path)
        values: Any = image.dataobj
        slope = values.slope if image.get_data_dtype() == np.uint8 else None
        if len(image.shape) != 4 or image.shape[3] != len(STRUCTURES):
            what = f"has shape {image.shape}, not one map for each of {len(STRUCTURES)} labels"
            raise UnusableData(str(path), what, ADVICE)
        if slope is None or not np.isclose(slope, 1 / STEPS):
            raise UnusableData(str(path), "does not hold probabilities in 255 steps", ADVICE)
        stored = np.asarray(values.get_unscaled())
    except UNREADABLE as problem:
        raise UnusableData(str(path), f"cannot be read ({problem})", ADVICE) from None
    box, start = _around_brain(stored, path)
    total = box.sum(axis=0, dtype=np.int32)
    if np.abs(total - STEPS).max() > SUM_TOLERANCE * STEPS:
        raise UnusableData(str(path), "holds values that do not sum to 1 over the labels", ADVICE)
    affine = image.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ start
    grid = Volume(np.broadcast_to(np.uint8(0), stored.shape[:3]), image.affine)
    return SessionPosteriors(Seen(box, affine), grid, start)


def _around_brain(stored: np.ndarray, path: Path | str) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Channels first, in a box around all that is not certainly background; and its first voxel."""
    inside = stored[..., 0] < STEPS - 1
    if not (stored[..., 0] < STEPS / 2).any():
        raise UnusableData(str(path), "holds no brain: everything is background", ADVICE)
    spans = [np.flatnonzero(inside.any(axis=tuple(b for b in range(3) if b != a))) for a in range(3)]
    low = [max(int(span[0]) - _MARGIN, 0) for span in spans]
    part = tuple(slice(a, int(span[-1]) + 1 + _MARGIN) for a, span in zip(low, spans, strict=True))
    return np.ascontiguousarray(np.moveaxis(stored[part], -1, 0)), (low[0], low[1], low[2])
