"""What the real inference makes of a case, kept as one small file: evidence, Dice, volumes, confidence."""

import json
from dataclasses import dataclass
from pathlib import Path

import edt
import numpy as np
from _trust_cases import Case

from babyseg_py.segmentation.evidence import NUMBERS
from babyseg_py.segmentation.inference import Segmenter
from babyseg_py.segmentation.visit import segment_visit

MARGIN_VOXELS = 2
# Bins of the log odds of the largest posterior, whose smallest possible value is 1/22.
EDGES = np.arange(-3.25, 12.26, 0.25)


@dataclass(frozen=True)
class Record:
    """What became of a case.

    Parameters
    ----------
    kind, source : str
        As in `Case`.
    strength : float
        As in `Case`.
    evidence : (21, F) np.ndarray
        See `babyseg_py.segmentation.evidence`.
    dice : (21,) np.ndarray
        With the truth; NaN where neither has the structure.
    posterior_mm3, label_mm3, true_mm3 : (21,) np.ndarray
        Volumes.
    voxels, right : (22, B) np.ndarray
        Voxels by their label and the log odds of its posterior, and how many of them have the true label;
        of the brain in labels or truth and 2 voxels around it.
    """

    kind: str
    source: str
    strength: float
    evidence: np.ndarray
    dice: np.ndarray
    posterior_mm3: np.ndarray
    label_mm3: np.ndarray
    true_mm3: np.ndarray
    voxels: np.ndarray
    right: np.ndarray


def make_record(case: Case, segmenter: Segmenter) -> Record:
    """Segment a case with weights that are taken as not calibrated, and compare with the truth."""
    visit = segment_visit(segmenter, case.scans, case.truth.shape, case.truth.affine)
    found, truth = visit.together.labels.data, case.truth.data
    both, own, true = (
        np.bincount(x.ravel(), minlength=256)[list(NUMBERS)].astype(float)
        for x in (np.where(found == truth, truth, 0), found, truth)
    )
    with np.errstate(invalid="ignore"):
        dice = 2 * both / (own + true)
    voxel = case.truth.voxel_volume_mm3
    voxels, right = _histogram(found, truth, 1 - visit.together.uncertainty.data)
    assert visit.evidence is not None, "cases are segmented with their mirror image"
    return Record(
        kind=case.kind,
        source=case.source,
        strength=case.strength,
        evidence=visit.evidence,
        dice=dice,
        posterior_mm3=np.array([visit.together.volumes_mm3[n] for n in NUMBERS]),
        label_mm3=own * voxel,
        true_mm3=true * voxel,
        voxels=voxels,
        right=right,
    )


def _histogram(found: np.ndarray, truth: np.ndarray, posterior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    near = edt.edt(~((found > 0) | (truth > 0))) <= MARGIN_VOXELS
    rows = np.zeros(256, dtype=int)
    rows[list(NUMBERS)] = np.arange(1, 1 + len(NUMBERS))
    p = np.clip(posterior[near], 1e-6, 1 - 1e-6)
    column = np.clip(np.digitize(np.log(p / (1 - p)), EDGES) - 1, 0, len(EDGES) - 2)
    index = rows[found[near]] * (len(EDGES) - 1) + column
    shape = (1 + len(NUMBERS), len(EDGES) - 1)
    hit = (found == truth)[near]
    counts = [np.bincount(i, minlength=shape[0] * shape[1]).reshape(shape) for i in (index, index[hit])]
    return counts[0].astype(np.int32), counts[1].astype(np.int32)


def save_record(record: Record, path: Path) -> None:
    """Write one record whole or not at all."""
    arrays = {k: v for k, v in vars(record).items() if isinstance(v, np.ndarray)}
    words = {k: v for k, v in vars(record).items() if k not in arrays}
    partial = path.with_name(f".{path.name}")
    with partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, words=json.dumps(words), **arrays)
    partial.replace(path)


def load_record(path: Path) -> Record:
    """Read what `save_record` wrote."""
    with np.load(path, allow_pickle=False) as kept:
        arrays = {name: kept[name] for name in kept.files if name != "words"}
        return Record(**json.loads(str(kept["words"])), **arrays)
