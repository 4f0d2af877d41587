"""Where the weights that the package ships lie: in it, which links to the project's folder of weights."""

from pathlib import Path

from babyseg_py.errors import UnusableData

NAME = "babyseg-default.safetensors"
REFINER = "babyseg-fuller.safetensors"


def default_weights() -> Path:
    """Path of the weights that are used when none are named.

    Raises
    ------
    UnusableData
        If the installation lacks them.
    """
    return _shipped(NAME, "install again, or name weights with --weights")


def default_refiner() -> Path:
    """Path of the network that divides structures into the fuller label set.

    Raises
    ------
    UnusableData
        If the installation lacks it.
    """
    return _shipped(REFINER, "install again, or leave --labels fuller")


def _shipped(name: str, advice: str) -> Path:
    path = Path(__file__).resolve().parents[1] / "weights" / name
    if path.is_file():
        return path
    raise UnusableData(name, "is not installed", advice)
