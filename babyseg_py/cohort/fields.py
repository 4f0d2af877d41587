"""The single cell of a samplesheet: from text to value, or a ValueError with a sentence for its owner."""

import os
import re
import stat
import unicodedata
from pathlib import Path
from urllib.parse import unquote, urlsplit

from babyseg_py.cohort.problems import nearest, shown
from babyseg_py.names import is_label

IMAGE_EXTENSIONS = (".nii", ".nii.gz", ".mgz")
URI_SCHEMES = ("s3", "gs", "az", "https", "http", "ftp")
RESERVED_SUFFIXES = ("dseg", "manual", "mask", "probseg", "session")
LONGEST_LABEL = 64
LONGEST_TEXT = 200
HIGHEST_RUN = 9999
SEXES = {
    "M": ("m", "male", "boy"),
    "F": ("f", "female", "girl"),
    "O": ("o", "other", "intersex"),
    "": ("u", "unknown"),
}

_RUN = re.compile(r"(?:run-)?(\d{1,12})(?:\.0+)?", re.ASCII)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9_.,:;=+@%~()'/-]+")
_EXPANDED_BY_SHELLS = frozenset("$`*?~{")


def label(text: str, prefix: str) -> str:
    """Read a participant or session label, with or without its prefix (``sub-`` or ``ses-``)."""
    bare = text.removeprefix(prefix)
    if not is_label(bare):
        after = f", after {prefix} if that is there" if prefix else ""
        msg = f"{shown(text)} may hold only letters (a to z) and digits{after}"
        raise ValueError(msg)
    return _not_too_long(bare)


def suffix(text: str) -> str:
    """Read a BIDS suffix such as T1w."""
    if not is_label(text):
        msg = f"{shown(text)} may hold only letters (a to z) and digits, such as T1w, T2w or FLAIR"
        raise ValueError(msg)
    if text.lower() in RESERVED_SUFFIXES:
        msg = f"{shown(text)} is a word of the outputs, not a contrast; a segmentation goes into column dseg"
        raise ValueError(msg)
    return _not_too_long(text)


def run(text: str) -> int:
    """Read the number of a repeat scan; 2, 02, 2.0 (as spreadsheets write it) and run-2 are the same."""
    match = _RUN.fullmatch(text)
    if match is None or int(match[1]) > HIGHEST_RUN:
        msg = f"{shown(text)} is not a whole number from 0 to {HIGHEST_RUN}"
        raise ValueError(msg)
    return int(match[1])


def sex(text: str) -> str | None:
    """Read a sex as M, F or O; None if it is unknown."""
    for code, spellings in SEXES.items():
        if text.lower() in spellings:
            return code or None
    msg = f"{shown(text)} is not one of M, F, O (or male, female, other); write n/a if it is not known"
    raise ValueError(msg)


def short_text(text: str) -> str:
    """Read the name of a site or group."""
    if len(text) > LONGEST_TEXT:
        msg = f"{shown(text)} has {len(text)} characters, more than {LONGEST_TEXT}"
        raise ValueError(msg)
    return text


def choice(text: str, known: tuple[str, ...]) -> str:
    """Read one of a few known words."""
    if text not in known:
        msg = f"{shown(text)} is not known; {nearest(text, known)}"
        raise ValueError(msg)
    return text


def location(text: str, folder: Path) -> str:
    """Read the place of an image: the absolute path of a file that is there, or a URI.

    Parameters
    ----------
    text : str
        An absolute path, one relative to `folder`, or a URI; what is behind a URI is not looked at. A file
        whose name is written in another form of Unicode (as between macOS and Linux) is found all the same.
    folder : Path
        Where relative paths begin; absolute.

    Returns
    -------
    str
        The absolute path or the URI.

    Raises
    ------
    ValueError
        No such file, a folder, not readable, not an image by its name, or an address of an unknown kind.
    """
    scheme = _SCHEME.match(text)
    if scheme is None:
        path = str(_existing(folder / text, text))
    elif scheme[1].lower() == "file":
        path = str(_existing(_local(text), text))
    else:
        path = _address(text, scheme[1].lower())
    _image_name(path)
    return path


def _local(address: str) -> Path:
    path = unquote(urlsplit(address).path)
    if not path.startswith("/") or any(ord(character) < 32 for character in path):
        msg = f"{shown(address)} is not the address of a file; write its path"
        raise ValueError(msg)
    return Path(path)


def _address(text: str, scheme: str) -> str:
    if scheme not in URI_SCHEMES:
        msg = f"{shown(text)} begins with an unknown kind of address; known are {', '.join(URI_SCHEMES)}"
        raise ValueError(msg)
    if _PLAIN_ADDRESS.fullmatch(text) is None:
        msg = f"{shown(text)} has a character that addresses have no room for; write it as %20 and the like"
        raise ValueError(msg)
    if not _host(text):
        msg = f"{shown(text)} is an address without a host or bucket; write it after {scheme}://"
        raise ValueError(msg)
    return text


def _host(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _image_name(text: str) -> None:
    if not text.lower().endswith(IMAGE_EXTENSIONS):
        msg = f"{shown(text)} does not end in {', '.join(IMAGE_EXTENSIONS)}; convert it, DICOM with dcm2niix"
        raise ValueError(msg)


def _existing(path: Path, text: str) -> Path:
    """Return the absolute path of a readable file, in whichever form of Unicode it has on disk."""
    found, status = _look_up(path, text)
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no ordinary file"
        msg = f"{shown(text)} is {kind}; give the image itself"
        raise ValueError(msg)
    if not os.access(found, os.R_OK):
        msg = f"{shown(text)} may not be read; ask its owner for permission"
        raise ValueError(msg)
    return _without_parents(found)


def _look_up(path: Path, text: str) -> tuple[Path, os.stat_result]:
    spelled = (
        path,
        Path(unicodedata.normalize("NFC", str(path))),
        Path(unicodedata.normalize("NFD", str(path))),
    )
    reason = "there is no such file"
    for candidate in spelled:
        try:
            return candidate, candidate.stat()
        except FileNotFoundError:
            continue
        except OSError as error:
            reason = f"the file cannot be reached ({error.strerror})"
            break
    literal = " (taken as it stands, nothing in it is replaced)" if set(text) & _EXPANDED_BY_SHELLS else ""
    msg = f"{shown(text)}: {reason}; looked for {shown(str(path), 300)}{literal}"
    raise ValueError(msg)


def _without_parents(path: Path) -> Path:
    """Return a path without ``..``, keeping links, as a cluster's real paths may differ from node to node."""
    if ".." not in path.parts:
        return path
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts = parts[: max(1, len(parts) - 1)]
        else:
            parts.append(part)
    short = Path(*parts)
    return short if short.exists() and short.samefile(path) else path.resolve()


def _not_too_long(text: str) -> str:
    if len(text) > LONGEST_LABEL:
        msg = f"{shown(text)} has {len(text)} characters, more than {LONGEST_LABEL}"
        raise ValueError(msg)
    return text
