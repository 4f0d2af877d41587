"""Volumes of structures and their totals, in mm³."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import edt
import nibabel as nib
import numpy as np
from scipy.ndimage import binary_fill_holes

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume
from babyseg_py.images.geometry import bounding_box, crop_or_pad
from babyseg_py.images.nifti import UNREADABLE
from babyseg_py.labels import BRAIN_LABELS, BRAIN_VOLUME, LEFT_RIGHT_PAIRS, STRUCTURES, structure_name

INTRACRANIAL = "Intracranial-Estimate"
CLOSING_RADIUS_MM = 10.0
COLUMNS = (
    *("label", "structure", "side", "volume_mm3", "volume_posterior_mm3"),
    *("volume_ci_low", "volume_ci_high"),
)


@dataclass(frozen=True)
class VolumeRow:
    """One line of a table of volumes.

    Parameters
    ----------
    label : int or None
        Label number, None for a total.
    structure : str
        Name of the structure, without side where it is the sum of both.
    side : str
        ``left``, ``right``, ``none`` (midline or whole) or ``both`` (the sum).
    volume_mm3 : float
        From labels: voxels times the volume of one.
    volume_posterior_mm3 : float or None
        From posteriors: sum of probabilities times the volume of a voxel; None where it is not known.
    volume_ci_low, volume_ci_high : float or None
        Ends of the interval that holds the true volume in nine of ten cases; None where it is not known.
    """

    label: int | None
    structure: str
    side: str
    volume_mm3: float
    volume_posterior_mm3: float | None
    volume_ci_low: float | None = None
    volume_ci_high: float | None = None


def volume_table(
    labels: Volume,
    /,
    *,
    posterior_mm3: Mapping[int, float] | None = None,
    interval_mm3: Mapping[int, tuple[float, float]] | None = None,
) -> list[VolumeRow]:
    """Volumes of all structures, then the totals.

    Totals are the total brain volume (all structures of the brain without ventricles), the sum of both sides
    of each structure that has sides, and an estimate of the intracranial volume (`intracranial_mm3`).

    Parameters
    ----------
    labels : Volume
        Map of the 22 labels.
    posterior_mm3 : mapping of int to float, optional
        Volume of each label from posteriors.
    interval_mm3 : mapping of int to (float, float), optional
        Ends of the interval of each label's volume. Totals get none: the errors of their parts go together in
        a way that was not measured.

    Returns
    -------
    list of VolumeRow
        Structures in the order of the label table, then the totals.
    """
    found = label_volumes_mm3(labels)
    posterior = {label: (posterior_mm3 or {}).get(label) for label in BRAIN_LABELS}
    ends = interval_mm3 or {}
    rows = [
        VolumeRow(s.id, s.name, s.side, found[s.id], posterior[s.id], *ends.get(s.id, (None, None)))
        for s in STRUCTURES
        if s.id
    ]

    brain = [s.id for s in STRUCTURES if s.in_brain_volume]
    rows.append(VolumeRow(None, BRAIN_VOLUME, "none", sum(found[n] for n in brain), _sum(posterior, brain)))
    for pair in LEFT_RIGHT_PAIRS:
        name = structure_name(pair[0]).removeprefix("Left-")
        rows.append(VolumeRow(None, name, "both", sum(found[n] for n in pair), _sum(posterior, pair)))
    return [*rows, VolumeRow(None, INTRACRANIAL, "none", intracranial_mm3(labels), None)]


def drawn_volumes(labels: Volume, /) -> list[VolumeRow]:
    """Volumes of what somebody drew: a structure that is not in the map was left out, and is not 0 mm³ large.

    Parameters
    ----------
    labels : Volume
        Map of the 22 labels.

    Returns
    -------
    list of VolumeRow
        As of `volume_table`; NaN for structures that are not there, and for totals that lack one of theirs.
    """
    found = label_volumes_mm3(labels)
    parts: dict[str, tuple[int, ...]] = {
        BRAIN_VOLUME: tuple(s.id for s in STRUCTURES if s.in_brain_volume),
        INTRACRANIAL: tuple(BRAIN_LABELS),
        **{structure_name(pair[0]).removeprefix("Left-"): pair for pair in LEFT_RIGHT_PAIRS},
    }
    rows = []
    for row in volume_table(labels):
        needed = parts[row.structure] if row.label is None else (row.label,)
        drawn = all(found[label] > 0 for label in needed)
        rows.append(row if drawn else replace(row, volume_mm3=math.nan))
    return rows


def label_volumes_mm3(labels: Volume, /) -> dict[int, float]:
    """Volume of each brain label in mm³, right for oblique and sheared grids too.

    Parameters
    ----------
    labels : Volume
        Map of the 22 labels.

    Returns
    -------
    dict of int to float
        mm³ by label, 0 for a label that is not there.
    """
    counts = np.bincount(labels.data.ravel(), minlength=max(BRAIN_LABELS) + 1)
    return {label: float(counts[label]) * labels.voxel_volume_mm3 for label in BRAIN_LABELS}


def intracranial_mm3(labels: Volume, /) -> float:
    """Estimate of the intracranial volume from labels alone, in mm³.

    The union of all labels, ventricles included, is closed with a ball of 10 mm radius, which fills sulci,
    fissures and cisterns, and its holes are filled. Fluid outside the hull of the brain is not in it.

    Parameters
    ----------
    labels : Volume
        Map of the 22 labels.

    Returns
    -------
    float
        mm³; 0 for an empty map.
    """
    inside = labels.data > 0
    if not inside.any():
        return 0.0
    spacing = tuple(float(step) for step in labels.spacing_mm)
    margin = [math.ceil(CLOSING_RADIUS_MM / step) + 2 for step in spacing]
    start, shape = bounding_box(inside)
    start = tuple(first - more for first, more in zip(start, margin, strict=True))
    shape = tuple(size + 2 * more for size, more in zip(shape, margin, strict=True))
    window = crop_or_pad(labels.with_data(inside), start, shape)
    dilated = edt.edt(~window.data, anisotropy=spacing) <= CLOSING_RADIUS_MM
    closed = edt.edt(dilated, anisotropy=spacing) > CLOSING_RADIUS_MM
    return float(np.count_nonzero(binary_fill_holes(closed))) * labels.voxel_volume_mm3


def posterior_volumes_mm3(path: Path | str, /, *, grid: Volume | None = None) -> dict[int, float]:
    """Volumes from a file of posteriors: sum of the probabilities times the volume of a voxel.

    Parameters
    ----------
    path : Path or str
        4-D NIfTI with one map per structure in the order of the label table, as ``babyseg segment
        --posteriors`` writes it. One map at a time is held in memory.
    grid : Volume, optional
        Labels of the same scan; the posteriors may be cropped, but have to lie on its voxels.

    Returns
    -------
    dict of int to float
        mm³ by brain label.

    Raises
    ------
    UnusableData
        If the file cannot be read, has another number of maps or lies on other voxels.
    """
    advice = "give the file that `babyseg segment --posteriors` wrote"
    try:
        image = nib.Nifti1Image.from_filename(path, keep_file_open=True)
        if len(image.shape) != 4 or image.shape[3] != len(STRUCTURES):
            what = f"has shape {image.shape}, not one map for each of {len(STRUCTURES)} structures"
            raise UnusableData(str(path), what, advice)
        if grid is not None and not _within(image, grid):
            what = "lies on other voxels than the labels"
            raise UnusableData(str(path), what, "give labels and posteriors of the same scan")
        sums = [
            float(np.asarray(image.dataobj[..., n]).sum(dtype=np.float64)) for n in range(len(STRUCTURES))
        ]
    except UNREADABLE as problem:
        raise UnusableData(str(path), f"cannot be read ({problem})", advice) from None
    if not np.isfinite(sums).all():
        raise UnusableData(str(path), "holds values that are not finite", advice)
    voxel_mm3 = abs(float(np.linalg.det(image.affine[:3, :3])))
    return {s.id: total * voxel_mm3 for s, total in zip(STRUCTURES, sums, strict=True) if s.id}


def _within(image: nib.Nifti1Image, grid: Volume) -> bool:
    """Say whether voxels are some of those of a grid: posteriors of a session are cropped to its brain."""
    to_grid = np.linalg.solve(grid.affine, image.affine)
    start = np.round(to_grid[:3, 3])
    aligned = np.abs(to_grid[:3, :3] - np.eye(3)).max() < 1e-3 and np.abs(to_grid[:3, 3] - start).max() < 0.05
    return bool(aligned and (start >= 0).all() and (start + image.shape[:3] <= grid.shape).all())


def _sum(volumes: Mapping[int, float | None], labels: Iterable[int]) -> float | None:
    """Sum over labels, None if one of them is not known."""
    parts = [volumes[label] for label in labels]
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None
