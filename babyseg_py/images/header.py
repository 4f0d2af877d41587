"""What an image file says about itself, checked without reading its voxels.

NIfTI-1 and -2 (single file) and FreeSurfer MGH are read, gzipped or not, in either byte order. The format
is recognised by content, never by file name.

Which affine counts: the sform if its code is set, else the qform, as nibabel, SPM and FreeSurfer do. Where
both are set they have to agree: a file whose forms place a voxel more than `FORM_TOLERANCE_MM` apart is
refused, since half of the field's tools read the one and half the other, and nobody would notice. What
the tolerance lets pass is rounding (the quaternion is stored in single precision, which can cost 0.1 mm
at the far corner) and the slight shear of a gantry correction, which a qform cannot express. A file in
which neither is set is refused too: nothing in it says which side is left.
"""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.freesurfer.mghformat import MGHError
from nibabel.spatialimages import HeaderDataError

from babyseg_py.errors import UnusableData
from babyseg_py.images.geometry import grid_distance_mm

FORM_TOLERANCE_MM = 0.5
VOXEL_SIZE_RANGE_MM = (0.05, 20.0)
FARTHEST_MM = 1e5
SCANNER_CODE, LARGEST_CODE = 1, 5  # of the spaces that NIfTI knows
MAX_VOXELS = 2**30
MAX_GZIP_RATIO = 1032  # No deflate stream expands further.

ADVICE_COPY = "copy or export the file again"
ADVICE_CONVERT = "convert it to .nii.gz, for example with mri_convert or dcm2niix"
ADVICE_GEOMETRY = "export it again from the scanner's DICOM files, or correct its header"


@dataclass(frozen=True)
class ImageHeader:
    """Grid and type of an image file that passed every check of its header.

    Parameters
    ----------
    path : str
        File.
    kind : str
        ``NIfTI-1``, ``NIfTI-2`` or ``MGH``.
    shape : (3,) tuple of int
        Number of voxels along each axis.
    affine : (4, 4) np.ndarray
        Voxel indices to RAS+ world coordinates in mm.
    space_code : int
        Meaning of the world by NIfTI: 1 scanner, 2 aligned, 3 Talairach, 4 MNI.
    dtype : np.dtype
        Type of the numbers on disk.
    notes : tuple of str
        Oddities that do not prevent use.
    """

    path: str
    kind: str
    shape: tuple[int, int, int]
    affine: np.ndarray
    space_code: int
    dtype: np.dtype
    notes: tuple[str, ...] = ()

    @property
    def spacing_mm(self) -> np.ndarray:
        """Voxel size along each axis, in mm, shape (3,)."""
        return voxel_sizes(self.affine)


def inspect_header(path: Path | str) -> ImageHeader:
    """Check the header of an image file; the voxels are not read.

    Parameters
    ----------
    path : Path or str
        NIfTI or MGH file.

    Returns
    -------
    ImageHeader
        What the file holds.

    Raises
    ------
    UnusableData
        If the file is missing, empty, not an image, shorter than its header says, not one 3-D volume of
        real numbers, or placed in the world ambiguously.
    """
    with open_stream(path) as stream:
        return parse_header(path, stream)[0]


@contextmanager
def open_stream(path: Path | str) -> Iterator[BinaryIO]:
    """Open a file for reading, decompressed if it is gzipped; faults of the stream become `UnusableData`."""
    source = Path(path)
    try:
        with source.open("rb") as raw:
            start = raw.read(2)
            raw.seek(0)
            if not start:
                raise UnusableData(str(path), "the file is empty (0 bytes)", ADVICE_COPY)
            if start != b"\x1f\x8b":
                yield raw
                return
            with gzip.open(raw) as stream:
                yield stream  # type: ignore[misc]  # A GzipFile reads and seeks like any other file.
    except FileNotFoundError:
        raise _missing(source) from None
    except IsADirectoryError:
        raise UnusableData(str(path), "is a folder, not a file", "name the image file itself") from None
    except PermissionError:
        raise UnusableData(str(path), "may not be read", "ask its owner for permission") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
        what = "is truncated" if isinstance(problem, EOFError) else "is damaged"
        raise UnusableData(str(path), f"the gzip stream {what} ({_reason(problem)})", ADVICE_COPY) from None
    except OSError as problem:
        raise UnusableData(str(path), f"could not be read ({_reason(problem)})", ADVICE_COPY) from None


def _missing(path: Path) -> UnusableData:
    if path.is_symlink():
        what = f"is a link to {path.readlink()}, which does not exist"
        return UnusableData(
            str(path), what, "fetch the content, for example with datalad get or git annex get"
        )
    return UnusableData(str(path), "there is no such file", "correct the path")


def _reason(problem: BaseException) -> str:
    text = str(problem) or type(problem).__name__
    return " ".join(text.split()).rstrip(".")[:160]


def parse_header(path: Path | str, stream: BinaryIO) -> tuple[ImageHeader, Any]:
    """Read and check the header at the start of a stream.

    Parameters
    ----------
    path : Path or str
        Where the stream comes from, for messages and for the size of the file.
    stream : binary file
        Decompressed content.

    Returns
    -------
    ImageHeader
        Checked header.
    nibabel header
        As nibabel represents it, to read the voxels by.
    """
    block = stream.read(540)
    stream.seek(0)
    kind, header_class = _identify(path, block)
    try:
        header = header_class.from_fileobj(stream, check=False)
        dtype = header.get_data_dtype()
        header.get_slope_inter()
        offset = int(header.get_data_offset())
        shape = _shape_3d(path, [int(n) for n in header.get_data_shape()])
        _check_dtype(path, dtype)
        if kind == "MGH":
            affine, code = _mgh_affine(path, header, block), 1
        else:
            affine, code = _nifti_affine(path, header, shape)
    except (HeaderDataError, MGHError, KeyError, ValueError, OverflowError) as problem:
        raise UnusableData(str(path), f"the header is damaged ({_reason(problem)})", ADVICE_COPY) from None
    _check_affine(path, affine)
    _check_size(path, shape, dtype, offset, compressed=isinstance(stream, gzip.GzipFile))
    return ImageHeader(str(path), kind, shape, affine, code, dtype, _notes(header, affine)), header


def _identify(path: Path | str, block: bytes) -> tuple[str, Any]:
    if block[344:348] in (b"n+1\0", b"n+1 "):
        return "NIfTI-1", nib.Nifti1Header
    if block[4:8] == b"n+2\0":
        return "NIfTI-2", nib.Nifti2Header
    if block[:4] == b"\0\0\0\1" and len(block) >= 284:
        return "MGH", nib.freesurfer.MGHImage.header_class
    if block[344:347] == b"ni1" or block[4:7] == b"ni2":
        what = "is the header of a pair of files (.hdr and .img)"
    elif block[128:132] == b"DICM":
        what = "is a DICOM file"
    elif block.startswith((b"version https://git-lfs", b"/annex/", b"../.git/annex", b".git/annex")):
        raise UnusableData(str(path), "is a pointer to the image, not the image", "fetch it: git lfs pull")
    elif block and all(byte >= 32 or byte in b"\t\r\n" for byte in block):
        what = "is text, not an image"
        raise UnusableData(str(path), what, "name the image file; a failed download often looks like this")
    elif len(block) < 284:
        raise UnusableData(str(path), f"is too short for an image ({len(block)} bytes)", ADVICE_COPY)
    else:
        what = "is neither a NIfTI nor an MGH file"
    raise UnusableData(str(path), what, ADVICE_CONVERT)


def _shape_3d(path: Path | str, shape: Sequence[int]) -> tuple[int, int, int]:
    size = list(shape)
    text = " x ".join(str(n) for n in shape)
    if any(n < 1 for n in size):
        raise UnusableData(str(path), f"the header is damaged (dimensions {text})", ADVICE_COPY)
    while len(size) > 3 and size[-1] == 1:
        size.pop()
    if len(size) > 3:
        what = f"holds {int(np.prod(size[3:]))} volumes ({text})"
        raise UnusableData(str(path), what, "split it and give one row or argument to each volume")
    if len(size) < 3 or min(size) < 2:
        raise UnusableData(str(path), f"is not three-dimensional ({text} voxels)", "give the whole 3-D scan")
    if np.prod(size, dtype=float) > MAX_VOXELS:
        what = f"has more than {MAX_VOXELS:,} voxels ({text})"
        raise UnusableData(str(path), what, "check the file; a scan this large has to be resampled first")
    return size[0], size[1], size[2]


def _check_dtype(path: Path | str, dtype: np.dtype) -> None:
    if dtype.kind not in "iuf":
        name = "complex" if dtype.kind == "c" else "colour (RGB)"
        raise UnusableData(str(path), f"holds {name} values", "give an image with one real number per voxel")


def _mgh_affine(path: Path | str, header: Any, block: bytes) -> np.ndarray:
    if block[28:30] == b"\0\0":
        raise UnusableData(str(path), "the header does not say where left and right are", ADVICE_GEOMETRY)
    return header.get_affine()


def _nifti_affine(path: Path | str, header: Any, shape: Sequence[int]) -> tuple[np.ndarray, int]:
    """Affine and its code by the rule at the top of this module."""
    s_code, q_code = int(header["sform_code"]), int(header["qform_code"])
    if s_code <= 0 and q_code <= 0:
        what = "neither sform nor qform is set: nothing says where left and right are"
        raise UnusableData(str(path), what, ADVICE_GEOMETRY)
    affine = np.asarray(header.get_sform() if s_code > 0 else header.get_qform(), dtype=float)
    if s_code > 0 and q_code > 0:
        apart = grid_distance_mm(affine, header.get_qform(), shape)
        if not apart <= FORM_TOLERANCE_MM:
            mirrored = np.linalg.det(affine[:3, :3]) * np.linalg.det(header.get_qform()[:3, :3]) < 0
            sides = "; left in the one is right in the other" if mirrored else ""
            what = f"sform and qform contradict each other (voxels up to {apart:.1f} mm apart{sides})"
            advice = "find out which is right and copy it over the other, for example with fslorient"
            raise UnusableData(str(path), what, advice)
    code = s_code if s_code > 0 else q_code
    return affine, code if code <= LARGEST_CODE else SCANNER_CODE


def _notes(header: Any, affine: np.ndarray) -> tuple[str, ...]:
    if np.allclose(np.abs(np.asarray(header.get_zooms()[:3])), voxel_sizes(affine), rtol=0.01):
        return ()
    sizes = " x ".join(f"{size:.4g}" for size in voxel_sizes(affine))
    return (f"pixdim and sform give different voxel sizes; the sform is used ({sizes} mm)",)


def _check_affine(path: Path | str, affine: np.ndarray) -> None:
    if not np.isfinite(affine).all():
        raise UnusableData(str(path), "the affine is not finite", ADVICE_GEOMETRY)
    if np.abs(affine[:3, 3]).max() > FARTHEST_MM:
        far = np.abs(affine[:3, 3]).max()
        raise UnusableData(str(path), f"the affine puts the image {far:.3g} mm away", ADVICE_GEOMETRY)
    sizes = voxel_sizes(affine)
    if not sizes.all() or abs(np.linalg.det(affine[:3, :3] / sizes)) < 0.01:
        raise UnusableData(str(path), "the affine is singular: its axes do not span space", ADVICE_GEOMETRY)
    low, high = VOXEL_SIZE_RANGE_MM
    if sizes.min() < low or sizes.max() > high:
        text = " x ".join(f"{size:.4g}" for size in sizes)
        what = f"voxels of {text} mm are not those of a brain scan (expected {low:g} to {high:g} mm)"
        raise UnusableData(str(path), what, "check the units of the header; " + ADVICE_GEOMETRY)


def _check_size(
    path: Path | str, shape: Sequence[int], dtype: np.dtype, offset: int, *, compressed: bool
) -> None:
    """Compare the size of the file with what the header promises."""
    needed = offset + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    size = Path(path).stat().st_size
    if size * (MAX_GZIP_RATIO if compressed else 1) < needed:
        what = f"is truncated: {size:,} bytes on disk where the header asks for {needed:,}"
        raise UnusableData(str(path), what + (" (decompressed)" if compressed else ""), ADVICE_COPY)
