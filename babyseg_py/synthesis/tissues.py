"""Tissues that an image is made of: finer than the output structures, shared by both sides."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import yaml

CONTRASTS = ("T1w", "T2w")


@dataclass(frozen=True)
class TissueTable:
    """Names, source labels and prior means of all tissues.

    Parameters
    ----------
    names : tuple of str
        Tissue names; their positions are the tissue numbers.
    labels : dict of int to int
        Tissue number of each FreeSurfer-like label number.
    means : (2, 2, T) np.ndarray
        Prior mean intensity by contrast (`CONTRASTS`), maturity (newborn, myelinated) and tissue.
    """

    names: tuple[str, ...]
    labels: dict[int, int]
    means: np.ndarray

    def number(self, name: str) -> int:
        """Tissue number of a name."""
        return self.names.index(name)


@cache
def tissue_table() -> TissueTable:
    """Read the table that the package ships."""
    text = files("babyseg_py.synthesis").joinpath("tissues.yaml").read_text(encoding="utf-8")
    rows = yaml.safe_load(text)
    labels = {label: number for number, row in enumerate(rows.values()) for label in row["labels"]}
    means = np.array([row["means"] for row in rows.values()]).T.reshape(2, 2, len(rows))
    return TissueTable(tuple(rows), labels, means)
