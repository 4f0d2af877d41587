"""Visits with a known truth, sound and degraded, that trust in a segmentation is fitted and measured on."""

import json
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from babyseg_py.images import Volume
from babyseg_py.labels import LABELS
from babyseg_py.labels.merge import merge_labels
from babyseg_py.segmentation.window import Scan
from babyseg_py.synthesis.degrade import FAULTS, lesions, wrong_place
from babyseg_py.synthesis.digital_infant import Model, grow, load_model
from babyseg_py.synthesis.digital_infant_cohort import PlannedChild, PlannedVisit, plan_cohort
from babyseg_py.synthesis.digital_infant_images import Scene, label_scan, make_scene, take_scan
from babyseg_py.synthesis.labelbank import LabelBank
from babyseg_py.synthesis.randomise import Ranges, draw_params
from babyseg_py.synthesis.synthesise import apply
from babyseg_py.synthesis.tissues import CONTRASTS

CLEAN, INFANT = "clean", "digital infant"
KINDS = (*FAULTS, "wrong registration", "lesions", "wrong age")
HELD_OUT = ("age-24mo",)
FIELD_MM = (176, 208, 176)
ADULT_SIZES_MM = (84.0, 104.0)


@dataclass(frozen=True)
class Case:
    """A visit to be segmented.

    Parameters
    ----------
    kind : str
        `CLEAN`, `INFANT` or the fault.
    source : str
        Label map, or the digital child and visit.
    strength : float
        Of the fault, 0 to 1.
    scans : list of Scan
        One or two scans on one grid.
    truth : Volume
        Labels on the grid of the first scan.
    """

    kind: str
    source: str
    strength: float
    scans: list[Scan]
    truth: Volume


def plan(clean: int, degraded: int, infants: int) -> list[tuple[str, int]]:
    """Kinds and numbers of all cases, interleaved, so that any first part of them is balanced."""
    places = [(CLEAN, n, (n + 0.5) / clean) for n in range(clean)]
    places += [(kind, n, (n + 0.6) / degraded) for kind in KINDS for n in range(degraded)]
    places += [(INFANT, n, (n + 0.7) / infants) for n in range(infants)]
    return [(kind, n) for kind, n, _ in sorted(places, key=lambda place: place[2])]


def make_case(kind: str, number: int, bank: LabelBank) -> Case:
    """Make a case; equal arguments give equal cases."""
    return _infant(number) if kind == INFANT else _synthetic(kind, number, bank)


def _synthetic(kind: str, number: int, bank: LabelBank) -> Case:
    """Visit from a label map: every other one from a map that no network was trained on."""
    seed = 0 if kind == CLEAN else 1 + KINDS.index(kind)
    generator = np.random.default_rng((number, seed, 505))
    chosen = _choose(bank, number, generator)
    size_mm = chosen.size_mm if chosen.age_months is not None else generator.uniform(*ADULT_SIZES_MM)
    voxel_mm = generator.uniform(1.2, 1.6)
    voxels = size_mm / voxel_mm
    ranges = Ranges.from_dict(
        {
            "grid": [int(np.ceil(mm / voxel_mm)) for mm in FIELD_MM],
            "brain_voxels": [voxels, voxels],
            "realistic": 0.9,
            "inverted": 0.0,
            "rotation_deg": 15.0,
            "ghost": 0.0 if kind != CLEAN else 0.1,
            "open_sulci": 0.5,
            "follow_map_age": 1.0 if kind != "wrong age" else 0.0,
        }
    )
    one = replace(bank, maps=(chosen,))
    params = draw_params(generator, one, ranges, hard=generator.uniform(0.3, 1.0) if kind == CLEAN else 0.5)
    strength = 0.0 if kind == CLEAN else float(generator.random())
    if kind == "wrong age":
        params["scans"] = [_wrong_age(generator, one, ranges, chosen.age_months, strength)]
    if kind == "wrong registration" or (kind == CLEAN and number % 4 == 3):
        second = draw_params(generator, one, ranges, hard=0.5)["scans"][0]
        params["scans"] = [params["scans"][0], second]
    sample = apply(one, params)
    images = [image.numpy() for image in sample.images]
    truth = np.array(LABELS, dtype=np.uint8)[sample.target.numpy()]
    if kind in FAULTS:
        images = [FAULTS[kind](image, voxel_mm, strength, generator) for image in images]
    if kind == "lesions":
        images = [lesions(i, voxel_mm, strength, generator, brain=truth > 0) for i in images]
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    affine[:3, 3] = -voxel_mm * (np.array(truth.shape) - 1) / 2
    misplaced = wrong_place(strength, generator) if kind == "wrong registration" else np.eye(4)
    matrices = [np.eye(4), misplaced]
    scans = [Scan(f"scan-{n}", Volume(i, affine), matrices[n]) for n, i in enumerate(images)]
    return Case(kind, chosen.name, strength, scans, Volume(truth, affine))


def _choose(bank: LabelBank, number: int, generator: np.random.Generator):
    """Take a held-out map, another infant's or, one in eight, an adult's."""
    if number % 2 == 0:
        names = [HELD_OUT[number // 2 % len(HELD_OUT)]]
    elif number % 8 == 7:
        names = [m.name for m in bank.maps if m.age_months is None]
    else:
        names = [m.name for m in bank.maps if m.age_months is not None and m.name not in HELD_OUT]
    name = names[int(generator.integers(len(names)))]
    return next(m for m in bank.maps if m.name == name)


def _wrong_age(
    generator: np.random.Generator, bank: LabelBank, ranges: Ranges, age_months: float | None, strength: float
) -> dict:
    """Contrast of an age that the anatomy does not have: newborn for old, old for newborn, or inverted."""
    wrong = 0.0 if age_months is None or age_months > 6 else 24.0
    aged = replace(bank.maps[0], age_months=wrong)
    plain = replace(ranges, realistic=1.0, follow_map_age=1.0, inverted=0.7 if strength > 0.6 else 0.0)
    return draw_params(generator, replace(bank, maps=(aged,)), plain, hard=0.3 + 0.7 * strength)["scans"][0]


@cache
def _infants() -> tuple[Model, list[PlannedChild]]:
    model = load_model()
    return model, plan_cohort(model, children=24, visits=2, seed=11)


@lru_cache(maxsize=1)
def _scene(number: int) -> tuple[str, PlannedVisit, Scene, Volume]:
    """Set the scene of a visit: each child is seen once, early or late, with its head or stripped."""
    model, cohort = _infants()
    child = cohort[number % len(cohort)]
    visit = child.visits[(number + number // len(cohort)) % 2]
    anatomy = grow(model, child.child, visit.age_months, spacing_mm=1.0)
    labels = Volume(merge_labels(anatomy.data, anatomy.affine), anatomy.affine)
    generator = np.random.default_rng(visit.seed)
    scene = make_scene(anatomy, visit.age_months, generator, with_head=number // 2 % 2 == 0)
    return f"{child.participant}{visit.session}", visit, scene, labels


def _infant(number: int) -> Case:
    """Scan of a digital infant: every visit gives two cases, T1w and T2w."""
    name, visit, scene, labels = _scene(number // 2)
    wanted = CONTRASTS[number % 2]
    planned = next(p.scan for p in visit.scans if p.scan.suffix == wanted)
    image = take_scan(scene, planned)
    scan = Scan("scan-0", image, np.eye(4))
    return Case(INFANT, name, 0.0, [scan], label_scan(labels, planned, image))


def save_case(case: Case, path: Path) -> None:
    """Keep a case as it is, images in half precision of their own scale."""
    largest = max(float(scan.volume.data.max()) for scan in case.scans)
    partial = path.with_name(f".{path.name}")
    words = {"kind": case.kind, "source": case.source, "strength": case.strength}
    with partial.open("wb") as file:
        np.savez(
            file,
            images=np.stack([scan.volume.data / largest for scan in case.scans]).astype(np.float16),
            matrices=np.stack([scan.matrix for scan in case.scans]),
            truth=case.truth.data.astype(np.uint8),
            affine=case.truth.affine,
            words=json.dumps(words),
        )
    partial.replace(path)


def load_case(path: Path) -> Case:
    """Read what `save_case` wrote."""
    with np.load(path, allow_pickle=False) as kept:
        affine = kept["affine"]
        images = kept["images"].astype(np.float32)
        scans = [
            Scan(f"scan-{n}", Volume(image, affine), matrix)
            for n, (image, matrix) in enumerate(zip(images, kept["matrices"], strict=True))
        ]
        return Case(**json.loads(str(kept["words"])), scans=scans, truth=Volume(kept["truth"], affine))
