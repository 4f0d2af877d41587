"""How alike one head is segmented however it is stored and however it lies.

    python benchmarks/bench_geometry.py [DATA]

DATA is the folder of shared scans (default ../shared/data). Each scan is stored otherwise, cropped, padded,
moved by a part of a voxel and turned by cubic interpolation; each time it is segmented anew, the posteriors
are brought back to the first grid by the known motion, and the labels are compared with the first ones.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from nibabel.affines import apply_affine
from nibabel.eulerangles import euler2mat

from babyseg_py.images import Volume, load_image
from babyseg_py.images.geometry import bounding_box, crop_or_pad, reorient, resample
from babyseg_py.labels import LABELS
from babyseg_py.models.default import default_weights
from babyseg_py.models.memory import keep_freed_memory
from babyseg_py.segmentation.inference import Segmenter, load_segmenter
from babyseg_py.segmentation.sampling import sample_posteriors
from babyseg_py.segmentation.visit import VisitResult, segment_visit
from babyseg_py.segmentation.window import Scan

SCANS = ("age-00mo_T2w", "age-06mo_T1w", "age-12mo_T1w")
# Degrees about the axes right, anterior, superior, and millimetres along them.
MOTIONS = {
    "moved by .4 mm": ((0, 0, 0), (0.4, 0.4, 0.4)),
    "moved by 7.3, -4.1, 3.7 mm": ((0, 0, 0), (7.3, -4.1, 3.7)),
    "turned by 5°": ((5, 0, 0), (0, 0, 0)),
    "turned by 12°": ((0, 0, 12), (0, 0, 0)),
    "turned by 10°, -8°, 15°": ((10, -8, 15), (2, 3, 1)),
    "turned by 25°": ((0, 25, 0), (0, 0, 0)),
}
PADDING = 20


def turned(volume: Volume, degrees: tuple[float, ...], mm: tuple[float, ...]) -> tuple[Volume, np.ndarray]:
    """Turn a scan about its middle and move it; also the way from its new world to its old one, (4, 4)."""
    middle = apply_affine(volume.affine, (np.array(volume.shape) - 1) / 2)
    back = np.eye(4)
    back[:3, :3] = euler2mat(*np.radians(degrees))
    back[:3, 3] = middle - back[:3, :3] @ middle + mm
    shape = tuple(side + 2 * PADDING for side in volume.shape)
    affine = volume.affine.copy()
    affine[:3, 3] = apply_affine(affine, np.full(3, -PADDING))
    data = np.clip(resample(volume, shape, affine, order=3, world_matrix=back).data, 0, None)
    data[data < 1e-3 * data.max()] = 0  # the ringing of cubic interpolation is not background
    return Volume(data.astype(np.float32), affine), back


def variants(volume: Volume) -> Iterator[tuple[str, Volume, np.ndarray]]:
    """Yield names, the scan otherwise, and the way from its world to the first one."""
    yield "stored as LIA", reorient(volume, "LIA"), np.eye(4)
    yield "stored as PSR", reorient(volume, "PSR"), np.eye(4)
    start, size = bounding_box(volume.data != 0)
    yield "cropped to what is not zero", crop_or_pad(volume, start, size), np.eye(4)
    yield "padded", crop_or_pad(volume, (-13, -7, -21), [side + 30 for side in volume.shape]), np.eye(4)
    for name, (degrees, mm) in MOTIONS.items():
        yield name, *turned(volume, degrees, mm)


def segment(segmenter: Segmenter, volume: Volume) -> VisitResult:
    """Segment one scan on its own grid."""
    return segment_visit(segmenter, [Scan("scan", volume, np.eye(4))], volume.shape, volume.affine)


def dice(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Dice of each structure that either map holds."""
    pairs = [(a == label, b == label) for label in LABELS[1:]]
    totals = [np.count_nonzero(x) + np.count_nonzero(y) for x, y in pairs]
    return np.array([2 * np.count_nonzero(x & y) / n for (x, y), n in zip(pairs, totals, strict=True) if n])


def main() -> None:
    """Print a row for each scan and change."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=Path("../shared/data"))
    folder = parser.parse_args().data / "unc_bcp_templates"
    if not folder.is_dir():
        print(f"skipped: no scans in {folder}")
        return
    keep_freed_memory()
    segmenter = load_segmenter(default_weights())
    print("| scan | change | mean Dice | lowest |\n| --- | --- | --- | --- |")
    for name in SCANS:
        volume = load_image(folder / f"{name}.nii.gz")
        first = segment(segmenter, volume).together.labels.data
        for change, other, back in variants(volume):
            result = segment(segmenter, other)
            labels = sample_posteriors(
                result.posteriors,
                result.window,
                segmenter.info.labels,
                volume.shape,
                volume.affine,
                to_session=np.linalg.inv(back),
            ).labels.data
            d = dice(first, labels)
            print(f"| {name} | {change} | {d.mean():.4f} | {d.min():.3f} |", flush=True)


if __name__ == "__main__":
    main()
