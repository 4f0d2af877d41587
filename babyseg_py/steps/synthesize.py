"""Make an image from a label map, as training does."""

import argparse
import json
from pathlib import Path

from babyseg_py.steps.arguments import age_months, seed, voxel_mm

SMALLEST_MM3 = 10_000
SPACING = "spacing_mm"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``babyseg synthesize``."""
    parser.add_argument("labels", metavar="LABELS", help="label map with FreeSurfer numbers")
    parser.add_argument(
        "-o", "--output", required=True, metavar="IMG", help="image, 0 to 1, centred on the brain"
    )
    parser.add_argument("--labels-out", metavar="F", help="the labels that go with the image")
    parser.add_argument("--params-out", metavar="F.json", help="the parameters that were drawn")
    parser.add_argument("--params", metavar="F.json", help="make the image of these parameters again")
    words = "voxel size; 1 if not given; --params has its own"
    parser.add_argument("--spacing", type=voxel_mm, metavar="MM", help=words)
    parser.add_argument("--age-months", type=age_months, help="age; decides which contrasts are likely")
    parser.add_argument("--seed", type=seed, default=0)


def run(args: argparse.Namespace) -> None:
    """Draw parameters or read them, and write what they describe."""
    import numpy as np

    from babyseg_py.errors import UnusableData, UsageError
    from babyseg_py.images import Volume, load_labels, save_image, save_labels
    from babyseg_py.images.nifti import require_nifti_names
    from babyseg_py.labels import LABELS
    from babyseg_py.labels.merge import merge_labels
    from babyseg_py.synthesis.labelbank_build import describe_map, make_bank
    from babyseg_py.synthesis.randomise import draw_params
    from babyseg_py.synthesis.ranges import Ranges
    from babyseg_py.synthesis.synthesise import apply
    from babyseg_py.writing import check_outputs, write_text

    check_outputs([args.output, args.labels_out, args.params_out], inputs=[args.labels, args.params])
    require_nifti_names(args.output, args.labels_out)
    if args.params and args.spacing:
        raise UsageError("--spacing does not go with --params, which holds the voxel size of its image")
    labels = load_labels(args.labels)
    if np.count_nonzero(merge_labels(labels.data, labels.affine)) * labels.voxel_volume_mm3 < SMALLEST_MM3:
        raise UnusableData(
            args.labels, "holds no brain of known labels", "give a map with FreeSurfer numbers"
        )
    described, codes = describe_map(labels, name="labels", age_months=args.age_months)
    bank = make_bank([(described, codes)])
    params = _read(Path(args.params)) if args.params else {}
    spacing = args.spacing or _spacing(params, args.params)
    if not args.params:
        side = round(described.size_mm * 2 / spacing / 16 + 0.5) * 16
        voxels = described.size_mm / spacing
        ranges = Ranges.from_dict({"grid": (side, side, side), "brain_voxels": (voxels, voxels)})
        params = draw_params(np.random.default_rng(args.seed), bank, ranges)
    try:
        sample = apply(bank, params)
        affine = np.diag([spacing, spacing, spacing, 1.0])
        affine[:3, 3] = -spacing * (np.array(sample.target.shape) - 1) / 2
    except (KeyError, TypeError, IndexError, ValueError, RuntimeError) as problem:
        what = f"does not describe a sample of this version ({type(problem).__name__}: {problem})"
        raise UnusableData(args.params or args.labels, what, "give a file of --params-out") from problem
    save_image(Volume(sample.images[0].numpy(), affine), args.output)
    if args.labels_out:
        save_labels(Volume(np.array(LABELS)[sample.target.numpy()], affine), args.labels_out)
    if args.params_out:
        write_text(args.params_out, json.dumps(params | {SPACING: spacing}, indent=1) + "\n")


def _spacing(params: dict, path: str) -> float:
    from babyseg_py.errors import UnusableData

    spacing = params.get(SPACING, 1.0)
    if isinstance(spacing, int | float) and not isinstance(spacing, bool) and 0.1 <= spacing <= 20:
        return float(spacing)
    what = f"{SPACING} is {spacing!r}, not a voxel size in mm from 0.1 to 20"
    raise UnusableData(path, what, "give a file of --params-out")


def _read(path: Path) -> dict:
    from babyseg_py.errors import UnusableData

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return content
        fault = "it does not hold parameters"
    except (OSError, ValueError) as problem:
        fault = str(problem)
    raise UnusableData(str(path), f"cannot be read ({fault})", "give a file of --params-out")
