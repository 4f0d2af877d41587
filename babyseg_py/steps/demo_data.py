"""Write the demo cohort: scans of digital infants with known volumes, and one planted association."""

import argparse
import csv
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from babyseg_py.errors import UsageError
from babyseg_py.writing import write_text

if TYPE_CHECKING:
    from babyseg_py.images import Volume
    from babyseg_py.synthesis.digital_infant import Model
    from babyseg_py.synthesis.digital_infant_cohort import PlannedChild, PlannedVisit

SHEET = (
    *("participant_id", "session_id", "suffix", "image", "run"),
    *("age_value", "age_unit", "age_reference", "sex", "site", "group", "dseg"),
)
VOLUMES = ("participant_id", "session_id", "label", "structure", "volume_mm3")
PLANTED = "planted.json"
TABLES = ("samplesheet.csv", "scores.tsv", "raters.tsv", "reference_volumes.tsv", PLANTED)
RATERS = ("participant_id", "session_id", "rater", "dseg")
MOST_VISITS = 8
FINEST_MM, FINER = 1.0, 0.7  # voxels of the anatomy: at least, and relative to those of the scans


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``babyseg demo-data``."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder to write")
    parser.add_argument("--children", type=int, default=12, help="number of children (default 12)")
    parser.add_argument("--visits", type=int, default=2, help="visits of each child (default 2)")
    parser.add_argument(
        "--spacing", type=float, default=1.3, metavar="MM", help="voxel size in the plane (default 1.3)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of everything that is drawn (default 1)")
    parser.add_argument("--threads", type=int, default=2, help="processes that make scans (default 2)")


def run(args: argparse.Namespace) -> None:
    """Write the cohort: what was planted first, by which the folder is known again, the samplesheet last.

    Outputs in the folder: ``samplesheet.csv``, ``scores.tsv``, ``sub-*/ses-*/anat/*.nii.gz``,
    ``reference_volumes.tsv``, ``planted.json``, reference segmentations of a few sessions in ``truth``, and
    label maps of raters in ``raters`` with their table ``raters.tsv``.
    """
    _check(args)
    from babyseg_py.synthesis.digital_infant import load_model
    from babyseg_py.synthesis.digital_infant_cohort import plan_cohort

    cohort = plan_cohort(
        load_model(), children=args.children, visits=args.visits, spacing_mm=args.spacing, seed=args.seed
    )
    spacing_mm = max(FINEST_MM, FINER * args.spacing)
    jobs = [_Job(args.folder, child, visit, spacing_mm) for child in cohort for visit in child.visits]
    _check_folder(args.folder, jobs)
    args.folder.mkdir(parents=True, exist_ok=True)
    _write_planted(args.folder, cohort, seed=args.seed)
    volumes = _write_visits(jobs, args.threads)
    _write_table(args.folder / "reference_volumes.tsv", VOLUMES, volumes)
    _write_scores(args.folder, cohort, seed=args.seed)
    ratings = [row for job in jobs if job.visit.with_raters for row in _rater_rows(job)]
    if ratings:
        _write_table(args.folder / "raters.tsv", RATERS, ratings)
    _write_table(args.folder / "samplesheet.csv", SHEET, [r for job in jobs for r in _sheet_rows(job)])
    scans = sum(len(job.visit.scans) for job in jobs)
    print(f"{args.folder}: {len(cohort)} children, {len(jobs)} visits, {scans} scans")


@dataclass(frozen=True)
class _Job:
    """One visit to be written below a folder, its anatomy made with a voxel size in mm."""

    folder: Path
    child: "PlannedChild"
    visit: "PlannedVisit"
    spacing_mm: float


def _check(args: argparse.Namespace) -> None:
    if args.children < 1 or args.threads < 1:
        raise UsageError("--children and --threads must be 1 or more")
    if not 1 <= args.visits <= MOST_VISITS:
        raise UsageError(f"--visits must be from 1 to {MOST_VISITS}")
    if not 0.5 <= args.spacing <= 4:
        raise UsageError("--spacing must be from 0.5 to 4 mm")


def _check_folder(folder: Path, jobs: list[_Job]) -> None:
    """Refuse a folder that holds a file which would be written over, unless it is a demo cohort."""
    scans = [_image_name(job, one.scan.suffix, one.run) for job in jobs for one in job.visit.scans]
    truths = [_truth_name(job) for job in jobs if job.visit.with_truth]
    raters = [Path(row[-1]) for job in jobs if job.visit.with_raters for row in _rater_rows(job)]
    taken = [name for name in (*map(Path, TABLES), *scans, *truths, *raters) if (folder / name).exists()]
    if taken and not _is_demo(folder / PLANTED):
        raise UsageError(f"{folder / taken[0]}: is there already, and no demo cohort; name another folder")


def _is_demo(planted: Path) -> bool:
    try:
        content = json.loads(planted.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and {"associations", "null_scores"} <= content.keys()


def _write_visits(jobs: list[_Job], threads: int) -> list[list]:
    """Write all scans in some processes; return the rows of true volumes, in order of the jobs."""
    shares = [jobs[first::threads] for first in range(min(threads, len(jobs)))]
    if len(shares) == 1:
        return _write_share(jobs)
    with ProcessPoolExecutor(len(shares), mp_context=get_context("spawn")) as pool:
        rows = [row for share in pool.map(_write_share, shares) for row in share]
    return sorted(rows, key=lambda row: row[:2])


def _write_share(jobs: list[_Job]) -> list[list]:
    """Write the scans of some visits; return their rows of true volumes."""
    import torch

    from babyseg_py.synthesis.digital_infant import load_model

    torch.set_num_threads(1)
    model = load_model()
    return [row for job in jobs for row in _write_visit(model, job)]


def _write_visit(model: "Model", job: _Job) -> list[list]:
    """Write the scans of a visit; return its rows of true volumes."""
    import numpy as np

    from babyseg_py.images import Volume, save_image, save_labels
    from babyseg_py.labels.merge import merge_labels
    from babyseg_py.synthesis.digital_infant import grow
    from babyseg_py.synthesis.digital_infant_images import label_scan, make_scene, take_scan

    anatomy = grow(model, job.child.child, job.visit.age_months, spacing_mm=job.spacing_mm)
    labels = Volume(merge_labels(anatomy.data, anatomy.affine), anatomy.affine)
    generator = np.random.default_rng(job.visit.seed)
    scene = make_scene(anatomy, job.visit.age_months, generator, with_head=job.visit.with_head)
    for planned in job.visit.scans:
        image = take_scan(scene, planned.scan)
        target = job.folder / _image_name(job, planned.scan.suffix, planned.run)
        save_image(image, target)
        if planned.corrupt:
            _cut_off(target)
        if job.visit.with_truth and planned is job.visit.scans[0]:
            save_labels(label_scan(labels, planned.scan, image), job.folder / _truth_name(job))
        if job.visit.with_raters and planned is job.visit.scans[0]:
            _write_raters(job, label_scan(labels, planned.scan, image))
    return _volume_rows(job, labels)


def _write_raters(job: _Job, truth: "Volume") -> None:
    """Write the label map of every rater."""
    import numpy as np

    from babyseg_py.images import save_labels
    from babyseg_py.synthesis.digital_infant_raters import ERROR_MM, rate

    for number, (rater, error_mm) in enumerate(ERROR_MM.items()):
        generator = np.random.default_rng([job.visit.seed, number])
        save_labels(rate(truth, error_mm, generator), job.folder / _rater_name(job, rater))


def _cut_off(path: Path) -> None:
    """Keep the first two fifths of a file, as a broken copy does."""
    content = path.read_bytes()
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(content[: len(content) * 2 // 5])
    partial.replace(path)


def _volume_rows(job: _Job, labels: "Volume") -> list[list]:
    """Rows of the table of true volumes: every structure, and the brain."""
    import numpy as np

    from babyseg_py.labels import BRAIN_VOLUME, STRUCTURES

    counts = np.bincount(labels.data.ravel(), minlength=256)
    ids = [job.child.participant, job.visit.session]
    volume = {s.id: float(counts[s.id]) * labels.voxel_volume_mm3 for s in STRUCTURES}
    rows = [[*ids, s.id, s.name, f"{volume[s.id]:.1f}"] for s in STRUCTURES if s.id]
    brain = sum(volume[s.id] for s in STRUCTURES if s.in_brain_volume)
    return [*rows, [*ids, "n/a", BRAIN_VOLUME, f"{brain:.1f}"]]


def _image_name(job: _Job, suffix: str, run: int | None) -> Path:
    """Path of a scan below the folder."""
    from babyseg_py.names import bids_name

    child, session = job.child.participant, job.visit.session
    name = bids_name(participant=child, session=session, run=run, suffix=suffix, extension=".nii.gz")
    return Path(f"sub-{child}", f"ses-{session}", "anat", name)


def _truth_name(job: _Job) -> Path:
    """Path of a reference segmentation below the folder."""
    from babyseg_py.names import bids_name

    child, session = job.child.participant, job.visit.session
    return Path("truth", bids_name(participant=child, session=session, suffix="dseg", extension=".nii.gz"))


def _rater_name(job: _Job, rater: str) -> Path:
    """Path of a rater's label map below the folder."""
    return Path("raters", rater, _truth_name(job).name)


def _rater_rows(job: _Job) -> list[list]:
    """Rows of the table of raters for one visit."""
    from babyseg_py.synthesis.digital_infant_raters import ERROR_MM

    ids = f"sub-{job.child.participant}", f"ses-{job.visit.session}"
    return [[*ids, rater, _rater_name(job, rater).as_posix()] for rater in ERROR_MM]


def _sheet_rows(job: _Job) -> list[list]:
    """Rows of the samplesheet for one visit."""
    child, visit = job.child, job.visit
    truth = _truth_name(job).as_posix() if visit.with_truth else ""
    return [
        [
            *(f"sub-{child.participant}", f"ses-{visit.session}", planned.scan.suffix),
            *(_image_name(job, planned.scan.suffix, planned.run).as_posix(), planned.run or ""),
            *(f"{visit.age_months:g}", "months", "birth", child.sex, child.site),
            *(child.group, truth),
        ]
        for planned in visit.scans
    ]


def _write_scores(folder: Path, cohort: list["PlannedChild"], *, seed: int) -> None:
    """Write the scores."""
    from babyseg_py.synthesis.digital_infant_cohort import draw_visit_scores

    scores = draw_visit_scores(cohort, seed=seed)
    rows = [
        [
            *(f"sub-{one.participant}", f"ses-{visit.session}"),
            *(f"{values[place][number]:.1f}" for values in scores.values()),
        ]
        for place, one in enumerate(cohort)
        for number, visit in enumerate(one.visits)
    ]
    _write_table(folder / "scores.tsv", ("participant_id", "session_id", *scores), rows)


def _write_planted(folder: Path, cohort: list["PlannedChild"], *, seed: int) -> None:
    """Write what is planted in the scores, and how far the raters err."""
    from scipy.stats import spearmanr

    from babyseg_py.labels import structure_name
    from babyseg_py.synthesis.digital_infant_cohort import (
        NULL_SCORES,
        PLANTED_LABEL,
        PLANTED_SCORE,
        draw_visit_scores,
        relative_volume,
    )
    from babyseg_py.synthesis.digital_infant_raters import ERROR_MM

    scores = draw_visit_scores(cohort, seed=seed)
    true = [relative_volume(one.child) for one in cohort]
    means = [values.mean() for values in scores[PLANTED_SCORE]]
    rho = float(spearmanr(true, means).statistic) if len(cohort) > 2 else None
    planted = {
        "associations": [
            {
                "score": PLANTED_SCORE,
                "structure": structure_name(PLANTED_LABEL),
                "label": PLANTED_LABEL,
                "rho": None if rho is None else round(rho, 3),
                "of": "volume relative to the mean of the age, with the mean score, over the children",
            }
        ],
        "null_scores": list(NULL_SCORES),
        "raters": [{"rater": name, "error_mm": error} for name, error in ERROR_MM.items()],
    }
    write_text(folder / PLANTED, json.dumps(planted, indent=2) + "\n")


def _write_table(path: Path, header: tuple[str, ...], rows: list[list]) -> None:
    """Write a table, tab-separated unless its name ends in .csv."""
    from io import StringIO

    text = StringIO()
    writer = csv.writer(text, delimiter="," if path.suffix == ".csv" else "\t", lineterminator="\n")
    writer.writerows([header, *rows])
    write_text(path, text.getvalue())
