"""Segment the scans of one visit: on the command line, and as a step of the pipeline."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from babyseg_py.errors import UnusableData, UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``babyseg segment``."""
    parser.add_argument("images", nargs="+", metavar="IMG", help="scans of one visit, in any order")
    parser.add_argument("-o", "--output", metavar="DSEG", help="labels on the grid of the first scan")
    parser.add_argument(
        "--posteriors", metavar="F", help="probabilities of all labels, 4-D, on the same grid"
    )
    parser.add_argument("--uncertainty", metavar="F", help="map of the entropy, 0 to 1")
    parser.add_argument("--volumes", metavar="F.tsv", help="volumes in mm³ from labels and from posteriors")
    parser.add_argument("--qc", metavar="F.tsv", help="quality measures and flags")
    parser.add_argument("--weights", metavar="F", help="other weights than the default ones")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    parser.add_argument("--threads", type=int, default=0, help="largest number of threads; 0 for all cores")
    parser.add_argument(
        "--no-flip", action="store_true", help="do not average with the mirrored image: half the time"
    )
    parser.add_argument(
        "--age-months", type=float, help="chronological age, narrows what volume is plausible"
    )
    pipeline = parser.add_argument_group("as a step of the pipeline, in place of -o")
    pipeline.add_argument("--visit", metavar="sub-X_ses-Y", help="id of the visit")
    pipeline.add_argument("--registration", metavar="F.json", help="result of `babyseg register`")
    pipeline.add_argument("--out-dir", metavar="DIR", help="where all files of the visit are written")


def run(args: argparse.Namespace) -> None:
    """Segment, and write what is asked for."""
    if args.out_dir and not (args.visit and args.registration):
        raise UsageError("--out-dir needs --visit and --registration")
    if not args.out_dir and not args.output:
        raise UsageError("say where the labels go with -o dseg.nii.gz")
    threads = args.threads or os.cpu_count() or 1
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    from babyseg_py.models.default import default_weights
    from babyseg_py.models.memory import keep_freed_memory
    from babyseg_py.segmentation.inference import load_segmenter

    torch.set_num_threads(threads)
    keep_freed_memory()
    weights = Path(args.weights) if args.weights else default_weights()
    segmenter = load_segmenter(weights, device=args.device, precision=args.precision)
    if args.out_dir:
        _pipeline(args, segmenter)
    else:
        _one_visit(args, segmenter)


def _progress() -> Callable[[str], None]:
    if not sys.stderr.isatty():
        return lambda _: None
    return lambda stage: print(f"babyseg segment: {stage} …", file=sys.stderr)


def _one_visit(args: argparse.Namespace, segmenter) -> None:
    from babyseg_py.images import load_image
    from babyseg_py.segmentation import outputs
    from babyseg_py.segmentation.quality import measure_quality
    from babyseg_py.segmentation.visit import segment_visit
    from babyseg_py.segmentation.window import Scan

    progress = _progress()
    progress("reading")
    volumes = [load_image(path) for path in args.images]
    scans = [Scan(path, volume, np.eye(4)) for path, volume in zip(args.images, volumes, strict=True)]
    if len(scans) > 1:
        scans = _register(scans, progress)
    reference = volumes[0]
    result = segment_visit(
        segmenter, scans, reference.shape, reference.affine, flip=not args.no_flip, progress=progress
    )
    outputs.write_labels(result.together.labels, Path(args.output), sources=args.images, segmenter=segmenter)
    if args.uncertainty:
        outputs.write_uncertainty(result.together.uncertainty, Path(args.uncertainty))
    if args.posteriors:
        outputs.write_posteriors(result, segmenter, reference, Path(args.posteriors))
    if args.volumes:
        outputs.write_volumes(result.together, Path(args.volumes))
    measures = measure_quality(result.together, scan="n/a", age_months=args.age_months)
    if args.qc:
        outputs.write_quality(measures, Path(args.qc))
    for measure in measures:
        if measure.flag:
            print(f"babyseg segment: flagged: {outputs.sentence(measure)}", file=sys.stderr)


def _register(scans, progress):
    """Place every scan in the space of the first."""
    from babyseg_py.registration.visit import align_to_first

    progress("registering")
    return align_to_first(scans)


def _pipeline(args: argparse.Namespace, segmenter) -> None:
    from babyseg_py.images import load_image
    from babyseg_py.names import parse_name
    from babyseg_py.segmentation import outputs
    from babyseg_py.segmentation.window import Scan

    plan = _read_registration(Path(args.registration))
    paths = {Path(path).name: Path(path) for path in args.images}
    entries = [entry for entry in plan["scans"] if entry["used"]]
    missing = [entry["image"] for entry in entries if entry["image"] not in paths]
    if missing:
        raise UnusableData(
            args.registration, f"names images that were not given: {missing}", "give all of them"
        )
    scans = [
        Scan(entry["scan"], load_image(paths[entry["image"]]), np.array(entry["matrix"])) for entry in entries
    ]
    names = parse_name(f"{args.visit}_dseg.nii.gz")
    visit = outputs.Visit(
        participant=str(names["participant"]),
        session=str(names["session"]),
        folder=Path(args.out_dir),
        flip=not args.no_flip,
        age_months=args.age_months,
    )
    outputs.write_visit(visit, segmenter, scans, plan)


def _read_registration(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise UnusableData(
            str(path), f"cannot be read ({problem})", "run `babyseg register` again"
        ) from problem
