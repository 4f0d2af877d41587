"""Longitudinal infant brain MRI: segmentation, quality control, morphometry and statistics.

``import babyseg_py as bs; result = bs.segment("t1.nii.gz", "t2.nii.gz")``. What is heavy is loaded when it is
first asked for.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("babyseg-py")
except PackageNotFoundError:
    __version__ = "0+unknown"

_API = ("Result", "load_model", "segment")
_ERRORS = ("UnusableData", "UsageError")
__all__ = ["Result", "UnusableData", "UsageError", "__version__", "load_model", "segment"]


def __getattr__(name: str):
    """Load a part of the Python interface when it is first asked for."""
    if name in _API:
        return getattr(import_module("babyseg_py.api"), name)
    if name in _ERRORS:
        return getattr(import_module("babyseg_py.errors"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the interface without loading it."""
    return sorted({*globals(), *__all__})
