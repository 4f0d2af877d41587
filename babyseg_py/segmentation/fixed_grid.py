"""The recipe of the published network: one look at a grid of fixed voxels that the first scan leads.

Steps as published (Hoffmann, Zöllei, Dalca 2025): the leading scan is turned to LIA, cropped to its non-zero
voxels, sampled at 0.7 mm and padded about its middle to multiples of 64 voxels between 128 and 320; the other
scans are sampled on that grid. All of it is one linear interpolation from each scan's own grid. Where the
published code would cut a larger field of view about its middle, here the grid is laid around the head, that
is said, and a head that does not fit is refused.
"""

from collections.abc import Sequence

import numpy as np
import torch
from nibabel.affines import apply_affine
from torch import Tensor

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume
from babyseg_py.images.geometry import bounding_box, crop_or_pad, grid_with_spacing, reorient, resample
from babyseg_py.models.weights import FixedGrid
from babyseg_py.segmentation.inference import Segmenter, forward
from babyseg_py.segmentation.posteriors import Posteriors
from babyseg_py.segmentation.window import Scan, Window, anatomical_axes, head_box


def leading_scan(scans: Sequence[Scan]) -> Scan:
    """Return the first scan whose world is the session's, else the first one."""
    return next((scan for scan in scans if np.allclose(scan.matrix, np.eye(4))), scans[0])


def predict_on_fixed_grid(
    segmenter: Segmenter, scans: Sequence[Scan], recipe: FixedGrid
) -> tuple[Window, Posteriors, tuple[str, ...]]:
    """Posteriors of all scans together, of which the first one leads.

    Returns
    -------
    window : Window
        The grid that the leading scan gave.
    posteriors : Posteriors
        Probabilities of one look, float32 on the CPU.
    notes : tuple of str
        What the user should know.

    Raises
    ------
    UnusableData
        If the head is larger than the largest grid, or a scan shows nothing on it.
    """
    window, notes = window_of(scans[0], recipe)
    images = torch.stack([sample_on(window, scan, recipe) for scan in scans])
    posteriors = forward(segmenter, segmenter.networks.segment, images.to(segmenter.device))
    return window, Posteriors(posteriors), notes


def window_of(lead: Scan, recipe: FixedGrid) -> tuple[Window, tuple[str, ...]]:
    """Grid of a leading scan, and a note if it does not hold its whole field of view."""
    turned = reorient(lead.volume, recipe.orientation)
    start, size = bounding_box(turned.data != 0)
    affine = turned.affine.copy()
    affine[:3, 3] = apply_affine(affine, start)
    shape, affine = grid_with_spacing(size, affine, recipe.voxel_mm)
    if max(shape) > recipe.largest:
        return _window_around_head(lead, shape, recipe)
    sides = _sides(np.array(shape), recipe)
    first = -((sides - shape) // 2)
    centre = apply_affine(affine, first + (sides - 1) / 2)
    return _window(lead, centre, sides, recipe), ()


def _sides(shape: np.ndarray, recipe: FixedGrid) -> np.ndarray:
    multiples = np.ceil(shape / recipe.multiple).astype(int) * recipe.multiple
    return np.clip(multiples, recipe.smallest, recipe.largest)


def _window(lead: Scan, centre_mm: np.ndarray, sides: np.ndarray, recipe: FixedGrid) -> Window:
    """Window about a point of the leading scan's world, along that scan's axes, in the session's world."""
    to_session = np.linalg.inv(lead.matrix)
    axes = to_session[:3, :3] @ _directions(lead.volume, recipe.orientation)
    shape = (int(sides[0]), int(sides[1]), int(sides[2]))
    return Window(shape, axes, recipe.voxel_mm, apply_affine(to_session, centre_mm))


def _directions(volume: Volume, axcodes: str) -> np.ndarray:
    """Directions of a volume's axes in the order and sense of the axis codes, in columns."""
    right_anterior_superior = anatomical_axes(volume.affine)
    place = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    return np.stack(
        [right_anterior_superior[:, axis] * sign for axis, sign in (place[code] for code in axcodes)], axis=1
    )


def _window_around_head(
    lead: Scan, shape: tuple[int, ...], recipe: FixedGrid
) -> tuple[Window, tuple[str, ...]]:
    axes = _directions(lead.volume, recipe.orientation)
    right = anatomical_axes(lead.volume.affine)
    box = head_box([Scan(lead.name, lead.volume, np.eye(4))], right)
    edges = np.stack([right @ box.low, right @ box.high]) @ axes
    low, high = edges.min(axis=0), edges.max(axis=0)
    most_mm = recipe.largest * recipe.voxel_mm
    if (high - low).max() > most_mm:
        what = f"its head measures {(high - low).max():.0f} mm; these weights see {most_mm:.0f} mm"
        raise UnusableData(lead.name, what, "check its voxel size, crop it to the head, or use other weights")
    sides = _sides(np.minimum(shape, recipe.largest), recipe)
    seen = " x ".join(f"{side * recipe.voxel_mm:.0f}" for side in sides)
    note = (
        f"{lead.name}: the weights do not see all of its field of view; {seen} mm around the head were used"
    )
    return _window(lead, axes @ ((low + high) / 2), sides, recipe), (note,)


def sample_on(window: Window, scan: Scan, recipe: FixedGrid) -> Tensor:
    """Image of a scan on the window, 0 to 1, float32, (I, J, K): scaled between quantiles of all voxels."""
    volume = scan.volume
    start, size = bounding_box(volume.data != 0)
    cropped = crop_or_pad(volume, start, size)
    image = resample(cropped, window.shape, window.affine, order=1, world_matrix=scan.matrix).data
    low, high = np.quantile(image, (recipe.low, recipe.high))
    if not high > low:
        what = "hardly any of it lies on the grid of the leading scan"
        raise UnusableData(scan.name, what, "check its registration and header")
    return torch.from_numpy(((np.clip(image, low, high) - low) / (high - low)).astype(np.float32))
