"""Preparation of label maps for synthesis."""

from dataclasses import replace

import edt
import numpy as np

from babyseg_py.images import Volume
from babyseg_py.images.geometry import reorient, resample
from babyseg_py.labels import LABELS, LEFT_RIGHT_PAIRS
from babyseg_py.labels.fuller import Part, allowed_parts, parts
from babyseg_py.labels.merge import merge_labels
from babyseg_py.synthesis.labelbank import DISTANCE_STEP_MM, LabelBank, LabelMap
from babyseg_py.synthesis.tissues import tissue_table

MARGIN_MM = 24
CLOSING_MM = 4.0
DEEP_WHITE_MM = 4.5
DEEP_CEREBELLUM_MM = 5.0
MOST_CLASSES = 256
UNTOLD = 2**16  # no label number


def describe_map(volume: Volume, *, name: str, age_months: float | None) -> tuple[LabelMap, np.ndarray]:
    """Split a label map into tissues and structures.

    Returns
    -------
    LabelMap
        Map whose classes are ``parts << 16 | tissue << 8 | channel``, to be numbered densely by `make_bank`.
    (N,) np.ndarray
        The codes that occur.
    """
    volume = _canonical(volume)
    raw = np.pad(volume.data, MARGIN_MM)
    affine = volume.affine.copy()
    affine[:3, 3] -= affine[:3, :3].sum(axis=1) * MARGIN_MM
    merged = merge_labels(raw, affine)
    table = tissue_table()

    lookup = np.zeros(max(raw.max(), *LABELS, *table.labels) + 1, dtype=np.uint8)
    lookup[list(table.labels)] = list(table.labels.values())
    tissue = lookup[raw]
    unnamed = (tissue == 0) & (merged > 0)  # cortical parcels and the like have the tissue of their structure
    tissue[unnamed] = lookup[merged[unnamed]]
    white = tissue == table.number("white_matter")
    tissue[white & (edt.edt(white) > DEEP_WHITE_MM)] = table.number("deep_white_matter")
    if not np.isin(raw, (7, 46)).any():
        cerebellum = tissue == table.number("cerebellar_cortex")
        tissue[cerebellum & (edt.edt(cerebellum) > DEEP_CEREBELLUM_MM)] = table.number("cerebellar_white")

    brain = merged > 0
    closed = edt.edt(edt.edt(~brain) <= CLOSING_MM) > CLOSING_MM
    closed |= brain
    tissue[closed & (tissue == 0)] = table.number("csf")
    distance = np.clip(edt.edt(~closed) / DISTANCE_STEP_MM, 0, 255).astype(np.uint8)

    channel = np.zeros(max(LABELS) + 1, dtype=np.uint8)
    channel[list(LABELS)] = np.arange(len(LABELS))
    parts = _parts(raw, merged, closed, tissue == table.number("choroid_plexus"))
    cortex = tissue == table.number("cortex")
    codes = parts << 16 | tissue.astype(np.int64) << 8 | channel[merged]
    box = np.stack([np.flatnonzero(closed.any(axis=other))[[0, -1]] for other in ((1, 2), (0, 2), (0, 1))])
    described = LabelMap(
        name=name,
        age_months=age_months,
        classes=codes,
        distance=distance,
        depth=_depth_of_cortex(cortex, brain & ~cortex, elsewhere=0),
        from_white=_depth_of_cortex(cortex, white, elsewhere=255),
        has_head=bool(np.isin(raw, range(500, 600)).any()),
        size_mm=float(np.cbrt(closed.sum())),
        centre=box.mean(axis=1),
    )
    return described, np.unique(codes)


def _depth_of_cortex(cortex: np.ndarray, other: np.ndarray, *, elsewhere: int) -> np.ndarray:
    """Distance of each voxel of cortex from the border of something else, in steps."""
    steps = np.clip((edt.edt(~other) - 0.5) / DISTANCE_STEP_MM, 0, 255)
    return np.where(cortex, steps, elsewhere).astype(np.uint8)


def make_bank(described: list[tuple[LabelMap, np.ndarray]]) -> LabelBank:
    """Give dense numbers to the fine classes of all maps densely."""
    codes = np.unique(np.concatenate([codes for _, codes in described]))
    if len(codes) > MOST_CLASSES:
        raise ValueError(f"{len(codes)} fine classes, more than a byte can number")
    swap = np.arange(len(LABELS))
    for left, right in LEFT_RIGHT_PAIRS:
        i, j = LABELS.index(left), LABELS.index(right)
        swap[[i, j]] = j, i
    maps = tuple(replace(m, classes=np.searchsorted(codes, m.classes).astype(np.uint8)) for m, _ in described)
    target = codes & 255
    return LabelBank(maps, codes >> 8 & 255, target, swap[target], codes >> 16)


def _parts(raw: np.ndarray, merged: np.ndarray, closed: np.ndarray, plexus: np.ndarray) -> np.ndarray:
    """Bits of the parts that each voxel may be, see `allowed_parts`.

    Extra-axial fluid is, whatever the map says, what lies within the closing of the brain and is nothing
    else. Of choroid plexus, which is background here, it is not said whether it is fluid.
    """
    background = (merged == 0) & ~np.isin(raw, (14, 15))
    labels = raw.astype(np.int64)
    labels[background] = np.where(closed[background], 24, 0)
    labels[plexus] = UNTOLD
    pairs = merged.astype(np.int64) * (UNTOLD + 1) + labels
    found = np.flatnonzero(np.bincount(pairs.ravel()))
    present = frozenset((found % (UNTOLD + 1)).tolist())
    bits = np.zeros(int(found.max()) + 1, dtype=np.int64)
    for pair in found.tolist():
        parent, label = divmod(pair, UNTOLD + 1)
        bits[pair] = allowed_parts(parent, label if Part(parent, label) in parts() else None, present)
    return bits[pairs]


def _canonical(volume: Volume) -> Volume:
    volume = reorient(volume, "RAS")
    if np.allclose(volume.spacing_mm, 1, atol=1e-3):
        return volume
    shape = tuple(int(n) for n in np.ceil(np.array(volume.shape) * volume.spacing_mm))
    affine = volume.affine.copy()
    affine[:3, :3] /= volume.spacing_mm
    return resample(volume, shape, affine, order=0)
