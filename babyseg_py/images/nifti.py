"""Reading and writing of image files."""

from pathlib import Path

import nibabel as nib
import numpy as np

from babyseg_py.images.volume import Volume


def load_image(path: Path | str) -> Volume:
    """Read a 3-D image as float32."""
    image = nib.load(path)
    return Volume(np.asarray(image.dataobj, dtype=np.float32), image.affine)


def load_labels(path: Path | str) -> Volume:
    """Read a 3-D label map as int32."""
    image = nib.load(path)
    return Volume(np.asarray(image.dataobj).astype(np.int32), image.affine)


def save_image(volume: Volume, path: Path | str) -> None:
    """Write a float32 NIfTI file."""
    nib.save(nib.Nifti1Image(volume.data.astype(np.float32), volume.affine), path)


def save_labels(volume: Volume, path: Path | str) -> None:
    """Write an integer NIfTI file."""
    nib.save(nib.Nifti1Image(volume.data.astype(np.uint16), volume.affine), path)
