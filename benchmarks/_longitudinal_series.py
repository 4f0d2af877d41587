"""Digital children seen at several ages, twice at each, with the true volumes and the posteriors found."""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from babyseg_py.images import Volume, save_image
from babyseg_py.labels import BRAIN_LABELS
from babyseg_py.labels.merge import merge_labels
from babyseg_py.segmentation.from_files import load_model, segment_files
from babyseg_py.segmentation.probseg import session_probabilities, write_probabilities
from babyseg_py.synthesis.digital_infant import draw_child, grow
from babyseg_py.synthesis.digital_infant import load_model as load_infant
from babyseg_py.synthesis.digital_infant_images import Scan, make_scene, take_scan

AGES_MONTHS = ((1, 6), (3, 12), (6, 12), (12, 24))
REPEATS = "ab"
SPACING_MM = 1.3


@dataclass(frozen=True)
class Taken:
    """One scan of a digital child: its files and the true volumes of what was in the scanner."""

    child: int
    age_months: float
    repeat: str
    image: Path
    posteriors: Path
    volumes_mm3: dict[int, float]


def take_series(
    folder: Path, /, *, first: int = 0, children: int = len(AGES_MONTHS), threads: int = 1
) -> list[Taken]:
    """Make and segment what is not in the folder yet of children from the first on; return all scans."""
    infant, segmenter, taken = load_infant(), None, []
    for number in range(first, first + children):
        ages = AGES_MONTHS[number % len(AGES_MONTHS)]
        child = draw_child(infant, np.random.default_rng(100 + number))
        for age in ages:
            files = {repeat: _files(folder, number, age, repeat) for repeat in REPEATS}
            known = folder / f"sub-{number:02d}_ses-{age:02d}mo_truth.json"
            if not all(path.exists() for pair in files.values() for path in pair) or not known.exists():
                segmenter = segmenter or load_model(threads=threads)
                anatomy = grow(infant, child, age, spacing_mm=SPACING_MM)
                labels = merge_labels(anatomy.data, anatomy.affine)
                scene = make_scene(
                    anatomy, age, np.random.default_rng(1000 * number + int(age)), with_head=False
                )
                for place, (image, posteriors) in enumerate(files.values()):
                    save_image(take_scan(scene, _scan(number, age, place)), image)
                    done = segment_files(segmenter, [image], age_months=age)
                    write_probabilities(
                        session_probabilities(done.visit, segmenter, done.first.shape, done.first.affine),
                        done.first.affine,
                        posteriors,
                    )
                counts = np.bincount(labels.ravel(), minlength=256)
                voxel = Volume(labels, anatomy.affine).voxel_volume_mm3
                known.write_text(json.dumps({n: float(counts[n] * voxel) for n in BRAIN_LABELS}))
                print(known.name, flush=True)
            true = {int(n): v for n, v in json.loads(known.read_text()).items()}
            taken += [Taken(number, age, repeat, *pair, true) for repeat, pair in files.items()]
    return taken


def _files(folder: Path, child: int, age: float, repeat: str) -> tuple[Path, Path]:
    stem = f"sub-{child:02d}_ses-{age:02d}mo{repeat}"
    return folder / f"{stem}_T1w.nii.gz", folder / f"{stem}_desc-babyseg_probseg.nii.gz"


def _scan(child: int, age: float, place: int) -> Scan:
    """Draw pose, blur, bias and noise anew for every scan, as if the child had been taken out between."""
    generator = np.random.default_rng([child, int(age), place])
    return Scan(
        "T1w",
        (SPACING_MM,) * 3,
        rotation_deg=tuple(generator.normal(0, 4, 3)),
        shift_mm=tuple(generator.normal(0, 3, 3)),
        blur_mm=float(generator.uniform(0, 0.5)),
        noise=float(generator.uniform(0.015, 0.04)),
        seed=int(generator.integers(1 << 30)),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--children", type=int, default=len(AGES_MONTHS))
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    take_series(given.folder, children=given.children)
