"""Tiny cohorts on disk."""

from pathlib import Path

import pytest

HEADER = "participant_id,session_id,suffix,image"


class Sheet:
    """Writes samplesheets, and empty files for the images that they name."""

    def __init__(self, folder: Path):
        self.folder = folder

    def image(self, name: str) -> str:
        """Make a file and return its path as a sheet may give it."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return name

    def write(self, text: str | bytes, name: str = "sheet.csv") -> Path:
        """Write a sheet as it stands."""
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def rows(self, columns: str, *rows: str) -> Path:
        """Write a sheet of scans of which each has an image of its own."""
        lines = [f"{columns},image"]
        lines += [f"{row},{self.image(f'{number}.nii.gz')}" for number, row in enumerate(rows, start=2)]
        return self.write("\n".join(lines) + "\n")


@pytest.fixture
def sheet(tmp_path) -> Sheet:
    """Return a writer of samplesheets."""
    return Sheet(tmp_path)
