"""Output files that appear whole or not at all, and never over another file unasked."""

import csv
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from babyseg_py.errors import UnusableData, UsageError


@contextmanager
def appearing(path: Path | str) -> Iterator[Path]:
    """Give a temporary path in the folder of a file, which becomes the file when all went well.

    Parameters
    ----------
    path : Path or str
        File to write; its folder is made if it is missing.

    Yields
    ------
    Path
        Where to write, with the same extension.

    Raises
    ------
    UnusableData
        If it cannot be written, for example because the disk is full, or is there and no regular file, such
        as a device. Nothing is left behind then.
    """
    target = Path(path)
    if not target.name:
        raise UsageError("the name of an output is empty")
    _require_file(target)
    partial = target.with_name(f".part-{os.getpid()}-{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(target)
    except OSError as problem:
        what = f"could not be written ({problem.strerror or problem})"
        raise UnusableData(str(path), what, "check the folder, its permissions and the free space") from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def check_outputs(
    paths: Sequence[Path | str | None], *, force: bool = True, inputs: Sequence[Path | str | None] = ()
) -> None:
    """Stop before anything is computed if an output is an input, is named twice or is there already.

    Parameters
    ----------
    paths : sequence of Path or str
        All files that are going to be written; None is passed over.
    force : bool
        Overwrite what is there, unless it is an input.
    inputs : sequence of Path or str
        All files that are read; None is passed over.

    Raises
    ------
    UsageError
        If two outputs are one file or one is an input, or if one exists and `force` is not given.
    UnusableData
        If one is there and no regular file, such as a device or a named pipe.
    """
    seen: set[Path] = set()
    read = {Path(path).resolve() for path in inputs if path}
    for path in (Path(path) for path in paths if path is not None):
        if path.name and path.resolve() in read:
            raise UsageError(f"{path}: is an input, which is never written over; name another file")
        place = path.absolute()
        if place in seen:
            what = "two outputs have this name (the files beside a label map or a table are named after it)"
            raise UsageError(f"{path}: {what}; name one of them otherwise")
        seen.add(place)
        try:
            is_folder, is_there = path.is_dir(), path.exists()
        except OSError as problem:
            what = f"could not be written ({problem.strerror})"
            raise UnusableData(str(path), what, "name another file") from None
        if is_folder:
            raise UsageError(f"{path}: is a folder; name a file")
        _require_file(path)
        if is_there and not force:
            raise UsageError(f"{path}: is there already; name another file, or overwrite it with --force")


def check_table(path: Path | str, columns: Sequence[str]) -> None:
    """Stop before a table is written over a file that is none of its kind.

    Parameters
    ----------
    path : Path or str
        The table to write; a file that is there may be empty, or begin with the same header.
    columns : sequence of str
        Its header.

    Raises
    ------
    UsageError
        If another file is there.
    """
    header = "\t".join(columns).encode()
    try:
        with Path(path).open("rb") as file:
            first = file.readline(len(header) + 2)
    except (FileNotFoundError, NotADirectoryError):
        return
    if first and first.rstrip(b"\r\n") != header:
        raise UsageError(f"{path}: is there already, and no older table of this kind; name another file")


def _require_file(path: Path) -> None:
    """Refuse what would be lost if a file took its name: a device, a pipe, a link to a stream."""
    try:
        is_other = path.exists() and not path.is_file() and not path.is_dir()
        is_stream = path.is_symlink() and path.readlink().is_relative_to("/proc")
    except OSError:
        return  # Writing says why.
    if is_other or is_stream:
        raise UnusableData(
            str(path), "is not a regular file", "an output is written whole and takes its name; name a file"
        )


def made_folder(path: Path | str) -> Path:
    """Return a folder, made if it is missing; `UnusableData` where it cannot be."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        what = f"cannot be made a folder ({problem.strerror or problem})"
        raise UnusableData(str(path), what, "name another folder, or check its permissions") from None
    return folder


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write a file under a temporary name in its folder, then rename it."""
    with appearing(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path | str, content: str) -> None:
    """Write a UTF-8 file under a temporary name in its folder, then rename it.

    What UTF-8 cannot hold, a byte of a file's name, is written as an escape.
    """
    write_bytes(path, content.encode("utf-8", errors="backslashreplace"))


def tsv_text(table: Any, *, digits: int = 10) -> str:
    """Return a data frame as tab-separated text, ``n/a`` for what is missing.

    There is no quoting (as BIDS asks), so that tabs and line ends within a text become spaces.

    Parameters
    ----------
    table : pandas.DataFrame
        The table; its index is left out.
    digits : int
        Significant digits of numbers.
    """
    clean = table.copy()
    for column in clean.select_dtypes(exclude="number"):
        texts = (text for text in clean[column].unique() if isinstance(text, str))
        broken = {text: re.sub(r"[\t\r\n]+", " ", text) for text in texts if set(text) & set("\t\r\n")}
        if broken:
            clean[column] = clean[column].replace(broken)
    return clean.to_csv(
        sep="\t",
        index=False,
        na_rep="n/a",
        float_format=f"%.{digits}g",
        lineterminator="\n",
        quoting=csv.QUOTE_NONE,
    )


def write_json(path: Path | str, content: Any) -> None:
    """Write plain values as JSON, as `write_text` does."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
