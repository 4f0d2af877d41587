"""Meshes as files: GIfTI for Workbench and FreeView, VTK for 3D Slicer and ParaView."""

from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.gifti import GiftiCoordSystem, GiftiDataArray, GiftiImage, GiftiMetaData

from babyseg_py.morphometry.meshes import Mesh
from babyseg_py.writing import appearing

# What Workbench calls a structure; it knows the basal ganglia in parts only.
_WORKBENCH = {
    "Thalamus": "Thalamus", "Caudate": "Caudate", "Hippocampus": "Hippocampus", "Amygdala": "Amygdala",
    "VentralDC": "DiencephalonVentral", "Cerebellum": "Cerebellum", "Brain-Stem": "BrainStem",
}  # fmt: skip
_LPS = np.array([-1.0, -1.0, 1.0])


def write_gifti(mesh: Mesh, path: Path | str, *, structure: str, side: str) -> None:
    """Write a mesh as GIfTI surface, ``.surf.gii``, in RAS+ mm of the scanner's space.

    Parameters
    ----------
    mesh : Mesh
    path : Path or str
        It appears under its name when it is complete.
    structure, side : str
        Name without its side; ``left``, ``right`` or ``none``.
    """
    primary = _WORKBENCH.get(structure)
    primary = f"{primary}{side.capitalize() if side != 'none' else ''}" if primary else "Other"
    scanner = GiftiCoordSystem(dataspace=1, xformspace=1, xform=np.eye(4))
    meta = {"AnatomicalStructurePrimary": primary, "GeometricType": "Anatomical", "Name": structure}
    points = GiftiDataArray(
        mesh.vertices.astype(np.float32),
        intent="NIFTI_INTENT_POINTSET",
        datatype="NIFTI_TYPE_FLOAT32",
        coordsys=scanner,
        meta=GiftiMetaData(meta),
    )
    triangles = GiftiDataArray(
        mesh.faces.astype(np.int32),
        intent="NIFTI_INTENT_TRIANGLE",
        datatype="NIFTI_TYPE_INT32",
        coordsys=None,
        meta=GiftiMetaData({"TopologicalType": "Closed"}),
    )
    with appearing(path) as partial:
        nib.save(GiftiImage(darrays=[points, triangles]), partial)


def write_vtk(
    mesh: Mesh, path: Path | str, *, title: str, values: dict[str, np.ndarray] | None = None
) -> None:
    """Write a mesh as legacy VTK polydata, binary, in LPS+ mm, which its header says as 3D Slicer reads it.

    Parameters
    ----------
    mesh : Mesh
        In RAS+ mm; x and y change their signs on the way out.
    path : Path or str
        ``.vtk``; it appears under its name when it is complete.
    title : str
        What it is, one line.
    values : dict of str to (V,) np.ndarray, optional
        Numbers of the vertices, to colour them by.
    """
    count, faces = len(mesh.vertices), len(mesh.faces)
    cells = np.column_stack([np.full(faces, 3), mesh.faces]).astype(">i4")
    parts = [
        f"# vtk DataFile Version 3.0\n{title[:200]} SPACE=LPS\nBINARY\nDATASET POLYDATA\n".encode("ascii"),
        f"POINTS {count} float\n".encode("ascii"),
        (mesh.vertices * _LPS).astype(">f4").tobytes(),
        f"\nPOLYGONS {faces} {4 * faces}\n".encode("ascii"),
        cells.tobytes(),
    ]
    if values:
        parts.append(f"\nPOINT_DATA {count}".encode("ascii"))
    for name, numbers in (values or {}).items():
        parts.append(f"\nSCALARS {name} float 1\nLOOKUP_TABLE default\n".encode("ascii"))
        parts.append(np.asarray(numbers).astype(">f4").tobytes())
    with appearing(path) as partial:
        partial.write_bytes(b"".join([*parts, b"\n"]))
