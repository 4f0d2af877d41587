"""The surfaces of one visit: which structures have which, made one by one from its posteriors."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine
from scipy import ndimage

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume
from babyseg_py.images.geometry import bounding_box
from babyseg_py.images.nifti import UNREADABLE
from babyseg_py.labels import STRUCTURES
from babyseg_py.labels.table import Structure
from babyseg_py.morphometry.meshes import (
    NoSurfaceError,
    Surface,
    area_mm2,
    find_surface,
    vertex_areas,
    volume_mm3,
)
from babyseg_py.morphometry.spharm import HIGHEST_DEGREE, TOLERANCE_MM, Description, describe
from babyseg_py.morphometry.spherical_map import FoldedMapError, area_spread, spherical_map
from babyseg_py.writing import appearing

# Closed bodies of grey matter, whose borders are anatomy: these are described and compared.
DESCRIBED = ("Thalamus", "Caudate", "Hippocampus", "Amygdala", "Basal-Ganglia")
# Bodies whose borders are cuts or conventions, or that have horns and folia: meshes to look at.
VIEWED = ("Lateral-Ventricle", "Cerebellum", "Brain-Stem", "VentralDC")
STEPS = 255
MARGIN_VOXELS = 3
SMOOTHING_VOXELS = 0.8
WORST_SPREAD = 0.4
_SEEN = 5 / STEPS
ADVICE = "give the file that `babyseg segment --posteriors` wrote, or labels"


@dataclass(frozen=True)
class Posteriors:
    """Probabilities of all structures, a byte each, around the brain.

    Parameters
    ----------
    steps : (22, I, J, K) np.ndarray of np.uint8
        In the order of the label table, 255 for certain.
    affine : (4, 4) np.ndarray
        Voxel to world, RAS mm.
    """

    steps: np.ndarray
    affine: np.ndarray

    @property
    def certain(self) -> bool:
        """Whether they are labels: nothing but 0 and 1."""
        return not ((self.steps > 0) & (self.steps < STEPS)).any()


@dataclass(frozen=True)
class Shape:
    """What was made of one structure.

    Parameters
    ----------
    structure : Structure
        Its row of the label table.
    surface : Surface or None
        None if there is no surface.
    description : Description or None
        None for a mesh to look at, and where none could be made.
    spread : float
        Root mean square of the logarithm of the areas of the map onto the sphere over those of the mesh.
    problem : str
        Why something is missing; empty if nothing is.
    """

    structure: Structure
    surface: Surface | None = None
    description: Description | None = None
    spread: float = float("nan")
    problem: str = ""


def base_name(structure: Structure, /) -> str:
    """Name of a structure without its side."""
    return structure.name.removeprefix("Left-").removeprefix("Right-")


def find_shapes(posteriors: Posteriors, /) -> Iterator[Shape]:
    """Make the surface of every structure that has one, and describe those that are compared.

    Parameters
    ----------
    posteriors : Posteriors

    Yields
    ------
    Shape
        In the order of the label table; one that failed says why.
    """
    smooth = SMOOTHING_VOXELS if posteriors.certain else 0.0
    for structure in STRUCTURES:
        if base_name(structure) in (*DESCRIBED, *VIEWED):
            yield _shape(structure, posteriors, smooth)


def _shape(structure: Structure, posteriors: Posteriors, smooth: float) -> Shape:
    described = base_name(structure) in DESCRIBED
    field = margin_field(posteriors, structure.index, smooth)
    if field is None:
        return Shape(structure, problem="is not in the segmentation")
    try:
        surface = find_surface(field, sphere=described)
    except NoSurfaceError as problem:
        return Shape(structure, problem=str(problem))
    if not described:
        return Shape(structure, surface)
    try:
        places = spherical_map(surface.mesh)
    except FoldedMapError as problem:
        return Shape(structure, surface, problem=str(problem))
    wanted = vertex_areas(surface.mesh.vertices, surface.mesh.faces)
    spread = area_spread(places, surface.mesh.faces, 4 * np.pi * wanted / wanted.sum())
    if spread > WORST_SPREAD:
        return Shape(
            structure, surface, problem=f"has a map onto the sphere that does not keep areas ({spread:.2f})"
        )
    found = describe(surface.mesh, places)
    beyond = "" if found.p95_mm < TOLERANCE_MM else f"is {TOLERANCE_MM} mm off at the highest degree"
    return Shape(structure, surface, found, spread, beyond)


def margin_field(posteriors: Posteriors, index: int, smooth_voxels: float, /) -> Volume | None:
    """Probability of a structure less that of its best rival, in a box around it.

    Parameters
    ----------
    posteriors : Posteriors
    index : int
        Place in the label table.
    smooth_voxels : float
        Standard deviation of a Gaussian filter; 0 for none.

    Returns
    -------
    Volume or None
        Between -1 and 1; None if the structure is nowhere.
    """
    own = posteriors.steps[index]
    if own.max() < _SEEN * STEPS:
        return None
    start, shape = bounding_box(own >= _SEEN * STEPS, margin=MARGIN_VOXELS)
    box = tuple(slice(first, first + size) for first, size in zip(start, shape, strict=True))
    rival = np.zeros(shape, np.uint8)
    for other, steps in enumerate(posteriors.steps):
        if other != index:
            np.maximum(rival, steps[box], out=rival)
    field = (own[box].astype(np.float32) - rival) / STEPS
    if smooth_voxels:
        field = ndimage.gaussian_filter(field, smooth_voxels, mode="nearest")
    affine = posteriors.affine.copy()
    affine[:3, 3] = apply_affine(affine, start)
    return Volume(field, affine)


def read_posteriors(path: Path | str, /) -> Posteriors:
    """Read probabilities, or labels as probabilities that are certain.

    Parameters
    ----------
    path : Path or str
        4-D NIfTI with one map per structure in the order of the label table, or 3-D labels. One map is held
        in memory at a time, and of all a byte per voxel of the box around the brain.

    Raises
    ------
    UnusableData
        If the file cannot be read, has another number of maps, or holds no brain.
    """
    try:
        image = nib.Nifti1Image.from_filename(path, keep_file_open=True)
        if len(image.shape) == 3:
            labels = np.asarray(image.dataobj)
            return _cropped(lambda n: np.uint8(STEPS) * (labels == STRUCTURES[n].id), image.affine, path)
        if len(image.shape) != 4 or image.shape[3] != len(STRUCTURES):
            what = f"has shape {image.shape}, not one map for each of {len(STRUCTURES)} structures"
            raise UnusableData(str(path), what, ADVICE)
        return _cropped(lambda n: _steps(np.asarray(image.dataobj[..., n]), path), image.affine, path)
    except UNREADABLE as problem:
        raise UnusableData(str(path), f"cannot be read ({problem})", ADVICE) from None


def _steps(probabilities: np.ndarray, path: Path | str) -> np.ndarray:
    low, high = float(probabilities.min()), float(probabilities.max())
    if not (low >= -0.01 and high <= 1.01):
        what = f"holds values from {low:g} to {high:g}, which are no probabilities"
        raise UnusableData(str(path), what, ADVICE)
    return np.round(np.clip(probabilities, 0, 1) * STEPS).astype(np.uint8)


def _cropped(read, affine: np.ndarray, path: Path | str) -> Posteriors:
    """Read map after map, and keep the box around what is not background."""
    background = read(0)
    if not (background < STEPS // 2).any():
        raise UnusableData(str(path), "holds no brain: everything is background", ADVICE)
    start, shape = bounding_box(background < STEPS, margin=MARGIN_VOXELS)
    box = tuple(slice(first, first + size) for first, size in zip(start, shape, strict=True))
    steps = np.stack([background[box], *(read(n)[box] for n in range(1, len(STRUCTURES)))])
    moved = affine.copy()
    moved[:3, 3] = apply_affine(affine, start)
    return Posteriors(steps, moved)


COLUMNS = (
    "label", "structure", "side", "surface_mm2", "surface_volume_mm3", "dropped_mm3", "handles", "mended_mm3",
    "vertices", "area_spread", "degree", "error_mean_mm", "error_p95_mm", "error_max_mm", "notes",
)  # fmt: skip


def shape_row(shape: Shape, /) -> dict:
    """Numbers of a structure as a row with `COLUMNS`; None for what there is not."""
    row: dict = dict.fromkeys(COLUMNS)
    one = shape.structure
    row |= {"label": one.id, "structure": one.name, "side": one.side, "notes": shape.problem or None}
    if shape.surface:
        mesh = shape.surface.mesh
        row |= {"surface_mm2": area_mm2(mesh), "surface_volume_mm3": volume_mm3(mesh)}
        row |= {"dropped_mm3": shape.surface.dropped_mm3, "handles": shape.surface.handles}
        row |= {"mended_mm3": shape.surface.mended_mm3, "vertices": len(mesh.vertices)}
    if shape.description:
        found = shape.description
        row |= {"area_spread": shape.spread, "degree": found.degree, "error_mean_mm": found.mean_mm}
        row |= {"error_p95_mm": found.p95_mm, "error_max_mm": found.max_mm}
    return row


def write_descriptions(shapes: list[Shape], path: Path, /, *, participant: str, session: str) -> None:
    """Write the coefficients of a visit as JSON: by structure, or the reason why there are none."""
    content = {
        "participant_id": participant,
        "session_id": session,
        "Description": "Real orthonormal spherical harmonics without Condon-Shortley phase; row l² + l + m "
        "is degree l and order m (sines for m < 0); columns are x, y and z",
        "SpatialReference": "RAS+ mm of the session",
        "HighestDegree": HIGHEST_DEGREE,
        "structures": {
            shape.structure.name: _described(shape)
            for shape in shapes
            if base_name(shape.structure) in DESCRIBED
        },
    }
    with appearing(path) as partial:
        partial.write_text(json.dumps(content) + "\n", encoding="utf-8")


def _described(shape: Shape) -> dict:
    if shape.description is None:
        return {"problem": shape.problem}
    found = asdict(shape.description)
    return found | {"terms": np.round(shape.description.terms, 4).tolist(), "problem": shape.problem}
