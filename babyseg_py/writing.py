"""Output files that appear whole or not at all, and never over another file unasked."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

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
        If it cannot be written, for example because the disk is full. Nothing is left behind then.
    """
    target = Path(path)
    partial = target.with_name(f".part-{os.getpid()}-{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(target)
    except OSError as problem:
        what = f"could not be written ({problem.strerror or problem})"
        raise UnusableData(str(path), what, "check the folder, its permissions and the free space") from None
    finally:
        partial.unlink(missing_ok=True)


def refuse_to_overwrite(paths: Sequence[Path | str], *, force: bool) -> None:
    """Stop before anything is computed if an output is there already, or is named twice.

    Parameters
    ----------
    paths : sequence of Path or str
        All files that are going to be written.
    force : bool
        Overwrite what is there.

    Raises
    ------
    UsageError
        If two outputs are one file, or if one exists and `force` is not given.
    """
    seen: set[Path] = set()
    for path in map(Path, paths):
        place = path.absolute()
        if place in seen:
            raise UsageError(f"{path}: two outputs have this name; name one of them otherwise")
        seen.add(place)
        if path.is_dir():
            raise UsageError(f"{path}: is a folder; name a file")
        if path.exists() and not force:
            raise UsageError(f"{path}: is there already; name another file, or overwrite it with --force")
