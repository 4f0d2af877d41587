"""Label maps made ready for synthesis: one packed file that needs numpy and torch alone to be used."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from scipy.ndimage import gaussian_filter

from babyseg_py.errors import UnusableData
from babyseg_py.synthesis.forms import Form
from babyseg_py.writing import appearing

DISTANCE_STEP_MM = 0.25
DEEP_MM = 4.0
USUALLY_DEEP, TOO_DEEP = 0.1, 0.18  # share of the cortex beyond that: in most maps, where it is too thick
POLAR, AROUND = 46, 90  # directions: 4 degrees apart
SMOOTHING = 1.5  # sigma, in directions
STEP_VOXELS = 0.5


@dataclass(frozen=True)
class LabelMap:
    """One label map on a 1 mm RAS grid with a margin.

    Parameters
    ----------
    name : str
        Where it came from.
    age_months : float or None
        Age of the child, None for an adult.
    classes : (I, J, K) np.ndarray of uint8
        Fine class: one tissue within one output structure.
    distance : (I, J, K) np.ndarray of uint8
        Distance to the closed brain in steps of 0.25 mm, 0 inside.
    depth : (I, J, K) np.ndarray of uint8
        Distance of cortex from the rest of the brain in steps of 0.25 mm, 0 elsewhere.
    from_white : (I, J, K) np.ndarray of uint8
        Distance of cortex from white matter in steps of 0.25 mm, the largest number elsewhere.
    has_head : bool
        Whether tissues around the brain are labelled.
    size_mm : float
        Cube root of the volume of the closed brain in mm³.
    centre : (3,) np.ndarray
        Centre of the brain's bounding box in voxels.
    form : Form or None
        How it differs from the mean of its group (`forms_build.relate`).
    """

    name: str
    age_months: float | None
    classes: np.ndarray
    distance: np.ndarray
    depth: np.ndarray
    from_white: np.ndarray
    has_head: bool
    size_mm: float
    centre: np.ndarray
    form: Form | None = None

    @cached_property
    def thick(self) -> float:
        """How much of its white matter a map takes for cortex, from 0 to 1, by the depth of its cortex."""
        cortex = self.depth[self.depth > 0]
        share = (cortex > DEEP_MM / DISTANCE_STEP_MM).mean() if cortex.size else 0.0
        return float(np.clip((share - USUALLY_DEEP) / (TOO_DEEP - USUALLY_DEEP), 0, 1))

    @cached_property
    def reach(self) -> np.ndarray:
        """Distance of the closed brain's surface from its centre, smoothed over directions.

        (46, 91) voxels, by polar angle from the top and by azimuth from -180° to 180°, both included.
        """
        polar = np.linspace(0, np.pi, POLAR)[:, None, None]
        azimuth = np.linspace(-np.pi, np.pi, AROUND, endpoint=False)[None, :, None]
        radius = np.arange(0, np.linalg.norm(self.distance.shape), STEP_VOXELS)
        direction = (np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar))
        inside = np.ones((POLAR, AROUND, len(radius)), dtype=bool)
        index = []
        for axis, size in enumerate(self.distance.shape):
            place = np.rint(self.centre[axis] + direction[axis] * radius).astype(np.int32)
            inside &= (place >= 0) & (place < size)
            index.append(place.clip(0, size - 1))
        inside &= self.distance[tuple(np.broadcast_arrays(*index))] == 0
        last = len(radius) - 1 - inside[..., ::-1].argmax(axis=-1)
        reach = gaussian_filter(radius[last], SMOOTHING, mode=("nearest", "wrap"))
        return np.concatenate([reach, reach[:, :1]], axis=1).astype(np.float32)


@dataclass(frozen=True)
class LabelBank:
    """Label maps with their common table of fine classes.

    Parameters
    ----------
    maps : tuple of LabelMap
        The maps.
    tissue : (C,) np.ndarray
        Tissue number of each fine class.
    target : (C,) np.ndarray
        Channel of the output structure of each fine class.
    mirrored : (C,) np.ndarray
        Channel of the output structure of each fine class after a left-right flip.
    parts : (C,) np.ndarray or None
        Parts of its structure that each fine class may be, as bits (`labels.fuller.allowed_parts`); None in a
        bank that does not tell.
    """

    maps: tuple[LabelMap, ...]
    tissue: np.ndarray
    target: np.ndarray
    mirrored: np.ndarray
    parts: np.ndarray | None = None

    def checksum(self, number: int) -> str:
        """Short checksum of what a map shows: its tissues and structures, however this bank numbers them."""
        if number not in self._checksums:
            meaning = (self.tissue.astype(np.uint16) << 8 | self.target.astype(np.uint16)).astype("<u2")
            classes = self.maps[number].classes
            total = sha256(str(classes.shape).encode())
            total.update(np.ascontiguousarray(meaning[classes]).data)
            self._checksums[number] = total.hexdigest()[:12]
        return self._checksums[number]

    @cached_property
    def _checksums(self) -> dict[int, str]:
        return {}


def digest(*banks: LabelBank) -> str:
    """Return a checksum of the maps of each bank: names, ages, labels, and what these mean."""
    total = sha256()
    for bank in banks:
        meaning = [bank.tissue, bank.target] + ([] if bank.parts is None else [bank.parts])
        total.update(json.dumps([table.tolist() for table in meaning]).encode())
        for label_map in bank.maps:
            total.update(json.dumps([label_map.name, label_map.age_months]).encode())
            total.update(np.ascontiguousarray(label_map.classes).data)
    return total.hexdigest()[:16]


def save_bank(bank: LabelBank, path: Path | str) -> None:
    """Write a bank to one compressed file of plain arrays."""
    arrays = {"tissue": bank.tissue, "target": bank.target, "mirrored": bank.mirrored}
    if bank.parts is not None:
        arrays["parts"] = bank.parts
    for number, label_map in enumerate(bank.maps):
        age = np.nan if label_map.age_months is None else label_map.age_months
        arrays[f"{number}/name"] = np.array(label_map.name)
        arrays[f"{number}/classes"] = label_map.classes
        arrays[f"{number}/distance"] = label_map.distance
        arrays[f"{number}/depth"] = label_map.depth
        arrays[f"{number}/from_white"] = label_map.from_white
        arrays[f"{number}/scalars"] = np.array([age, label_map.has_head, label_map.size_mm])
        arrays[f"{number}/centre"] = label_map.centre
        if label_map.form is not None:
            arrays |= {f"{number}/form/{f.name}": getattr(label_map.form, f.name) for f in fields(Form)}
    with appearing(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def load_bank(path: Path | str) -> LabelBank:
    """Read a bank.

    Raises
    ------
    UnusableData
        If the file is missing, damaged or no bank.
    """
    try:
        return _read_bank(path)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as problem:
        what = f"cannot be read as a bank of label maps ({problem})"
        raise UnusableData(str(path), what, "make it with `babyseg train CONFIG --pack LABELS`") from problem


def _read_bank(path: Path | str) -> LabelBank:
    with np.load(path, allow_pickle=False) as arrays:
        count = sum(key.endswith("/classes") for key in arrays)
        maps = []
        for number in range(count):
            age, has_head, size_mm = arrays[f"{number}/scalars"]
            maps.append(
                LabelMap(
                    name=str(arrays[f"{number}/name"]),
                    age_months=None if np.isnan(age) else float(age),
                    classes=arrays[f"{number}/classes"],
                    distance=arrays[f"{number}/distance"],
                    depth=arrays[f"{number}/depth"],
                    from_white=arrays[f"{number}/from_white"],
                    has_head=bool(has_head),
                    size_mm=float(size_mm),
                    centre=arrays[f"{number}/centre"],
                    form=_read_form(arrays, number),
                )
            )
        parts = arrays.get("parts", None)
        return LabelBank(tuple(maps), arrays["tissue"], arrays["target"], arrays["mirrored"], parts)


def _read_form(arrays: Mapping[str, np.ndarray], number: int) -> Form | None:
    if f"{number}/form/velocity" not in arrays:
        return None
    group, *others = (arrays[f"{number}/form/{f.name}"] for f in fields(Form))
    return Form(int(group), *others)
