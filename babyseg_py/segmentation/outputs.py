"""Files of one visit, under their BIDS names."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from babyseg_py import __version__
from babyseg_py.images import Volume, save_image, save_labels
from babyseg_py.labels import STRUCTURES
from babyseg_py.labels.lut import label_files, write_dseg_table, write_lut
from babyseg_py.names import bids_name, parse_name
from babyseg_py.registration.visit import UNCONFIRMED
from babyseg_py.segmentation.corrected import take_correction
from babyseg_py.segmentation.inference import Segmenter
from babyseg_py.segmentation.quality import Measure, measure_quality, orientation
from babyseg_py.segmentation.sampling import Segmentation, probabilities_on_grid
from babyseg_py.segmentation.visit import VisitResult, on_own_grid, segment_scan, segment_visit
from babyseg_py.segmentation.window import Scan
from babyseg_py.writing import appearing

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
    """

    participant: str
    session: str
    folder: Path
    flip: bool
    age_months: float | None
    corrected: tuple[Path, Volume] | None = None

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
        Scans that registration found usable.
    plan : dict
        Result of registration: the session's grid, and flags of each scan.
    """
    visit.folder.mkdir(parents=True, exist_ok=True)
    grid = plan["grid"]
    shape, affine = tuple(grid["shape"]), np.array(grid["affine"])
    result = segment_visit(segmenter, scans, shape, affine, flip=visit.flip)
    measures, session = [orientation(result.facing)], result.together
    if visit.corrected:
        path, labels = visit.corrected
        session, agreement = take_correction(session, labels, path)
        measures += agreement
    measures += measure_quality(session, scan="n/a", age_months=visit.age_months)
    by_scan: dict[str, dict[int, float]] = {}

    for scan in result.scans:
        if len(scans) == 1:
            alone = on_own_grid(segmenter, result.posteriors, result.window, scan)
        else:
            alone = segment_scan(segmenter, scan, result.window, flip=visit.flip)
        measures += measure_quality(alone, scan=scan.name, age_months=visit.age_months)
        by_scan[scan.name] = alone.volumes_mm3
        scan_file = parse_name(scan.name + ".nii.gz")
        run, suffix = scan_file.get("run"), str(scan_file["suffix"])
        run = None if run is None else int(run)
        path = visit.path("dseg", ".nii.gz", run=run, space=suffix, desc="babyseg")
        image = next(entry["image"] for entry in plan["scans"] if entry["scan"] == scan.name)
        write_labels(alone.labels, path, sources=[image], segmenter=segmenter)

    together = visit.path("dseg", ".nii.gz", space="session", desc="babyseg")
    sources = [entry["image"] for entry in plan["scans"] if entry["used"]]
    notes = result.notes
    if visit.corrected:
        sources.append(visit.corrected[0].name)
        notes = (*notes, f"corrected by hand: the labels of {visit.corrected[0].name}, not the network's")
    write_labels(
        session.labels,
        together,
        sources=sources,
        segmenter=segmenter,
        notes=notes,
        manual=bool(visit.corrected),
    )
    write_uncertainty(session.uncertainty, visit.path("map", ".nii.gz", space="session", desc="uncertainty"))
    volumes = {"session": session.volumes_mm3, "scans": by_scan}
    _write_json(volumes, visit.path("volumes", ".json", desc="posterior"))
    write_quality(measures + registration_flags(plan), visit.path("qc", ".tsv", desc="segmentation"))


def registration_flags(plan: dict[str, Any]) -> list[Measure]:
    """Return the flags that registration gave the scans, or the visit, as rows of the quality table."""
    return [
        Measure(
            "n/a" if flag["name"] == UNCONFIRMED else entry["scan"],
            "n/a",
            f"registration_{flag['name']}",
            np.nan,
            0,
            0,
            flag["message"],
        )
        for entry in plan["scans"]
        for flag in entry["flags"]
    ]


def write_labels(
    labels: Volume,
    path: Path,
    *,
    sources: Sequence[str],
    segmenter: Segmenter,
    notes: Sequence[str] = (),
    manual: bool = False,
) -> None:
    """Write a label map with its sidecar JSON, its BIDS table and its colour table."""
    _, json_path, table_path, lut_path = label_files(path)
    save_labels(labels, path)
    sidecar: dict[str, Any] = {
        "Manual": manual,
        "Sources": [Path(source).name for source in sources],
        "GeneratedBy": {"Name": "babyseg", "Version": __version__},
        "Weights": segmenter.info.provenance,
        "Precision": segmenter.precision,
        "Device": segmenter.device.type,
        "SpatialReference": "the grid of this file",
    }
    if notes:
        sidecar["Notes"] = list(notes)
    _write_json(sidecar, json_path)
    write_dseg_table(table_path)
    write_lut(lut_path)


def write_uncertainty(uncertainty: Volume, path: Path) -> None:
    """Write a map of normalised entropy, in steps of 1/200, so that it compresses well."""
    save_image(uncertainty.with_data(np.round(uncertainty.data * 200) / 200), path)


def write_posteriors(result: VisitResult, segmenter: Segmenter, reference: Volume, path: Path) -> None:
    """Write the probabilities of all labels on a grid as 4-D float32; volume order as in the label table."""
    data = probabilities_on_grid(result.posteriors, result.window, reference.shape, reference.affine)
    order = [segmenter.info.labels.index(s.id) for s in STRUCTURES]
    image = nib.Nifti1Image(np.moveaxis(data[order], 0, -1), reference.affine)
    with appearing(path) as partial:
        nib.save(image, partial)


def volume_frame(result: Segmentation) -> pd.DataFrame:
    """Tabulate volumes from labels and from posteriors in mm³, one structure a row."""
    counts = np.bincount(result.labels.data.ravel(), minlength=256)
    voxel = result.labels.voxel_volume_mm3
    rows = [
        (s.id, s.name, round(float(counts[s.id] * voxel), 3), round(result.volumes_mm3[s.id], 3))
        for s in STRUCTURES[1:]
    ]
    return pd.DataFrame(rows, columns=["label", "structure", "volume_mm3", "volume_posterior_mm3"])


def write_volumes(result: Segmentation, path: Path) -> None:
    """Write volumes from labels and from posteriors in mm³."""
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
    if first.structure == "n/a":
        return f"{first.message} ({first.metric} {first.value:.3g})"
    where = ", ".join(f"{m.structure} ({m.metric} {m.value:.3g})" for m in same)
    return f"{first.message}: {where}"


def _write_table(table: pd.DataFrame, path: Path) -> None:
    with appearing(path) as partial:
        table.to_csv(partial, sep="\t", index=False, na_rep="n/a", float_format="%.6g", compression=None)


def _write_json(content: Any, path: Path) -> None:
    with appearing(path) as partial:
        partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
