"""The picture of a visit: slices through the brain with the outlines of the labels."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from babyseg_py.images import Volume
from babyseg_py.labels.table import STRUCTURES
from babyseg_py.report.slices import Box, Plane, bounding_box, image_slice, label_fields

WIDTH_PX = 960
HEADER_PX = 18
MARGIN_MM = 8.0
MAX_BYTES = 150_000
DPI = 100
ROWS = (
    # world axis cut, where along the brain (share of its length), letters at the left and right edge
    (2, (0.28, 0.45, 0.60, 0.76), ("L", "R")),
    (1, (0.24, 0.42, 0.58, 0.74), ("L", "R")),
    (0, (0.22, 0.46, 0.74), ("P", "A")),
)
COLOURS = {s.id: tuple(channel / 255 for channel in s.colour) for s in STRUCTURES}
UNKNOWN_COLOUR = (1.0, 1.0, 0.0)
INK, DIM = "#ffffff", "#b8c4c8"


@dataclass(frozen=True)
class _Row:
    planes: list[Plane]
    letters: tuple[str, str]

    @property
    def width_mm(self) -> float:
        """Width of the large panels and of the block of two half-size columns beside them."""
        return (len(self.planes) + 1) * self.planes[0].size_mm[0]


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
    pixels = _draw(image, dseg, title)
    for greys in (96, 64, 32, 20, 14):
        picture = _compress(pixels, greys)
        if len(picture) <= MAX_BYTES:
            return picture
    return _compress(pixels[::2, ::2], 32)


def _compress(pixels: np.ndarray, greys: int) -> bytes:
    """PNG with even greys and the label colours, pure and as drawn over dark and bright tissue."""
    levels = np.repeat(np.linspace(0, 255, greys)[:, None], 3, axis=1)
    pure = np.array([s.colour for s in STRUCTURES if s.side != "right" and s.id])
    entries = np.vstack([levels, pure, 0.55 * pure + 0.45 * 40, 0.55 * pure + 0.45 * 150])
    palette = Image.new("P", (1, 1))
    palette.putpalette(entries.round().astype(np.uint8).tobytes())
    buffer = BytesIO()
    flat = Image.fromarray(pixels).quantize(palette=palette, dither=Image.Dither.NONE)
    flat.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _draw(image: Volume, dseg: Volume, title: str) -> np.ndarray:
    image = image.with_data(np.nan_to_num(image.data, nan=0.0, posinf=0.0, neginf=0.0))
    brain = bounding_box(dseg.data > 0, dseg.affine)
    rows = _lay_out(brain or _foreground_box(image))
    step_mm = max(row.width_mm for row in rows) / WIDTH_PX
    planes = [plane for row in rows for plane in row.planes]
    slices = [image_slice(image, plane, step_mm=step_mm) for plane in planes]
    fields = label_fields(dseg, planes, step_mm=step_mm)
    canvas = _Canvas(rows, step_mm, _window(slices))
    canvas.write(title if brain else f"{title}   no outlines: the segmentation is empty".strip())
    top, first = HEADER_PX, 0
    for row in rows:
        inside = range(first, first + len(row.planes))
        canvas.draw_row(
            row, top, [slices[i] for i in inside], [{k: f[i] for k, f in fields.items()} for i in inside]
        )
        top += canvas.height_px(row)
        first += len(row.planes)
    return canvas.pixels()


def _lay_out(brain: Box) -> list[_Row]:
    frame = brain.grow(MARGIN_MM)
    return [
        _Row(
            [Plane(axis, float(brain.low[axis] + share * brain.size_mm[axis]), frame) for share in shares],
            letters,
        )
        for axis, shares, letters in ROWS
    ]


def _foreground_box(image: Volume) -> Box:
    """Box of the brighter voxels, of the whole grid when there are none."""
    bright = image.data > image.data.mean()
    box = bounding_box(bright, image.affine) or bounding_box(np.ones(image.shape, bool), image.affine)
    assert box is not None, "a grid has voxels"
    return box


def _window(slices: list[np.ndarray]) -> tuple[float, float]:
    values = np.concatenate([s[s > 0].ravel() for s in slices])
    if not len(values):
        return 0.0, 1.0
    low, high = np.percentile(values, (0.5, 99.5))
    return min(0.0, float(low)), float(high) if high > low else float(low) + 1.0


class _Canvas:
    """A black page on which panels are placed by pixel."""

    def __init__(self, rows: list[_Row], step_mm: float, window: tuple[float, float]) -> None:
        self.step_mm, self.window = step_mm, window
        self.height = HEADER_PX + sum(self.height_px(row) for row in rows)
        self.figure = Figure(figsize=(WIDTH_PX / DPI, self.height / DPI), dpi=DPI, facecolor="black")
        self.agg = FigureCanvasAgg(self.figure)

    def height_px(self, row: _Row) -> int:
        return round(row.planes[0].size_mm[1] / self.step_mm)

    def write(self, text: str) -> None:
        self.figure.text(
            6 / WIDTH_PX, 1 - 5 / self.height, text, color=DIM, fontsize=7.5, va="top", parse_math=False
        )

    def draw_row(
        self, row: _Row, top: int, slices: list[np.ndarray], fields: list[dict[int, np.ndarray]]
    ) -> None:
        """Draw a row: large panels with outlines, then the same slices at half the size without."""
        width, height = slices[0].shape[1], self.height_px(row)
        pitch = WIDTH_PX // (len(slices) + 1)
        for n, (plane, pixels, field) in enumerate(zip(row.planes, slices, fields, strict=True)):
            axes = self._panel(pixels, n * pitch + (pitch - width) // 2, top, width, height)
            for label, share in field.items():
                if share.max() > 0.5:
                    axes.contour(
                        share, levels=[0.5], colors=[COLOURS.get(label, UNKNOWN_COLOUR)], linewidths=0.8
                    )
            axes.text(0.02, 0.012, f"{'xyz'[plane.axis]} {plane.position_mm:.0f}", transform=axes.transAxes,
                      color=DIM, fontsize=5.5, ha="left", va="bottom")  # fmt: skip
            for x, letter, side in ((0.02, row.letters[0], "left"), (0.98, row.letters[1], "right")):
                axes.text(
                    x, 0.5, letter, transform=axes.transAxes, color=INK, fontsize=8, ha=side, va="center"
                )
            left = len(slices) * pitch + (pitch - width) // 2 + (n % 2) * (width // 2)
            self._panel(pixels, left, top + (n // 2) * (height // 2), width // 2, height // 2)

    def _panel(self, pixels: np.ndarray, left: int, top: int, width: int, height: int):
        place = (left / WIDTH_PX, 1 - (top + height) / self.height, width / WIDTH_PX, height / self.height)
        axes = self.figure.add_axes(place)
        axes.set_axis_off()
        low, high = self.window
        axes.imshow(
            pixels, cmap="gray", vmin=low, vmax=high, origin="lower", interpolation="bilinear", aspect="auto"
        )
        return axes

    def pixels(self) -> np.ndarray:
        """Red, green and blue, uint8, shape (rows, columns, 3)."""
        self.agg.draw()
        return np.asarray(self.agg.buffer_rgba())[..., :3].copy()
