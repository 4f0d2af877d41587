"""Results on the mean surfaces of a cohort as files: GIfTI for Workbench, VTK for 3D Slicer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from babyseg_py.morphometry.alignment import icosphere
from babyseg_py.morphometry.meshes import Mesh
from babyseg_py.morphometry.surface_files import ALIGNED, write_gifti, write_metric, write_vtk
from babyseg_py.names import bids_name
from babyseg_py.statistics.contrasts import ASYMMETRY, Contrast
from babyseg_py.statistics.surfaces import LEVEL, Map

FOLDER = "surfaces"
_HEMISPHERES = {"left": "L", "right": "R"}


@dataclass(frozen=True)
class SurfaceMap:
    """What a structure was found to do with a contrast, and where.

    Parameters
    ----------
    structure, side : str
        Name without its side; ``left``, ``right``, or ``asymmetry``, which is laid on the left surface.
    contrast : Contrast
    template : (V, 3) np.ndarray
        Mean surface over both sides in RAS+ mm from its middle, as a left one; vertices of `icosphere`.
    found : Map
    """

    structure: str
    side: str
    contrast: Contrast
    template: np.ndarray
    found: Map

    @property
    def name(self) -> str:
        """The structure with its side."""
        return sided_name(self.structure, self.side)

    @property
    def drawn_on(self) -> str:
        """The side whose surface shows it."""
        return "left" if self.side == ASYMMETRY else self.side

    @property
    def mesh(self) -> Mesh:
        """The mean surface as it lies: a right one is mirrored back, its triangles facing outwards."""
        faces = icosphere(LEVEL)[1]
        if self.side != "right":
            return Mesh(self.template, faces)
        return Mesh(self.template * [-1, 1, 1], faces[:, ::-1])

    @property
    def values(self) -> dict[str, np.ndarray]:
        """Numbers of the vertices by name, each (V,)."""
        return {"t": self.found.t, "effect_mm": self.found.effect_mm, "p_max": self.found.p}


def sided_name(structure: str, side: str, /) -> str:
    """Name of a structure with its side, such as ``Left-Hippocampus``; without it for an asymmetry."""
    return structure if side == ASYMMETRY else f"{side.capitalize()}-{structure}"


def surface_name(structure: str, side: str, *, desc: str, suffix: str, extension: str) -> str:
    """Name of a file of a structure of the cohort, such as ``hemi-L_…_desc-BMinusA_statmap.func.gii``."""
    return bids_name(
        participant=None,
        session=None,
        hemi=_HEMISPHERES.get(side),
        space="cohort",
        label=structure.replace("-", ""),
        desc=desc,
        suffix=suffix,
        extension=extension,
    )


def metric_name(structure: str, side: str, contrast: Contrast) -> str:
    """Name of the file with the numbers of the vertices, with the folder that it is in."""
    name = surface_name(structure, side, desc=contrast.key, suffix="statmap", extension=".func.gii")
    return f"{FOLDER}/{name}"


def write_surface_maps(maps: Sequence[SurfaceMap], folder: Path | str, /) -> None:
    """Write the mean surface of every structure and side, and on it t, effect and p of every contrast.

    Parameters
    ----------
    maps : sequence of SurfaceMap
    folder : Path or str
        Folder of the cohort's tables; the files go to ``surfaces`` in it.
    """
    for one in {(one.structure, one.side): one for one in maps}.values():
        path = _place(folder, one, desc="mean", suffix="mesh", extension=".surf.gii")
        write_gifti(one.mesh, path, structure=one.structure, side=one.drawn_on, space=ALIGNED)
    for one in maps:
        path = Path(folder) / metric_name(one.structure, one.side, one.contrast)
        title = one.contrast.name
        write_metric(one.values, path, title=title, structure=one.structure, side=one.drawn_on)
        path = _place(folder, one, desc=one.contrast.key, suffix="mesh", extension=".vtk")
        title = f"{one.side} {one.structure}, {one.contrast.key}"
        write_vtk(one.mesh, path, title=title, values=one.values)


def _place(folder: Path | str, one: SurfaceMap, **words: str) -> Path:
    return Path(folder) / FOLDER / surface_name(one.structure, one.side, **words)
