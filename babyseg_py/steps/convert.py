"""Turn a checkpoint in the published BabySeg format into weights of ours."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``babyseg convert``."""
    parser.add_argument("checkpoint", metavar="CKPT", help="file written by the published code")
    parser.add_argument("-o", "--output", required=True, metavar="F.safetensors", help="weights to write")
    parser.add_argument("--force", action="store_true", help="overwrite the output")
    other = parser.add_argument_group("for a network of another shape than the published one")
    other.add_argument("--encoder", type=int, nargs="+", metavar="N", help="width of each encoder level")
    other.add_argument("--decoder", type=int, nargs="+", metavar="N", help="width of each decoder level")
    other.add_argument("--labels", type=int, nargs="+", metavar="N", help="label of each output channel")


def run(args: argparse.Namespace) -> None:
    """Check every tensor, and write them in float32 with the published preprocessing as recipe."""
    from pathlib import Path

    import torch

    from babyseg_py.errors import UnusableData, UsageError
    from babyseg_py.labels import LABELS
    from babyseg_py.models.checkpoint import PUBLISHED, is_checkpoint, read_checkpoint
    from babyseg_py.models.groupnet import GroupNetConfig
    from babyseg_py.models.weights import save_weights
    from babyseg_py.writing import check_outputs

    check_outputs([Path(args.output)], force=args.force, inputs=[args.checkpoint])
    if any(width < 1 for width in [*(args.encoder or ()), *(args.decoder or ())]):
        raise UsageError("--encoder and --decoder: widths are whole numbers from 1 on")
    labels = tuple(args.labels or LABELS)
    if not is_checkpoint(args.checkpoint):
        raise UnusableData(
            args.checkpoint, "is not a checkpoint of torch", "give the file of the published code"
        )
    try:
        network = GroupNetConfig(
            classes=len(labels),
            encoder=tuple(args.encoder or PUBLISHED.encoder),
            decoder=tuple(args.decoder or PUBLISHED.decoder),
        )
    except ValueError as problem:
        raise UsageError(f"--encoder and --decoder: {problem}") from None
    networks, info = read_checkpoint(args.checkpoint, network=network, labels=labels)
    save_weights(networks, info, args.output, dtype=torch.float32)
