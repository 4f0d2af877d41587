"""Surfaces for the browser."""

import re
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from babyseg_py.errors import UnusableData
from babyseg_py.labels.table import STRUCTURES

PLAIN_COLOUR = (200, 200, 190)


@dataclass(frozen=True)
class Mesh:
    """A surface.

    Parameters
    ----------
    vertices : (V, 3) np.ndarray
        World mm, float32.
    faces : (F, 3) np.ndarray
        Numbers of vertices, uint32.
    """

    vertices: np.ndarray
    faces: np.ndarray

    def to_bytes(self) -> bytes:
        """Return two counts (uint32), the vertices (float32) and the faces (uint32), little-endian."""
        counts = np.array([len(self.vertices), len(self.faces)], dtype="<u4")
        return counts.tobytes() + self.vertices.astype("<f4").tobytes() + self.faces.astype("<u4").tobytes()


def read_mesh(path: Path) -> Mesh:
    """Read the first point set and the first triangles of a GIfTI file.

    Raises
    ------
    UnusableData
        It is no GIfTI surface, or a triangle names a vertex that is not there.
    """
    advice = "make the surface again"
    try:
        content = nib.load(path)
        vertices = content.agg_data("pointset")  # type: ignore[attr-defined]
        faces = content.agg_data("triangle")  # type: ignore[attr-defined]
    except Exception as problem:  # the XML reader has errors of many kinds
        raise UnusableData(str(path), f"is no GIfTI surface ({problem})", advice) from None
    if not (isinstance(vertices, np.ndarray) and isinstance(faces, np.ndarray)):
        raise UnusableData(str(path), "does not hold one point set and one set of triangles", advice)
    shapes = vertices.ndim == faces.ndim == 2 and vertices.shape[1] == faces.shape[1] == 3
    if not shapes or (len(faces) and not 0 <= faces.min() <= faces.max() < len(vertices)):
        raise UnusableData(str(path), "its triangles do not fit its points", advice)
    return Mesh(np.nan_to_num(vertices.astype(np.float32)), faces.astype(np.uint32))


def mesh_name(path: Path) -> tuple[str, tuple[int, int, int]]:
    """Name and colour of the structure that a file name stands for; the name's own words if none is known."""
    words = re.sub(r"^sub-[A-Za-z0-9]+_ses-[A-Za-z0-9]+_", "", path.name).split(".")[0]
    parts = {_bare(part.rpartition("-")[2]) for part in words.split("_")}
    sides = {"l": "left", "r": "right"}
    prefix = next(
        (sides.get(part[5:].lower(), "") for part in words.split("_") if part.startswith("hemi-")), ""
    )
    parts |= {prefix + part for part in parts}
    for s in STRUCTURES:
        if s.id and (_bare(s.name) in parts or str(s.id) in parts):
            return s.name, s.colour
    return words, PLAIN_COLOUR


def _bare(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
