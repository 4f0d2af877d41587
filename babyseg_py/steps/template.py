"""The step ``template``: the visits of one child brought to their mean, and sharpened by one another."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from babyseg_py.segmentation.longitudinal_files import ChildFiles
    from babyseg_py.segmentation.probseg import SessionPosteriors


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--child", required=True, metavar="sub-X", help="id of the child")
    words = {
        "--posteriors": "posteriors of the sessions, sub-X_ses-Y_space-session_desc-babyseg_probseg.nii.gz",
        "--images": "bias-corrected images, one of each session, whose grid is the session space",
        "--qc": "quality tables of the sessions: those flagged as a whole are left out",
    }
    for option, text in words.items():
        parser.add_argument(option, required=option != "--qc", nargs="+", default=[], metavar="F", help=text)
    parser.add_argument("--verdicts", metavar="F.json", help="list of verdicts on the sessions")
    words_of_strength = "share of the others in each visit, from 0 (by itself) to 1 (one for all)"
    parser.add_argument("--strength", type=float, help=f"{words_of_strength}; 0.5 if left out")
    parser.add_argument("--threads", type=int, default=1, help="largest number of threads (%(default)s)")
    parser.add_argument("--out-dir", required=True, metavar="DIR", help="top folder of the results")


def run(args: argparse.Namespace) -> None:
    """Write the child's template and, for each visit, transforms, Jacobian, labels and volumes."""
    import torch

    from babyseg_py.errors import UnusableData, UsageError
    from babyseg_py.names import is_label
    from babyseg_py.segmentation.longitudinal import STRENGTH
    from babyseg_py.segmentation.longitudinal_files import ChildFiles
    from babyseg_py.segmentation.probseg import read_probabilities

    child = args.child.removeprefix("sub-")
    strength = STRENGTH if args.strength is None else args.strength
    if not is_label(child):
        raise UsageError(f"--child {args.child}: write it as sub-X")
    if not 0 <= strength <= 1:
        raise UsageError(f"--strength {strength}: is not from 0 to 1")
    torch.set_num_threads(max(1, args.threads))
    posteriors = _by_session(args.posteriors, child)
    images = _by_session(args.images, child)
    said = json.loads(Path(args.verdicts).read_text(encoding="utf-8")) if args.verdicts else []
    kept, left_out = _usable(child, list(posteriors), _by_session(args.qc, child), said)
    read = {session: read_probabilities(posteriors[session]) for session in kept}
    if len(kept) > 1:
        odd = _odd_sides(child, read, Path(args.out_dir), _passed(said))
        left_out |= odd
        kept = [session for session in kept if session not in odd]
    if len(kept) < 2:
        why = "; ".join(f"ses-{session}: {reason}" for session, reason in left_out.items())
        what = f"has {len(kept)} usable visit{'' if len(kept) == 1 else 's'}, and a template needs two"
        raise UnusableData(args.child, f"{what} ({why})" if why else what, "look at what was left out")
    lacking = [session for session in kept if session not in images]
    if lacking:
        raise UnusableData(args.child, f"no image was given of {', '.join(lacking)}", "give all of them")
    files = ChildFiles(child, Path(args.out_dir), strength, tuple(Path(posteriors[s]).name for s in kept))
    _write(files, {session: (read[session], images[session]) for session in kept}, left_out)


def _by_session(paths: list[str], child: str) -> dict[str, str]:
    """Files by session, in the order of the sessions."""
    from babyseg_py.errors import UnusableData
    from babyseg_py.names import visit_of

    found: dict[str, str] = {}
    for path in paths:
        try:
            of, session = visit_of(path)
        except ValueError:
            raise UnusableData(path, "the name does not say which visit it is of", "keep its name") from None
        if of != child:
            raise UnusableData(path, f"is not of child sub-{child}", "give the visits of one child")
        if session in found:
            raise UnusableData(path, f"is of the same visit as {found[session]}", "give one of each visit")
        found[session] = path
    return dict(sorted(found.items()))


def _usable(
    child: str, sessions: list[str], qc: dict[str, str], said: list[dict]
) -> tuple[list[str], dict[str, str]]:
    """Sessions that are not flagged as a whole, and the others with the reason."""
    import pandas as pd

    from babyseg_py.statistics.files import read_table
    from babyseg_py.statistics.flags import flagged_visits
    from babyseg_py.statistics.gather import COLUMNS
    from babyseg_py.statistics.verdicts import with_verdicts
    from babyseg_py.statistics.visits import VISIT

    facts = pd.DataFrame([(child, session) for session in sessions], columns=VISIT)
    columns = [*VISIT, *COLUMNS["qc"]]
    parts = [
        read_table(path).assign(participant_id=child, session_id=session) for session, path in qc.items()
    ]
    table = pd.concat([pd.DataFrame(columns=columns, dtype=object), *parts], ignore_index=True)[columns]
    table = with_verdicts(table.astype({"flag": float}), said, facts)
    bad = {session for _, session in flagged_visits(table)}
    whole = table[table["scan"].isna() & table["structure"].isna() & (table["flag"] == 1)]
    reasons = {
        session: "; ".join(dict.fromkeys(whole.loc[whole["session_id"] == session, "message"].map(str)))
        for session in sessions
        if session in bad
    }
    return [session for session in sessions if session not in bad], reasons


def _odd_sides(
    child: str, read: dict[str, "SessionPosteriors"], top: Path, passed: set[str]
) -> dict[str, str]:
    """Write how the sides of each visit fit; return visits that do not, unless they were passed by eye."""
    from babyseg_py.names import bids_name
    from babyseg_py.segmentation.child_sides import judge_sides
    from babyseg_py.segmentation.longitudinal import most_probable
    from babyseg_py.segmentation.outputs import write_quality
    from babyseg_py.statistics.files import write_dictionary

    visits = {session: most_probable(one.seen.steps, one.seen.affine) for session, one in read.items()}
    odd = {}
    for session, measure in judge_sides(visits).items():
        name = bids_name(participant=child, session=session, suffix="qc", extension=".tsv", desc="sides")
        path = top / f"sub-{child}" / f"ses-{session}" / "anat" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_quality([measure], path)
        write_dictionary(path, "qc")
        if measure.flag and session not in passed:
            odd[session] = measure.message
    return odd


def _passed(said: list[dict]) -> set[str]:
    """Sessions that were looked at and found good."""
    return {str(one["session_id"]) for one in said if one["verdict"] == "pass"}


def _write(
    files: "ChildFiles",
    given: dict[str, tuple["SessionPosteriors", str]],
    left_out: dict[str, str],
) -> None:
    """Register, sharpen, and write every file of the child from its posteriors and images by session."""
    import numpy as np

    from babyseg_py.images import load_image
    from babyseg_py.names import parse_name
    from babyseg_py.registration.child_template import make_template
    from babyseg_py.report.snapshot import draw_snapshot
    from babyseg_py.segmentation import longitudinal_files as out
    from babyseg_py.segmentation.longitudinal import jacobian_volumes, most_probable, pooled, sharpen
    from babyseg_py.statistics.files import write_table
    from babyseg_py.writing import write_bytes

    read = [one for one, _ in given.values()]
    seen = [one.seen for one in read]
    images = {s: (str(parse_name(path)["suffix"]), load_image(path)) for s, (_, path) in given.items()}
    template = make_template(seen)
    probabilities = pooled(template, seen)
    labels = most_probable(probabilities, template.box.affine)
    voxel_mm3 = template.box.spacing_mm**3
    own = jacobian_volumes(probabilities, np.ones(template.box.shape, np.float32), voxel_mm3)
    for place, session in enumerate(given):
        jacobian = out.write_ways(files, template, place, session)
        sharpened = sharpen(template, seen, place, strength=files.strength)
        of_visit = read[place].on_grid(sharpened.labels)
        out.write_labels(files, of_visit, session=session)
        carried = jacobian_volumes(probabilities, jacobian, voxel_mm3)
        table = _volumes(of_visit, sharpened.posterior_mm3, carried, own)
        write_table(
            table.assign(strength=files.strength),
            files.path("morph", ".tsv", session=session, desc="longitudinal"),
            kind="longitudinal",
        )
    out.write_labels(files, labels)
    means = out.write_template_images(files, template, images)
    suffix, mean = next(iter(means.items()))
    title = f"sub-{files.child}   mean {suffix} of its visits in its template"
    write_bytes(files.path("snapshot", ".png", desc="template"), draw_snapshot(mean, labels, title=title))
    used = files.path("qc", ".tsv", desc="template")
    write_table(_visits(files.child, list(given), left_out), used, kind="templates")


def _volumes(labels, posterior: dict, carried: dict, template: dict) -> "pd.DataFrame":
    """Tabulate the volumes of a visit from sharpened labels and posteriors, and from the Jacobian."""
    import pandas as pd

    from babyseg_py.morphometry.volumes import INTRACRANIAL, volume_table

    rows = zip(
        *(volume_table(labels, posterior_mm3=volumes) for volumes in (posterior, carried, template)),
        strict=True,
    )
    cells = [
        {
            "label": first.label,
            "structure": first.structure,
            "side": first.side,
            "volume_mm3": first.volume_mm3,
            "volume_posterior_mm3": first.volume_posterior_mm3,
            "volume_jacobian_mm3": second.volume_posterior_mm3,
            "jacobian": second.volume_posterior_mm3 / third.volume_posterior_mm3
            if third.volume_posterior_mm3
            else None,
        }
        for first, second, third in rows
        if first.structure != INTRACRANIAL
    ]
    return pd.DataFrame(cells)


def _visits(child: str, used: list[str], left_out: dict[str, str]) -> "pd.DataFrame":
    import pandas as pd

    rows: list[tuple[str, str, int, str | None]] = [(child, session, 1, None) for session in used]
    rows += [(child, session, 0, reason) for session, reason in left_out.items()]
    return pd.DataFrame(rows, columns=["participant_id", "session_id", "used", "reason"])
