"""Go on training from weights with label maps that were corrected by hand, or with scans without labels."""

import argparse
import math
import sys
from pathlib import Path

from babyseg_py.segmentation.choices import DEVICES
from babyseg_py.steps.arguments import check_weights_name, thread_count

LESS = 0.002  # loss of agreement that counts, in Dice


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``babyseg finetune``."""
    parser.add_argument(
        "--corrected", nargs="+", default=[], metavar="DIR", help="corrected maps, or folders of them"
    )
    parser.add_argument(
        "--unlabelled",
        metavar="RESULTS",
        help="folder of a finished run, whose sessions teach what all their scans show together",
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
    parser.add_argument(
        "--config", metavar="F.yaml", help="settings that differ from the usual ones; see docs/training.md"
    )
    parser.add_argument(
        "-o", "--out-dir", required=True, metavar="DIR", help="checkpoint, resumed from, and log"
    )
    parser.add_argument("--export", required=True, metavar="F.safetensors", help="weights to write")
    parser.add_argument("--device", default="cpu", choices=DEVICES)
    parser.add_argument("--threads", type=thread_count(1), default=2)


def run(args: argparse.Namespace) -> None:
    """Check what there is to learn from, train, write the weights and say what became better and worse."""
    import torch

    from babyseg_py.errors import UsageError
    from babyseg_py.models.default import default_weights
    from babyseg_py.models.memory import keep_freed_memory
    from babyseg_py.models.weights import save_weights
    from babyseg_py.segmentation.inference import load_segmenter
    from babyseg_py.training.finetune import Job, finetune, finetune_recipe, forgotten
    from babyseg_py.training.labelmaps import find_maps
    from babyseg_py.training.loop import CHECKPOINT
    from babyseg_py.training.pack import bank_of, visit_in
    from babyseg_py.training.team import chosen_device, join_team, leave_team
    from babyseg_py.training.unlabelled import consistency, set_apart
    from babyseg_py.writing import check_outputs

    if not args.corrected and not args.unlabelled:
        raise UsageError("say what to learn from with --corrected, --unlabelled or both")
    check_weights_name(args.export)
    structures = _structures(args.structures)
    keep, corrections = ([Path(place) for place in places] for places in (args.keep, args.corrected))
    read = [args.weights, args.sheet, args.config, *find_maps([*keep, *corrections])]
    check_outputs([args.export], inputs=[*read, Path(args.out_dir) / CHECKPOINT])
    ages = _ages(args.sheet) if args.sheet else {}
    device = chosen_device(args.device)
    segmenter = load_segmenter(args.weights or default_weights(), device=device)
    start = segmenter.networks, segmenter.info
    recipe = finetune_recipe(Path(args.config) if args.config else None, segmenter.info)
    corrected = bank_of(corrections, ages=ages) if corrections else None
    kept = bank_of(keep, ages=ages)
    maps = [m.name for bank in (kept, corrected) if bank for m in bank.maps]
    if args.sheet and not any(visit_in(name) in ages for name in maps):
        words = f"{args.sheet} tells the age of none of the maps, which are named sub-X_ses-Y if it is to"
        print(f"babyseg finetune: note: {words}", file=sys.stderr)
    keep_freed_memory()
    torch.set_num_threads(args.threads)
    learned, apart = set_apart(_unlabelled(args.unlabelled, segmenter)) if args.unlabelled else ([], [])
    team = join_team(device)
    try:
        job = Job(kept, corrected, structures, tuple(learned))
        networks, info, changes = finetune(job, recipe, start, Path(args.out_dir), team=team)
    finally:
        leave_team(team)
    if not team.leads:
        return
    worse = forgotten(changes, structures)
    _tell(changes, structures, worse)
    if apart:
        before, after = (consistency(network, apart) for network in (start[0].segment, networks.segment))
        _tell_consistency(before, after, [visit.name for visit in apart])
        _refuse_if_worse(before, after, worse, args.export)
    save_weights(networks, info, args.export)


def _unlabelled(results: str, segmenter) -> list:
    """Let the weights label the sessions of a run that were neither flagged nor corrected by hand."""
    from babyseg_py.cohort.worklist import read_sessions
    from babyseg_py.errors import UnusableData
    from babyseg_py.registration.plan import read_plan
    from babyseg_py.segmentation.plan import scans_of
    from babyseg_py.segmentation.teaching import teach

    sessions, faults = read_sessions(Path(results))
    for fault in faults:
        print(f"babyseg finetune: a session is left out: {fault}", file=sys.stderr)
    good = [session for session in sessions if not session.flags and not session.done]
    print(f"unlabelled sessions: {len(good)} of {len(sessions)} (flagged and corrected ones are left out)")
    if not good:
        raise UnusableData(results, "has no session that was not flagged", "look at the scans first")
    visits = []
    for session in good:
        folder = session.registration.parent
        images = {path.name: path for path in folder.glob("*_desc-n4_*.nii.gz")}
        scans = scans_of(session.registration, read_plan(session.registration), images)
        visits.append(teach(segmenter, session.id, scans, scans[0].volume.shape, scans[0].volume.affine))
    return visits


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
    from babyseg_py.cohort.ages import UNIT_DAYS
    from babyseg_py.cohort.samplesheet import read_samplesheet
    from babyseg_py.errors import UnusableData
    from babyseg_py.names import visit_id

    records, problems = read_samplesheet(sheet)
    if not records:
        words = "; ".join(str(problem) for problem in problems[:3])
        raise UnusableData(
            sheet, f"names no visit ({words})", "see docs/samplesheet.md, or leave --sheet out"
        )
    for problem in problems:
        print(f"babyseg finetune: {problem}", file=sys.stderr)
    return {
        visit_id(r.participant_id, r.session_id): r.age.days / UNIT_DAYS["months"]
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


def _tell_consistency(before, after, names: list[str]) -> None:
    print(f"Dice on scans that were not learned from ({', '.join(names)}), each seen alone:")
    for what, old, new in _compared(before, after):
        print(f"{what}: {old:.3f} before, {new:.3f} after")


def _compared(before, after) -> list[tuple[str, float, float]]:
    from statistics import fmean

    pairs = [
        ("scans of one session against each other", before.scans, after.scans),
        ("scans against their mirror images", before.mirrored, after.mirrored),
    ]
    return [(what, fmean(old.values()), fmean(new.values())) for what, old, new in pairs if old and new]


def _refuse_if_worse(before, after, worse: list[int], export: str) -> None:
    """Write no weights that agree less with themselves on new scans, or forgot a structure."""
    from babyseg_py.errors import UnusableData
    from babyseg_py.labels import structure_name

    faults = [f"{what} agree less" for what, old, new in _compared(before, after) if old - new > LESS]
    faults += [f"{structure_name(label)} was forgotten" for label in worse]
    if faults:
        what = f"was not written, as the scans did not help: {', '.join(faults)}"
        raise UnusableData(export, what, "give more scans, or --config with fewer steps or a lower rate")
