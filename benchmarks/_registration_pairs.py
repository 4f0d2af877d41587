"""Pairs of scans whose true motion is known, and planted failures, made from the shared scans and label maps.

The second scan of a pair is interpolated once, onto a grid of its own that is turned, shifted, often
anisotropic or cropped; then it gets noise, a bias field and another intensity curve.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from babyseg_py.images import Volume, load_image, load_labels
from babyseg_py.images.geometry import antialias, grid_with_spacing, resample

AGES = ("00", "03", "06", "12", "24")
REAL = ("02_age-23mo", "03_age-19mo", "05_age-9mo", "07_age-4mo", "08_age-1mo")
HEAD_ONLY = (24, 85, 165, 258, 259)


@dataclass(frozen=True)
class Pair:
    """Two scans and the motion between them.

    Parameters
    ----------
    name : str
        What it was made of.
    a, b : Volume
        Scans.
    truth : (4, 4) np.ndarray
        World mm of A to world mm of B.
    targets : (N, 3) np.ndarray
        Points in the brain, in world mm of A, whose error counts.
    """

    name: str
    a: Volume
    b: Volume
    truth: np.ndarray
    targets: np.ndarray

    def errors_mm(self, matrix: np.ndarray) -> np.ndarray:
        """Distance in mm between where a matrix puts each target and where it belongs."""
        difference = matrix - self.truth
        return np.linalg.norm(self.targets @ difference[:3, :3].T + difference[:3, 3], axis=1)


def known_motion(rng: np.random.Generator, centre: np.ndarray) -> np.ndarray:
    """Draw a motion about a point, of up to 20 degrees and 20 mm, half of them of more than half of that."""
    axis, direction = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 3)))
    angle, length = 20 * rng.uniform(0, 1, 2) ** 0.7
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(np.radians(angle) * axis).as_matrix()
    matrix[:3, 3] = centre + length * direction - matrix[:3, :3] @ centre
    return matrix


def moved(
    volume: Volume,
    motion: np.ndarray,
    rng: np.random.Generator,
    *,
    spacing_mm: tuple[float, float, float] | None = None,
    crop: float = 0.0,
) -> Volume:
    """Show a scan after a motion, on a cropped grid with other voxels, interpolated once.

    Parameters
    ----------
    volume : Volume
        Scan.
    motion : (4, 4) np.ndarray
        World mm before to world mm after.
    rng : np.random.Generator
        Draws the crop.
    spacing_mm : tuple of float, optional
        Voxel size.
    crop : float
        Share of the height of the content that is cut away at one end, and half of it at another side.

    Returns
    -------
    Volume
        The moved scan.
    """
    content = np.argwhere(volume.data > np.percentile(volume.data, 99) * 0.1)
    low, high = content.min(axis=0), content.max(axis=0) + 1
    cut = (high - low) * rng.permutation([crop, crop / 2, 0])
    start = np.maximum(low - 6, 0) + np.where(rng.random(3) < 0.5, cut + 6 * (cut > 0), 0)
    stop = np.minimum(high + 6, volume.shape) - np.where(start > low, 0, cut + 6 * (cut > 0))
    affine = volume.affine.copy()
    affine[:3, 3] = affine[:3, :3] @ start + affine[:3, 3]
    shape = np.ceil(stop - start).astype(int)
    if spacing_mm is not None:
        shape, affine = grid_with_spacing(shape, affine, spacing_mm)
    # The camera stays near: half of the motion is the grid's, so that oblique affines occur too.
    half = np.eye(4)
    half[:3, :3] = Rotation.from_rotvec(Rotation.from_matrix(motion[:3, :3]).as_rotvec() / 2).as_matrix()
    back = np.linalg.inv(motion)
    centre = affine[:3, :3] @ (np.array(shape) / 2) + affine[:3, 3]
    half[:3, 3] = motion[:3, :3] @ centre + motion[:3, 3] - half[:3, :3] @ centre
    target = half @ affine
    sharp = antialias(volume, target, world_matrix=back)
    return resample(sharp, shape, target, order=3, world_matrix=back)


def degraded(
    volume: Volume,
    rng: np.random.Generator,
    *,
    noise: float,
    gamma: float = 1.0,
    invert: bool = False,
    bias: float = 0.1,
) -> Volume:
    """Give a scan another intensity curve, a smooth field and noise (in units of its 99th percentile)."""
    top = np.percentile(volume.data[volume.data > 0.02 * volume.data.max()], 99)
    x = np.clip(volume.data / top, 0, 1.5)
    x = np.where(x > 0.02, 1.1 - x, x) if invert else x
    x = np.maximum(x, 0) ** gamma
    coarse = rng.normal(0, bias, (4, 4, 4))
    zoom = [n / 4 for n in volume.shape]
    x = x * np.exp(
        ndimage.zoom(coarse, zoom, order=3, mode="nearest", grid_mode=True)[tuple(map(slice, x.shape))]
    )
    noisy = np.hypot(x + rng.normal(0, noise, x.shape), rng.normal(0, noise, x.shape))
    return volume.with_data((1000 * noisy).astype(np.float32))


def cut_to_content(volume: Volume, margin: int = 10) -> Volume:
    """Drop most of the empty air, exactly on the voxels."""
    content = np.argwhere(volume.data > 0)
    low = np.maximum(content.min(axis=0) - margin, 0)
    high = np.minimum(content.max(axis=0) + margin + 1, volume.shape)
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low
    return Volume(np.ascontiguousarray(volume.data[tuple(map(slice, low, high))]), affine)


def painted(labels: Volume, rng: np.random.Generator) -> Volume:
    """Give every label a random mean intensity and blur a little: a scan of an unseen contrast."""
    numbers, index = np.unique(labels.data, return_inverse=True)
    means = rng.uniform(100, 1000, len(numbers))
    means[numbers == 0] = 0
    return labels.with_data(
        ndimage.gaussian_filter(means[index].reshape(labels.shape), 0.5).astype(np.float32)
    )


def brain_points(mask: np.ndarray, affine: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw 2,000 voxel centres of a mask in world mm."""
    index = np.argwhere(mask)
    index = index[rng.choice(len(index), 2000)]
    return index @ affine[:3, :3].T + affine[:3, 3]


def make_pair(
    name: str,
    a: Volume,
    b: Volume,
    mask: np.ndarray,
    rng: np.random.Generator,
    *,
    noise: float = 0.03,
    invert: bool = False,
) -> Pair:
    """Move B, which lies on A, and degrade both."""
    targets = brain_points(mask, a.affine, rng)
    motion = known_motion(rng, targets.mean(axis=0))
    spacing = [None, (1.0, 1.0, 1.0), (0.9, 0.9, 2.0), (1.0, 1.2, 1.5)][rng.integers(4)]
    crop = [0, 0.1, 0.2][rng.integers(3)]
    after = moved(b, motion, rng, spacing_mm=spacing, crop=crop)
    gamma = rng.uniform(0.7, 1.4)
    after = degraded(after, rng, noise=noise, gamma=gamma, invert=invert)
    before = degraded(a, rng, noise=noise / 2)
    if rng.random() < 0.5:  # Stripped scans have exactly nothing outside; others have noise there.
        before = before.with_data(before.data * (a.data > 0))
    return Pair(f"{name} crop {crop} voxel {spacing or 'own'}", before, after, motion, targets)


def adult(folder: Path) -> tuple[Volume, Volume]:
    """Real adult head, and the same head stripped by its segmentation."""
    head = load_image(folder / "adult_t1w" / "adult_T1w.nii.gz")
    labels = load_labels(folder / "adult_t1w" / "adult_dseg.nii.gz")
    mask = ndimage.binary_closing(labels.data > 0, iterations=2)
    return head, head.with_data(head.data * mask)


def true_pairs(folder: Path) -> Iterator[Pair]:
    """Make the 50 pairs, of which 38 are of real scans or of templates of real scans.

    Parameters
    ----------
    folder : Path
        The shared data.

    Yields
    ------
    Pair
        18 template pairs T1w-T2w, 12 real infants, 8 real adult heads with and without skull,
        12 label maps painted in unrelated contrasts, half of them whole heads.
    """
    rng = np.random.default_rng(2024)
    for i in range(18):
        t1, t2 = (
            cut_to_content(load_image(folder / "unc_bcp_templates" / f"age-{AGES[i % 5]}mo_{c}.nii.gz"), 10)
            for c in ("T1w", "T2w")
        )
        t2 = resample(t2, t1.shape, t1.affine)
        a, b = (t1, t2) if i % 2 else (t2, t1)
        yield make_pair(f"template {AGES[i % 5]} mo T1w-T2w", a, b, t1.data > 10, rng)
    for i in range(12):
        scan = cut_to_content(load_image(folder / "real_t1w" / f"infant-{REAL[i % 5]}_T1w.nii.gz"))
        yield make_pair(
            f"infant {REAL[i % 5]}", scan, scan, scan.data > 0, rng, noise=0.05, invert=i % 2 == 1
        )
    head, brain = adult(folder)
    for i in range(8):
        a, b = [(head, brain), (brain, head), (head, head), (brain, brain)][i % 4]
        name = ["head-brain", "brain-head", "head-head", "brain-brain"][i % 4]
        yield make_pair(f"adult {name}", a, b, brain.data > 0, rng, invert=i >= 6)
    infants = sorted((folder / "labelmaps" / "infant").glob("*.nii.gz"))
    adults = sorted((folder / "labelmaps" / "adult_whole_head").glob("*.nii.gz"))
    for i in range(12):
        labels = load_labels((infants if i % 2 else adults)[i % 11])
        mask = (labels.data > 0) & (labels.data < 200) & ~np.isin(labels.data, HEAD_ONLY)
        a = painted(labels, rng)
        b = painted(labels, rng)
        b = b.with_data(ndimage.gaussian_filter(b.data * mask, 0.3)) if i % 4 == 2 else b
        yield make_pair(f"painted {'infant' if i % 2 else 'adult head'}", a, b, mask, rng)


def half_of(volume: Volume, axis: int, *, zero: bool) -> Volume:
    """Lose half of the content along one axis: emptied, or cut off with the field of view."""
    content = np.argwhere(volume.data > np.percentile(volume.data, 99) * 0.1)[:, axis]
    middle = int((content.min() + content.max()) / 2)
    keep = [slice(None)] * 3
    keep[axis] = slice(middle, None)
    if zero:
        data = np.zeros_like(volume.data)
        data[tuple(keep)] = volume.data[tuple(keep)]
        return volume.with_data(data)
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, axis] * middle
    return Volume(np.ascontiguousarray(volume.data[tuple(keep)]), affine)


def flip(volume: Volume) -> Volume:
    """Swap left and right in the voxels and leave the header as it is."""
    axis = int(np.abs(volume.affine[0, :3]).argmax())
    return volume.with_data(np.ascontiguousarray(np.flip(volume.data, axis)))


def like_t1(labels: Volume, rng: np.random.Generator) -> Volume:
    """Paint a label map with the ordinary contrast of an infant after the first year or of an adult."""
    means = np.full(1000, 500.0)
    means[[0, 24, 4, 43, 5, 44, 14, 15]] = (0, 250, 200, 200, 200, 200, 200, 200)
    means[[2, 41, 7, 46, 16, 28, 60, 251, 252, 253, 254, 255, 85]] = 900
    means[[3, 42, 8, 47, 17, 18, 53, 54, 11, 50]] = 600
    means[[10, 49, 12, 51, 13, 52, 172]] = 750
    image = means[labels.data] * (1 + rng.normal(0, 0.02, labels.shape))
    image[labels.data == 0] = 0
    return labels.with_data(ndimage.gaussian_filter(image, 0.6).astype(np.float32))


def planted_failures(folder: Path) -> Iterator[tuple[str, Pair]]:
    """Make pairs that must not be believed, by the same motions and degradations as `true_pairs`.

    Parameters
    ----------
    folder : Path
        The shared data.

    Yields
    ------
    kind : str
        ``other child``, ``flipped`` or ``half``.
    pair : Pair
        Its truth means nothing where the child is another one.
    """
    rng = np.random.default_rng(7)
    infants = [cut_to_content(load_image(folder / "real_t1w" / f"infant-{name}_T1w.nii.gz")) for name in REAL]
    templates = {
        (age, c): cut_to_content(load_image(folder / "unc_bcp_templates" / f"age-{age}mo_{c}.nii.gz"))
        for age in AGES
        for c in ("T1w", "T2w")
    }
    head, brain = adult(folder)
    heads = sorted((folder / "labelmaps" / "adult_whole_head").glob("*.nii.gz"))[:6]
    maps = sorted((folder / "labelmaps" / "infant").glob("*.nii.gz"))
    painted_heads = [like_t1(load_labels(path), rng) for path in heads]
    painted_brains = [like_t1(load_labels(path), rng) for path in maps[-5:]]
    others = [(infants[i], infants[(i + 1) % 5]) for i in range(5)]
    others += [(templates["24", "T1w"], infants[0]), (templates["12", "T2w"], infants[1])]
    others += [
        (templates[x, "T1w"], templates[y, "T2w"]) for x, y in (("06", "12"), ("12", "24"), ("00", "03"))
    ]
    others += [(painted_heads[i], painted_heads[i + 1]) for i in range(5)] + [(head, painted_heads[0])]
    others += [(painted_brains[i], painted_brains[i + 1]) for i in range(4)]
    for a, b in others:
        yield "other child", make_pair("other child", a, b, a.data > 0, rng)
    flips = [(scan, scan) for scan in infants] + [(head, brain), (head, head), (painted_heads[1],) * 2]
    flips += [
        (templates[age, "T1w"], resampled_like(templates[age, "T2w"], templates[age, "T1w"])) for age in AGES
    ]
    for a, b in flips:
        yield "flipped", make_pair("flipped", a, flip(b), a.data > 0, rng)
    halves = [(scan, scan) for scan in infants] + [(head, head), (head, brain), (brain, brain)]
    halves += [
        (templates[age, "T1w"], resampled_like(templates[age, "T2w"], templates[age, "T1w"])) for age in AGES
    ]
    for i, (a, b) in enumerate(halves):
        yield (
            "half",
            make_pair(f"half along axis {i % 3}", a, half_of(b, i % 3, zero=i % 2 == 0), a.data > 0, rng),
        )


def resampled_like(volume: Volume, reference: Volume) -> Volume:
    """Put a template on the grid of the other one of its age; both have the same voxels."""
    return resample(volume, reference.shape, reference.affine)
