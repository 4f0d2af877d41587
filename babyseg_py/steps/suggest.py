"""Suggest which sessions and slices are most worth correcting by hand, and how to open them."""

import argparse
import math
import shlex
import sys
from pathlib import Path

COLUMNS = (
    "rank", "session", "priority", "uncertainty", "flags", "disagreement", "advice", "plane", "axis", "slice",
    "x_mm", "y_mm", "z_mm", "uncertain_ml", "structures", "image", "labels", "save_as",
)  # fmt: skip
CORRECT, LOOK = "correct the labels", "look at the scan first"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``babyseg suggest``."""
    parser.add_argument("results", metavar="RESULTS", help="folder that the pipeline wrote")
    parser.add_argument(
        "-o", "--output", default="worklist.tsv", metavar="F.tsv", help="worklist, default worklist.tsv"
    )
    parser.add_argument("--sessions", type=int, default=10, metavar="N", help="how many sessions, default 10")
    parser.add_argument("--slices", type=int, default=3, metavar="N", help="slices of each, default 3")
    parser.add_argument("--force", action="store_true", help="overwrite the worklist")


def run(args: argparse.Namespace) -> None:
    """Write the worklist, and print commands that open its sessions."""
    from babyseg_py.cohort.worklist import in_order, read_sessions, worst_slices
    from babyseg_py.errors import UnusableData, UsageError
    from babyseg_py.labels.lut import write_itksnap_labels
    from babyseg_py.writing import check_outputs, write_text

    if args.sessions < 1 or args.slices < 1:
        raise UsageError("--sessions and --slices must be at least 1")
    target = Path(args.output)
    snap = target.with_name(f"{target.stem}_itksnap.txt")
    check_outputs([target, snap], force=args.force, inputs=[*Path(args.results).glob("sub-*/**/*")])
    sessions, faults = read_sessions(Path(args.results))
    open_ones = [session for session in sessions if not session.done]
    lines, rank = ["\t".join(COLUMNS)], 0
    for session, priority in in_order(open_ones):
        if rank == args.sessions:
            break
        try:
            slices = worst_slices(session, args.slices)
        except UnusableData as problem:
            faults.append(problem)
            continue
        rank += 1
        lines += ["\t".join(_row(rank, session, priority, found)) for found in slices]
        print("\n".join(_commands(rank, session, slices, snap)), end="\n\n")
    for fault in faults:
        print(f"babyseg suggest: a session is left out: {fault}", file=sys.stderr)
    if open_ones and not rank:
        raise UnusableData(args.results, "holds no session that could be read", "run the pipeline again")
    write_text(target, "\n".join(lines) + "\n")
    write_itksnap_labels(snap)
    if len(open_ones) < len(sessions):
        print(f"left out, as corrected already: {len(sessions) - len(open_ones)} of {len(sessions)} sessions")
    print(f"worklist: {target}; colours for ITK-SNAP: {snap}")


def _row(rank: int, session, priority: float, found) -> list[str]:
    return [
        str(rank),
        session.id,
        f"{priority:.3f}",
        _number(session.doubt),
        ",".join(session.flags) or "n/a",
        _number(session.disagreement),
        LOOK if session.faulty_scan else CORRECT,
        found.plane,
        str(found.axis),
        str(found.index),
        *(f"{value:g}" for value in found.cursor_mm),
        f"{found.uncertain_ml:g}",
        ",".join(found.structures) or "n/a",
        str(session.image) if session.image.is_file() else "n/a",
        str(session.labels),
        session.corrected,
    ]


def _number(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.4f}"


def _commands(rank: int, session, slices, snap: Path) -> list[str]:
    """Write what opens a session at its worst slice in each of three viewers."""
    there = session.image.is_file()
    shown = session.image if there else session.uncertainty
    image, labels, lut = (str(path.absolute()) for path in (shown, session.labels, session.lut))
    colours = str(snap.absolute())
    x, y, z = slices[0].cursor_mm if slices else (0.0, 0.0, 0.0)
    where = "; ".join(f"{s.plane} {s.index} ({', '.join(s.structures)})" for s in slices)
    python = (
        f"colours = slicer.util.loadColorTable({lut!r}); slicer.util.loadVolume({image!r}); "
        f"slicer.util.loadSegmentation({labels!r}, {{'colorNodeID': colours.GetID()}}); "
        f"slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, {x}, {y}, {z})"
    )
    overlay = f"{labels}:colormap=lut:lut={lut}:opacity=0.4"
    missing = f"# the scan {session.image.name} is not there: the map of uncertainty is shown in its place"
    return [
        f"# {rank}. {session.id}: {LOOK if session.faulty_scan else CORRECT}; {where}",
        *([] if there else [missing]),
        f"# save as {session.corrected}",
        shlex.join(["itksnap", "-g", image, "-s", labels, "-l", colours]),
        shlex.join(["freeview", "-v", image, overlay, "-ras", f"{x:g}", f"{y:g}", f"{z:g}"]),
        shlex.join(["Slicer", "--python-code", python]),
    ]
