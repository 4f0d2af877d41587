"""Segment the scans of one visit: on the command line, and as a step of the pipeline."""

import argparse
import json
import math
import os
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babyseg_py.errors import EXIT_UNUSABLE, UnusableData, UsageError
from babyseg_py.labels.fuller import LABEL_SETS
from babyseg_py.segmentation.choices import DEVICES, PRECISIONS
from babyseg_py.steps.arguments import age_months, thread_count, visit_ids

OF_FILES = ("output", "posteriors", "uncertainty", "mask", "volumes", "qc", "json")
OF_A_VISIT = ("visit", "registration", "corrected", "keep_posteriors")
IMAGE_ENDING = re.compile(r"\.(nii|mgz|mgh)(\.gz)?$", re.IGNORECASE)


@dataclass(frozen=True)
class Job:
    """One visit on the command line.

    Parameters
    ----------
    images : tuple of str
        Its scans.
    labels : Path
        Where the labels go.
    posteriors, uncertainty, mask, volumes, qc : Path or None
        Where the rest goes, if it is asked for.
    """

    images: tuple[str, ...]
    labels: Path
    posteriors: Path | None = None
    uncertainty: Path | None = None
    mask: Path | None = None
    volumes: Path | None = None
    qc: Path | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``babyseg segment``."""
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMG",
        help="scans of one visit in any order; the first one lends the grid",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="DSEG",
        help="labels on the grid of the first scan; a folder: each scan is a visit of its own",
    )
    parser.add_argument(
        "--posteriors", metavar="F", help="probabilities of all labels, 4-D, on the same grid"
    )
    parser.add_argument("--uncertainty", metavar="F", help="map of the probability that a label is wrong")
    parser.add_argument("--volumes", metavar="F.tsv", help="volumes in mm³ with their interval")
    parser.add_argument("--qc", metavar="F.tsv", help="quality measures and flags")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each visit")
    parser.add_argument("--force", action="store_true", help="overwrite outputs")
    parser.add_argument(
        "--weights", metavar="F", help="other weights than the default ones, or a published checkpoint"
    )
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto")
    parser.add_argument(
        "--threads", type=thread_count(0), default=0, help="largest number of threads; 0 for all cores"
    )
    parser.add_argument(
        "--no-flip",
        action="store_true",
        help="take no second look at the mirrored image: half the time, a little less accurate",
    )
    parser.add_argument(
        "--age-months", type=age_months, help="chronological age, narrows what volume is plausible"
    )
    parser.add_argument(
        "--labels",
        choices=LABEL_SETS,
        default=LABEL_SETS[0],
        help="22 labels, or fuller: putamen, pallidum, accumbens, parts of the cerebellum and of the fluid "
        "spaces apart",
    )
    parser.add_argument("--mask", metavar="F", help="with --labels fuller: brain with its fluid spaces")
    pipeline = parser.add_argument_group("as a step of the pipeline, in place of -o")
    pipeline.add_argument("--visit", metavar="sub-X_ses-Y", help="id of the visit")
    pipeline.add_argument("--registration", metavar="F.json", help="result of `babyseg register`")
    pipeline.add_argument("--corrected", metavar="F", help="labels corrected by hand, used as the session's")
    pipeline.add_argument(
        "--keep-posteriors", action="store_true", help="write the posteriors of the session too"
    )
    pipeline.add_argument("--out-dir", metavar="DIR", help="where all files of the visit are written")


def run(args: argparse.Namespace) -> int:
    """Segment, and write what is asked for."""
    _check_kind(args)
    if not args.out_dir and not args.output:
        raise UsageError("say where the labels go with -o dseg.nii.gz")
    if args.mask and args.labels != "fuller":
        raise UsageError("--mask needs --labels fuller, which knows the fluid spaces")
    visit = visit_ids(args.visit) if args.out_dir else None
    jobs = [] if visit else _jobs(args)
    threads = args.threads or os.cpu_count() or 1
    os.environ["OMP_NUM_THREADS"] = str(threads)
    # Threads that wait must not spin: beside other tasks that cost a fifth of the processor time.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    segmenter = _load(args, threads)
    if visit:
        _pipeline(args, visit, segmenter)
        return 0
    return _visits(args, jobs, segmenter)


def _check_kind(args: argparse.Namespace) -> None:
    """Refuse options of the other one of the two ways of calling, which would go unheard."""
    if args.out_dir and not (args.visit and args.registration):
        raise UsageError("--out-dir needs --visit and --registration")
    others = OF_FILES if args.out_dir else OF_A_VISIT
    unheard = [f"--{name.replace('_', '-')}" for name in others if getattr(args, name)]
    if unheard and args.out_dir:
        words = "does not go with --out-dir, where all files of the visit get names of their own; leave it"
        raise UsageError(f"{', '.join(unheard)}: {words}")
    if unheard:
        words = "goes with --out-dir, --visit and --registration only, as in the pipeline"
        raise UsageError(f"{', '.join(unheard)}: {words}")


def _load(args: argparse.Namespace, threads: int):
    from babyseg_py.terminal import progress_bar

    with progress_bar("babyseg segment", 1) as progress:
        progress("loading the network")
        from babyseg_py.models.memory import keep_freed_memory
        from babyseg_py.segmentation.from_files import load_model

        keep_freed_memory()
        return load_model(
            args.weights, device=args.device, precision=args.precision, threads=threads, labels=args.labels
        )


def _jobs(args: argparse.Namespace) -> list[Job]:
    """List the visits that are asked for, none of which may overwrite anything unasked."""
    from babyseg_py.writing import check_outputs

    if args.output.endswith(("/", os.sep)) or Path(args.output).is_dir():
        jobs = _jobs_in_folder(args)
    else:
        others = (args.posteriors, args.uncertainty, args.mask, args.volumes, args.qc)
        jobs = [Job(tuple(args.images), Path(args.output), *(Path(f) if f else None for f in others))]
        for image in (args.output, args.posteriors, args.uncertainty, args.mask):
            if image and not image.lower().endswith((".nii", ".nii.gz")):
                raise UsageError(f"cannot write {image}: name it .nii.gz or .nii")
    check_outputs(
        [path for job in jobs for path in _files(job)], force=args.force, inputs=[*args.images, args.weights]
    )
    return jobs


def _jobs_in_folder(args: argparse.Namespace) -> list[Job]:
    if args.posteriors or args.uncertainty or args.mask or args.volumes or args.qc:
        raise UsageError(
            "-o is a folder, in which volumes and QC get names of their own: leave those options"
        )
    jobs = []
    for image in args.images:
        stem = Path(args.output) / IMAGE_ENDING.sub("", Path(image).name)
        volumes, qc = (stem.with_name(f"{stem.name}_{kind}.tsv") for kind in ("volumes", "qc"))
        jobs.append(Job((image,), stem.with_name(f"{stem.name}_dseg.nii.gz"), volumes=volumes, qc=qc))
    return jobs


def _visits(args: argparse.Namespace, jobs: list[Job], segmenter) -> int:
    """Segment each visit with the same network; one that is unusable does not stop the others."""
    code = 0
    for number, job in enumerate(jobs, start=1):
        name = Path(job.images[0]).name
        title = name if len(jobs) == 1 else f"{name} ({number} of {len(jobs)})"
        try:
            _tell(args, job, _one_visit(args, job, segmenter, title), alone=len(jobs) == 1)
        except UnusableData as problem:
            if args.json:
                print(json.dumps({"images": job.images, "failure": str(problem)}), flush=True)
            if len(jobs) == 1:
                raise
            print(f"babyseg segment: {problem}", file=sys.stderr)
            code = EXIT_UNUSABLE
    return code


def _one_visit(args: argparse.Namespace, job: Job, segmenter, title: str):
    from babyseg_py.segmentation.from_files import segment_files, stage_count
    from babyseg_py.terminal import progress_bar

    with progress_bar(title, stage_count(segmenter, len(job.images))) as progress:
        done = segment_files(
            segmenter, job.images, flip=not args.no_flip, age_months=args.age_months, progress=progress
        )
        progress("writing")
        _write_all(job, done, segmenter)
    return done


def _write_all(job: Job, done, segmenter) -> None:
    """Write all files of a visit or, where one cannot be written, leave none that was not there before."""
    before = {path for path in _files(job) if path.exists()}
    try:
        _write(job, done, segmenter)
    except UnusableData:
        for path in set(_files(job)) - before:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        raise


def _files(job: Job) -> list[Path]:
    """All files of a visit, those beside the labels too."""
    from babyseg_py.labels.lut import label_files

    others = (job.posteriors, job.uncertainty, job.mask, job.volumes, job.qc)
    return [*label_files(job.labels), *(path for path in others if path)]


def _write(job: Job, done, segmenter) -> None:
    from babyseg_py.images import save_labels
    from babyseg_py.segmentation import outputs

    result = done.visit
    outputs.write_labels(
        done.result,
        job.labels,
        sources=done.sources,
        segmenter=segmenter,
        notes=outputs.notes_of(result),
    )
    if job.uncertainty:
        outputs.write_uncertainty(result.together.uncertainty, job.uncertainty)
    if job.posteriors:
        outputs.write_posteriors(result, segmenter, done.first, job.posteriors, to_session=done.to_session)
    if job.volumes:
        outputs.write_volumes(done.result, job.volumes)
    if job.mask:
        save_labels(done.divided.brain_mask, job.mask)
    if job.qc:
        outputs.write_quality(done.measures, job.qc)


def _tell(args: argparse.Namespace, job: Job, done, *, alone: bool) -> None:
    """Say notes and flags on standard error; on standard output JSON, or a table if it is a terminal."""
    from babyseg_py.segmentation import outputs
    from babyseg_py.terminal import print_volumes

    for note in done.visit.notes:
        print(f"babyseg segment: note: {note}", file=sys.stderr)
    for sentence in outputs.sentences(done.measures):
        print(f"babyseg segment: flagged: {job.labels.name}: {sentence}", file=sys.stderr)
    if args.json:
        print(json.dumps(_summary(job, done)), flush=True)
    elif alone:
        print_volumes(
            done.result.volumes_mm3,
            title=f"{job.labels}: volumes from posteriors",
            structures=outputs.structures_of(done.result),
        )


def _summary(job: Job, done) -> dict[str, Any]:
    from babyseg_py.segmentation import outputs

    keys = ("structure", "metric", "value", "low", "high", "message")
    flags = [{key: getattr(m, key) for key in keys} for m in done.measures if m.flag]
    return {
        "images": job.images,
        "left_out": [{"image": one.name, "reason": one.reason} for one in done.visit.left_out],
        "labels": str(job.labels),
        "volumes": [
            {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
            for row in outputs.volume_frame(done.result).to_dict("records")
        ],
        "flags": [
            {k: v if isinstance(v, str) or math.isfinite(v) else None for k, v in f.items()} for f in flags
        ],
        "notes": done.visit.notes,
    }


def _pipeline(args: argparse.Namespace, ids: tuple[str, str], segmenter) -> None:
    from babyseg_py.registration.plan import read_plan
    from babyseg_py.segmentation.plan import scans_of
    from babyseg_py.segmentation.visit_files import Visit, write_visit
    from babyseg_py.statistics.files import write_dictionary
    from babyseg_py.steps.reading import read_labels

    plan = read_plan(args.registration)
    scans = scans_of(Path(args.registration), plan, {Path(path).name: Path(path) for path in args.images})
    visit = Visit(
        participant=ids[0],
        session=ids[1],
        folder=Path(args.out_dir),
        flip=not args.no_flip,
        age_months=args.age_months,
        corrected=(Path(args.corrected), read_labels(args.corrected)) if args.corrected else None,
        keep_posteriors=args.keep_posteriors,
    )
    write_visit(visit, segmenter, scans, plan)
    write_dictionary(visit.path("qc", ".tsv", desc="segmentation"), "qc")
    if segmenter.refiner:
        write_dictionary(visit.path("morph", ".tsv", desc="fuller"), "volumes")
