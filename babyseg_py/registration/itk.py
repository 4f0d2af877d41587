"""Transforms as files of the Insight Toolkit, which ANTs and 3D Slicer read.

ITK maps points of the output image to points of the input image, in LPS millimetres; matrices in this
package map the same way in RAS millimetres.
"""

import gzip
import io
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.io import loadmat, savemat

from babyseg_py.writing import appearing, write_bytes

TYPE = "AffineTransform_double_3_3"
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_transform(matrix: np.ndarray, path: Path | str, /, *, centre: np.ndarray | None = None) -> None:
    """Write a matrix as the ITK transform that antsApplyTransforms applies.

    Parameters
    ----------
    matrix : (4, 4) np.ndarray
        World of the output image (session) to world of the input image (scan), RAS mm.
    path : Path or str
        File with the extension ``.mat``; it appears when it is complete.
    centre : (3,) np.ndarray, optional
        Fixed centre of rotation in RAS mm of the output, kept in the file; the origin if not given.
    """
    lps = LPS @ matrix @ LPS
    fixed = np.zeros(3) if centre is None else LPS[:3, :3] @ centre
    # ITK: y = M (x - c) + t + c.
    translation = lps[:3, 3] - fixed + lps[:3, :3] @ fixed
    parameters = np.concatenate([lps[:3, :3].ravel(), translation])
    content = io.BytesIO()
    savemat(content, {TYPE: parameters[:, None], "fixed": fixed[:, None]}, format="4")
    write_bytes(path, content.getvalue())


def read_transform(path: Path | str, /) -> np.ndarray:
    """Read an affine ITK transform in MATLAB format.

    Parameters
    ----------
    path : Path or str
        File of `write_transform` or of ANTs, in single or double precision.

    Returns
    -------
    (4, 4) np.ndarray
        World of the output image to world of the input image, RAS mm.

    Raises
    ------
    ValueError
        If the file holds no three-dimensional affine or rigid matrix.
    """
    content = loadmat(path)
    name = next((key for key in content if key.endswith("_3_3") and content[key].size == 12), None)
    if name is None or "fixed" not in content:
        raise ValueError(f"{path} holds no affine transform")
    parameters = content[name].ravel().astype(float)
    fixed = content["fixed"].ravel().astype(float)
    lps = np.eye(4)
    lps[:3, :3] = parameters[:9].reshape(3, 3)
    lps[:3, 3] = parameters[9:] + fixed - lps[:3, :3] @ fixed
    return LPS @ lps @ LPS


def write_displacements(displacement: np.ndarray, affine: np.ndarray, path: Path | str, /) -> None:
    """Write a displacement field as the ITK transform that antsApplyTransforms applies.

    Parameters
    ----------
    displacement : (I, J, K, 3) np.ndarray
        What is added to the RAS mm of each node of the output image to come to the input image.
    affine : (4, 4) np.ndarray
        Node to world of the output image, RAS mm. ITK interpolates linearly between nodes and moves nothing
        outside of them.
    path : Path or str
        ``.nii.gz``; the same field always gives the same bytes.
    """
    lps = (displacement * np.array([-1.0, -1.0, 1.0])).astype(np.float32)[:, :, :, None, :]
    image = nib.Nifti1Image(lps, affine)
    image.header.set_intent("vector")
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    with appearing(path) as partial:
        partial.write_bytes(gzip.compress(image.to_bytes(), compresslevel=1, mtime=0))
