"""The coefficients of the surfaces of a cohort, read one file after another."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from babyseg_py.errors import UnusableData


@dataclass(frozen=True)
class Described:
    """Coefficients of the structures of one visit.

    Parameters
    ----------
    content : dict
        By name of the structure: terms and degree, or the problem.
    """

    content: dict[str, dict]

    @property
    def names(self) -> set[str]:
        """Structures without their side."""
        return {name.partition("-")[2] for name in self.content}

    def terms(self, name: str, side: str) -> tuple[np.ndarray | None, int]:
        """Coefficients in mm, ((D + 1)², 3), and the degree that suffices; None and 0 if there are none."""
        one = self.content.get(f"{side.capitalize()}-{name}", {})
        return (one["terms"], int(one["degree"])) if "terms" in one else (None, 0)


def read_descriptions(folder: Path | str, /) -> dict[tuple[str, str], Described]:
    """Read the ``_shape.json`` of all visits in a folder.

    Returns
    -------
    dict of (participant_id, session_id) to Described
        Sorted.

    Raises
    ------
    UnusableData
        If a file is not what its name says.
    """
    found = {}
    for path in sorted(Path(folder).glob("*_shape.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            key = str(content["participant_id"]), str(content["session_id"])
            structures = content["structures"]
            for one in structures.values():
                if "terms" in one:
                    one["terms"] = _array(one["terms"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
            what = f"does not hold the surfaces of a visit ({type(problem).__name__}: {problem})"
            raise UnusableData(str(path), what, "run `babyseg shape` on the visit again") from None
        found[key] = Described(structures)
    return found


def _array(terms: list) -> np.ndarray:
    array = np.array(terms, dtype=np.float32)
    if array.ndim != 2 or array.shape[1] != 3 or not np.isfinite(array).all():
        msg = f"coefficients of shape {array.shape}"
        raise ValueError(msg)
    return array.astype(float)
