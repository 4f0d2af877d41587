"""A user's own label maps: found, translated to FreeSurfer numbers, and checked before anything else."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume, load_labels
from babyseg_py.labels import LEFT_RIGHT_PAIRS, STRUCTURES, structure_name
from babyseg_py.labels.fuller import fuller_structures
from babyseg_py.labels.merge import merge_labels, unknown_labels
from babyseg_py.synthesis.tissues import tissue_table

ENDINGS = (".nii", ".nii.gz", ".mgz", ".mgh")
COARSEST_MM = 2.5
APART_MM = 1.0  # mean positions of two sides that are nearer are not told apart
PARTS = {5: "Inf-Lat-Vent", 7: "Cerebellum-White-Matter", 12: "Putamen", 13: "Pallidum", 26: "Accumbens"}
OTHER_NAMES = {"unknown": 0, "left-choroid-plexus": 31, "right-choroid-plexus": 63}
LARGEST = 2**31 - 1
PAIRS_OF_PARTS = ((5, 44), (7, 46), (12, 51), (13, 52), (26, 58))
TABLE_ADVICE = "give columns index and freesurfer (numbers), or index and name (a FreeSurfer name)"
Renumbering = dict[int, int]


@dataclass(frozen=True)
class Findings:
    """What is wrong with a label map, and what its owner should know.

    Parameters
    ----------
    problems : tuple of str
        Why it cannot be trained on.
    spacing_mm : str
        Its voxel size, in words.
    """

    problems: tuple[str, ...]
    spacing_mm: str = "unknown"


def find_maps(places: Sequence[Path]) -> list[Path]:
    """Files among the places, and every image of the folders among them, sorted by name.

    Raises
    ------
    UnusableData
        If a place does not exist or a folder holds no image.
    """
    found: list[Path] = []
    for place in places:
        inside = (
            [p for p in place.iterdir() if p.name.lower().endswith(ENDINGS)] if place.is_dir() else [place]
        )
        if not inside:
            raise UnusableData(
                str(place), "holds no label maps", f"put files named *{', *'.join(ENDINGS)} there"
            )
        found += inside
    return sorted(found)


def read_label_table(path: Path) -> Renumbering:
    """Read which FreeSurfer number each number of the maps stands for.

    Parameters
    ----------
    path : Path
        Table with tabs, semicolons or commas, in UTF-8: ``index`` is the number in the maps; ``freesurfer``
        the FreeSurfer number, 0 for what is no part of the brain; in its place ``name`` may be the FreeSurfer
        name of a structure. Further columns are not read.

    Returns
    -------
    dict of int to int

    Raises
    ------
    UnusableData
        If a column is missing, a number is none or comes twice, or a name is not FreeSurfer's.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise UnusableData(str(path), f"cannot be read ({problem})", "save it as text in UTF-8") from problem
    first = text.split("\n", 1)[0]
    rows = csv.DictReader(text.splitlines(), delimiter=max("\t;,", key=first.count))
    columns = rows.fieldnames or ()
    if "index" not in columns or not {"freesurfer", "name"} & set(columns):
        raise UnusableData(str(path), f"has columns {', '.join(columns)}", TABLE_ADVICE)
    numbers = {s.name.lower(): s.id for s in (*STRUCTURES, *fuller_structures())} | OTHER_NAMES
    table: Renumbering = {}
    for line, row in enumerate(rows, start=2):
        words = (str(row.get(column) or "").strip() for column in ("freesurfer", "name"))
        word = next((word for word in words if word.lower() not in ("", "n/a")), "")
        try:
            index = int(str(row["index"]))
            target = int(word) if word.lstrip("-").isdecimal() else numbers[word.lower()]
        except (ValueError, KeyError) as problem:
            what = f"row {line}: {problem.args[0]!r} is no number, or no FreeSurfer name of a structure"
            raise UnusableData(str(path), what, TABLE_ADVICE) from None
        if abs(target) > LARGEST:
            raise UnusableData(str(path), f"row {line}: {target} is no FreeSurfer number", TABLE_ADVICE)
        if index in table:
            raise UnusableData(str(path), f"row {line}: label {index} comes twice", "keep one of them")
        table[index] = target
    return table


def renumber(volume: Volume, table: Renumbering | None) -> Volume:
    """Give a label map FreeSurfer numbers; what the table lacks becomes 0."""
    if table is None:
        return volume
    present = np.unique(volume.data)
    targets = np.array([table.get(int(label), 0) for label in present], dtype=np.int32)
    return Volume(targets[np.searchsorted(present, volume.data)], volume.affine)


def check_map(path: Path, table: Renumbering | None) -> Findings:
    """Look for what would spoil a training: unknown labels, sides exchanged, coarse voxels.

    Parameters
    ----------
    path : Path
        Label map.
    table : dict or None
        From `read_label_table`.
    """
    try:
        raw = load_labels(path)
    except UnusableData as problem:
        return Findings((problem.what,))
    volume = renumber(raw, table)
    problems = wrong_labels(raw, table)
    spacing = np.round(volume.spacing_mm, 2)
    if spacing.max() > COARSEST_MM:
        problems.append(f"its voxels of {_by(spacing)} mm are coarser than {COARSEST_MM} mm")
    if not np.isin(merge_labels(volume.data, volume.affine), [s.id for s in STRUCTURES[1:]]).any():
        problems.append("it holds no known structure")
    return Findings(tuple(problems), _by(spacing))


def wrong_labels(raw: Volume, table: Renumbering | None = None) -> list[str]:
    """Say which labels of a map are unknown, and which lie on the wrong side."""
    volume = renumber(raw, table)
    return [*_unknown(raw, volume, table), *_sides(volume)]


def checked_maps(paths: Sequence[Path], table: Renumbering | None) -> str | None:
    """Check all maps, and say what is worth knowing of their grids.

    Returns
    -------
    str or None
        A note if voxel sizes differ; all maps are brought to 1 mm.

    Raises
    ------
    UnusableData
        Naming every map that cannot be used, with all that is wrong with it.
    """
    found = {path: check_map(path, table) for path in paths}
    bad = {path: findings.problems for path, findings in found.items() if findings.problems}
    if bad:
        first = next(iter(bad))
        place = str(first if len(bad) == 1 else first.parent)
        words = "; ".join(f"{path.name}: {', '.join(problems)}" for path, problems in bad.items())
        raise UnusableData(place, words, "mend the maps or the label table, or leave these maps out")
    sizes = Counter(findings.spacing_mm for findings in found.values())
    if len(sizes) < 2:
        return None
    words = ", ".join(f"{size} mm ({count})" for size, count in sizes.most_common())
    return f"voxel sizes differ: {words}; all maps are brought to 1 mm"


def _unknown(raw: Volume, volume: Volume, table: Renumbering | None) -> list[str]:
    if table is not None:
        missing = [int(label) for label in np.unique(raw.data) if label and int(label) not in table]
        if missing:
            return [f"labels {_listed(missing)} are not in the label table"]
    unknown = [label for label in unknown_labels(volume.data) if label not in tissue_table().labels]
    if not unknown:
        return []
    where = "FreeSurfer has no such structure" if table is None else "which the label table names"
    return [f"labels {_listed(unknown)} are unknown: {where}"]


def _sides(volume: Volume) -> list[str]:
    """Pairs whose left part does not lie at lower world x than the right one."""
    wrong, pairs = [], 0
    for left, right in (*LEFT_RIGHT_PAIRS, *PAIRS_OF_PARTS):
        places = [np.argwhere(volume.data == label) for label in (left, right)]
        if not all(map(len, places)):
            continue
        pairs += 1
        x = [float((place.mean(axis=0) @ volume.affine[:3, :3].T)[0]) for place in places]
        if x[0] > x[1] - APART_MM:
            wrong.append(left)
    if not wrong:
        return []
    if len(wrong) == pairs:
        return ["left and right are exchanged: left has to lie at negative world x"]
    names = ", ".join(PARTS.get(label) or structure_name(label).removeprefix("Left-") for label in wrong)
    return [f"left and right are exchanged or mixed in {names}"]


def _by(spacing: np.ndarray) -> str:
    return " × ".join(f"{size:g}" for size in sorted(spacing))


def _listed(labels: list[int]) -> str:
    words = ", ".join(str(label) for label in labels[:12])
    return words + (" and others" if len(labels) > 12 else "")
