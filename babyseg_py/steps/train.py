"""Train a network from a recipe, or pack label maps for it."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="CONFIG", help="recipe in YAML")
    parser.add_argument(
        "-o", "--out-dir", required=True, help="folder of checkpoints and log; resumed from if it has one"
    )
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=2)


def run(args: argparse.Namespace) -> None:
    import torch

    from babyseg_py.training.loop import Trainer, keep_freed_memory
    from babyseg_py.training.recipe import read_recipe

    keep_freed_memory()
    torch.set_num_threads(args.threads)
    Trainer(read_recipe(args.recipe), Path(args.out_dir), device=args.device).run()
