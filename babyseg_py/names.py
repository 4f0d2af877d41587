"""One place that builds, and reads, every BIDS name of the project.

A name is ``sub-01_ses-A[_run-2][_entity-value…]_suffix.extension``, with the entities in the order of the
BIDS specification. Participants, sessions and all other values are letters and digits, kept without prefix.
"""

import re
from pathlib import PurePath

PREFIXES = {"participant": "sub", "session": "ses"}
ENTITY_ORDER = (
    "participant", "session", "sample", "task", "tracksys", "acq", "nuc", "voi", "ce", "trc", "stain", "rec",
    "dir", "run", "mod", "echo", "flip", "inv", "mt", "part", "proc", "hemi", "space", "from", "to", "mode",
    "split", "recording", "chunk", "seg", "res", "den", "label", "desc",
)  # fmt: skip

# Metric of the table of segmentation quality that only sessions with labels corrected by hand have.
CORRECTED_METRIC = "dice_with_correction"

_KEYS = {PREFIXES.get(entity, entity): entity for entity in ENTITY_ORDER}
_PLACES = {entity: place for place, entity in enumerate(ENTITY_ORDER)}
_VALUE = re.compile(r"[A-Za-z0-9]+")
_EXTENSION = re.compile(r"(\.[A-Za-z0-9][A-Za-z0-9-]*)*")


def is_label(text: str) -> bool:
    """Say whether a text can be a BIDS label: one or more ASCII letters and digits."""
    return _VALUE.fullmatch(text) is not None


def bids_name(
    *,
    participant: str | None,
    session: str | None,
    suffix: str,
    extension: str = "",
    run: int | None = None,
    **entities: str | None,
) -> str:
    """Build a file name from its entities.

    Parameters
    ----------
    participant, session : str
        Labels without ``sub-`` and ``ses-``. None leaves that entity out, both for a file of the cohort.
    suffix : str
        The last word of the name, such as ``T1w`` or ``dseg``.
    extension : str
        With its leading dot, such as ``.nii.gz``; an empty one gives the stem.
    run : int, optional
        Number of a repeat scan, not negative.
    **entities : str
        Further entities by their short BIDS key (``space``, ``desc``, …); ``from_`` stands for the reserved
        word ``from``. A value of None leaves the entity out. Their order here does not matter.

    Returns
    -------
    str
        For example ``sub-01_ses-A_run-2_desc-n4_T1w.nii.gz``.

    Raises
    ------
    ValueError
        An unknown entity, or a value with other characters than letters and digits.
    """
    if run is not None and int(run) < 0:
        msg = f"run {run} is negative"
        raise ValueError(msg)
    values = {key.rstrip("_"): value for key, value in entities.items()}
    values |= {"participant": participant, "session": session, "run": None if run is None else str(int(run))}
    unknown = sorted(values.keys() - _PLACES.keys())
    if unknown:
        msg = f"no BIDS entity is called {unknown[0]!r}"
        raise ValueError(msg)
    parts = [
        f"{PREFIXES.get(entity, entity)}-{_checked(entity, value)}"
        for entity, value in sorted(values.items(), key=lambda item: _PLACES[item[0]])
        if value is not None
    ]
    if _EXTENSION.fullmatch(extension) is None:
        msg = f"{extension!r} is not a file extension such as '.nii.gz'"
        raise ValueError(msg)
    return "_".join([*parts, _checked("suffix", suffix)]) + extension


def parse_name(filename: str | PurePath) -> dict[str, str | int]:
    """Read the entities of a BIDS file name; the inverse of `bids_name`.

    Parameters
    ----------
    filename : str or Path
        A file name, with or without folders before it, or a scan as tables name it (``run-1_T1w``).

    Returns
    -------
    dict
        The entities that the name has, by the keywords of `bids_name` (``run`` as int), and always
        ``suffix`` and ``extension`` (empty where there is none).

    Raises
    ------
    ValueError
        The name is not made of ``key-value`` parts and a suffix, a key is unknown or comes twice.
    """
    name = PurePath(filename).name
    stem, dot, rest = name.partition(".")
    *pairs, suffix = stem.split("_")
    found: dict[str, str | int] = {}
    for pair in pairs:
        key, dash, value = pair.partition("-")
        entity = _KEYS.get(key)
        if entity is None or not dash or entity in found or not is_label(value):
            msg = f"{name!r} is not a BIDS name: {pair!r} is not a known entity with a value, or comes twice"
            raise ValueError(msg)
        found[entity] = _run(value, name) if entity == "run" else value
    if not is_label(suffix):
        msg = f"{name!r} is not a BIDS name: {suffix!r} is not a suffix"
        raise ValueError(msg)
    return found | {"suffix": suffix, "extension": dot + rest}


def visit_of(filename: str | PurePath) -> tuple[str, str]:
    """Return the participant and the session of a file name, both without prefix.

    Raises
    ------
    ValueError
        As of `parse_name`, or the name lacks one of them.
    """
    found = parse_name(filename)
    lacking = [prefix for entity, prefix in PREFIXES.items() if entity not in found]
    if lacking:
        msg = f"{PurePath(filename).name!r} has no {lacking[0]}- with a label"
        raise ValueError(msg)
    return str(found["participant"]), str(found["session"])


def scan_of(filename: str | PurePath, *, contrast: str = "suffix") -> tuple[str, str]:
    """Return the id of the visit that a file is of, and the scan within it as `scan_label` writes it.

    Parameters
    ----------
    filename : str or Path
        For example ``sub-01_ses-A_run-2_desc-n4_T1w.nii.gz``.
    contrast : str
        What the contrast of the scan stands in: ``suffix``, or ``space`` in names of label maps.

    Raises
    ------
    ValueError
        As of `visit_of`, or the name lacks the contrast.
    """
    found = parse_name(filename)
    if contrast not in found:
        msg = f"{PurePath(filename).name!r} has no {contrast}"
        raise ValueError(msg)
    run = found.get("run")
    return visit_id(*visit_of(filename)), scan_label(str(found[contrast]), None if run is None else int(run))


def visit_id(participant: str, session: str) -> str:
    """Return the id of a visit, such as ``sub-01_ses-A``."""
    return f"sub-{_checked('participant', participant)}_ses-{_checked('session', session)}"


def scan_id(participant: str, session: str, suffix: str, run: int | None = None) -> str:
    """Return the id of a scan, such as ``sub-01_ses-A_run-2_T1w``."""
    return bids_name(participant=participant, session=session, run=run, suffix=suffix)


def scan_label(suffix: str, run: int | None = None) -> str:
    """Return how tables name a scan within its visit, such as ``run-2_T1w`` or ``T1w``."""
    return _checked("suffix", suffix) if run is None else f"run-{int(run)}_{_checked('suffix', suffix)}"


def _checked(entity: str, value: str) -> str:
    if not isinstance(value, str) or not is_label(value):
        msg = f"{entity} {value!r} has other characters than letters and digits"
        raise ValueError(msg)
    return value


def _run(value: str, name: str) -> int:
    if not value.isdecimal():
        msg = f"{name!r} is not a BIDS name: run {value!r} is not a whole number"
        raise ValueError(msg)
    return int(value)
