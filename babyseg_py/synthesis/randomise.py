"""Parameters of one synthetic visit, drawn before anything is computed.

``draw_params`` returns plain numbers, so that a sample can be stored as JSON and made again. What an effect
needs that is off in the ranges of the package is drawn from further generators, so that switching it on
leaves anatomy, surroundings, contrast and noise as they are. Some of these effects share one: lesions and
the graft, and what `_draw_further` draws.
"""

from typing import Any

import numpy as np

from babyseg_py.synthesis.artefacts import draw_artefacts
from babyseg_py.synthesis.contrast import draw_contrast
from babyseg_py.synthesis.forms import GROWING
from babyseg_py.synthesis.imperfect import draw_bites, draw_hair, draw_motion
from babyseg_py.synthesis.labelbank import LabelBank
from babyseg_py.synthesis.ranges import Ranges

Params = dict[str, Any]


def draw_params(
    generator: np.random.Generator, bank: LabelBank, ranges: Ranges, *, hard: float = 1
) -> Params:
    """Draw the parameters of one visit: the unit of synthesis, with one anatomy and all of its scans.

    Parameters
    ----------
    generator : np.random.Generator
        Source of all randomness.
    bank : LabelBank
        Label maps to choose from.
    ranges : Ranges
        How far to go.
    hard : float
        0 for clean, well separated contrasts, 1 for the full ranges.

    Returns
    -------
    dict
        Numbers, strings and lists only.
    """
    further = generator.spawn(1)[0]
    number = _choose_map(generator, bank, ranges)
    scans = 1
    if generator.random() < ranges.two_scans:
        scans = int(further.integers(2, ranges.most_scans + 1)) if ranges.most_scans > 2 else 2
    chosen = bank.maps[number]
    anatomy = draw_anatomy(generator, ranges)
    surroundings = _draw_surroundings(generator, ranges, has_head=chosen.has_head)
    lesions = _draw_lesions(further, ranges, hard)
    form = _draw_form(further, bank, number, ranges)
    sulci = _draw_sulci(further, ranges)
    white = _draw_white(further, ranges, chosen.thick)
    bites, hair, fluid, motion = further.spawn(1)[0].spawn(4)
    surroundings["bites"] = draw_bites(bites, ranges, hard) if surroundings["bare"] else []
    surroundings["hair"] = draw_hair(hair, ranges)
    graft = None if surroundings["own_head"] else _draw_graft(further, bank, ranges)
    _add_fluid(fluid, ranges, surroundings, graft)
    drawn = [draw_scan(generator, ranges, chosen.age_months, hard, anatomy) for _ in range(scans)]
    motions = [None, *(draw_motion(motion, ranges, hard) for _ in drawn[1:])]
    return {
        "map": number,
        "maps": _identities(bank, number, form, graft),
        "grid": list(ranges.grid),
        "polarised": ranges.polarised,
        "anatomy": anatomy,
        "surroundings": surroundings,
        "form": form,
        "sulci": sulci,
        "white": white,
        "lesions": lesions,
        "graft": graft,
        "scans": [scan | {"motion": motion} for scan, motion in zip(drawn, motions, strict=True)],
    }


def _identities(
    bank: LabelBank, number: int, form: Params | None, graft: Params | None
) -> dict[str, dict[str, str]]:
    """Name and checksum of each map that a visit is made from, by its place in the bank."""
    places = {number, *(int(place) for place, _ in (form or {}).get("toward", ()))}
    places |= {graft["map"]} if graft else set()
    return {str(i): {"name": bank.maps[i].name, "checksum": bank.checksum(i)} for i in sorted(places)}


def _choose_map(generator: np.random.Generator, bank: LabelBank, ranges: Ranges) -> int:
    ages = [m.age_months for m in bank.maps]
    groups = {
        "young": [i for i, age in enumerate(ages) if age is not None and age <= 4],
        "older": [i for i, age in enumerate(ages) if age is not None and age > 4],
        "adult": [i for i, age in enumerate(ages) if age is None],
    }
    weights = {"young": ranges.young_weight, "adult": ranges.adult_weight}
    weights["older"] = 1 - sum(weights.values())
    names = [name for name, members in groups.items() if members]
    total = sum(weights[name] for name in names)
    name = generator.choice(names, p=[weights[name] / total for name in names])
    return int(generator.choice(groups[name]))


def draw_anatomy(generator: np.random.Generator, ranges: Ranges) -> Params:
    """Draw how a brain is moved, sized and warped."""
    low, high = np.log(ranges.brain_voxels)
    return {
        "flip": bool(generator.random() < 0.5),
        "brain_voxels": float(np.exp(generator.uniform(low, high))),
        "stretch": np.exp(generator.normal(0, ranges.stretch, 3)).tolist(),
        "rotation_deg": generator.uniform(-ranges.rotation_deg, ranges.rotation_deg, 3).tolist(),
        "shear": generator.uniform(-ranges.shear, ranges.shear, 3).tolist(),
        "shift_voxels": generator.uniform(-ranges.shift_voxels, ranges.shift_voxels, 3).tolist(),
        "coarse_warp_mm": float(generator.uniform(0, ranges.coarse_warp_mm)),
        "fine_warp_mm": float(generator.uniform(0, ranges.fine_warp_mm)),
        "seed": _seed(generator),
    }


def _draw_surroundings(generator: np.random.Generator, ranges: Ranges, *, has_head: bool) -> Params:
    bare = bool(generator.random() < ranges.bare_brain)
    return {
        "bare": bare,
        "cerebrum_only": bare and bool(generator.random() < ranges.cerebrum_only),
        "own_head": has_head and bool(generator.random() < ranges.own_head),
        "rim_mm": float(generator.uniform(*ranges.rim_mm)),
        "rim_unevenness": float(generator.uniform(*ranges.rim_unevenness)),
        "csf_mm": float(generator.uniform(*ranges.csf_mm)),
        "skull_mm": float(generator.uniform(*ranges.skull_mm)),
        "scalp_mm": float(generator.uniform(*ranges.scalp_mm)),
        "fat_mm": float(generator.uniform(*ranges.fat_mm)),
        "clutter": bool(generator.random() < ranges.clutter),
        "zero_background": bool(generator.random() < ranges.zero_background),
        "seed": _seed(generator),
    }


def draw_scan(
    generator: np.random.Generator, ranges: Ranges, age_months: float | None, hard: float, anatomy: Params
) -> Params:
    """Draw the contrast of a scan and what its scanner does; ``anatomy`` is that of the visit."""
    further = generator.spawn(1)[0]
    low, high = ranges.spread
    thick = generator.random() < ranges.thick * hard
    means, contrast, myelination = draw_contrast(generator, ranges, age_months, hard)
    tissues = len(means)
    if myelination is not None:
        myelination |= {"brain_voxels": anatomy["brain_voxels"], "shift": anatomy["shift_voxels"]}
    return {
        "contrast": contrast,
        "myelination": myelination,
        "means": means.tolist(),
        "spreads": (low + hard * (high - low) * generator.random(tissues) * generator.random()).tolist(),
        "textures": (hard * ranges.texture * generator.random(tissues) * generator.random()).tolist(),
        "texture_voxels": float(generator.uniform(*ranges.texture_voxels)),
        "blur_voxels": (generator.uniform(*ranges.blur_voxels, 3) * (0.5 + 0.5 * hard)).tolist(),
        "thick_axis": int(generator.integers(3)) if thick else -1,
        "thickness": float(generator.uniform(*ranges.thickness)),
        "bias": float(hard * generator.uniform(0, ranges.bias)),
        "bias_voxels": float(generator.uniform(*ranges.bias_voxels)),
        "noise": float(hard * generator.uniform(0, ranges.noise)),
        "rician": bool(generator.random() < ranges.rician),
        "ghost": _ghost(generator, ranges, hard),
        "ghost_axis": int(generator.integers(3)),
        "ghost_shift": float(generator.uniform(*ranges.ghost_shift)),
        "gamma": float(np.exp(hard * generator.normal(0, ranges.gamma_sd))),
        "seed": _seed(generator),
        **_draw_further(further, ranges, means, hard),
        "resolution_voxels": _draw_resolution(further, ranges, hard),
    }


def _ghost(generator: np.random.Generator, ranges: Ranges, hard: float) -> float:
    # The size is drawn first where there is a ghost, as it always was: seeds keep their samples.
    if generator.random() < ranges.ghost * hard:
        return float(generator.uniform(*ranges.ghost_size))
    return 0.0


def _draw_further(generator: np.random.Generator, ranges: Ranges, means: np.ndarray, hard: float) -> Params:
    """Draw what a scan has besides: split tissues, slice profile, artefacts, cropping, skull-stripping."""
    split = generator.random() < ranges.split * hard
    seconds = np.clip(means + generator.normal(0, ranges.split_sd, len(means)), 0, 1.2)
    box = generator.random() < ranges.box_profile
    crop = generator.random() < ranges.crop * hard
    return {
        "seconds": seconds.tolist() if split else None,
        "slice_edge": float(generator.uniform(0.05, 0.2)) if box else 0.0,
        "artefacts": draw_artefacts(generator, ranges, hard),
        "crop": float(generator.uniform(*ranges.crop_share)) if crop else 0.0,
        "crop_axis": int(generator.integers(3)),
        "crop_end": bool(generator.random() < 0.5),
        "masked": bool(generator.random() < ranges.masked * hard),
        "lesion_mean": float(generator.random()),
    }


def _draw_resolution(generator: np.random.Generator, ranges: Ranges, hard: float) -> float:
    generator = generator.spawn(1)[0]
    low = generator.random() < ranges.low_resolution * hard
    return float(generator.uniform(*ranges.resolution_voxels)) if low else 1.0


def _add_fluid(
    generator: np.random.Generator, ranges: Ranges, surroundings: Params, graft: Params | None
) -> None:
    """Make the fluid around the brain thicker, whatever is around it."""
    if generator.random() >= ranges.more_fluid:
        return
    more = float(generator.uniform(*ranges.more_fluid_mm))
    surroundings |= {name: surroundings[name] + more for name in ("rim_mm", "csf_mm")}
    if graft is not None:
        graft["gap_mm"] += more


def _draw_form(generator: np.random.Generator, bank: LabelBank, number: int, ranges: Ranges) -> Params | None:
    """Draw toward which two other maps, and how far, an anatomy lies, and what grows or shrinks in it."""
    generator = generator.spawn(1)[0]  # leaves the numbers of other effects as they are
    own = bank.maps[number].form
    if own is None:
        return None
    forms = [(i, m.form) for i, m in enumerate(bank.maps) if i != number]
    others = [i for i, form in forms if form is not None and form.group == own.group]
    toward: list[list[float]] = []
    if others and generator.random() < ranges.between:
        far, share = generator.uniform(*ranges.between_weight), generator.random()
        parts = zip(generator.choice(others, 2), (share, 1 - share), strict=True)
        toward = [[int(i), float(far * part)] for i, part in parts]
    growth: list[list[float]] = []
    if generator.random() < ranges.growth:
        places = generator.choice(len(GROWING), generator.integers(1, 4), replace=False)
        growth = [[int(place), float(generator.uniform(*ranges.growth_mm))] for place in places]
    return {"toward": toward, "growth": growth} if toward or growth else None


def _draw_sulci(generator: np.random.Generator, ranges: Ranges) -> Params | None:
    generator = generator.spawn(1)[0]
    if generator.random() >= ranges.open_sulci:
        return None
    return {"share": float(generator.uniform(*ranges.sulci_share)), "seed": _seed(generator)}


def _draw_white(generator: np.random.Generator, ranges: Ranges, thick: float) -> Params | None:
    generator = generator.spawn(1)[0]
    if generator.random() >= ranges.white_gain or not thick:
        return None
    return {"mm": float(thick * generator.uniform(*ranges.white_gain_mm)), "seed": _seed(generator)}


def _draw_lesions(generator: np.random.Generator, ranges: Ranges, hard: float) -> Params | None:
    if generator.random() >= ranges.lesions * hard:
        return None
    low, high = np.log(ranges.lesion_share)
    return {
        "share": float(np.exp(generator.uniform(low, high))),
        "voxels": float(generator.uniform(*ranges.lesion_voxels)),
        "seed": _seed(generator),
    }


def _draw_graft(generator: np.random.Generator, bank: LabelBank, ranges: Ranges) -> Params | None:
    donors = [number for number, label_map in enumerate(bank.maps) if label_map.has_head]
    if not donors or generator.random() >= ranges.grafted:
        return None
    return {
        "map": int(generator.choice(donors)),
        "gap_mm": float(generator.uniform(*ranges.graft_gap_mm)),
        "thinner": float(generator.uniform(*ranges.graft_thinner)),
    }


def _seed(generator: np.random.Generator) -> int:
    return int(generator.integers(2**31))
