"""Writing of finished files only."""

from pathlib import Path

from babyseg_py.writing import appearing


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write a file under a temporary name in its folder, then rename it."""
    with appearing(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path | str, content: str) -> None:
    """Write a UTF-8 file under a temporary name in its folder, then rename it.

    What UTF-8 cannot hold, a byte of a file's name, is written as an escape.
    """
    write_bytes(path, content.encode("utf-8", errors="backslashreplace"))
