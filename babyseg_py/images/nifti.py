"""Reading and writing of image files."""

import gzip
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from babyseg_py.errors import UnusableData, UsageError
from babyseg_py.images.background import with_zero_background
from babyseg_py.images.geometry import grid_distance_mm
from babyseg_py.images.header import ADVICE_COPY, ImageHeader, open_stream, parse_header
from babyseg_py.images.volume import Volume
from babyseg_py.writing import appearing

QFORM_TOLERANCE_MM = 0.1
# What nibabel raises on damaged files.
UNREADABLE = (OSError, EOFError, ValueError, zlib.error, ImageFileError, HeaderDataError)


def load_image(path: Path | str) -> Volume:
    """Read a scan as float32.

    Integers, scaled integers (scl_slope), floats, either byte order, NIfTI or MGH, gzipped or not; a fourth
    dimension of size one is dropped. Voxels that are NaN or infinite become 0, as outside a masked brain.
    Negative intensities are kept, but where the background is one exact value other than 0, or the scan was
    brought to mean 0 inside a mask, all are shifted so that the background is 0 (`with_zero_background`).

    Parameters
    ----------
    path : Path or str
        Image file.

    Returns
    -------
    Volume
        Finite float32 values on the grid of the file.

    Raises
    ------
    UnusableData
        As `inspect_header`; also if the data is cut short or damaged, if no voxel is finite, or if all
        have the same value, in the file or in float32.
    """
    array, header = _read(path)
    with np.errstate(over="ignore"):  # What is too large becomes infinite.
        data = array.astype(np.float32, copy=False)
    finite = np.isfinite(data)
    if not finite.any():
        raise _empty(path, array)
    if not finite.all():
        low, high = data[finite].min(), data[finite].max()
        data = np.where(finite, data, np.float32(0))
    else:
        low, high = data.min(), data.max()
    if low == high:
        raise _empty(path, array)
    return Volume(with_zero_background(data), header.affine, header.space_code)


def _empty(path: Path | str, array: np.ndarray) -> UnusableData:
    """Say why an image has nothing to see: in the file, or in float32 alone."""
    values = array[np.isfinite(array)]
    if not values.size:
        return UnusableData(str(path), "no voxel has a finite value", "export the scan again")
    low, high = values.min(), values.max()
    if low == high:
        what = f"every voxel has the value {low:g}: there is nothing in it"
        return UnusableData(str(path), what, ADVICE_COPY)
    what = f"has values from {low:g} to {high:g}, which 32-bit numbers cannot hold or tell apart"
    return UnusableData(str(path), what, "bring its intensities to, for example, 0 to 1000")


def load_labels(path: Path | str) -> Volume:
    """Read a label map as int32.

    Parameters
    ----------
    path : Path or str
        Label map; numbers stored as floats are fine if they are whole. NaN counts as 0. It may be empty.

    Returns
    -------
    Volume
        Label numbers on the grid of the file.

    Raises
    ------
    UnusableData
        As `inspect_header`; also if the data is cut short or damaged, or if its values are not label numbers.
    """
    array, header = _read(path)
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), 0, array)
        whole = np.round(array)
        if not np.allclose(array, whole, rtol=0, atol=1e-3):
            what = "holds fractions, so it is not a label map"
            raise UnusableData(str(path), what, "give the segmentation, resampled with nearest neighbour")
        array = whole
    if array.min() < 0 or array.max() > np.iinfo(np.int32).max:
        what = f"holds values from {array.min():g} to {array.max():g}, which are not label numbers"
        raise UnusableData(str(path), what, "give a segmentation with FreeSurfer label numbers")
    return Volume(array.astype(np.int32), header.affine, header.space_code)


def _read(path: Path | str) -> tuple[np.ndarray, ImageHeader]:
    """Values of a file, scaled as its header says, and its header."""
    with open_stream(path) as stream:
        header, nib_header = parse_header(path, stream)
        array = np.asarray(ArrayProxy(stream, nib_header, mmap=False))
        while stream.read(2**20):
            pass  # A gzip stream is checked against its sum at its end.
    return np.ascontiguousarray(array.reshape(header.shape)), header


def save_image(volume: Volume, path: Path | str) -> None:
    """Write a float32 NIfTI file.

    Parameters
    ----------
    volume : Volume
        Values and grid; the affine is stored as it is.
    path : Path or str
        File to write, ``.nii.gz`` or ``.nii``. It appears under its name only when it is complete. The same
        volume always gives the same bytes.
    """
    _write(volume.with_data(np.asarray(volume.data, dtype=np.float32)), path)


def save_labels(volume: Volume, path: Path | str) -> None:
    """Write a NIfTI file of the smallest unsigned integer type that holds the labels.

    Parameters
    ----------
    volume : Volume
        Label numbers, whole and not negative.
    path : Path or str
        As in `save_image`.
    """
    low, high = volume.data.min(), volume.data.max()
    whole = volume.data.dtype.kind in "biu" or np.array_equal(volume.data, np.round(volume.data))
    if low < 0 or not whole:
        raise ValueError(f"values from {low} to {high} are not all label numbers")
    _write(volume.with_data(volume.data.astype(np.min_scalar_type(int(high)))), path)


def save_maps(maps: np.ndarray, grid: Volume, path: Path | str) -> None:
    """Write maps on one grid as a 4-D float32 NIfTI file, without a copy of them.

    Parameters
    ----------
    maps : (C, I, J, K) np.ndarray of float32
        Maps, which become the volumes of the file.
    grid : Volume
        Volume on their grid.
    path : Path or str
        As in `save_image`.
    """
    require_nifti_names(path)
    with appearing(path) as partial:
        nib.save(_nifti(grid, np.moveaxis(maps, 0, -1)), partial)


def require_nifti_names(*paths: Path | str | None) -> None:
    """Raise `UsageError` for a file to write that is not named as NIfTI; None is passed over."""
    for path in paths:
        if path is not None and not Path(path).name.lower().endswith((".nii", ".nii.gz")):
            raise UsageError(f"cannot write {Path(path).name}: name it .nii.gz or .nii")


def _write(volume: Volume, path: Path | str) -> None:
    require_nifti_names(path)
    target = Path(path)
    content = _nifti(volume).to_bytes()
    if target.suffix.lower() == ".gz":
        content = gzip.compress(content, compresslevel=1 if volume.data.dtype.kind == "f" else 4, mtime=0)
    with appearing(target) as partial:
        partial.write_bytes(content)


def _nifti(volume: Volume, data: np.ndarray | None = None) -> nib.Nifti1Image:
    """NIfTI image with sform and qform alike; a sheared grid has a sform only, since a qform has no shear."""
    image = nib.Nifti1Image(volume.data if data is None else data, volume.affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(volume.affine, volume.space_code)
    image.set_qform(volume.affine, volume.space_code)
    if grid_distance_mm(image.get_qform(), volume.affine, volume.shape) > QFORM_TOLERANCE_MM:
        image.set_qform(None, 0)
    return image
