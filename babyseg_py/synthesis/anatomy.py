"""What each voxel of a window shows of a label map: moved, warped, changed in form, its cortex made right."""

import numpy as np
import torch
from torch import Tensor

from babyseg_py.errors import UnusableData
from babyseg_py.synthesis.fields import Fields
from babyseg_py.synthesis.forms import Form, displaced
from babyseg_py.synthesis.imperfect import rotation
from babyseg_py.synthesis.labelbank import DISTANCE_STEP_MM, LabelBank, LabelMap
from babyseg_py.synthesis.randomise import Params
from babyseg_py.synthesis.tissues import tissue_table


def window_positions(bank: LabelBank, params: Params, device: torch.device) -> Tensor:
    """Voxel of the map that each voxel of the moved and warped window shows, (3, I, J, K), whole numbers."""
    chosen, drawn = bank.maps[params["map"]], params["form"]
    places = window_places(chosen.size_mm, chosen.centre, params, device)
    if drawn is not None:
        own, *others = (form_of(bank.maps[i]) for i in (params["map"], *(i for i, _ in drawn["toward"])))
        places = displaced(places, own, others, drawn)
    return places.round_()


def form_of(one: LabelMap) -> Form:
    """Form of a map of a bank whose maps were related."""
    if one.form is None:
        raise UnusableData(one.name, "was not related to the other maps", "pack the label maps again")
    return one.form


def window_places(size: float, centre: np.ndarray, params: Params, device: torch.device) -> Tensor:
    """Voxel of a grid that each voxel of the moved and warped window shows, (3, I, J, K), not rounded.

    Parameters
    ----------
    size : float
        Cube root of the brain's volume in voxels of the grid.
    centre : (3,) np.ndarray
        Voxel that lies in the middle of the window, but for the shift.
    params : dict
        ``grid`` of the window and ``anatomy``; warps count voxels of about 1 mm.
    device : torch.device
        Where to compute.
    """
    anatomy, grid = params["anatomy"], tuple(params["grid"])
    fields = Fields(anatomy["seed"], grid, device)
    matrix, voxel = window_matrix(size, anatomy)
    start = centre - matrix @ anatomy["shift_voxels"]

    axes = [torch.arange(side, dtype=torch.float32, device=device) - (side - 1) / 2 for side in grid]
    warp = anatomy["coarse_warp_mm"] * fields.smooth(32 / voxel, 3)
    warp += anatomy["fine_warp_mm"] * fields.smooth(13 / voxel, 3)
    for row in range(3):
        terms = [float(matrix[row, column]) * axes[column] for column in range(3)]
        plane = terms[0][:, None, None] + (terms[1][:, None] + float(start[row]))
        warp[row].add_(plane).add_(terms[2])
    return warp


def window_matrix(size: float, anatomy: Params) -> tuple[np.ndarray, float]:
    """Matrix from window voxels around its centre to those of a grid around the brain's, and voxel size."""
    voxel = size / anatomy["brain_voxels"]
    shear = np.eye(3)
    shear[[0, 0, 1], [1, 2, 2]] = anatomy["shear"]
    matrix = rotation(anatomy["rotation_deg"]) @ shear @ np.diag(anatomy["stretch"]) * voxel
    if anatomy["flip"]:
        matrix = np.diag([-1, 1, 1]) @ matrix
    return matrix, voxel


def sample_map(chosen: LabelMap, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Fine classes (int32) and distance to the brain in mm of a map at (3, I, J, K) positions."""
    classes = voxels_at(chosen.classes, positions, outside=int(chosen.classes[0, 0, 0]))
    distance = voxels_at(chosen.distance, positions, outside=torch.iinfo(torch.uint8).max)
    return classes.to(torch.int32), distance.to(torch.float32) * DISTANCE_STEP_MM


def voxels_at(array: np.ndarray, positions: Tensor, *, outside: int) -> Tensor:
    """Voxels of an array at whole (3, I, J, K) positions, and a value beyond it."""
    index = torch.zeros(positions.shape[1:], dtype=torch.int32, device=positions.device)
    beyond = torch.zeros(positions.shape[1:], dtype=torch.bool, device=positions.device)
    for nearest, size in zip(positions, array.shape, strict=True):
        within = nearest.clamp(0, size - 1)
        beyond |= nearest != within
        index.mul_(size).add_(within.to(torch.int32))
    return look_up(torch.from_numpy(array).to(index.device).flatten(), index).masked_fill_(beyond, outside)


def taken_cortex(
    chosen: LabelMap, positions: Tensor, tissue: Tensor, params: Params
) -> tuple[Tensor, Tensor]:
    """Cortex of a map that is white matter in the visit, and cortex that is fluid, (I, J, K) of bool each.

    Label maps of five to eight months take the outer white matter for cortex, and those of all the first
    years fill sulci with cortex, which scans show full of fluid.
    """
    cortex = tissue == tissue_table().number("cortex")
    white = fluid = torch.zeros_like(cortex)
    if params["white"] is not None:
        white = cortex & _beside_white(chosen, positions, params["white"])
    if params["sulci"] is not None:
        fluid = _deepest(chosen, positions, cortex & ~white, params["sulci"])
    return white, fluid


def _beside_white(chosen: LabelMap, positions: Tensor, white: Params) -> Tensor:
    """Whether voxels lie so near to white matter that it grows over them, by more here and by less there."""
    reach = Fields(white["seed"], tuple(positions.shape[1:]), positions.device).smooth(12)[0]
    reach = reach.mul_(0.25).exp_().mul_(white["mm"] / DISTANCE_STEP_MM)
    return voxels_at(chosen.from_white, positions, outside=255) < reach


def _deepest(chosen: LabelMap, positions: Tensor, cortex: Tensor, sulci: Params) -> Tensor:
    """Share of the cortex that is farthest from the rest of the brain."""
    if not cortex.any():
        return cortex
    depth = voxels_at(chosen.depth, positions, outside=0).to(torch.float32)
    depth /= Fields(sulci["seed"], tuple(cortex.shape), cortex.device).smooth(12)[0].mul_(0.25).exp_()
    values = depth[cortex].sort().values
    return cortex & (depth > values[int((1 - sulci["share"]) * (len(values) - 1))])


def look_up(table: Tensor, index: Tensor) -> Tensor:
    """Entries of a (N,) table at an index of any shape and integer type."""
    index = index if index.dtype in (torch.int32, torch.int64) else index.to(torch.int32)
    return table.index_select(0, index.flatten()).view(index.shape)


def is_one_of(x: Tensor, numbers: tuple[int, ...]) -> Tensor:
    """Tell of each entry of an integer tensor below 256 whether it is one of some numbers."""
    table = torch.zeros(256, dtype=torch.bool, device=x.device)
    table[list(numbers)] = True
    return look_up(table, x)
