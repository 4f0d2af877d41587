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
SCANNER, ALIGNED = "NIFTI_XFORM_SCANNER_ANAT", "NIFTI_XFORM_ALIGNED_ANAT"
_INTENTS = {"t": "NIFTI_INTENT_TTEST", "effect_mm": "NIFTI_INTENT_ESTIMATE", "p_max": "NIFTI_INTENT_PVAL"}


def write_gifti(mesh: Mesh, path: Path | str, *, structure: str, side: str, space: str = SCANNER) -> None:
    """Write a mesh as GIfTI surface, ``.surf.gii``, in RAS+ mm.

    Parameters
    ----------
    mesh : Mesh
    path : Path or str
        It appears under its name when it is complete.
    structure, side : str
        Name without its side; ``left``, ``right`` or ``none``.
    space : str
        What its millimetres are of: `SCANNER`, or `ALIGNED` for a surface of many brains.
    """
    lies = GiftiCoordSystem(dataspace=space, xformspace=space, xform=np.eye(4))
    meta = {"AnatomicalStructurePrimary": _primary(structure, side), "GeometricType": "Anatomical"}
    meta |= {"Name": structure}
    points = GiftiDataArray(
        mesh.vertices.astype(np.float32),
        intent="NIFTI_INTENT_POINTSET",
        datatype="NIFTI_TYPE_FLOAT32",
        coordsys=lies,
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


def write_metric(
    values: dict[str, np.ndarray], path: Path | str, *, title: str, structure: str, side: str
) -> None:
    """Write numbers of the vertices of a surface as GIfTI metric, ``.func.gii``.

    Parameters
    ----------
    values : dict of str to (V,) np.ndarray
        One map each, in the order of the vertices of the ``.surf.gii``.
    path : Path or str
        It appears under its name when it is complete.
    title : str
        What the maps are of; it stands behind the name of each.
    structure, side : str
        As of `write_gifti`, so that Workbench lays it on that surface.
    """
    maps = [
        GiftiDataArray(
            np.asarray(numbers).astype(np.float32),
            intent=_INTENTS.get(name, "NIFTI_INTENT_NONE"),
            datatype="NIFTI_TYPE_FLOAT32",
            coordsys=None,
            meta=GiftiMetaData({"Name": f"{name}: {title}"}),
        )
        for name, numbers in values.items()
    ]
    meta = GiftiMetaData({"AnatomicalStructurePrimary": _primary(structure, side)})
    with appearing(path) as partial:
        nib.save(GiftiImage(meta=meta, darrays=maps), partial)


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
        Numbers of the vertices, to colour them by; the first are shown at first.
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
    parts.extend(_point_data(values or {}))
    with appearing(path) as partial:
        partial.write_bytes(b"".join([*parts, b"\n"]))


def _point_data(values: dict[str, np.ndarray]) -> list[bytes]:
    """Give the first numbers as scalars and the others as fields: readers take one set of scalars only."""
    parts = []
    for place, (name, numbers) in enumerate(values.items()):
        if place == 0:
            head = f"\nPOINT_DATA {len(numbers)}\nSCALARS {name} float 1\nLOOKUP_TABLE default\n"
        else:
            head = f"\nFIELD FieldData {len(values) - 1}" if place == 1 else ""
            head += f"\n{name} 1 {len(numbers)} float\n"
        parts += [head.encode("ascii"), np.asarray(numbers).astype(">f4").tobytes()]
    return parts


def _primary(structure: str, side: str) -> str:
    """Name of a structure in Workbench."""
    name = _WORKBENCH.get(structure)
    return f"{name}{side.capitalize() if side != 'none' else ''}" if name else "Other"
