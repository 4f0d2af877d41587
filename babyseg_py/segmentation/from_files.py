"""From image files to a segmentation, without a pipeline: what the command and the Python interface share."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume, load_image
from babyseg_py.images.geometry import resample
from babyseg_py.images.header import ImageHeader, inspect_header
from babyseg_py.labels.fuller import LABEL_SETS
from babyseg_py.models.default import default_refiner, default_weights
from babyseg_py.models.weights import FixedGrid
from babyseg_py.registration.checks import Flag
from babyseg_py.registration.pyramid import prepare
from babyseg_py.registration.visit import UNCONFIRMED, register_visit
from babyseg_py.segmentation.choices import check_choice
from babyseg_py.segmentation.detectors import detect_visit
from babyseg_py.segmentation.fuller import Divided, divide, with_refiner
from babyseg_py.segmentation.inference import Segmenter, load_segmenter
from babyseg_py.segmentation.quality import Measure, finding, measure_quality, orientation
from babyseg_py.segmentation.sampling import Segmentation, sample_posteriors
from babyseg_py.segmentation.several import LeftOut, fingerprint
from babyseg_py.segmentation.visit import Progress, VisitResult, segment_visit
from babyseg_py.segmentation.window import Scan


@dataclass(frozen=True)
class SegmentedFiles:
    """Segmentation of the scans of one visit, on the grid of the first one.

    Parameters
    ----------
    sources : tuple of str
        Image files that were used, in the order given.
    first : Volume
        Image on the output's grid: the first one of the sources, sampled on it if another one has the grid.
    to_session : (4, 4) np.ndarray
        World of that grid to the session's world, RAS mm.
    visit : VisitResult
        Labels, uncertainty, volumes and posteriors, and the scans that were left out with the reasons.
    measures : tuple of Measure
        Quality measures.
    divided : Divided or None
        The same in the fuller label set, if that was asked for.
    """

    sources: tuple[str, ...]
    first: Volume
    to_session: np.ndarray
    visit: VisitResult
    measures: tuple[Measure, ...]
    divided: Divided | None = None

    @property
    def result(self) -> Segmentation | Divided:
        """Labels and volumes in the label set that was asked for."""
        return self.divided or self.visit.together


def load_model(
    weights: Path | str | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    labels: str = "babyseg",
) -> Segmenter:
    """Load the network once, for any number of visits.

    Parameters
    ----------
    weights : Path or str, optional
        Weights of this package, or a checkpoint in the published BabySeg format; the default ones if not
        given.
    device : str
        ``cpu``, ``cuda``, or ``auto`` for a GPU if there is one.
    precision : str
        ``fp32``, ``bf16``, or ``auto`` for bfloat16 where the device has it.
    threads : int
        Largest number of threads of this process; 0 leaves it as it is.
    labels : str
        ``babyseg`` for the 22 labels, ``fuller`` for some of them divided into parts.

    Returns
    -------
    Segmenter
        For `segment_files`.

    Raises
    ------
    UsageError
        If a device, precision or label set is none that there is, a GPU is asked for and there is none, or
        the label set does not go with the weights.
    UnusableData
        If the weights cannot be used.
    """
    check_choice("labels", labels, LABEL_SETS)
    if threads:
        torch.set_num_threads(threads)
    segmenter = load_segmenter(weights or default_weights(), device=device, precision=precision)
    return with_refiner(segmenter, default_refiner()) if labels == "fuller" else segmenter


def stage_count(segmenter: Segmenter, scans: int) -> int:
    """Count the stages that `segment_files` tells of for so many scans, and one of writing."""
    return (
        4
        + (segmenter.refiner is not None)
        + (scans > 1)
        + (segmenter.networks.locate is not None) * (1 + (scans > 1))
    )


def segment_files(
    segmenter: Segmenter,
    images: Sequence[Path | str],
    *,
    flip: bool = True,
    age_months: float | None = None,
    progress: Progress = lambda _: None,
) -> SegmentedFiles:
    """Segment the scans of one visit together, on the grid of the first one.

    A scan that is empty, noise, of another head or otherwise unusable is left out, and the result is the one
    without it. Posteriors do not depend on the order of the scans; the first one says on which grid, and in
    which position of the head, the labels lie. If it is left out its grid is placed by its header.

    Parameters
    ----------
    segmenter : Segmenter
        As `load_model` returns it.
    images : sequence of Path or str
        One or more scans of one child at one visit, any contrasts, NIfTI or MGH.
    flip : bool
        Average with the mirrored images.
    age_months : float, optional
        Chronological age, narrows what volume is plausible.
    progress : callable
        Told each stage in words.

    Returns
    -------
    SegmentedFiles
        On the grid of the first image.

    Raises
    ------
    UnusableData
        If a file is missing, if the header of the first image cannot be used, or if no scan is left.
    """
    progress("reading")
    grid = inspect_header(images[0])
    volumes, left_out = _read(images)
    while True:
        if len(volumes) > 1:
            progress("registering")
        session = _session(segmenter, volumes, first=str(images[0]))
        lead = session.scans[0].volume
        visit = segment_visit(segmenter, session.scans, lead.shape, lead.affine, flip=flip, progress=progress)
        if not visit.left_out:
            break
        # Another scan may lend its grid now: the result is to be the one that comes out without these.
        left_out += visit.left_out
        volumes = {k: v for k, v in volumes.items() if k not in {one.name for one in visit.left_out}}
    visit = replace(visit, left_out=(*left_out, *session.left_out))
    used = {scan.name: scan for scan in visit.scans}
    sources = tuple(name for name in dict.fromkeys(map(str, images)) if name in used)
    visit, first, to_session = _on_first_grid(segmenter, str(images[0]), grid, visit, shown=used[sources[0]])
    divided = None
    if segmenter.refiner:
        progress("dividing structures")
        divided = divide(segmenter, visit, visit.together, to_session=to_session)
    return SegmentedFiles(
        sources=sources,
        first=first,
        to_session=to_session,
        visit=visit,
        measures=tuple(_measures(segmenter, visit, session.flags, age_months)),
        divided=divided,
    )


def _read(images: Sequence[Path | str]) -> tuple[dict[str, Volume], list[LeftOut]]:
    """Images by file in the order of their content, and those of several that cannot be used."""
    volumes: dict[str, Volume] = {}
    digests: dict[str, str] = {}
    left_out: list[LeftOut] = []
    for name in dict.fromkeys(map(str, images)):
        try:
            volume = load_image(name)
            if len(images) > 1:
                prepare(volume, levels_mm=(4.0,), name=name)
            twin = digests.setdefault(fingerprint(volume), name)
            if twin != name:
                raise UnusableData(name, f"is the same image as {twin}", "give each scan once")
            volumes[name] = volume
        except UnusableData as problem:
            if len(images) == 1 or not Path(name).exists():
                raise
            left_out.append(LeftOut(name, problem.what))
    if not volumes:
        what = "; ".join(f"{one.name}: {one.reason}" for one in left_out[1:])
        raise UnusableData(left_out[0].name, f"{left_out[0].reason}; {what}", "no scan is left to segment")
    return {digests[key]: volumes[digests[key]] for key in sorted(digests)}, left_out


@dataclass(frozen=True)
class _Session:
    """Scans that match, the one whose world is the session's first; what was flagged; what does not match."""

    scans: list[Scan]
    flags: list[tuple[str, Flag]]
    left_out: list[LeftOut]


def _session(segmenter: Segmenter, volumes: dict[str, Volume], *, first: str) -> _Session:
    """Register several scans to one that their content chooses, or to the first if the recipe has it lead."""
    names = list(volumes)
    if len(names) == 1:
        return _Session([Scan(names[0], volumes[names[0]], np.eye(4))], [], [])
    leads = isinstance(segmenter.info.preprocessing, FixedGrid) and first in names
    found = register_visit(list(volumes.values()), names=names, lead=names.index(first) if leads else None)
    order = sorted(range(len(names)), key=lambda i: i != found.reference)
    placed = [(names[i], found.placements[i]) for i in order]
    return _Session(
        [Scan(name, volumes[name], one.matrix) for name, one in placed if one.used],
        [(name, flag) for name, one in placed for flag in one.flags if not flag.excludes],
        [
            LeftOut(name, "; ".join(flag.message for flag in one.flags if flag.excludes))
            for name, one in placed
            if not one.used
        ],
    )


def _on_first_grid(
    segmenter: Segmenter, name: str, grid: ImageHeader, visit: VisitResult, *, shown: Scan
) -> tuple[VisitResult, Volume, np.ndarray]:
    """Bring a visit's labels to the first image's grid; also a scan on it, and its way to the session."""
    lead = next((scan for scan in visit.scans if scan.name == name), None)
    to_session = np.eye(4) if lead is None else np.linalg.inv(lead.matrix)
    image = shown.volume
    if lead is None:
        image = resample(shown.volume, grid.shape, grid.affine, world_matrix=shown.matrix)
    here = visit.together.labels
    if grid.shape != here.shape or not np.array_equal(to_session @ grid.affine, here.affine):
        together = sample_posteriors(
            visit.posteriors,
            visit.window,
            segmenter.info.labels,
            grid.shape,
            grid.affine,
            to_session=to_session,
            trust=visit.together.trust,
        )
        visit = replace(visit, together=together)
    return visit, image, to_session


def _measures(
    segmenter: Segmenter, visit: VisitResult, flags: Sequence[tuple[str, Flag]], age_months: float | None
) -> list[Measure]:
    measures = [orientation(visit.facing), *detect_visit(visit, segmenter.info.labels)]
    measures += measure_quality(visit.together, scan="n/a", age_months=age_months)
    measures += [finding(one.name, "left_out", f"was left out: {one.reason}") for one in visit.left_out]
    measures += [
        finding("n/a" if flag.name == UNCONFIRMED else name, f"registration_{flag.name}", flag.message)
        for name, flag in flags
    ]
    return measures
