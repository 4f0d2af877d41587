"""Draw the contact sheet of docs/training.md: what training images look like, from maps of digital infants.

    python benchmarks/draw_synthesis.py [OUT.png]

A row is an age, with a child of its own; the columns are three brains alone and three in heads at the
realistic ranges of the default recipe, and two of random contrast. Shown is the axial slice through the
brain's middle.
"""

import sys
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt

from babyseg_py.synthesis.digital_infant import draw_child, grow, load_model
from babyseg_py.synthesis.labelbank_build import describe_map, make_bank
from babyseg_py.synthesis.randomise import draw_params
from babyseg_py.synthesis.ranges import Ranges
from babyseg_py.synthesis.synthesise import apply

OUT = Path(__file__).resolve().parents[1] / "docs" / "images" / "synthesis.png"
AGES_MONTHS = (0, 3, 6, 12, 30)
COLUMNS = (
    *(("brain alone", {"realistic": 1.0, "bare_brain": 1.0}) for _ in range(3)),
    *(("in a head", {"realistic": 1.0, "bare_brain": 0.0}) for _ in range(3)),
    *(("random contrast", {"realistic": 0.0}) for _ in range(2)),
)
GRID = (144, 176, 144)  # 1 mm


def slices(age_months: float, number: int) -> list[np.ndarray]:
    """Axial slices of one child, seen by each column's kind of scan, front up and left on the right."""
    child = draw_child(load_model(), np.random.default_rng(number))
    described = describe_map(grow(load_model(), child, age_months), name="child", age_months=age_months)
    bank = make_bank([described])
    size = bank.maps[0].size_mm
    shown = []
    for column, (_, changes) in enumerate(COLUMNS):
        ranges = Ranges.from_dict(
            {"grid": GRID, "brain_voxels": (size, size), "shift_voxels": 0.0, "myelination": 0.7} | changes
        )
        ranges = replace(ranges, inverted=0.0, follow_map_age=1.0)
        params = draw_params(np.random.default_rng((number, column)), bank, ranges)
        image = apply(bank, params).images[0].numpy()
        shown.append(np.rot90(image[::-1, :, GRID[2] // 2 + 4]))
    return shown


def main() -> None:
    """Write the sheet."""
    figure, axes = plt.subplots(
        len(AGES_MONTHS), len(COLUMNS), figsize=(11, 8.6), gridspec_kw={"wspace": 0.02, "hspace": 0.02}
    )
    for row, age_months in enumerate(AGES_MONTHS):
        for column, image in enumerate(slices(age_months, row)):
            panel = axes[row, column]
            panel.imshow(image, cmap="gray", vmin=0, vmax=1)
            panel.set(xticks=[], yticks=[])
            if not row:
                panel.set_title(COLUMNS[column][0], fontsize=8)
        axes[row, 0].set_ylabel(f"{age_months} months", fontsize=8)
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    figure.savefig(out, dpi=80, bbox_inches="tight", pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main()
