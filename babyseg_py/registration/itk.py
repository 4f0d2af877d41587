"""Rigid transforms as files of the Insight Toolkit, which ANTs and 3D Slicer read.

ITK maps points of the output image to points of the input image, in LPS millimetres; matrices in this
package map the same way in RAS millimetres.
"""

import io
import os
from pathlib import Path

import numpy as np
from scipy.io import loadmat, savemat

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
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(content.getvalue())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


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
