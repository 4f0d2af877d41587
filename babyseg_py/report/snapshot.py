"""The picture of a visit: slices through the brain with the outlines of the labels."""

from dataclasses import dataclass

import numpy as np

from babyseg_py.images import Volume
from babyseg_py.report.canvas import (
    DIM,
    HEADER_PX,
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

WIDTH_PX = 960
MARGIN_MM = 8.0
ROWS = (
    # world axis cut, where along the brain (share of its length), letters at the left and right edge
    (2, (0.28, 0.45, 0.60, 0.76), ("L", "R")),
    (1, (0.24, 0.42, 0.58, 0.74), ("L", "R")),
    (0, (0.22, 0.46, 0.74), ("P", "A")),
)


@dataclass(frozen=True)
class _Row:
    planes: list[Plane]
    letters: tuple[str, str]

    @property
    def width_mm(self) -> float:
        """Width of the large panels and of the block of two half-size columns beside them."""
        return (len(self.planes) + 1) * self.planes[0].size_mm[0]

    def height_px(self, step_mm: float) -> int:
        """Height of the large panels."""
        return round(self.planes[0].size_mm[1] / step_mm)


def draw_snapshot(image: Volume, dseg: Volume, *, title: str = "") -> bytes:
    """Draw axial, coronal and sagittal slices with the outlines of the labels, and small ones without.

    Left of the picture is the left of the child (RAS). The slices follow the world axes, so that an oblique
    or anisotropic grid is shown as it lies in the scanner, and both inputs may be on different grids.

    Parameters
    ----------
    image : Volume
        Image to look at.
    dseg : Volume
        Label map, integers; outlines have the colours of the label table. It may be empty: the slices then
        go through the image's own foreground, and the picture says that nothing was labelled.
    title : str
        Words at the top.

    Returns
    -------
    bytes
        PNG of at most 150 kB, 960 pixels wide.
    """
    image = finite(image)
    brain = bounding_box(dseg.data > 0, dseg.affine)
    rows = _lay_out(brain or foreground_box(image))
    step_mm = max(row.width_mm for row in rows) / WIDTH_PX
    planes = [plane for row in rows for plane in row.planes]
    slices = [image_slice(image, plane, step_mm=step_mm) for plane in planes]
    fields = label_fields(dseg, planes, step_mm=step_mm)
    height = HEADER_PX + sum(row.height_px(step_mm) for row in rows)
    canvas = Canvas(WIDTH_PX, height, grey_window(slices))
    canvas.write(title if brain else f"{title}   {NOTHING_LABELLED}".strip())
    top, first = HEADER_PX, 0
    for row in rows:
        inside = range(first, first + len(row.planes))
        own = [{k: f[i] for k, f in fields.items()} for i in inside]
        height = row.height_px(step_mm)
        _draw_row(canvas, row, [slices[i] for i in inside], own, top=top, height=height)
        top += height
        first += len(row.planes)
    return small_png(canvas.pixels())


def _lay_out(brain: Box) -> list[_Row]:
    frame = brain.grow(MARGIN_MM)
    return [
        _Row(
            [Plane(axis, float(brain.low[axis] + share * brain.size_mm[axis]), frame) for share in shares],
            letters,
        )
        for axis, shares, letters in ROWS
    ]


def _draw_row(
    canvas: Canvas, row: _Row, slices: list[np.ndarray], fields: list[dict], *, top: int, height: int
) -> None:
    """Draw a row: large panels with outlines, then the same slices at half the size without."""
    width = slices[0].shape[1]
    pitch = WIDTH_PX // (len(slices) + 1)
    for n, (plane, pixels, field) in enumerate(zip(row.planes, slices, fields, strict=True)):
        axes = canvas.panel(pixels, n * pitch + (pitch - width) // 2, top, width, height)
        outline(axes, field)
        axes.text(0.02, 0.012, f"{'xyz'[plane.axis]} {plane.position_mm:.0f}", transform=axes.transAxes,
                  color=DIM, fontsize=5.5, ha="left", va="bottom")  # fmt: skip
        name_edges(axes, row.letters)
        left = len(slices) * pitch + (pitch - width) // 2 + (n % 2) * (width // 2)
        canvas.panel(pixels, left, top + (n // 2) * (height // 2), width // 2, height // 2)
