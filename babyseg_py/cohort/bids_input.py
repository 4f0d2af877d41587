"""A BIDS dataset as input: the same records as from a samplesheet."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bids.layout import BIDSLayout, BIDSLayoutIndexer

from babyseg_py.cohort import fields
from babyseg_py.cohort.agreement import completed, disagreements
from babyseg_py.cohort.bids_tables import Facts, child_facts, session_facts
from babyseg_py.cohort.problems import Problem, in_order
from babyseg_py.cohort.records import Record
from babyseg_py.errors import UnusableData
from babyseg_py.names import parse_name

NO_SESSION = "01"
NO_CONTRAST = frozenset({*fields.RESERVED_SUFFIXES, "defacemask", "angio", "photo"})
COMPLEX_PARTS = frozenset({"phase", "real", "imag"})
NAMED = 5
_OTHER_FOLDERS = re.compile(r"/(func|dwi|fmap|perf|eeg|meg|ieeg|nirs|pet|beh|micr|motion|mrs)(/|$)")
_NATURAL = re.compile(r"(\d+)")


def read_bids(root: Path | str) -> tuple[list[Record], list[Problem]]:
    """Read all anatomical scans of a BIDS dataset.

    Every NIfTI image in a folder ``anat`` is taken, whatever its contrast; masks, segmentations and the
    phase, real and imaginary parts of complex images are not, nor is what lies in ``derivatives``. A child
    without sessions has one, ``01``. Where a visit has images of one contrast and run that differ in other
    entities (``acq``, ``rec``, ``echo``, …), all images of that contrast are numbered as runs from 1, in the
    natural order of their names, and a doubt says so.

    Ages and sex come from participants.tsv and the sessions.tsv files, see `bids_tables`.

    Parameters
    ----------
    root : Path or str
        The folder with the folders ``sub-…``.

    Returns
    -------
    records : list of Record
        In natural order of participant, session and file name; rows count from 2 as in a sheet.
    problems : list of Problem
        All errors and doubts, each with the file at fault.

    Raises
    ------
    UnusableData
        There is no such folder or no scan in it.
    """
    folder = Path(root).absolute()
    problems: list[Problem] = []
    found = _images(folder, problems)
    if not found:
        what = "there is no image in sub-*/[ses-*/]anat" if not problems else "; ".join(map(str, problems))
        raise UnusableData(str(root), what, "give the top folder of a BIDS dataset")
    _tell_outside(found, folder, problems)
    records, renumbered = _numbered(found)
    files = {record.row: str(Path(record.image).relative_to(folder)) for record in records}
    problems += [_placed(problem, files) for problem in renumbered]
    records = _with_facts(records, folder, problems)
    problems += [_placed(problem, files) for problem in disagreements(records, folder.name)]
    return completed(records), in_order(problems)


def _images(folder: Path, problems: list[Problem]) -> list[tuple[dict, Path]]:
    """Return entities and path of every anatomical image, in natural order."""
    if not folder.is_dir():
        raise UnusableData(str(folder), "there is no such folder", "give the top folder of a BIDS dataset")
    ignored = ["code", "stimuli", "sourcedata", "models", "derivatives", re.compile(r"/\."), _OTHER_FOLDERS]
    indexer = BIDSLayoutIndexer(validate=False, index_metadata=False, ignore=ignored)
    layout = BIDSLayout(folder, validate=False, derivatives=False, indexer=indexer)
    paths = layout.get(datatype="anat", extension=[".nii", ".nii.gz"], return_type="filename")
    images = []
    for path in sorted(map(Path, paths), key=lambda path: _natural(str(path))):
        try:
            entities = _entities(path, folder)
            image = fields.location(str(path), folder)
        except ValueError as error:
            problems.append(Problem(str(path.relative_to(folder)), None, None, str(error)))
            continue
        if entities["suffix"] not in NO_CONTRAST and entities.get("part") not in COMPLEX_PARTS:
            images.append((entities, Path(image)))
    return images


def _entities(path: Path, folder: Path) -> dict:
    """Read a name and compare it with the folders that it lies in."""
    entities = parse_name(path)
    expected = {"sub": entities.get("participant"), "ses": entities.get("session")}
    parts = path.relative_to(folder).parts[:-1]
    for key, value in expected.items():
        named = [part.removeprefix(f"{key}-") for part in parts if part.startswith(f"{key}-")]
        if named != ([] if value is None else [value]):
            msg = f"the name does not fit the folder, which is of {key}-{named[0] if named else '(none)'}"
            raise ValueError(msg)
    if "participant" not in entities:
        msg = "the name has no sub-"
        raise ValueError(msg)
    for key in ("participant", "session", "suffix"):
        if len(str(entities.get(key, ""))) > fields.LONGEST_LABEL:
            msg = f"the {key} has more than {fields.LONGEST_LABEL} characters"
            raise ValueError(msg)
    return entities


def _natural(text: str) -> list[tuple[bool, int, str]]:
    """Return a key that sorts run-2 before run-10."""
    return [(word.isdigit(), int(word) if word.isdigit() else 0, word) for word in _NATURAL.split(text)]


def _numbered(found: Sequence[tuple[dict, Path]]) -> tuple[list[Record], list[Problem]]:
    """Turn images into records, numbering those that only other entities tell apart."""
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for row, (entities, path) in enumerate(found, start=2):
        session = str(entities.get("session", NO_SESSION))
        record = Record(
            row, entities["participant"], session, entities["suffix"], entities.get("run"), str(path)
        )
        groups.setdefault((record.participant_id, session, record.suffix), []).append(record)
    records: list[Record] = []
    changed: list[Record] = []
    for group in groups.values():
        if len({record.run for record in group}) == len(group):
            records += group
        else:
            changed += [replace(record, run=run) for run, record in enumerate(group, start=1)]
    problems = []
    if changed:
        words = (
            f"{len(changed)} images share contrast and run with another one of their visit and are"
            f" numbered as runs in the order of their names; this one is {changed[0].scan_id}"
        )
        problems.append(Problem("", changed[0].row, None, words, doubt=True))
    return sorted(records + changed, key=lambda record: record.row), problems


def _placed(problem: Problem, files: dict[int, str]) -> Problem:
    """Name the file instead of a row; rows that a message names are those of the records."""
    if problem.row not in files:
        return problem
    message = re.sub(r"\brow (\d+)\b", lambda found: files.get(int(found[1]), found[0]), problem.message)
    return replace(problem, file=files[problem.row], row=None, column=None, message=message)


def _with_facts(records: Sequence[Record], folder: Path, problems: list[Problem]) -> list[Record]:
    """Add what participants.tsv and sessions.tsv know; an age of the child only where there is one visit."""
    children = child_facts(folder, problems)
    visits: dict[str, set[str]] = {}
    for record in records:
        visits.setdefault(record.participant_id, set()).add(record.session_id)
    sessions = {child: session_facts(folder, child, problems) for child in visits}
    joined = []
    unused = set()
    for record in records:
        child, session = record.participant_id, record.session_id
        of_child = children.get((child,), Facts())
        of_visit = sessions[child].get((session,), Facts()), children.get((child, session), Facts())
        sources = (*of_visit, of_child)
        known = {key: _first(getattr(one, key) for one in sources) for key in ("age", "sex", "site", "group")}
        if known["age"] is of_child.age and len(visits[child]) > 1:
            known["age"] = None
            unused.update([child] if of_child.age else [])
        joined.append(replace(record, **known))
    if unused:
        words = (
            f"the age of {_children(unused)} is not used, as it cannot be that of several visits;"
            " write ages into the sessions.tsv of each child"
        )
        problems.append(Problem("participants.tsv", None, "age", words, doubt=True))
    _tell_without_images(visits, children, sessions, problems)
    unknown = visits.keys() - {key[0] for key in children}
    if unknown and children:
        words = f"there is no row for {_children(unknown)}"
        problems.append(Problem("participants.tsv", None, "participant_id", words, doubt=True))
    return joined


def _tell_without_images(
    visits: Mapping[str, set[str]],
    children: Mapping[tuple[str, ...], Facts],
    sessions: Mapping[str, Mapping[tuple[str, ...], Facts]],
    problems: list[Problem],
) -> None:
    """Tell of children in participants.tsv, and visits in sessions.tsv, that have no image."""
    unseen = {key[0] for key in children} - visits.keys()
    if unseen:
        words = f"there is no image of {_children(unseen)}"
        problems.append(Problem("participants.tsv", None, "participant_id", words, doubt=True))
    for child, facts in sessions.items():
        missing = sorted({session for (session,) in facts} - visits[child], key=_natural)
        if missing:
            file = f"sub-{child}/sub-{child}_sessions.tsv"
            words = f"there is no image of {', '.join(f'ses-{label}' for label in missing)}"
            problems.append(Problem(file, None, "session_id", words, doubt=True))


def _tell_outside(found: Sequence[tuple[dict, Path]], folder: Path, problems: list[Problem]) -> None:
    """Tell of images that lie beside the sessions of their child, not in one."""
    within = {entities["participant"] for entities, _ in found if "session" in entities}
    outside = [
        path for entities, path in found if entities["participant"] in within and "session" not in entities
    ]
    if outside:
        file = str(outside[0].relative_to(folder))
        words = (
            f"{len(outside)} images lie beside folders ses- of their child, this one first; they are taken as"
            f" of ses-{NO_SESSION}, with what lies there"
        )
        problems.append(Problem(file, None, None, words, doubt=True))


def _children(labels: Iterable[str]) -> str:
    names = [f"sub-{label}" for label in sorted(labels)]
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _first(values: Iterable):
    return next((value for value in values if value is not None), None)
