"""Panels with the outlines of labels on a black page, and their compression."""

from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from babyseg_py.images import Volume
from babyseg_py.labels.table import STRUCTURES
from babyseg_py.report.slices import Box, bounding_box

HEADER_PX = 18
MAX_BYTES = 150_000
DPI = 100
COLOURS = {s.id: tuple(channel / 255 for channel in s.colour) for s in STRUCTURES}
UNKNOWN_COLOUR = (1.0, 1.0, 0.0)
INK, DIM = "#ffffff", "#b8c4c8"
NOTHING_LABELLED = "no outlines: the segmentation is empty"


class Canvas:
    """A black page on which panels are placed by pixel.

    Parameters
    ----------
    width, height : int
        Size of the page in pixels.
    window : (float, float)
        Intensities that are black and white.
    """

    def __init__(self, width: int, height: int, window: tuple[float, float]) -> None:
        self.width, self.height, self.window = width, height, window
        self.figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="black")
        self.agg = FigureCanvasAgg(self.figure)

    def write(self, text: str) -> None:
        """Write words at the top."""
        self.figure.text(
            6 / self.width, 1 - 5 / self.height, text, color=DIM, fontsize=7.5, va="top", parse_math=False
        )

    def panel(self, pixels: np.ndarray, left: int, top: int, width: int, height: int) -> Axes:
        """Place a slice, whose first row is the lowest one."""
        place = (
            left / self.width,
            1 - (top + height) / self.height,
            width / self.width,
            height / self.height,
        )
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


def outline(axes: Axes, field: dict[int, np.ndarray]) -> None:
    """Draw each label where its share is one half, in the colour of the label table."""
    for label, share in field.items():
        if share.max() > 0.5:
            axes.contour(share, levels=[0.5], colors=[COLOURS.get(label, UNKNOWN_COLOUR)], linewidths=0.8)


def name_edges(axes: Axes, letters: tuple[str, str]) -> None:
    """Write which way is left and which is right in a panel."""
    for x, letter, side in ((0.02, letters[0], "left"), (0.98, letters[1], "right")):
        axes.text(x, 0.5, letter, transform=axes.transAxes, color=INK, fontsize=8, ha=side, va="center")


def finite(image: Volume) -> Volume:
    """Return an image with 0 where it has no finite number."""
    return image.with_data(np.nan_to_num(image.data, nan=0.0, posinf=0.0, neginf=0.0))


def foreground_box(image: Volume) -> Box:
    """Box of the brighter voxels, of the whole grid when there are none."""
    bright = image.data > image.data.mean()
    box = bounding_box(bright, image.affine) or bounding_box(np.ones(image.shape, bool), image.affine)
    assert box is not None, "a grid has voxels"
    return box


def grey_window(slices: list[np.ndarray]) -> tuple[float, float]:
    """Intensities to be shown black and white, from what is not zero."""
    values = np.concatenate([s[s > 0].ravel() for s in slices])
    if not len(values):
        return 0.0, 1.0
    low, high = np.percentile(values, (0.5, 99.5))
    return min(0.0, float(low)), float(high) if high > low else float(low) + 1.0


def small_png(pixels: np.ndarray) -> bytes:
    """PNG of at most 150 kB, with as many greys as that allows; of half the size if it has to be.

    Parameters
    ----------
    pixels : (rows, columns, 3) np.ndarray
        Red, green and blue, uint8.
    """
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
