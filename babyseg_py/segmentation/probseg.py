"""The posteriors of a session as a file: one byte for each label and voxel."""

import gzip
import json
from pathlib import Path

import nibabel as nib
import numpy as np

from babyseg_py.images import Volume
from babyseg_py.labels import LABELS, STRUCTURES
from babyseg_py.segmentation.inference import Segmenter
from babyseg_py.segmentation.sampling import probabilities_on_grid
from babyseg_py.segmentation.visit import VisitResult
from babyseg_py.writing import appearing

STEPS = 255  # a probability is stored as this many steps from 0 to 1
_SLAB = 16  # slices that are sampled at once


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
        "Description": "Probability of each label, in the order of LabelMap along the fourth dimension.",
    }
    sidecar = path.with_name(path.name.removesuffix(".nii.gz") + ".json")
    with appearing(sidecar) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
