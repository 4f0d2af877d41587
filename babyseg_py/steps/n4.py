"""The step ``n4``: bias field correction of one scan."""

import argparse

from babyseg_py.steps.arguments import thread_count


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("image", metavar="IMG", help="scan, NIfTI or MGH")
    parser.add_argument("-o", "--output", required=True, metavar="OUT.nii.gz", help="corrected scan to write")
    parser.add_argument("--report", metavar="F.json", help="figures of the correction to write")
    parser.add_argument("--field", metavar="F.nii.gz", help="field to write, 1 on average in the foreground")
    words = "threads to use (default: 1)"
    parser.add_argument("--threads", type=thread_count(1), default=1, metavar="N", help=words)


def run(args: argparse.Namespace) -> None:
    """Correct a scan on its own grid and report how flat it became."""
    import os
    from pathlib import Path

    from babyseg_py.images.nifti import require_nifti_names
    from babyseg_py.writing import check_outputs

    check_outputs([args.output, args.report, args.field], inputs=[args.image])
    require_nifti_names(args.output, args.field)
    # ITK reads this when its first filter runs; there is no other way to limit N4.
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(args.threads)

    import numpy as np

    from babyseg_py.images import load_image, save_image
    from babyseg_py.images.background import exact_background
    from babyseg_py.writing import write_json

    volume = load_image(args.image)

    from babyseg_py.images.n4 import correct_bias  # Slow to import, and a bad file needs no N4.

    result = correct_bias(volume, name=args.image)
    save_image(result.corrected, args.output)
    if args.field:
        save_image(volume.with_data(np.exp(result.log_field.data)), args.field)
    if args.report:
        report = {
            "image": Path(args.image).name,
            "cv_within_tissue_before": result.cv_before,
            "cv_within_tissue_after": result.cv_after,
            "field_strength": result.field_strength,
            "field_range": result.field_range,
            "shape": list(volume.shape),
            "spacing_mm": [round(float(size), 6) for size in volume.spacing_mm],
            "axcodes": "".join(volume.axcodes),
            "method": result.method,
            # Asked for by BIDS: a background of one exact value is what skull-stripping leaves.
            "SkullStripped": exact_background(np.nan_to_num(volume.data)) is not None,
        }
        write_json(args.report, report)
