"""Files of one visit of the pipeline, under their BIDS names."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from babyseg_py.images import Volume, save_labels
from babyseg_py.names import bids_name, parse_name
from babyseg_py.registration.visit import UNCONFIRMED
from babyseg_py.segmentation.corrected import take_correction
from babyseg_py.segmentation.detectors import detect_visit
from babyseg_py.segmentation.fuller import divide
from babyseg_py.segmentation.inference import Segmenter
from babyseg_py.segmentation.outputs import (
    notes_of,
    write_labels,
    write_quality,
    write_uncertainty,
    write_volumes,
)
from babyseg_py.segmentation.probseg import certain, session_probabilities, write_probabilities
from babyseg_py.segmentation.quality import Measure, finding, measure_quality, orientation
from babyseg_py.segmentation.sampling import Segmentation
from babyseg_py.segmentation.visit import VisitResult, on_own_grid, segment_scan, segment_visit
from babyseg_py.segmentation.window import Scan
from babyseg_py.writing import write_json


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

    def session_path(self, suffix: str, extension: str, desc: str) -> Path:
        """Path of a file that lies in session space."""
        return self.path(suffix, extension, space="session", desc=desc)


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
    shape, affine = tuple(plan["grid"]["shape"]), np.array(plan["grid"]["affine"])
    result = segment_visit(segmenter, scans, shape, affine, flip=visit.flip)
    session, measures = _session(visit, segmenter, result)
    volumes: dict[str, dict] = {"session": session.volumes_mm3, "scans": {}}
    intervals: dict[str, dict] = {"session": session.intervals_mm3, "scans": {}}
    for scan, by_itself in zip_longest(result.scans, result.alone):
        if len(result.scans) == 1:
            alone = on_own_grid(segmenter, result.posteriors, result.window, scan, result.evidence)
        else:
            alone = segment_scan(segmenter, scan, result.window, by_itself)
        measures += measure_quality(alone, scan=scan.name, age_months=visit.age_months)
        volumes["scans"][scan.name] = alone.volumes_mm3
        intervals["scans"][scan.name] = alone.intervals_mm3
        _write_scan(visit, segmenter, scan.name, alone, plan)
    _write_session(visit, segmenter, result, session, plan)
    write_json(visit.path("volumes", ".json", desc="posterior"), volumes | {"intervals": intervals})
    write_quality(measures + _registration_flags(plan), visit.path("qc", ".tsv", desc="segmentation"))


def _session(visit: Visit, segmenter: Segmenter, result: VisitResult) -> tuple[Segmentation, list[Measure]]:
    """Labels of the session, the network's or those of a correction, and what is measured of them."""
    session = result.together
    agreement: list[Measure] = []
    manual = visit.corrected is not None
    if visit.corrected:
        path, labels = visit.corrected
        session, agreement = take_correction(session, labels, path)
    drawn = session.labels if manual else None
    measures = [orientation(result.facing), *detect_visit(result, segmenter.info.labels, drawn), *agreement]
    measures += measure_quality(session, scan="n/a", age_months=visit.age_months, manual=manual)
    measures += [finding(one.name, "left_out", f"was left out: {one.reason}") for one in result.left_out]
    return session, measures


def _write_scan(
    visit: Visit, segmenter: Segmenter, name: str, alone: Segmentation, plan: dict[str, Any]
) -> None:
    """Write what is seen in one scan alone, on its own grid."""
    parts = parse_name(name)
    run = None if parts.get("run") is None else int(parts["run"])
    path = visit.path("dseg", ".nii.gz", run=run, space=str(parts["suffix"]), desc="babyseg")
    write_labels(alone, path, sources=_images(plan, {name}), segmenter=segmenter)


def _write_session(
    visit: Visit, segmenter: Segmenter, result: VisitResult, session: Segmentation, plan: dict[str, Any]
) -> None:
    """Write labels and uncertainty in session space; posteriors and the fuller label set where asked for."""
    notes, sources = notes_of(result), _images(plan, {scan.name for scan in result.scans})
    if visit.corrected:
        sources.append(visit.corrected[0].name)
        notes.append(f"corrected by hand: the labels of {visit.corrected[0].name}, not the network's")
    network = result.together if visit.corrected else None
    path = visit.session_path("dseg", ".nii.gz", "babyseg")
    write_labels(session, path, sources=sources, segmenter=segmenter, notes=notes, network=network)
    write_uncertainty(session.uncertainty, visit.session_path("map", ".nii.gz", "uncertainty"))
    if visit.keep_posteriors:
        _write_posteriors(visit, segmenter, result, session, plan["grid"])
    if segmenter.refiner:
        divided = divide(segmenter, result, session)
        path = visit.session_path("dseg", ".nii.gz", "fuller")
        write_labels(divided, path, sources=sources, segmenter=segmenter, notes=notes, network=network)
        _write_brain_mask(visit, divided.brain_mask, source=path.name)
        write_volumes(divided, visit.path("morph", ".tsv", desc="fuller"))


def _write_posteriors(
    visit: Visit, segmenter: Segmenter, result: VisitResult, session: Segmentation, grid: dict[str, Any]
) -> None:
    """Write the posteriors of the session; a correction is certain of its labels."""
    shape, affine = tuple(grid["shape"]), np.array(grid["affine"])
    known = visit.corrected is not None
    steps = certain(session.labels) if known else session_probabilities(result, segmenter, shape, affine)
    write_probabilities(steps, affine, visit.session_path("probseg", ".nii.gz", "babyseg"))


def _write_brain_mask(visit: Visit, mask: Volume, *, source: str) -> None:
    save_labels(mask, visit.session_path("mask", ".nii.gz", "brain"))
    content = {"Type": "Brain", "Sources": [source], "SpatialReference": "the grid of this file"}
    write_json(visit.session_path("mask", ".json", "brain"), content)


def _images(plan: dict[str, Any], scans: set[str]) -> list[str]:
    """Image files of some scans, in the order of the registration."""
    return [entry["image"] for entry in plan["scans"] if entry["scan"] in scans]


def _registration_flags(plan: dict[str, Any]) -> list[Measure]:
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
