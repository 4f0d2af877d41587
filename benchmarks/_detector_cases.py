"""Cases for the detectors of bad segmentations: clean scans, and scans with a planted fault made from them.

What a scanner or a header does wrong is planted in the image, before the network; what a network does wrong
(structures missing, skull or eyes taken for brain) is planted in the labels, after it.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy import ndimage

from babyseg_py.images import Volume, load_image, load_labels
from babyseg_py.images.geometry import reorient
from babyseg_py.synthesis.labelbank_build import describe_map, make_bank
from babyseg_py.synthesis.randomise import Ranges, draw_params
from babyseg_py.synthesis.synthesise import apply

AGES = (0, 3, 6, 12, 24)
HELD_OUT = {"age-24mo": 24.0}


@dataclass(frozen=True)
class Case:
    """One image and what is wrong with it.

    Parameters
    ----------
    group : str
        ``clean``, ``real`` (cut below and facing backwards as they came), or the planted fault.
    name : str
        Unique among all cases.
    make : callable
        Gives the image.
    age_months : float or None
        Chronological age.
    """

    group: str
    name: str
    make: Callable[[], Volume]
    age_months: float | None = None


def all_cases(data: Path, infants: Path) -> list[Case]:
    """Every case, clean ones first.

    Parameters
    ----------
    data : Path
        Folder of shared scans and label maps.
    infants : Path
        Cohort written by ``babyseg demo-data``.
    """
    clean = [*_templates(data), *_adult(data), *_digital(infants), *_synthetic(data)]
    # T1w and T2w in turn, brains without their head and heads.
    bases = [*_templates(data)[::3], *_adult(data), *_digital(infants)[:5:2]]
    planted = [case for base in bases for case in _faults(base)]
    return [*clean, *_real(data), *planted, *_no_brains()]


def _templates(data: Path) -> list[Case]:
    folder = data / "unc_bcp_templates"
    names = [(age, suffix) for age in AGES for suffix in ("T1w", "T2w")]
    return [
        Case("clean", f"template-{age:02d}mo-{s}", _loader(folder / f"age-{age:02d}mo_{s}.nii.gz"), age)
        for age, s in names
    ]


def _adult(data: Path) -> list[Case]:
    return [Case("clean", "adult-T1w", _loader(data / "adult_t1w/adult_T1w.nii.gz"))]


def _real(data: Path) -> list[Case]:
    files = sorted((data / "real_t1w").glob("*.nii.gz"))
    ages = [float(file.name.split("age-")[1].split("mo")[0]) for file in files]
    return [Case("real", f.name.split("_")[0], _loader(f), age) for f, age in zip(files, ages, strict=True)]


def _digital(infants: Path) -> list[Case]:
    with (infants / "samplesheet.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [
        Case("clean", Path(row["image"]).name[:-7], _loader(infants / row["image"]), float(row["age_value"]))
        for row in rows
    ]


def _loader(path: Path) -> Callable[[], Volume]:
    return lambda: load_image(path)


def _synthetic(data: Path, samples: int = 4) -> list[Case]:
    """Visits from label maps that were not trained on, as in bench_accuracy, none of them cropped."""
    cases = []
    for bare in (1.0, 0.0):
        for number in range(samples):
            kind = "bare" if bare else "head"
            make = partial(_synthesised, data, number, bare)
            age_months = [*HELD_OUT.values()][number % len(HELD_OUT)]
            cases.append(Case("clean", f"synthetic-{kind}-{number}", make, age_months))
    return cases


def _synthesised(data: Path, number: int, bare: float) -> Volume:
    maps = [(data / f"labelmaps/infant/{name}_dseg.nii.gz", age) for name, age in HELD_OUT.items()]
    bank = make_bank([describe_map(load_labels(p), name=p.name, age_months=a) for p, a in maps])
    one = replace(bank, maps=(bank.maps[number % len(bank.maps)],))
    size = one.maps[0].size_mm
    ranges = Ranges.from_dict(
        {
            "grid": (176, 208, 176),
            "brain_voxels": (size, size),
            "realistic": 1.0,
            "inverted": 0.0,
            "bare_brain": bare,
        }
    )
    sample = apply(one, draw_params(np.random.default_rng((number, 77)), one, ranges))
    affine = np.eye(4)
    affine[:3, 3] = -(np.array(sample.target.shape) - 1) / 2
    return Volume(sample.images[0].numpy(), affine)


# Faults of a scan or its header.


def _faults(base: Case) -> Iterator[Case]:
    faults: dict[str, dict[str, Callable[[Volume], Volume]]] = {
        "half a brain": {
            "left": lambda v: _masked(v, 0, 0.5, above=True),
            "right": lambda v: _masked(v, 0, 0.5, above=False),
        },
        "voxel size": {
            "all-0.5": lambda v: _stretched(v, (0.5, 0.5, 0.5)),
            "all-1.5": lambda v: _stretched(v, (1.5, 1.5, 1.5)),
            "all-10": lambda v: _stretched(v, (10, 10, 10)),
            "si-1.5": lambda v: _stretched(v, (1, 1, 1.5)),
            "ap-0.65": lambda v: _stretched(v, (1, 0.65, 1)),
        },
        "cut off": {
            "mask-top": lambda v: _masked(v, 2, 0.72, above=False),
            "mask-front": lambda v: _masked(v, 1, 0.75, above=False),
            "view-left": lambda v: _cropped(v, 0, 0.3, above=True),
            "view-below": lambda v: _cropped(v, 2, 0.35, above=True),
        },
    }
    for kind, variants in faults.items():
        # Half of the variants for each base, so that runs stay few and every variant has several bases.
        names = list(variants)
        start = sum(map(ord, base.name)) % 2
        for name in names[start::2]:
            make = partial(_faulty, base, variants[name])
            yield Case(kind, f"{kind}-{name}-{base.name}".replace(" ", "_"), make, base.age_months)


def _faulty(base: Case, fault: Callable[[Volume], Volume]) -> Volume:
    return fault(reorient(base.make(), "RAS"))


def _bounds(volume: Volume, axis: int) -> tuple[int, int]:
    """First and last index of what is clearly brighter than the background; volume in RAS."""
    data = volume.data
    bright = data > 0.15 * np.quantile(data[data > 0], 0.9)
    along = np.flatnonzero(np.count_nonzero(bright, axis=tuple({0, 1, 2} - {axis})) > 20)
    return int(along[0]), int(along[-1])


def _masked(volume: Volume, axis: int, share: float, *, above: bool) -> Volume:
    """Zero beyond a plane across the extent of the head: what lies above it is kept, or what lies below."""
    low, high = _bounds(volume, axis)
    plane = round(low + share * (high - low))
    data = np.moveaxis(volume.data.copy(), axis, 0)
    if above:
        data[:plane] = 0
    else:
        data[plane:] = 0
    return volume.with_data(np.moveaxis(data, 0, axis))


def _cropped(volume: Volume, axis: int, share: float, *, above: bool) -> Volume:
    """Keep the part of the field of view above or below a plane."""
    low, high = _bounds(volume, axis)
    plane = round(low + share * (high - low))
    part = [slice(None)] * 3
    part[axis] = slice(plane, None) if above else slice(0, plane)
    affine = volume.affine.copy()
    if above:
        affine[:3, 3] += affine[:3, axis] * plane
    return volume.on_grid(np.ascontiguousarray(volume.data[tuple(part)]), affine)


def _stretched(volume: Volume, factors: tuple[float, float, float]) -> Volume:
    """Put the same voxels under a header with other voxel sizes."""
    return volume.on_grid(volume.data, np.diag([*factors, 1.0]) @ volume.affine)


# What is not a brain: 128 x 144 x 128 voxels of 1.4 mm.

SHAPE = (128, 144, 128)


def _no_brains() -> list[Case]:
    makers: dict[str, Callable[[], np.ndarray]] = {
        "sphere": lambda: _ball((60, 60, 60)) * 100.0,
        "sphere-noisy": lambda: _noisy(_ball((62, 62, 62)) * 100.0, 15),
        "ellipsoid-shells": _shells,
        "ellipsoid-gradient": lambda: _ball((50, 62, 52)) * (60.0 + np.indices(SHAPE)[2] / 3),
        "cylinder": lambda: _noisy(_cylinder(60, 0, 0) * 100.0, 5),
        "grid-phantom": lambda: _noisy(_grid(), 4),
        "bottles": lambda: _noisy(_bottles(), 6),
        "knee-1": lambda: _knee(0),
        "knee-2": lambda: _knee(1),
        "noise-uniform": lambda: np.random.default_rng(0).random(SHAPE) * 100,
        "noise-smooth": lambda: _smooth_noise(1, 3),
        "noise-in-ball": lambda: _ball((55, 65, 55)) * (40 + 20 * _smooth_noise(2, 2)),
        "noise-in-brain-shape": lambda: _ball((50, 62, 50)) * (60 + 25 * _smooth_noise(3, 4)),
    }
    affine = np.diag([1.4, 1.4, 1.4, 1.0])
    affine[:3, 3] = -(np.array(SHAPE) - 1) / 2 * 1.4
    return [
        Case("not a brain", f"nobrain-{name}", partial(_as_volume, make, affine))
        for name, make in makers.items()
    ]


def _as_volume(make: Callable[[], np.ndarray], affine: np.ndarray) -> Volume:
    return Volume(make().astype(np.float32), affine)


def _centred() -> list[np.ndarray]:
    return [(i - (n - 1) / 2) * 1.4 for i, n in zip(np.ogrid[tuple(map(slice, SHAPE))], SHAPE, strict=True)]


def _ball(radii: tuple[float, float, float], centre: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    axes = zip(_centred(), centre, radii, strict=True)
    return sum(((x - c) / r) ** 2 for x, c, r in axes) <= 1  # type: ignore[return-value]


def _cylinder(radius: float, x0: float, y0: float) -> np.ndarray:
    x, y, z = _centred()
    return ((x - x0) ** 2 + (y - y0) ** 2 <= radius**2) & (np.abs(z) < 70)


def _noisy(data: np.ndarray, sd: float, seed: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.hypot(data + rng.normal(0, sd, SHAPE), rng.normal(0, sd, SHAPE))  # magnitude noise is Rician


def _shells() -> np.ndarray:
    """Make a head without a brain: scalp, skull and a uniform inside."""
    return _noisy(80.0 * _ball((72, 88, 76)) - 70 * _ball((66, 82, 70)) + 55 * _ball((60, 76, 64)), 4)


def _grid() -> np.ndarray:
    bars = sum(((i // 8) % 2 == 0).astype(float) for i in np.indices(SHAPE)) >= 2
    return _ball((70, 70, 70)) * (20.0 + 80 * bars)


def _bottles() -> np.ndarray:
    places = [(-35, -35), (35, -35), (-35, 35), (35, 35), (0, 0)]
    return np.sum([(40.0 + 12 * n) * _cylinder(15, *place) for n, place in enumerate(places)], axis=0)


def _knee(seed: int) -> np.ndarray:
    """Two bright bones with dark rims end to end within muscle and skin, and a kneecap in front."""
    x, y, z = _centred()
    leg = x**2 + y**2 <= (62 + 0.1 * z) ** 2
    data = np.where(leg & (np.abs(z) < 86), 45.0, 0.0)
    data[(x**2 + y**2 <= 70**2) & ~leg & (np.abs(z) < 86)] = 90
    for centre, half in ((48.0, 40.0), (-48.0, 40.0)):
        flare = 22 + 14 * np.clip(1 - (half - np.abs(z - centre)) / 25, 0, 1)
        inside = np.abs(z - centre) < half
        data[(x**2 + y**2 <= (flare + 4) ** 2) & inside] = 10
        data[(x**2 + y**2 <= flare**2) & inside] = 110
    data[_ball((18, 10, 22), (0, 48, 6))] = 100
    return _noisy(data + 6 * _smooth_noise(9 + seed, 3 + 2 * seed), 5, seed)


def _smooth_noise(seed: int, sigma: float) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), sigma)
    return noise / noise.std()


# Faults of a segmentation, planted in its labels.


def planted_in_labels(labels: np.ndarray, voxel_mm: float) -> dict[tuple[str, str], np.ndarray]:
    """Label maps with faults that a network makes, by group and name.

    Parameters
    ----------
    labels : (I, J, K) np.ndarray
        Sound labels along right, anterior and superior.
    voxel_mm : float
        Side of the cubic voxels in mm.
    """
    return {
        ("skull or eye", "eyes"): _with_eyes(labels, voxel_mm),
        ("skull or eye", "skull"): _with_skull(labels, voxel_mm, thickness_mm=10, cone_deg=50),
        ("missing structure", "hippocampus"): _without(labels, 17, keep=0.05),
        ("missing structure", "thalamus"): _without(labels, 49, keep=0.1),
        ("missing structure", "cerebellum"): _without(_without(labels, 8, keep=0.0), 47, keep=0.0),
    }


def _with_eyes(labels: np.ndarray, voxel_mm: float) -> np.ndarray:
    """Label two balls below the frontal lobes as cortex, as large in the head as eyes are."""
    radius = 0.13 * np.cbrt(np.count_nonzero(labels)) * voxel_mm
    result, grid = labels.copy(), np.indices(labels.shape)
    for cortex in (3, 42):
        place = np.argwhere(labels == cortex)
        front = place[np.abs(place[:, 1] - np.percentile(place[:, 1], 93)) < 1.5]
        centre = front[np.argmin(front[:, 2])] - [0, 0, 0.7 * radius / voxel_mm]
        far = ((grid - centre[:, None, None, None]) ** 2).sum(axis=0) * voxel_mm**2
        result[(far <= radius**2) & (labels == 0)] = cortex
    return result


def _with_skull(labels: np.ndarray, voxel_mm: float, *, thickness_mm: float, cone_deg: float) -> np.ndarray:
    """Label a cap around the vertex, as thick as fluid, skull and scalp, as cortex."""
    distance = ndimage.distance_transform_edt(labels == 0, sampling=voxel_mm)
    x, y, z = np.indices(labels.shape) - np.argwhere(labels > 0).mean(axis=0)[:, None, None, None]
    steep = z > np.cos(np.radians(cone_deg)) * np.sqrt(x**2 + y**2 + z**2)
    cap = (labels == 0) & (distance <= thickness_mm) & steep
    return np.where(cap, np.where(x < 0, 3, 42), labels)


def _without(labels: np.ndarray, label: int, *, keep: float) -> np.ndarray:
    """Take a structure away but for its first voxels, and give its place to white matter or to nothing."""
    place = np.argwhere(labels == label)
    gone = place[int(keep * len(place)) :]
    result = labels.copy()
    result[tuple(gone.T)] = 0 if label in (8, 47) else (2 if label < 40 else 41)
    return result
