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


def read_drawn(path: str) -> "Volume":
    """Read labels that somebody drew, as `read_labels` does; a map without any is not usable."""
    from babyseg_py.errors import UnusableData

    labels = read_labels(path)
    if not labels.data.any():
        raise UnusableData(path, "is empty: nothing was drawn in it", "give the map with the labels")
    return labels
