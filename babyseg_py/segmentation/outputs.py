"""Files of one visit, under their BIDS names."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from babyseg_py import __version__
from babyseg_py.images import Volume, save_image, save_labels, save_maps
from babyseg_py.labels import STRUCTURES, Structure
from babyseg_py.labels.fuller import fuller_structures
from babyseg_py.labels.lut import DSEG_COLUMNS, label_files, write_dseg_table, write_lut
from babyseg_py.names import bids_name, parse_name
from babyseg_py.registration.visit import UNCONFIRMED
from babyseg_py.segmentation.corrected import take_correction
from babyseg_py.segmentation.detectors import detect_visit
from babyseg_py.segmentation.fuller import Divided, divide
from babyseg_py.segmentation.inference import Segmenter
from babyseg_py.segmentation.probseg import certain, session_probabilities, write_probabilities
from babyseg_py.segmentation.quality import Measure, finding, measure_quality, orientation
from babyseg_py.segmentation.sampling import Segmentation, probabilities_on_grid
from babyseg_py.segmentation.visit import VisitResult, on_own_grid, segment_scan, segment_visit
from babyseg_py.segmentation.window import Scan
from babyseg_py.writing import write_json, write_text

VOLUME_COLUMNS = [
    *("label", "structure", "volume_mm3", "volume_posterior_mm3"),
    *("volume_ci_low", "volume_ci_high"),
]
CALIBRATED = "probability that the label of a voxel is wrong, calibrated on synthetic cases"
UNCALIBRATED = (
    "uncalibrated: one minus the largest posterior; no Dice is predicted and no volume has an interval "
    "(other weights than those that were calibrated, or no mirrored images)"
)
QC_COLUMNS = ["scan", "structure", "metric", "value", "low", "high", "flag", "message"]


@dataclass(frozen=True)
class Visit:
    """A visit and where its files go.

    Parameters
    ----------
    participant, session : str
        Labels without prefix.
    folder : Path
        Folder of all files.
    flip : bool
        Average with the mirrored images.
    age_months : float or None
        Chronological age.
    corrected : (Path, Volume) or None
        Labels of the session that were corrected by hand: their file, and the 22 labels.
    keep_posteriors : bool
        Write the posteriors of the session too.
    """

    participant: str
    session: str
    folder: Path
    flip: bool
    age_months: float | None
    corrected: tuple[Path, Volume] | None = None
    keep_posteriors: bool = False

    def path(self, suffix: str, extension: str, *, run: int | None = None, **entities: str) -> Path:
        """Path of one file of the visit."""
        name = bids_name(
            participant=self.participant,
            session=self.session,
            suffix=suffix,
            extension=extension,
            run=run,
            **entities,
        )
        return self.folder / name


def write_visit(visit: Visit, segmenter: Segmenter, scans: Sequence[Scan], plan: dict[str, Any]) -> None:
    """Segment a visit from all scans and from each, and write every file of it.

    Parameters
    ----------
    visit : Visit
        Names and options.
    segmenter : Segmenter
        The network.
    scans : sequence of Scan
        Scans that registration found usable, the session's reference first.
    plan : dict
        Result of registration: the session's grid, and flags of each scan.
    """
    visit.folder.mkdir(parents=True, exist_ok=True)
    grid = plan["grid"]
    shape, affine = tuple(grid["shape"]), np.array(grid["affine"])
    result = segment_visit(segmenter, scans, shape, affine, flip=visit.flip)
    measures, session = (
        [orientation(result.facing), *detect_visit(result, segmenter.info.labels)],
        result.together,
    )
    if visit.corrected:
        session, agreement = take_correction(session, visit.corrected[1], visit.corrected[0])
        measures += agreement
    measures += measure_quality(session, scan="n/a", age_months=visit.age_months)
    measures += [finding(one.name, "left_out", f"was left out: {one.reason}") for one in result.left_out]
    by_scan: dict[str, dict[int, float]] = {}
    interval_by_scan: dict[str, dict[int, tuple[float, float]]] = {}

    for scan, by_itself in zip_longest(result.scans, result.alone):
        if len(result.scans) == 1:
            alone = on_own_grid(segmenter, result.posteriors, result.window, scan, result.evidence)
        else:
            alone = segment_scan(segmenter, scan, result.window, by_itself)
        measures += measure_quality(alone, scan=scan.name, age_months=visit.age_months)
        by_scan[scan.name], interval_by_scan[scan.name] = alone.volumes_mm3, alone.intervals_mm3
        scan_file = parse_name(scan.name + ".nii.gz")
        run, suffix = scan_file.get("run"), str(scan_file["suffix"])
        run = None if run is None else int(run)
        path = visit.path("dseg", ".nii.gz", run=run, space=suffix, desc="babyseg")
        image = next(entry["image"] for entry in plan["scans"] if entry["scan"] == scan.name)
        write_labels(alone, path, sources=[image], segmenter=segmenter)

    together = visit.path("dseg", ".nii.gz", space="session", desc="babyseg")
    used = {scan.name for scan in result.scans}
    sources = [entry["image"] for entry in plan["scans"] if entry["scan"] in used]
    notes, manual = notes_of(result), bool(visit.corrected)
    if visit.corrected:
        sources.append(visit.corrected[0].name)
        notes.append(f"corrected by hand: the labels of {visit.corrected[0].name}, not the network's")
    write_labels(session, together, sources=sources, segmenter=segmenter, notes=notes, manual=manual)
    write_uncertainty(session.uncertainty, visit.path("map", ".nii.gz", space="session", desc="uncertainty"))
    if visit.keep_posteriors:
        steps = (
            certain(session.labels)
            if visit.corrected
            else session_probabilities(result, segmenter, shape, affine)
        )
        write_probabilities(steps, affine, visit.path("probseg", ".nii.gz", space="session", desc="babyseg"))
    if segmenter.refiner:
        divided = divide(segmenter, result, session)
        path = visit.path("dseg", ".nii.gz", space="session", desc="fuller")
        write_labels(divided, path, sources=sources, segmenter=segmenter, notes=notes, manual=manual)
        save_labels(divided.brain_mask, visit.path("mask", ".nii.gz", space="session", desc="brain"))
        content = {"Type": "Brain", "Sources": [path.name], "SpatialReference": "the grid of this file"}
        write_json(visit.path("mask", ".json", space="session", desc="brain"), content)
        write_volumes(divided, visit.path("morph", ".tsv", desc="fuller"))
    intervals = {"session": session.intervals_mm3, "scans": interval_by_scan}
    volumes = {"session": session.volumes_mm3, "scans": by_scan, "intervals": intervals}
    write_json(visit.path("volumes", ".json", desc="posterior"), volumes)
    write_quality(measures + registration_flags(plan), visit.path("qc", ".tsv", desc="segmentation"))


def registration_flags(plan: dict[str, Any]) -> list[Measure]:
    """Return the flags that registration gave the scans, or the visit, as rows of the quality table."""
    return [
        finding(
            "n/a" if flag["name"] == UNCONFIRMED else entry["scan"],
            f"registration_{flag['name']}",
            flag["message"],
        )
        for entry in plan["scans"]
        for flag in entry["flags"]
    ]


def notes_of(visit: VisitResult) -> list[str]:
    """Return what goes with the labels: what the user should know, and which scans were left out and why."""
    return [*visit.notes, *(f"{Path(one.name).name} was left out: {one.reason}" for one in visit.left_out)]


def write_labels(
    result: Segmentation | Divided,
    path: Path,
    *,
    sources: Sequence[str],
    segmenter: Segmenter,
    notes: Sequence[str] = (),
    manual: bool = False,
) -> None:
    """Write a label map with its sidecar JSON, its BIDS table and its colour table."""
    _, json_path, table_path, lut_path = label_files(path)
    save_labels(result.labels, path)
    sidecar: dict[str, Any] = {
        "Manual": manual,
        "Sources": [Path(source).name for source in sources],
        "GeneratedBy": {"Name": "babyseg", "Version": __version__},
        "Weights": segmenter.info.provenance,
        "Precision": segmenter.precision,
        "Device": segmenter.device.type,
        "Uncertainty": CALIBRATED if result.trust else UNCALIBRATED,
        "SpatialReference": "the grid of this file",
    }
    if notes:
        sidecar["Notes"] = list(notes)
    write_json(json_path, sidecar | DSEG_COLUMNS)  # BIDS: one file for the map and for its table
    write_dseg_table(table_path, structures_of(result))
    write_lut(lut_path, structures_of(result))


def structures_of(result: Segmentation | Divided) -> tuple[Structure, ...]:
    """Label table of a result, background first."""
    return fuller_structures() if isinstance(result, Divided) else STRUCTURES


def write_uncertainty(uncertainty: Volume, path: Path) -> None:
    """Write a map of probabilities, in steps of 1/200, so that it compresses well."""
    save_image(uncertainty.with_data(np.round(uncertainty.data * 200) / 200), path)


def write_posteriors(
    result: VisitResult, segmenter: Segmenter, reference: Volume, path: Path, *, to_session: np.ndarray
) -> None:
    """Write the probabilities of all labels on a grid as 4-D float32; volume order as in the label table."""
    in_session = to_session @ reference.affine
    order = [segmenter.info.labels.index(s.id) for s in STRUCTURES]
    posteriors = result.posteriors.each(lambda one: one[order])
    data = probabilities_on_grid(posteriors, result.window, reference.shape, in_session)
    save_maps(data, reference, path)


def volume_frame(result: Segmentation | Divided) -> pd.DataFrame:
    """Tabulate volumes from labels and from posteriors, and their interval, in mm³, one structure a row."""
    counts = np.bincount(result.labels.data.ravel(), minlength=256)
    voxel, unknown = result.labels.voxel_volume_mm3, (np.nan, np.nan)
    rows = [
        (
            *(s.id, s.name, round(float(counts[s.id] * voxel), 3), round(result.volumes_mm3[s.id], 3)),
            *(round(end, 3) for end in result.intervals_mm3.get(s.id, unknown)),
        )
        for s in structures_of(result)[1:]
    ]
    return pd.DataFrame(rows, columns=VOLUME_COLUMNS)


def write_volumes(result: Segmentation | Divided, path: Path) -> None:
    """Write volumes from labels and from posteriors, and their interval, in mm³."""
    _write_table(volume_frame(result), path)


def quality_frame(measures: Sequence[Measure]) -> pd.DataFrame:
    """Tabulate all quality measures, one a row."""
    rows = [
        (m.scan, m.structure, m.metric, m.value, m.low, m.high, int(m.flag), m.message if m.flag else "n/a")
        for m in measures
    ]
    return pd.DataFrame(rows, columns=QC_COLUMNS)


def write_quality(measures: Sequence[Measure], path: Path) -> None:
    """Write all quality measures, one a row."""
    _write_table(quality_frame(measures), path)


def sentences(measures: Sequence[Measure]) -> list[str]:
    """Say all flags in words, those of several structures in one sentence if they mean the same."""
    by_message: dict[str, list[Measure]] = {}
    for measure in measures:
        if measure.flag:
            by_message.setdefault(measure.message, []).append(measure)
    return [_sentence(same) for same in by_message.values()]


def _sentence(same: Sequence[Measure]) -> str:
    first = same[0]
    if np.isnan(first.value):
        names = ", ".join(Path(m.scan).name for m in same if m.scan != "n/a")
        return f"{names}: {first.message}" if names else first.message
    if first.structure == "n/a":
        return f"{first.message} ({first.metric} {first.value:.3g})"
    where = ", ".join(f"{m.structure} ({m.metric} {m.value:.3g})" for m in same)
    return f"{first.message}: {where}"


def _write_table(table: pd.DataFrame, path: Path) -> None:
    write_text(path, table.to_csv(sep="\t", index=False, na_rep="n/a", float_format="%.6g"))
