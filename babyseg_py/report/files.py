"""Writing of finished files only."""

import os
from pathlib import Path


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write a file under a temporary name in its folder, then rename it."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    partial.write_bytes(content)
    partial.replace(target)


def write_text(path: Path | str, content: str) -> None:
    """Write a UTF-8 file under a temporary name in its folder, then rename it."""
    write_bytes(path, content.encode("utf-8"))
