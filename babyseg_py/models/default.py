"""Where the default weights lie: in the package, which links to the project's folder of weights."""

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
    path = Path(__file__).resolve().parents[1] / "weights" / NAME
    if path.is_file():
        return path
    raise UnusableData(
        NAME, "the default weights are not installed", "install again, or name weights with --weights"
    )
