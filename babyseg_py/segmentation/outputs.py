"""What is written of a segmentation: labels, probabilities, volumes and quality, each with what it needs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from babyseg_py import __version__
from babyseg_py.images import Volume, save_image, save_labels, save_maps
from babyseg_py.labels import STRUCTURES, Structure
from babyseg_py.labels.fuller import fuller_structures
from babyseg_py.labels.lut import DSEG_COLUMNS, label_files, write_dseg_table, write_lut
from babyseg_py.segmentation.fuller import Divided
from babyseg_py.segmentation.inference import Segmenter
from babyseg_py.segmentation.quality import Measure
from babyseg_py.segmentation.sampling import Segmentation, probabilities_on_grid
from babyseg_py.segmentation.visit import VisitResult
from babyseg_py.writing import tsv_text, write_json, write_text

VOLUME_COLUMNS = [
    *("label", "structure", "volume_mm3", "volume_posterior_mm3"),
    *("volume_ci_low", "volume_ci_high"),
]
CALIBRATED = "probability that the label of a voxel is wrong, calibrated on synthetic cases"
UNCALIBRATED = (
    "uncalibrated: one minus the largest posterior; no Dice is predicted and no volume has an interval "
    "(other weights than those that were calibrated, or no mirrored images)"
)
OF_THE_NETWORK = "of the network's labels, before they were corrected by hand"
QC_COLUMNS = ["scan", "structure", "metric", "value", "low", "high", "flag", "message"]


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
    network: Segmentation | None = None,
) -> None:
    """Write a label map with its sidecar JSON, its BIDS table and its colour table.

    Parameters
    ----------
    result : Segmentation or Divided
        The labels.
    path : Path
        Where they go.
    sources : sequence of str
        What they were made from.
    segmenter : Segmenter
        The network.
    notes : sequence of str
        What the user should know.
    network : Segmentation, optional
        What the network made, where the labels are those of a correction by hand.
    """
    _, json_path, table_path, lut_path = label_files(path)
    save_labels(result.labels, path)
    certainty = CALIBRATED if (network or result).trust else UNCALIBRATED
    sidecar: dict[str, Any] = {
        "Manual": network is not None,
        "Sources": [Path(source).name for source in sources],
        "GeneratedBy": {"Name": "babyseg", "Version": __version__},
        "Weights": segmenter.info.provenance,
        "Precision": segmenter.precision,
        "Device": segmenter.device.type,
        "Uncertainty": f"{OF_THE_NETWORK}: {certainty}" if network else certainty,
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
    write_text(path, tsv_text(volume_frame(result), digits=6))


def quality_frame(measures: Sequence[Measure]) -> pd.DataFrame:
    """Tabulate all quality measures, one a row; a limit that there is not is missing."""
    rows = [
        (
            *(m.scan, m.structure, m.metric, m.value),
            *(limit if np.isfinite(limit) else np.nan for limit in (m.low, m.high)),
            *(int(m.flag), m.message if m.flag else m.unknown or "n/a"),
        )
        for m in measures
    ]
    return pd.DataFrame(rows, columns=QC_COLUMNS)


def write_quality(measures: Sequence[Measure], path: Path) -> None:
    """Write all quality measures, one a row."""
    write_text(path, tsv_text(quality_frame(measures), digits=6))


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
