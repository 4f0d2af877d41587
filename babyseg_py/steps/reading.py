"""Files that more than one step reads."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babyseg_py.images import Volume


def read_labels(path: str) -> "Volume":
    """Read a label map and bring it to the 22 labels; say on stderr what is not known."""
    import sys

    from babyseg_py.images import load_labels
    from babyseg_py.morphometry.comparable import standard_labels

    labels, unknown = standard_labels(load_labels(path), path)
    if unknown:
        numbers = ", ".join(map(str, unknown))
        print(f"babyseg: {path}: unknown label numbers count as background: {numbers}", file=sys.stderr)
    return labels
