"""A tiny results folder: a good session, a failed one, one without a word in the ledger."""

from pathlib import Path

import nibabel as nib
import numpy as np

from babyseg_py.images import Volume, save_image, save_labels
from babyseg_py.registration.itk import write_transform

LEDGER = """row\tparticipant_id\tsession_id\trun\tsuffix\timage\tstatus\tstep\treason
2\t01\tA\tn/a\tT1w\ta.nii.gz\tok\tn/a\tn/a
3\t01\tA\t2\tT2w\tb.nii.gz\tflagged\tsegment\thalf a brain?
4\t02\tB\tn/a\tT1w\tc.nii.gz\tfailed\tn4\tevery voxel is NaN
"""
SHAPE = (7, 8, 9)
SHIFT = (2.0, -1.0, 3.0)  # session to scan, mm


def voxels() -> np.ndarray:
    """Return values that differ in every voxel."""
    return np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)


def labels() -> np.ndarray:
    """Return a left and a right half within a margin of background."""
    data = np.zeros(SHAPE, dtype=np.int32)
    data[1:4, 1:-1, 1:-1], data[4:-1, 1:-1, 1:-1] = 2, 41
    return data


def write_mesh(path: Path, faces: list) -> None:
    """Write a tetrahedron, or whatever the faces make of its four points."""
    points = np.array([[0, 0, 0], [3, 0, 0], [0, 3, 0], [0, 0, 3]], dtype=np.float32)
    arrays = [
        nib.gifti.GiftiDataArray(points, intent="NIFTI_INTENT_POINTSET"),
        nib.gifti.GiftiDataArray(np.array(faces, dtype=np.int32), intent="NIFTI_INTENT_TRIANGLE"),
    ]
    nib.save(nib.gifti.GiftiImage(darrays=arrays), path)


def write_results(folder: Path) -> Path:
    """Write the folder."""
    anat = folder / "sub-01" / "ses-A" / "anat"
    anat.mkdir(parents=True)
    (folder / "sub-03" / "ses-A").mkdir(parents=True)
    (folder / "ledger.tsv").write_text(LEDGER)
    stem, affine = "sub-01_ses-A", np.diag([-2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (6, -7, -8)
    moved = affine.copy()
    moved[:3, 3] += SHIFT
    save_image(Volume(voxels(), affine), anat / f"{stem}_desc-n4_T1w.nii.gz")
    save_image(Volume(voxels(), moved), anat / f"{stem}_run-2_desc-n4_T2w.nii.gz")
    save_labels(Volume(labels(), affine), anat / f"{stem}_space-session_desc-babyseg_dseg.nii.gz")
    share = Volume(voxels() / voxels().max(), affine)
    save_image(share, anat / f"{stem}_space-session_desc-uncertainty_map.nii.gz")
    write_transform(np.eye(4), anat / f"{stem}_from-T1w_to-session_mode-image_xfm.mat")
    matrix = np.eye(4)
    matrix[:3, 3] = SHIFT
    write_transform(matrix, anat / f"{stem}_run-2_from-T2w_to-session_mode-image_xfm.mat")
    write_mesh(anat / f"{stem}_label-LeftThalamus_mesh.gii", [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]])
    return folder
