"""Small multiples as inline SVG: quick enough to be drawn once per child of a large cohort."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from babyseg_py.report.words import number

PANEL = (190, 150)
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 22, 22


@dataclass(frozen=True)
class Panel:
    """One structure over age: what all children share is drawn once, as text.

    Parameters
    ----------
    title : str
    x_range, y_range : (float, float)
        What the axes span.
    background : str
        SVG of the cohort, in pixels of the panel.
    """

    title: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    background: str

    def place(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pixels from the left and from the top."""
        width, height = PANEL[0] - _LEFT - _RIGHT, PANEL[1] - _TOP - _BOTTOM
        x0, x1 = self.x_range
        y0, y1 = self.y_range
        across = _LEFT + width * (np.asarray(x, float) - x0) / max(x1 - x0, 1e-9)
        down = _TOP + height * (1 - (np.asarray(y, float) - y0) / max(y1 - y0, 1e-9))
        return across, down


def frame(title: str, x: np.ndarray, y: np.ndarray) -> Panel:
    """Return a panel that spans these values, the y axis from zero, with axes and their ends."""
    ends = float(np.min(x)), float(np.max(x))
    top = 1.05 * float(np.max(y)) or 1.0
    right, floor = PANEL[0] - _RIGHT, PANEL[1] - _BOTTOM
    words = [
        f'<text x="{_LEFT}" y="13" class="t">{escape(title)}</text>',
        f'<path d="M{_LEFT} {_TOP}V{floor}H{right}" class="axis"/>',
        f'<text x="{_LEFT - 4}" y="{floor}" class="e">0</text>',
        f'<text x="{_LEFT - 4}" y="{_TOP + 8}" class="e">{number(top, 0 if top >= 10 else 1)}</text>',
        f'<text x="{_LEFT}" y="{PANEL[1] - 7}">{number(ends[0], 0)}</text>',
        f'<text x="{right}" y="{PANEL[1] - 7}" class="e">{number(ends[1], 0)}</text>',
    ]
    return Panel(title, ends, (0.0, top), "".join(words))


def line(panel: Panel, x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray, kind: str) -> str:
    """Return a line of a class of the style sheet."""
    points = zip(*panel.place(np.asarray(x), np.asarray(y)), strict=True)
    return f'<polyline class="{kind}" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in points)}"/>'


def dots(panel: Panel, x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray, kind: str) -> str:
    """Return dots of a class of the style sheet, as one path."""
    points = zip(*panel.place(np.asarray(x), np.asarray(y)), strict=True)
    return f'<path class="{kind}" d="{"".join(f"M{a:.1f} {b:.1f}h0" for a, b in points)}"/>'


def picture(panel: Panel, foreground: str, alt: str) -> Markup:
    """Return the panel with what is the child's own; its title is read out."""
    width, height = PANEL
    return Markup(
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(alt)}">{panel.background}{foreground}</svg>'
    )
