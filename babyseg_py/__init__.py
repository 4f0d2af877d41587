"""Longitudinal infant brain MRI: segmentation, quality control, morphometry and statistics."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("babyseg-py")
except PackageNotFoundError:
    __version__ = "0+unknown"
