"""Make an image from a label map, as training does."""

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``babyseg synthesize``."""
    parser.add_argument("labels", metavar="LABELS", help="label map with FreeSurfer numbers")
    parser.add_argument(
        "-o", "--output", required=True, metavar="IMG", help="image, 0 to 1, centred on the brain"
    )
    parser.add_argument("--labels-out", metavar="F", help="the labels that go with the image")
    parser.add_argument("--params-out", metavar="F.json", help="the parameters that were drawn")
    parser.add_argument("--params", metavar="F.json", help="make the image of these parameters again")
    parser.add_argument("--spacing", type=float, default=1.0, metavar="MM", help="voxel size, default 1")
    parser.add_argument("--age-months", type=float, help="age; decides which contrasts are likely")
    parser.add_argument("--seed", type=int, default=0)


def run(args: argparse.Namespace) -> None:
    """Draw parameters or read them, and write what they describe."""
    import numpy as np

    from babyseg_py.errors import UnusableData, UsageError
    from babyseg_py.images import Volume, load_labels, save_image, save_labels
    from babyseg_py.labels import LABELS
    from babyseg_py.synthesis.labelbank_build import describe_map, make_bank
    from babyseg_py.synthesis.randomise import draw_params
    from babyseg_py.synthesis.ranges import Ranges
    from babyseg_py.synthesis.synthesise import apply

    if args.spacing <= 0:
        raise UsageError("--spacing must be positive")
    described, codes = describe_map(load_labels(args.labels), name="labels", age_months=args.age_months)
    if len(codes) < 2:
        raise UnusableData(
            args.labels, "holds none of the known labels", "give a map with FreeSurfer numbers"
        )
    bank = make_bank([(described, codes)])
    if args.params:
        params = _read(Path(args.params))
    else:
        side = round(described.size_mm * 2 / args.spacing / 16 + 0.5) * 16
        voxels = described.size_mm / args.spacing
        ranges = Ranges.from_dict({"grid": (side, side, side), "brain_voxels": (voxels, voxels)})
        params = draw_params(np.random.default_rng(args.seed), bank, ranges)
    try:
        sample = apply(bank, params)
    except (KeyError, TypeError, IndexError) as problem:
        what = f"does not describe a sample of this version ({type(problem).__name__}: {problem})"
        raise UnusableData(args.params or args.labels, what, "give a file of --params-out") from problem
    affine = np.diag([args.spacing, args.spacing, args.spacing, 1.0])
    affine[:3, 3] = -args.spacing * (np.array(sample.target.shape) - 1) / 2
    save_image(Volume(sample.images[0].numpy(), affine), args.output)
    if args.labels_out:
        save_labels(Volume(np.array(LABELS)[sample.target.numpy()], affine), args.labels_out)
    if args.params_out:
        Path(args.params_out).write_text(json.dumps(params, indent=1) + "\n", encoding="utf-8")


def _read(path: Path) -> dict:
    from babyseg_py.errors import UnusableData

    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise UnusableData(
            str(path), f"cannot be read ({problem})", "give a file of --params-out"
        ) from problem
