"""Volumes and their headers: the only place that reads or writes image files."""

from babyseg_py.images.header import ImageHeader, inspect_header
from babyseg_py.images.nifti import load_image, load_labels, save_image, save_labels, save_maps
from babyseg_py.images.volume import Volume

__all__ = [
    "ImageHeader",
    "Volume",
    "inspect_header",
    "load_image",
    "load_labels",
    "save_image",
    "save_labels",
    "save_maps",
]
