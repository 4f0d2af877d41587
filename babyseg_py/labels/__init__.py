"""The label table: number, name, colour, tissue, side; left-right pairs and merges."""

from babyseg_py.labels.table import (
    BRAIN_LABELS,
    BRAIN_VOLUME,
    LABELS,
    LEFT_RIGHT_PAIRS,
    STRUCTURES,
    Structure,
    structure_name,
)

__all__ = [
    "BRAIN_LABELS",
    "BRAIN_VOLUME",
    "LABELS",
    "LEFT_RIGHT_PAIRS",
    "STRUCTURES",
    "Structure",
    "structure_name",
]
