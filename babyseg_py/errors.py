"""Errors that are spoken to the user; everything else is a bug."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

EXIT_UNUSABLE = 65  # of the command whose data is unusable, EX_DATAERR of sysexits.h


@dataclass
class UnusableData(Exception):
    """Input data that cannot be used, however correct the program is.

    Parameters
    ----------
    path : str
        The file, row or column at fault.
    what : str
        What is wrong with it, in words.
    advice : str
        What the user can do about it.
    """

    path: str
    what: str
    advice: str

    def __post_init__(self) -> None:
        self.path = str(self.path)
        super().__init__(str(self))

    def __str__(self) -> str:
        return f"{self.path}: {self.what}; {self.advice}"

    def write(self, target: Path | str, *, step: str) -> None:
        """Write the failure as JSON with keys step, file, what and advice; odd bytes of names as escapes."""
        fields = asdict(self)
        record = {"step": step, "file": fields["path"], "what": fields["what"], "advice": fields["advice"]}
        text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
        Path(target).write_bytes(text.encode("utf-8", errors="backslashreplace"))


class UsageError(Exception):
    """A command that was called in a way that cannot mean anything."""
