"""Merging fuller FreeSurfer-like label maps into the 22 output labels."""

import numpy as np
from scipy.spatial import cKDTree

from babyseg_py.labels.table import LABELS

# Numbers that become another one wherever they lie.
RENAMED = {
    **{5: 4, 75: 4, 44: 43, 76: 43},  # inferior horns; the ventricles' older numbers
    **{7: 8, 46: 47},
    **{9: 10, 48: 49},
    **{12: 169, 13: 169, 26: 169, 51: 176, 52: 176, 58: 176},
    **{19: 3, 20: 3, 55: 42, 56: 42},  # insula and operculum
    **{27: 28, 59: 60},  # substantia nigra
    **{34: 2, 66: 41, 5001: 2, 5002: 41},  # white matter of crowns and unsegmented
    **{96: 18, 97: 54},  # anterior amygdala
    **{170: 16, 173: 16, 174: 16, 175: 16, 178: 16},  # brain stem and its parts
}

# Whole ranges (first, last) of cortical parcels and of the white matter below them.
RENAMED_RANGES = {
    **{(1000, 1999): 3, (2000, 2999): 42, (3000, 3999): 2, (4000, 4999): 41},
    **{(11100, 11199): 3, (12100, 12199): 42, (13100, 13199): 2, (14100, 14199): 41},
}

# Numbers that become the nearest of several structures.
WHITE, LEFT, RIGHT, CEREBRUM, CEREBELLUM = (2, 41), (2, 3), (41, 42), (2, 41, 3, 42), (8, 47)
NEAREST = {
    **dict.fromkeys((86, 192, 250, 251, 252, 253, 254, 255), WHITE),  # corpus callosum and fornix
    **dict.fromkeys((25, 30, 78, 81), LEFT),  # lesions, vessels, abnormal signal
    **dict.fromkeys((57, 62, 79, 82), RIGHT),
    **dict.fromkeys((77, 80), CEREBRUM),
    **dict.fromkeys((171, 172, 177, 179), CEREBELLUM),  # vermis, dentate nucleus, flocculus
}

# Numbers that are background here: exteriors, CSF, choroid plexus, third to fifth ventricle, optic chiasm.
BACKGROUND = {1, 6, 14, 15, 21, 22, 23, 24, 29, 31, 40, 45, 61, 63, 72, 73, 74, 85, 98}
BACKGROUND |= {136, 137, 163, 164}  # choroid plexus of the adult maps with a head
# Tissues of the head; and numbers of head models (first, last).
BACKGROUND |= {*range(118, 136), 165, 166, 167, 168, 257, 258, 259}
BACKGROUND_RANGES = ((500, 599),)

_CORTEX, _RIGHT_SIDE = (3, 42), (41, 42, 47)
_TIE_MM = 1e-4
_NUMBERS = 2**16  # those beyond are unknown to every convention


def unknown_labels(data: np.ndarray, /) -> list[int]:
    """Label numbers that no merging rule knows and that `merge_labels` therefore sets to 0.

    Parameters
    ----------
    data : (I, J, K) np.ndarray
        Label map in any FreeSurfer-like numbering.

    Returns
    -------
    list of int
        Unknown numbers in ascending order.
    """
    return [label for label in _present(_integers(data)) if _target(label) is None]


def is_merged(data: np.ndarray, /) -> bool:
    """Whether a label map holds none but the 22 output labels."""
    return set(_present(_integers(data))) <= set(LABELS)


def merge_labels(data: np.ndarray, affine: np.ndarray, /) -> np.ndarray:
    """Merge a fuller FreeSurfer-like label map into the 22 output labels.

    Most numbers are renamed. Vessels, lesions, abnormal signal, corpus callosum and vermis go to the
    structure that they lie in: the one among a few candidates with the nearest voxel centre in the world
    (white matter or cortex, of the side that the number names if it names one; white matter alone for the
    corpus callosum and the fornix; left or right cerebellum for the vermis). At equal distance white
    matter wins over cortex, then the side of the world decides, left being negative x. It alone decides
    where no candidate is in the map. What no rule knows becomes 0: see `unknown_labels`.

    Parameters
    ----------
    data : (I, J, K) np.ndarray
        Label map of whole numbers.
    affine : (4, 4) np.ndarray
        Voxel indices to RAS+ world coordinates in mm.

    Returns
    -------
    (I, J, K) np.ndarray of np.int32
        Label map of the 22 labels.

    Raises
    ------
    ValueError
        If a value is not a whole number.
    """
    data = _integers(data)
    present = _present(data)
    data = np.where((data < 0) | (data >= _NUMBERS), 0, data)

    lookup = np.zeros(_NUMBERS, dtype=np.int32)
    for label in present:
        target = _target(label)
        if isinstance(target, int):
            lookup[label] = target
    merged = lookup[data]

    # Chosen among the structures as they stand before any voxel is given to its nearest.
    trees: dict[int, cKDTree | None] = {}
    chosen = []
    for candidates in sorted({NEAREST[label] for label in present if label in NEAREST}):
        place = np.nonzero(np.isin(data, [n for n, c in NEAREST.items() if c == candidates]))
        for label in candidates:
            if label not in trees:
                trees[label] = _tree(merged == label, affine)
        chosen.append((place, _nearest(_world(place, affine), candidates, trees)))
    for place, labels in chosen:
        merged[place] = labels
    return merged


def _integers(data: np.ndarray) -> np.ndarray:
    if np.issubdtype(data.dtype, np.integer):
        return data
    if not np.all(np.isfinite(data)) or not np.array_equal(np.rint(data), data):
        raise ValueError("label map holds values that are not whole numbers")
    return data.astype(np.int64)


def _present(data: np.ndarray) -> list[int]:
    """Return the numbers in a map, ascending, without sorting all of it."""
    usual = (data >= 0) & (data < _NUMBERS)
    counts = np.bincount(data[usual], minlength=1)
    return sorted({*np.unique(data[~usual]).tolist(), *np.flatnonzero(counts).tolist()})


def _target(label: int) -> int | tuple[int, ...] | None:
    """Label that a number becomes, the candidates if it depends on the place, None if it is unknown."""
    if label in LABELS:
        return label
    if label in BACKGROUND or any(first <= label <= last for first, last in BACKGROUND_RANGES):
        return 0
    for (first, last), target in RENAMED_RANGES.items():
        if first <= label <= last:
            return target
    return RENAMED.get(label, NEAREST.get(label))


def _world(place: tuple[np.ndarray, ...], affine: np.ndarray) -> np.ndarray:
    """World coordinates of voxels in mm, shape (N, 3)."""
    return np.stack(place, axis=-1) @ affine[:3, :3].T + affine[:3, 3]


def _tree(mask: np.ndarray, affine: np.ndarray) -> cKDTree | None:
    place = np.nonzero(mask)
    return cKDTree(_world(place, affine), balanced_tree=False) if len(place[0]) else None


def _nearest(world: np.ndarray, candidates: tuple[int, ...], trees: dict) -> np.ndarray:
    """Candidate with the nearest voxel centre for each of (N, 3) world points; shape (N,)."""
    distance = np.full((len(candidates), len(world)), np.inf)
    for row, label in enumerate(candidates):
        tree = trees[label]
        if tree is not None:
            distance[row] = tree.query(world)[0]

    tied = (distance <= distance.min(axis=0) + _TIE_MM) | np.isinf(distance.min(axis=0))
    cortex = np.isin(candidates, _CORTEX)[:, None]
    other_side = np.isin(candidates, _RIGHT_SIDE)[:, None] != (world[:, 0] >= 0)
    penalty = np.where(tied, 2 * cortex + other_side, 9)
    return np.array(candidates)[penalty.argmin(axis=0)]
