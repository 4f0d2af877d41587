"""Go on training from weights with label maps that were corrected by hand."""

import argparse
import math
import sys
from pathlib import Path

DAYS_PER_MONTH = 365.25 / 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``babyseg finetune``."""
    parser.add_argument(
        "--corrected",
        required=True,
        nargs="+",
        metavar="DIR",
        help="corrected maps, or folders of them",
    )
    parser.add_argument(
        "--keep",
        required=True,
        nargs="+",
        metavar="PLACE",
        help="what must not be forgotten: a bank, or label maps or folders of them that were not corrected",
    )
    parser.add_argument(
        "--structures",
        metavar="A,B",
        default="",
        help="names or numbers of what was corrected; maps to keep teach nothing of these",
    )
    parser.add_argument("--sheet", metavar="F", help="samplesheet that tells the ages of sub-X_ses-Y")
    parser.add_argument("--weights", metavar="F", help="weights to go on from, default the package's")
    parser.add_argument("--config", metavar="F.yaml", help="other settings; see docs/training.md")
    parser.add_argument(
        "-o", "--out-dir", required=True, metavar="DIR", help="checkpoint, resumed from, and log"
    )
    parser.add_argument("--export", required=True, metavar="F.safetensors", help="weights to write")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=2)


def run(args: argparse.Namespace) -> None:
    """Check the maps, train, write the weights and say what became better and worse."""
    import torch

    from babyseg_py.models.checkpoint import load_networks
    from babyseg_py.models.default import default_weights
    from babyseg_py.models.memory import keep_freed_memory
    from babyseg_py.models.weights import save_weights
    from babyseg_py.training.finetune import Job, finetune, finetune_recipe, forgotten
    from babyseg_py.training.pack import bank_of
    from babyseg_py.training.team import join_team, leave_team

    structures = _structures(args.structures)
    ages = _ages(args.sheet) if args.sheet else {}
    start = load_networks(args.weights or default_weights())
    recipe = finetune_recipe(Path(args.config) if args.config else None, start[1])
    corrected = bank_of([Path(place) for place in args.corrected], ages=ages)
    kept = bank_of([Path(place) for place in args.keep], ages=ages)
    keep_freed_memory()
    torch.set_num_threads(args.threads)
    team = join_team(args.device)
    try:
        job = Job(corrected, kept, structures)
        networks, info, changes = finetune(job, recipe, start, Path(args.out_dir), team=team)
    finally:
        leave_team(team)
    if team.leads:
        save_weights(networks, info, args.export)
        _tell(changes, structures, forgotten(changes, structures))


def _structures(text: str) -> tuple[int, ...]:
    from babyseg_py.errors import UsageError
    from babyseg_py.labels import STRUCTURES

    known = {s.name.lower(): s.id for s in STRUCTURES[1:]} | {str(s.id): s.id for s in STRUCTURES[1:]}
    words = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in words if word.lower() not in known]
    if unknown:
        raise UsageError(
            f"--structures {', '.join(unknown)}: known are {', '.join(s.name for s in STRUCTURES[1:])}"
        )
    return tuple(known[word.lower()] for word in words)


def _ages(sheet: str) -> dict[str, float]:
    """Chronological age in months of each visit, where the sheet tells it."""
    from babyseg_py.cohort.samplesheet import read_samplesheet
    from babyseg_py.names import visit_id

    records, _ = read_samplesheet(sheet)
    return {
        visit_id(r.participant_id, r.session_id): r.age.days / DAYS_PER_MONTH
        for r in records
        if r.age and r.age.reference == "birth"
    }


def _tell(changes: dict[int, tuple[float, float]], structures: tuple[int, ...], worse: list[int]) -> None:
    from babyseg_py.labels import structure_name

    print("Dice on synthetic visits of the maps to keep:")
    for label, (before, after) in changes.items():
        if math.isnan(before) or math.isnan(after):
            continue
        mark = " (corrected: the maps to keep may be wrong here)" if label in structures else ""
        print(f"{structure_name(label)}: {before:.3f} before, {after:.3f} after{mark}")
    for label in worse:
        fell = changes[label][0] - changes[label][1]
        print(f"babyseg finetune: note: {structure_name(label)} fell by {fell:.3f}", file=sys.stderr)
