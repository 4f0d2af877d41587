"""The label table in the formats that viewers and BIDS ask for."""

from collections.abc import Sequence
from pathlib import Path

from babyseg_py.labels.table import STRUCTURES, Structure
from babyseg_py.writing import appearing

# Tissue in the lookup of the BIDS specification, section "Standard label lookup table".
BIDS_MAPPING = {
    "background": 0,
    "white matter": 2,
    "cerebrospinal fluid": 3,
    "cortical grey matter": 8,
    "deep grey matter": 9,
    "brain stem": 10,
    "cerebellum": 11,
}
_TISSUE_SHORT = {
    "Cerebral-White-Matter": "CWM",
    "Cerebral-Cortex": "CTX",
    "Lateral-Ventricle": "LV",
    "Cerebellum": "CBM",
    "Thalamus": "THA",
    "Caudate": "CAU",
    "Brain-Stem": "BS",
    "Hippocampus": "HIP",
    "Amygdala": "AMY",
    "VentralDC": "VDC",
    "Basal-Ganglia": "BGG",
    "Background": "BG",
    "3rd-Ventricle": "V3",
    "4th-Ventricle": "V4",
    "CSF": "CSF",
    "Inf-Lat-Vent": "ILV",
    "Cerebellum-Cortex": "CBC",
    "Cerebellum-White-Matter": "CBW",
    "Vermis": "VER",
    "Putamen": "PUT",
    "Pallidum": "PAL",
    "Accumbens-area": "ACC",
}


def label_files(path: Path) -> tuple[Path, Path, Path, Path]:
    """Name the files of a label map: itself, its sidecar JSON, its BIDS table and its colour table.

    Parameters
    ----------
    path : Path
        Label map, ``.nii.gz`` or ``.nii``.

    Returns
    -------
    tuple of Path
        Four files in one folder.
    """
    stem = path.name.removesuffix(".gz").rsplit(".", 1)[0]
    sidecar, table, lut = (path.with_name(f"{stem}{end}") for end in (".json", ".tsv", "_lut.txt"))
    return path, sidecar, table, lut


def write_lut(path: Path | str, structures: Sequence[Structure] = STRUCTURES) -> None:
    """Write a label table as a FreeSurfer colour table, for Freeview and FSLeyes.

    Parameters
    ----------
    path : Path or str
        Text file: number, name, red, green, blue and transparency of each structure.
    structures : sequence of Structure
        The table.
    """
    rows = ["#No. Label Name:                      R   G   B   A"]
    rows += [f"{s.id:<4d} {s.name:<32s} {_triple(s)} 0" for s in structures]
    _write(rows, path)


def write_itksnap_labels(path: Path | str) -> None:
    """Write the label table as ITK-SNAP describes labels.

    Parameters
    ----------
    path : Path or str
        Text file: number, red, green, blue, opacity, visibility in slices and in 3-D, and name in quotation
        marks; the background is clear.
    """
    rows = ["# IDX  -R-  -G-  -B-  -A--  VIS MSH  LABEL"]
    for s in STRUCTURES:
        seen = int(s.id > 0)
        rows.append(f'{s.id:5d} {_triple(s)} {seen:4d} {seen:4d} {seen:4d}  "{s.name}"')
    _write(rows, path)


DSEG_COLUMNS = {
    "index": {
        "Description": "FreeSurfer label number, as in the label map beside it.",
        "Format": "integer",
    },
    "name": {"Description": "FreeSurfer name of the structure."},
    "abbreviation": {"Description": "Short name, L or R for the side at its end."},
    "color": {"Description": "Colour as hexadecimal red, green and blue."},
    "mapping": {"Description": "Number of the tissue in the standard list of BIDS.", "Format": "integer"},
}


def write_dseg_table(path: Path | str, structures: Sequence[Structure] = STRUCTURES) -> None:
    """Write a label table as the BIDS table that goes with a discrete segmentation.

    Parameters
    ----------
    path : Path or str
        The ``dseg.tsv`` file: index, name, abbreviation, color, mapping to the standard tissues of BIDS.
    structures : sequence of Structure
        The table.
    """
    rows = ["\t".join(("index", "name", "abbreviation", "color", "mapping"))]
    for s in structures:
        colour = "#{:02x}{:02x}{:02x}".format(*s.colour)
        rows.append("\t".join((str(s.id), s.name, _abbreviation(s), colour, str(BIDS_MAPPING[s.tissue]))))
    _write(rows, path)


def _triple(structure: Structure) -> str:
    return " ".join(f"{value:3d}" for value in structure.colour)


def _abbreviation(structure: Structure) -> str:
    side, _, rest = structure.name.partition("-")
    if structure.side == "none":
        return _TISSUE_SHORT[structure.name]
    return f"{_TISSUE_SHORT[rest]}_{side[0]}"


def _write(rows: list[str], path: Path | str) -> None:
    with appearing(path) as partial:
        partial.write_text("\n".join(rows) + "\n", encoding="utf-8")
