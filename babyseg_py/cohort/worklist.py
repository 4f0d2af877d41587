"""Which sessions, and which of their slices, are most worth correcting by hand."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume, load_image, load_labels
from babyseg_py.labels import structure_name
from babyseg_py.names import CORRECTED_METRIC, bids_name, visit_id, visit_of
from babyseg_py.statistics.files import missing_columns, read_table

PLANES = {"R": "sagittal", "L": "sagittal", "A": "coronal", "P": "coronal", "S": "axial", "I": "axial"}
APART_MM = 6.0  # slices of one plane that are nearer show nearly the same
NAMED = 3  # structures named for a slice
# What these find is wrong with the scan or its header, and no correction of labels mends it.
SCAN_FAULTS = ("reversed_axes", "brain_ml", "edge_share")
QUALITY = ("scan", "structure", "metric", "value", "flag")
DISTANCES = ("reference", "candidate", "dice")
ADVICE = "give the folder of a finished run"


@dataclass(frozen=True)
class Session:
    """What a results folder says of one session.

    Parameters
    ----------
    id : str
        Such as ``sub-01_ses-A``.
    registration : Path
        How its scans lie.
    image, labels, uncertainty, lut : Path
        Scan whose grid the session has, which need not be there, its labels, their uncertainty, and their
        colours.
    corrected : str
        Name that a correction of the labels has.
    doubt : float
        Mean uncertainty of the labelled brain, 0 to 1.
    flags : tuple of str
        Quality measures that were flagged.
    disagreement : float
        One minus the mean Dice of the scans' own labels with the session's; NaN for a single scan.
    done : bool
        Whether the labels are those of a correction already.
    """

    id: str
    registration: Path
    image: Path
    labels: Path
    uncertainty: Path
    lut: Path
    corrected: str
    doubt: float
    flags: tuple[str, ...]
    disagreement: float
    done: bool = False

    @property
    def faulty_scan(self) -> bool:
        """Whether the scan itself is in question."""
        return any(flag in SCAN_FAULTS or flag.startswith("registration_") for flag in self.flags)


@dataclass(frozen=True)
class Slice:
    """A slice in which much is uncertain.

    Parameters
    ----------
    plane : str
        ``sagittal``, ``coronal`` or ``axial``: the anatomical plane nearest to it.
    axis, index : int
        Voxel axis across it and its index, from 0.
    cursor_mm : tuple of float
        World position (RAS+) in the middle of what is uncertain.
    uncertain_ml : float
        Sum of the uncertainty beyond that of usual borders times the volume of a voxel.
    structures : tuple of str
        Structures with most of it.
    """

    plane: str
    axis: int
    index: int
    cursor_mm: tuple[float, float, float]
    uncertain_ml: float
    structures: tuple[str, ...]


def read_sessions(results: Path) -> tuple[list[Session], list[UnusableData]]:
    """Read every session of a results folder that has labels or an uncertainty map.

    Returns
    -------
    list of Session
        Those that are whole.
    list of UnusableData
        What is wrong with each of the others.

    Raises
    ------
    UnusableData
        If no session is there, or none is whole.
    """
    names = ("desc-babyseg_dseg", "desc-uncertainty_map")
    found = [
        path for name in names for path in results.glob(f"sub-*/ses-*/anat/*_space-session_{name}.nii.gz")
    ]
    sessions, faults = [], []
    for folder, start in sorted({(path.parent, path.name.partition("_space-")[0]) for path in found}):
        try:
            sessions.append(_read_session(folder, start))
        except UnusableData as problem:
            faults.append(problem)
    if not sessions:
        raise faults[0] if faults else UnusableData(str(results), "holds no session with labels", ADVICE)
    return sessions, faults


def _read_session(folder: Path, start: str) -> Session:
    try:
        child, session = visit_of(f"{start}_dseg.nii.gz")
    except ValueError as problem:
        raise UnusableData(str(folder / start), f"is no session ({problem})", ADVICE) from None

    def path(suffix: str, extension: str, **entities: str) -> Path:
        return folder / bids_name(
            participant=child, session=session, suffix=suffix, extension=extension, run=None, **entities
        )

    labels = path("dseg", ".nii.gz", space="session", desc="babyseg")
    uncertainty = path("map", ".nii.gz", space="session", desc="uncertainty")
    for file in (labels, uncertainty):
        if not file.is_file():
            raise UnusableData(str(file), "is not there", ADVICE)
    quality = _table(path("qc", ".tsv", desc="segmentation"), QUALITY)
    distances = path("qc", ".tsv", desc="surfacedistance")
    registration = path("registration", ".json", desc="session")
    flagged = quality[quality["flag"] == 1]
    doubt = quality[(quality["metric"] == "score") & quality["scan"].isna() & quality["structure"].isna()]
    return Session(
        id=visit_id(child, session),
        registration=registration,
        image=folder / _reference(registration),
        labels=labels,
        uncertainty=uncertainty,
        lut=labels.with_name(labels.name.replace(".nii.gz", "_lut.txt")),
        corrected=path("dseg", ".nii.gz", space="session", desc="corrected").name,
        doubt=1 - float(doubt["value"].iloc[0]) if len(doubt) else np.nan,
        flags=tuple(dict.fromkeys(flagged["metric"])),
        disagreement=_disagreement(_table(distances, DISTANCES)) if distances.is_file() else np.nan,
        done=bool((quality["metric"] == CORRECTED_METRIC).any()),
    )


def _table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    table = read_table(path)
    missing_columns(path, table.columns, columns)
    return table


def _reference(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["reference"])
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise UnusableData(str(path), f"cannot be read ({problem})", ADVICE) from problem


def _disagreement(distances: pd.DataFrame) -> float:
    between = distances[distances["reference"] == "session"]
    single = between["candidate"].nunique() < 2  # its own labels are the session's
    return np.nan if single else float(1 - between["dice"].mean())


def in_order(sessions: Sequence[Session]) -> list[tuple[Session, float]]:
    """Sort sessions by how much a correction is worth, and say how much.

    Parameters
    ----------
    sessions : sequence of Session
        In any order.

    Returns
    -------
    list of (Session, float)
        The priority is the mean over uncertainty, number of flags and disagreement between scans of the share
        of the other sessions that have less of it (half of those that have as much), 0 to 1. Sessions whose
        scan is in question come last, as labels are not what is to be mended there.
    """
    table = pd.DataFrame(
        {
            "doubt": [s.doubt for s in sessions],
            "flags": [float(len(s.flags)) for s in sessions],
            "disagreement": [s.disagreement for s in sessions],
        }
    )
    shares = (table.rank(method="average") - 1) / (table.notna().sum() - 1).clip(lower=1)
    priority = shares.mean(axis=1).fillna(0.0)
    order = sorted(
        range(len(sessions)), key=lambda i: (sessions[i].faulty_scan, -priority[i], sessions[i].id)
    )
    return [(sessions[i], float(priority[i])) for i in order]


def worst_slices(session: Session, count: int) -> list[Slice]:
    """Read a session's maps and choose its most uncertain slices.

    Raises
    ------
    UnusableData
        If one of them cannot be read, or labels and uncertainty are not on one grid.
    """
    labels, uncertainty = load_labels(session.labels), load_image(session.uncertainty)
    if labels.shape != uncertainty.shape or not np.allclose(labels.affine, uncertainty.affine, atol=1e-3):
        raise UnusableData(str(session.uncertainty), "is not on the grid of the labels", ADVICE)
    if labels.data.min() < 0:
        raise UnusableData(str(session.labels), "holds negative numbers, so it is no label map", ADVICE)
    return choose_slices(labels, beyond_borders(labels.data, uncertainty.data), count)


def beyond_borders(labels: np.ndarray, uncertainty: np.ndarray) -> np.ndarray:
    """Leave what is more uncertain than half of the borders between labels of the same session are.

    Parameters
    ----------
    labels : (I, J, K) np.ndarray
        Label map.
    uncertainty : (I, J, K) np.ndarray
        Of each voxel, 0 to 1, by whatever definition.

    Returns
    -------
    (I, J, K) np.ndarray
        The part above the median of voxels with another label beside them; all of it where nothing is above.
    """
    border = np.zeros(labels.shape, dtype=bool)
    for axis in range(3):
        differ = np.diff(labels, axis=axis) != 0
        before, after = ([slice(None)] * 3 for _ in range(2))
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        border[tuple(before)] |= differ
        border[tuple(after)] |= differ
    usual = float(np.median(uncertainty[border])) if border.any() else 0.0
    beyond = np.clip(uncertainty - usual, 0, None)
    return beyond if beyond.any() else uncertainty


def choose_slices(labels: Volume, uncertainty: np.ndarray, count: int) -> list[Slice]:
    """Choose slices of any plane with the most uncertainty, those of one plane some millimetres apart.

    Parameters
    ----------
    labels : Volume
        Label map.
    uncertainty : (I, J, K) np.ndarray
        Of each voxel, from 0.
    count : int
        Largest number of slices.

    Returns
    -------
    list of Slice
        Worst first; none where nothing is uncertain.
    """
    found = []
    for axis, (code, spacing) in enumerate(zip(labels.axcodes, labels.spacing_mm, strict=True)):
        # Slices of thick-sliced scans hold more each: compared by the millimetre.
        sums = uncertainty.sum(axis=tuple(a for a in range(3) if a != axis)) / spacing
        for _ in range(count):
            index = int(sums.argmax())
            if sums[index] <= 0:
                break
            found.append((float(sums[index]), axis, index, PLANES[code]))
            near = np.abs(np.arange(len(sums)) - index) * spacing < APART_MM
            sums[near] = 0
    found.sort(key=lambda one: (-one[0], one[1], one[2]))
    return [_slice(labels, uncertainty, axis, index, plane) for _, axis, index, plane in found[:count]]


def _slice(labels: Volume, uncertainty: np.ndarray, axis: int, index: int, plane: str) -> Slice:
    part, numbers = np.take(uncertainty, index, axis=axis), np.take(labels.data, index, axis=axis)
    grids = np.meshgrid(*(np.arange(n) for n in part.shape), indexing="ij")
    middle = [float((grid * part).sum() / part.sum()) for grid in grids]
    middle.insert(axis, float(index))
    world = labels.affine[:3, :3] @ np.array(middle) + labels.affine[:3, 3]
    share = np.bincount(numbers.ravel().astype(np.int64), weights=part.ravel())
    share[0] = 0  # uncertainty of the background is that of the structures beside it
    worst = [int(label) for label in np.argsort(-share, kind="stable")[:NAMED] if share[label] > 0]
    x, y, z = (round(float(value), 1) for value in world)
    uncertain_ml = round(float(part.sum() * labels.voxel_volume_mm3 / 1000), 3)
    return Slice(plane, axis, index, (x, y, z), uncertain_ml, tuple(structure_name(label) for label in worst))
