"""Figures: their look, and how they reach the page and the figures folder."""

import base64
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from PIL import Image

from babyseg_py.report.parts import Picture
from babyseg_py.statistics.files import write_dictionary
from babyseg_py.writing import tsv_text, write_bytes, write_text

ACCENT, INK, GREY, PALE, FLAG = "#0f5c6e", "#1d2a2f", "#7c888d", "#d9e0e2", "#b35c00"
WIDTH_IN = 10.0
CSS_PER_IN = 100
SVG_LIMIT = 160_000
PNG_DPI = 170

STYLE: Any = {
    "font.size": 8, "axes.titlesize": 8.5, "axes.labelsize": 8, "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.edgecolor": GREY,
    "axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6, "axes.titlelocation": "left",
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "legend.fontsize": 7.5,
    "svg.hashsalt": "babyseg", "svg.fonttype": "path", "text.parse_math": False,
    "figure.constrained_layout.use": True,
}  # fmt: skip


@dataclass(frozen=True)
class Shelf:
    """Where finished figures go.

    Parameters
    ----------
    folder : Path or None
        Every figure is also saved here as PNG and SVG, with its numbers as TSV and their data dictionary.
    """

    folder: Path | None = None

    def add(
        self, name: str, figure: Figure, numbers: pd.DataFrame, *, table: str, alt: str, title: str = ""
    ) -> Picture:
        """Save a figure and return it for the page: as SVG, or as PNG where that is smaller to load.

        Parameters
        ----------
        name : str
            File name without extension.
        figure : Figure
            Drawn figure.
        numbers : pd.DataFrame
            The numbers that it shows.
        table : str
            Name of the table in the data dictionaries that describes the columns of these numbers.
        alt : str
            What it shows, in words, for those who cannot see it.
        title : str
            Words above it.
        """
        svg = _render(figure, "svg", metadata={"Date": None, "Creator": None})
        png = _render(figure, "png", dpi=PNG_DPI, metadata={"Software": None})
        if self.folder is not None:
            write_bytes(self.folder / f"{name}.svg", svg)
            write_bytes(self.folder / f"{name}.png", png)
            write_text(self.folder / f"{name}.tsv", tsv_text(numbers, digits=6))
            write_dictionary(self.folder / f"{name}.tsv", table)
        small = len(svg) <= SVG_LIMIT
        source = data_uri(svg, "image/svg+xml") if small else data_uri(_few_colours(png), "image/png")
        width, height = (round(size * CSS_PER_IN) for size in figure.get_size_inches())
        return Picture(source, alt, width, height, title)


def file_name(kind: str, what: str) -> str:
    """Return a file name from words of any kind, letters and digits of ASCII only."""
    return f"{kind}_" + "".join(c if c.isascii() and c.isalnum() else "_" for c in what)


def data_uri(content: bytes, mime: str) -> str:
    """Return bytes as a data URI."""
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"


def _few_colours(png: bytes) -> bytes:
    """Return a picture with a palette, which lines and dots lose nothing by, in a third of the bytes."""
    buffer = BytesIO()
    Image.open(BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
        buffer, format="PNG", optimize=True
    )
    return buffer.getvalue()


def _render(figure: Figure, form: str, **options) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format=form, facecolor="white", **options)
    return buffer.getvalue()


def strip(
    axes: Axes, groups: list[tuple[str, pd.Series]], *, colour: str = ACCENT, shift: float = 0.0
) -> None:
    """Draw one row of dots per group, the median as a bar; the first group is on top.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    groups : list of (str, pd.Series)
        Name and values of each row; the dots are spread a little by rank, not by chance.
    colour : str
        Colour of dots and bars.
    shift : float
        Vertical offset, for several strips in one row.
    """
    for row, (_, values) in enumerate(groups):
        finite = values.dropna().sort_values()
        if finite.empty:
            continue
        spread = [((7 * rank) % 5 - 2) * 0.05 for rank in range(len(finite))]
        heights = [row + shift + offset for offset in spread]
        axes.plot(finite, heights, "o", color=colour, markersize=2.6, alpha=0.45, markeredgewidth=0,
                  rasterized=len(finite) > 300)  # fmt: skip
        axes.plot(
            [finite.median()] * 2, [row + shift - 0.24, row + shift + 0.24], color=colour, linewidth=1.6
        )
    axes.set_yticks(range(len(groups)), [name for name, _ in groups])
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=PALE, linewidth=0.5)
    axes.set_axisbelow(True)


def agreement(pairs: pd.DataFrame, names: dict[str, str], *, x: str, y: str, percent: str) -> Figure:
    """Draw one volume against another on equal logarithmic axes, and their difference by structure.

    Parameters
    ----------
    pairs : pd.DataFrame
        A row per visit and structure: structure, the two volumes in mL, and their difference in percent, in
        columns of those names.
    names : dict of str to str
        Structures to show, in order, and the words for them.
    x, y, percent : str
        Labels of the axes; the columns of ``pairs`` in order after visit_id and structure.
    """
    first, second, difference = pairs.columns[2:5]
    figure = Figure(figsize=(WIDTH_IN, 0.9 + 0.22 * max(len(names), 8)))
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.3))
    least = pairs[first].min() / 10
    left.loglog(pairs[first], pairs[second].clip(lower=least), "o", color=ACCENT, markersize=2.6, alpha=0.5,
                markeredgewidth=0, rasterized=len(pairs) > 300)  # fmt: skip
    ends = [pairs[[first, second]].min(axis=None), pairs[[first, second]].max(axis=None)]
    left.plot(ends, ends, color=GREY, linewidth=0.7, zorder=0)
    for axis in (left.xaxis, left.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    left.set_xlabel(x)
    left.set_ylabel(y)
    strip(right, [(word, pairs.loc[pairs["structure"] == name, difference]) for name, word in names.items()])
    right.axvline(0, color=GREY, linewidth=0.7)
    right.set_xlabel(percent)
    return figure
