"""The picture of a visit to scale: the same three slices of every brain, each millimetre as many pixels."""

import numpy as np
from matplotlib.lines import Line2D

from babyseg_py.images import Volume
from babyseg_py.report.canvas import (
    DIM,
    HEADER_PX,
    INK,
    NOTHING_LABELLED,
    Canvas,
    finite,
    foreground_box,
    grey_window,
    name_edges,
    outline,
    small_png,
)
from babyseg_py.report.slices import Box, Plane, bounding_box, image_slice, label_fields
from babyseg_py.segmentation.head_axes import PLACES, angle_deg, head_rotation

PX_PER_MM = 1.5
# What each picture shows of a head: to the right, to the front, upwards. Brains of adults fit.
FRAME_MM = np.array([160.0, 192.0, 160.0])
BAR_MM = 50
# What turns further is a header that is wrong, often by a mirror image that no rotation undoes.
LARGEST_TILT_DEG = 45.0
PANELS = (
    # world axis cut, structures through whose common centroid the slice goes, letters at the edges
    (2, (10, 49, 169, 176), ("L", "R")),
    (1, (17, 53), ("L", "R")),
    (0, (10,), ("P", "A")),
)


def draw_to_scale(image: Volume, dseg: Volume, *, title: str = "") -> bytes:
    """Draw three slices with the outlines of the labels, one below the other, 1.5 pixels for a millimetre.

    The slices follow the axes of the head, which its structures tell, and go through the middle of thalamus
    and basal ganglia (axial), of the hippocampi (coronal) and of the left thalamus (sagittal). So the slices
    of all visits show the same places, however the head lay, and a brain that grows becomes larger. A head
    that lies more than 45° off the axes of its header is shown along these.

    Parameters
    ----------
    image : Volume
        Image to look at.
    dseg : Volume
        Label map, integers, on any grid. Of structures that it lacks the middle of the brain takes the place;
        where it is empty the slices go through the image's own foreground, along the world axes.
    title : str
        Words at the top.

    Returns
    -------
    bytes
        PNG of at most 150 kB. All pictures have one size; a brain that is larger than 160 mm from left to
        right or from bottom to top, or 192 mm from back to front, is cut, and the picture says so.
    """
    found = _moments(dseg)
    turn = _into_head(found)
    image, dseg = (Volume(v.data, turn @ v.affine) for v in (finite(image), dseg))
    brain = bounding_box(dseg.data > 0, dseg.affine)
    shown = brain or foreground_box(image)
    planes = _planes(shown, {label: (turn[:3, :3] @ place, n) for label, (place, n) in found.items()})
    slices = [image_slice(image, plane, step_mm=1 / PX_PER_MM) for plane in planes]
    fields = label_fields(dseg, planes, step_mm=1 / PX_PER_MM)
    words = [title, "" if brain else NOTHING_LABELLED, "larger than shown" if _too_large(shown) else ""]
    return small_png(_draw(slices, fields, "   ".join(filter(None, words))))


def _moments(dseg: Volume) -> dict[int, tuple[np.ndarray, float]]:
    """Centroid in world mm and number of voxels of each label."""
    place = np.argwhere(dseg.data > 0)
    labels = dseg.data[tuple(place.T)]
    counts = np.bincount(labels)
    sums = np.stack([np.bincount(labels, weights=axis) for axis in place.T], axis=-1)
    return {
        int(label): (dseg.affine[:3, :3] @ (sums[label] / counts[label]) + dseg.affine[:3, 3], counts[label])
        for label in np.flatnonzero(counts)
    }


def _into_head(found: dict[int, tuple[np.ndarray, float]]) -> np.ndarray:
    """From the world to the axes of the head, (4, 4), a rotation about the origin; none that is large."""
    turn = np.eye(4)
    if found.keys() & PLACES.keys():
        rotation, _ = head_rotation(found)
        if angle_deg(rotation) <= LARGEST_TILT_DEG:
            turn[:3, :3] = rotation.T
    return turn


def _planes(brain: Box, found: dict[int, tuple[np.ndarray, float]]) -> list[Plane]:
    middle = (brain.low + brain.high) / 2
    frame = Box(middle - FRAME_MM / 2, middle + FRAME_MM / 2)
    planes = []
    for axis, structures, _ in PANELS:
        known = [found[label] for label in structures if label in found]
        centre = np.average([p for p, _ in known], axis=0, weights=[n for _, n in known]) if known else middle
        planes.append(Plane(axis, float(centre[axis]), frame))
    return planes


def _too_large(brain: Box) -> bool:
    return bool((brain.size_mm > FRAME_MM).any())


def _draw(slices: list[np.ndarray], fields: dict[int, list[np.ndarray]], title: str) -> np.ndarray:
    width = max(pixels.shape[1] for pixels in slices)
    canvas = Canvas(width, HEADER_PX + sum(pixels.shape[0] for pixels in slices), grey_window(slices))
    canvas.write(title)
    top = HEADER_PX
    for n, (pixels, (_, _, letters)) in enumerate(zip(slices, PANELS, strict=True)):
        height, own = pixels.shape
        axes = canvas.panel(pixels, (width - own) // 2, top, own, height)
        outline(axes, {label: of[n] for label, of in fields.items()})
        name_edges(axes, letters)
        top += height
    _draw_bar(canvas)
    return canvas.pixels()


def _draw_bar(canvas: Canvas) -> None:
    """Draw the bar of 50 mm at the bottom."""
    right, height = canvas.width - 8, 8
    x = np.array([right - BAR_MM * PX_PER_MM, right]) / canvas.width
    canvas.figure.add_artist(Line2D(x, [height / canvas.height] * 2, color=INK, linewidth=1.5))
    canvas.figure.text(x.mean(), (height + 4) / canvas.height, f"{BAR_MM} mm", color=DIM, fontsize=6,
                       ha="center", va="bottom")  # fmt: skip
