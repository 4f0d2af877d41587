"""Train a network from a recipe, and write its weights."""

import argparse
import sys
from pathlib import Path

from babyseg_py.segmentation.choices import DEVICES
from babyseg_py.steps.arguments import thread_count


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``babyseg train``."""
    parser.add_argument(
        "recipe",
        metavar="CONFIG",
        help="recipe in YAML, or the name of one of the package; see docs/training.md",
    )
    parser.add_argument(
        "-o", "--out-dir", required=True, metavar="DIR", help="checkpoint and log; resumed from"
    )
    parser.add_argument(
        "--pack", nargs="+", metavar="LABELS", help="first pack these label maps, or folders of them"
    )
    parser.add_argument(
        "--label-table", metavar="F.tsv", help="with --pack: FreeSurfer number of each number in the maps"
    )
    parser.add_argument(
        "--start",
        metavar="WEIGHTS",
        help="begin with these weights, not with random ones; `default` names those of the package",
    )
    parser.add_argument(
        "--export", metavar="F.safetensors", help="only write the weights of the last checkpoint"
    )
    parser.add_argument(
        "--locate",
        metavar="DIR|WEIGHTS",
        help="with --export: run, or weights, of the network that finds the brain; if not given the run"
        " itself, or the default weights where it was trained on images of one polarity",
    )
    parser.add_argument(
        "--refine",
        nargs=2,
        metavar=("WEIGHTS", "F.safetensors"),
        help="train what divides the structures that these weights segment into the fuller label set",
    )
    parser.add_argument(
        "--replay", metavar="F.json", help="make the visits of a step that stopped a training again"
    )
    parser.add_argument("--device", default="cpu", choices=DEVICES)
    parser.add_argument("--threads", type=thread_count(1), default=2)


def run(args: argparse.Namespace) -> None:
    """Pack, train, export, or look at a step again."""
    import torch

    from babyseg_py.models.memory import keep_freed_memory
    from babyseg_py.training.loop import CHECKPOINT
    from babyseg_py.training.recipe import read_recipe
    from babyseg_py.training.team import chosen_device
    from babyseg_py.writing import check_outputs

    _check_usage(args)
    device = chosen_device(args.device)
    folder = Path(args.out_dir)
    recipe = read_recipe(args.recipe)
    if args.export:
        from babyseg_py.training.export import export_weights

        locate = Path(args.locate) if args.locate else None
        inputs = [args.recipe, folder / CHECKPOINT, locate, locate / CHECKPOINT if locate else None]
        check_outputs([args.export], inputs=[*inputs, recipe.bank])
        export_weights(folder, Path(args.export), locate=locate)
        return
    if args.refine:
        check_outputs([args.refine[1]], inputs=[args.recipe, args.refine[0], recipe.bank])
    keep_freed_memory()
    torch.set_num_threads(args.threads)
    if args.replay:
        _replay(Path(args.replay), recipe)
        return
    if args.pack:
        _pack(args, recipe.bank)
    if args.refine:
        _refine(recipe, folder, args.refine[0], Path(args.refine[1]), device)
        return
    if args.start and (folder / CHECKPOINT).exists():
        print(f"babyseg train: note: {folder} has a checkpoint; --start is not used", file=sys.stderr)
    _train(recipe, folder, device, _begin_with(args.start, recipe) if args.start else {})


def _check_usage(args: argparse.Namespace) -> None:
    from babyseg_py.errors import UsageError
    from babyseg_py.steps.arguments import check_weights_name

    if args.label_table and not args.pack:
        raise UsageError("--label-table is for the maps of --pack, which was not given")
    if args.locate and not args.export:
        raise UsageError("--locate is for --export, which was not given")
    check_weights_name(args.export)
    check_weights_name(args.refine[1] if args.refine else None)


def _pack(args: argparse.Namespace, bank: str) -> None:
    """Pack label maps into the bank, which must be none of them."""
    from babyseg_py.training.labelmaps import find_maps
    from babyseg_py.training.pack import pack_label_maps
    from babyseg_py.writing import check_outputs

    maps = find_maps([Path(path) for path in args.pack])
    check_outputs([bank], inputs=[args.recipe, args.label_table, args.start, *maps])
    table = Path(args.label_table) if args.label_table else None
    for note in pack_label_maps(maps, Path(bank), label_table=table):
        print(f"babyseg train: note: {note}", file=sys.stderr)


def _begin_with(weights: str, recipe) -> dict:
    """Weights of the network that a recipe trains, and the training that they had."""
    from babyseg_py.errors import UnusableData
    from babyseg_py.models.checkpoint import load_networks
    from babyseg_py.models.default import default_weights
    from babyseg_py.models.weights import Preprocessing
    from babyseg_py.training.loop import Before

    networks, info = load_networks(default_weights() if weights == "default" else weights)
    two_looks = isinstance(info.preprocessing, Preprocessing)
    role = "locate" if two_looks and not recipe.synthesis.polarised else "segment"
    if networks.by_role[role].config != recipe.network:
        what = f"are of another network ({networks.by_role[role].config}) than the recipe's"
        raise UnusableData(weights, what, "give the recipe their network, or other weights")
    had = [float(info.provenance.get(f"{role}_{what}", 0)) for what in ("steps", "hours")]
    start = {name: value.float() for name, value in networks.by_role[role].state_dict().items()}
    return {"start": start, "before": Before(int(had[0]), had[1], info.provenance.get("data", ""))}


def _refine(recipe, folder: Path, weights: str, target: Path, device: str) -> None:
    from functools import partial

    from babyseg_py.errors import UnusableData
    from babyseg_py.models.weights import Preprocessing
    from babyseg_py.segmentation.inference import forward, load_segmenter
    from babyseg_py.training.refine import train_refiner

    segmenter = load_segmenter(weights, device=device)
    if not isinstance(segmenter.info.preprocessing, Preprocessing):
        what = "take one look at images of either polarity, which a refiner does not understand"
        raise UnusableData(weights, what, "give weights that take two looks, such as the default ones")
    segment = partial(forward, segmenter, segmenter.networks.segment)
    provenance = {"weights": segmenter.info.checksum, "bank": Path(recipe.bank).name}
    train_refiner(recipe, segment, folder, target, provenance=provenance)


def _train(recipe, folder: Path, device: str, beginning: dict) -> None:
    from babyseg_py.training.loop import Trainer
    from babyseg_py.training.team import join_team, leave_team

    team = join_team(device)
    try:
        Trainer(recipe, folder, team=team, **beginning).run()
    finally:
        leave_team(team)


def _replay(path: Path, recipe) -> None:
    from babyseg_py.training.failure import replay
    from babyseg_py.training.loop import split_bank

    for place, loss in enumerate(replay(path, split_bank(recipe)[0], recipe)):
        print(f"visit {place}: loss {loss:g}; images beside {path}")
