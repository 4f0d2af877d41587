"""The step ``snapshot``: the pictures of a visit."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--visit", required=True, metavar="ID", help="visit, such as sub-01_ses-A")
    parser.add_argument("--image", required=True, metavar="IMG", help="bias-corrected image to look at")
    parser.add_argument("--dseg", required=True, metavar="IMG", help="labels of the visit, on any grid")
    parser.add_argument("-o", "--output", required=True, metavar="F.png", help="picture to write")
    words = (
        "write three slices here too, to one scale for all visits: what pages of children show side by side"
    )
    parser.add_argument("--to-scale", metavar="F.png", help=words)


def run(args: argparse.Namespace) -> None:
    """Draw the outlines of the labels over slices of the image."""
    from pathlib import Path

    from babyseg_py.images import load_image, load_labels
    from babyseg_py.report.snapshot import draw_snapshot
    from babyseg_py.report.to_scale import draw_to_scale
    from babyseg_py.writing import check_outputs, write_bytes

    check_outputs([args.output, args.to_scale], inputs=[args.image, args.dseg])
    image, dseg = load_image(args.image), load_labels(args.dseg)
    title = f"{args.visit}   over {Path(args.image).name}"
    write_bytes(args.output, draw_snapshot(image, dseg, title=title))
    if args.to_scale:
        write_bytes(args.to_scale, draw_to_scale(image, dseg, title=args.visit))
