"""Where the default weights lie: in the package when installed, else in the project's folder."""

from pathlib import Path

from babyseg_py.errors import UnusableData

NAME = "babyseg-default.safetensors"


def default_weights() -> Path:
    """Path of the weights that are used when none are named.

    Raises
    ------
    UnusableData
        If the installation lacks them.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "weights", package.parent / "weights"):
        if (folder / NAME).is_file():
            return folder / NAME
    raise UnusableData(
        NAME, "the default weights are not installed", "install again, or name weights with --weights"
    )
