"""Make images from a label map, as training does."""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from babyseg_py.steps.arguments import age_months, seed, voxel_mm

if TYPE_CHECKING:
    from babyseg_py.images import Volume
    from babyseg_py.synthesis.labelbank import LabelBank
    from babyseg_py.synthesis.randomise import Params

SMALLEST_MM3 = 10_000
SPACING = "spacing_mm"
MEMORY_SHARE = 0.9  # of what is available
OF_THE_STEP = "give a file of --params-out"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``babyseg synthesize``."""
    parser.add_argument("labels", metavar="LABELS", help="label map with FreeSurfer numbers")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="IMG",
        help="image, 0 to 1, centred on the brain; further scans of a visit are written beside it as"
        " IMG_scan-2, IMG_scan-3 and so on",
    )
    parser.add_argument("--labels-out", metavar="F", help="the labels that go with the image")
    parser.add_argument("--params-out", metavar="F.json", help="the parameters that were drawn")
    parser.add_argument(
        "--params", metavar="F.json", help="make the image of these parameters again, from the same map"
    )
    parser.add_argument(
        "--config",
        metavar="RECIPE",
        help="draw as trainings with this recipe do (a file, or the name of one of the package), on its"
        " window unless --spacing is given; without it most artefacts are off",
    )
    words = "voxel size; 1 if neither it nor --config is given; --params has its own"
    parser.add_argument("--spacing", type=voxel_mm, metavar="MM", help=words)
    parser.add_argument("--age-months", type=age_months, help="age; decides which contrasts are likely")
    parser.add_argument("--seed", type=seed, default=0)


def run(args: argparse.Namespace) -> None:
    """Draw parameters or read them, and write what they describe."""
    import numpy as np

    from babyseg_py.errors import UnusableData, UsageError
    from babyseg_py.images import Volume, save_image, save_labels
    from babyseg_py.images.nifti import require_nifti_names
    from babyseg_py.labels import LABELS
    from babyseg_py.synthesis.labelbank_build import describe_map, make_bank
    from babyseg_py.synthesis.synthesise import apply
    from babyseg_py.writing import check_outputs, write_text

    inputs = [args.labels, args.params, args.config]
    check_outputs([args.output, args.labels_out, args.params_out], inputs=inputs)
    require_nifti_names(args.output, args.labels_out)
    if args.params and (args.spacing or args.config):
        other = "--spacing" if args.spacing else "--config"
        raise UsageError(
            f"{other} does not go with --params, which holds all of its image and its voxel size"
        )
    described, codes = describe_map(
        _checked_labels(args.labels), name=Path(args.labels).name, age_months=args.age_months
    )
    bank = make_bank([(described, codes)])
    params, spacing = _read(args.params, bank) if args.params else _draw(args, bank)
    outputs = [_name_of_scan(args.output, number) for number in range(len(params["scans"]))]
    check_outputs([*outputs, args.labels_out, args.params_out], inputs=inputs)
    _require_memory(args, params)
    try:
        sample = apply(bank, params)
        affine = np.diag([spacing, spacing, spacing, 1.0])
        affine[:3, 3] = -spacing * (np.array(sample.target.shape) - 1) / 2
    except (KeyError, TypeError, IndexError, ValueError, AttributeError, RuntimeError) as problem:
        what = f"does not describe a sample of this version ({type(problem).__name__}: {problem})"
        raise UnusableData(args.params or args.labels, what, OF_THE_STEP) from problem
    for image, output in zip(sample.images, outputs, strict=True):
        save_image(Volume(image.numpy(), affine), output)
    if args.labels_out:
        save_labels(Volume(np.array(LABELS)[sample.target.numpy()], affine), args.labels_out)
    if args.params_out:
        write_text(args.params_out, json.dumps(params | {SPACING: spacing}, indent=1) + "\n")


def _checked_labels(path: str) -> "Volume":
    """Read a label map, and check it as those are that are trained on; its voxels may be coarse."""
    import numpy as np

    from babyseg_py.errors import UnusableData
    from babyseg_py.images import load_labels
    from babyseg_py.labels.merge import merge_labels
    from babyseg_py.training.labelmaps import wrong_labels

    labels = load_labels(path)
    advice = "give a map with FreeSurfer numbers"
    if np.count_nonzero(merge_labels(labels.data, labels.affine)) * labels.voxel_volume_mm3 < SMALLEST_MM3:
        raise UnusableData(path, "holds no brain of known labels", advice)
    problems = wrong_labels(labels)
    if problems:
        raise UnusableData(path, ", ".join(problems), f"{advice}, left at negative world x")
    return labels


def _draw(args: argparse.Namespace, bank: "LabelBank") -> "tuple[Params, float]":
    """Draw parameters, on the window of the recipe or on one that holds the brain; with the voxel size."""
    from dataclasses import replace

    import numpy as np

    from babyseg_py.synthesis.randomise import draw_params
    from babyseg_py.synthesis.ranges import Ranges
    from babyseg_py.training.recipe import read_recipe

    chosen = bank.maps[0]
    ranges = read_recipe(args.config).synthesis if args.config else Ranges.from_dict({})
    if args.spacing or not args.config:
        spacing = args.spacing or 1.0
        side = round(chosen.size_mm * 2 / spacing / 16 + 0.5) * 16
        voxels = chosen.size_mm / spacing
        ranges = replace(ranges, grid=(side, side, side), brain_voxels=(voxels, voxels))
    borrowed = ["between", "growth"] + ([] if chosen.has_head else ["grafted"])
    left_out = [name for name in borrowed if getattr(ranges, name)]
    if left_out:
        words = f"one map alone has none to borrow from: {', '.join(left_out)} of the recipe left out"
        print(f"babyseg synthesize: note: {words}", file=sys.stderr)
    params = draw_params(np.random.default_rng(args.seed), bank, ranges)
    drawn = params["anatomy"]["brain_voxels"]
    return params, args.spacing or (chosen.size_mm / drawn if args.config else 1.0)


def _name_of_scan(output: str, number: int) -> str:
    """Name of the image of a scan: of the first that of the output."""
    return re.sub(r"(\.nii(\.gz)?)$", rf"_scan-{number + 1}\1", output, flags=re.I) if number else output


def _require_memory(args: argparse.Namespace, params: "Params") -> None:
    from babyseg_py.errors import UnusableData
    from babyseg_py.models.memory import available_bytes
    from babyseg_py.synthesis.plausible import needed_bytes

    needed, available = needed_bytes(params["grid"], len(params["scans"])), available_bytes()
    if needed > MEMORY_SHARE * available:
        grid = " × ".join(map(str, params["grid"]))
        what = f"{grid} voxels need {needed / 1e9:.0f} GB of memory, and there are {available / 1e9:.0f} GB"
        advice = "give a machine with more" if args.params or args.config else "give a larger --spacing"
        raise UnusableData(args.params or args.labels, what, advice)


def _read(path: str, bank: "LabelBank") -> "tuple[Params, float]":
    """Read parameters of an image of the map, with the voxel size."""
    from babyseg_py.errors import UnusableData
    from babyseg_py.synthesis.plausible import implausible

    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        fault = "" if isinstance(content, dict) else "it does not hold parameters"
    except (OSError, ValueError) as problem:
        fault = str(problem)
    if fault:
        raise UnusableData(path, f"cannot be read ({fault})", OF_THE_STEP)
    params = _of_the_map(content, path, bank)
    fault = implausible(params, len(bank.maps)) or ""
    if fault:
        raise UnusableData(path, f"does not describe a sample: {fault}", OF_THE_STEP)
    try:
        natural = bank.maps[0].size_mm / params["anatomy"]["brain_voxels"]
    except (KeyError, TypeError):
        raise UnusableData(path, "does not describe a sample: it has no anatomy", OF_THE_STEP) from None
    spacing = params.pop(SPACING, natural)
    if isinstance(spacing, int | float) and not isinstance(spacing, bool) and 0.1 <= spacing <= 20:
        return params, float(spacing)
    what = f"{SPACING} is {spacing!r}, not a voxel size in mm from 0.1 to 20"
    raise UnusableData(path, what, OF_THE_STEP)


def _of_the_map(params: "Params", path: str, bank: "LabelBank") -> "Params":
    """Parameters with their map in the first place, if it is the map that there is."""
    from babyseg_py.errors import UnusableData

    maps, number = params.get("maps") or {}, params.get("map")
    try:
        told = {place: (str(one["name"]), str(one["checksum"])) for place, one in maps.items()}
    except (AttributeError, KeyError, TypeError):
        raise UnusableData(path, "does not tell its label maps as name and checksum", OF_THE_STEP) from None
    if not told:
        words = f"{path} does not tell its label map; of another one it describes another image"
        print(f"babyseg synthesize: note: {words}", file=sys.stderr)
        return params
    if len(told) > 1 or params.get("form"):
        names = ", ".join(name for name, _ in told.values())
        what = f"describes a visit that needs a bank with the label maps {names}"
        raise UnusableData(path, what, "make it from that bank; one map is not enough")
    if str(number) not in told:
        raise UnusableData(path, f"map is {number!r}, of which it tells no name", OF_THE_STEP)
    name, checksum = told[str(number)]
    if checksum != bank.checksum(0):
        what = f"describes an image of the label map {name}, which {bank.maps[0].name} is not"
        raise UnusableData(path, what, "give that map")
    graft = params.get("graft")
    return params | {
        "map": 0,
        "maps": {"0": maps[str(number)]},
        "graft": graft | {"map": 0} if isinstance(graft, dict) else graft,
    }
