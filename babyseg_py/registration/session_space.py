"""Which scan of a visit lends its grid to the session."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from babyseg_py.images.volume import Volume
from babyseg_py.registration.pyramid import Scan

COVERAGE = 0.8  # Share of the largest foreground below which a scan is no reference.
ALIKE = 1.05  # Ratio of effective voxel sizes below which they count as equal.
FADED = 0.1  # Power, relative to the strongest band, below which a band holds no detail.
RULE = (
    "The session space is the grid of one scan: of those whose foreground is at least 80 % of the largest "
    "among the scans that are masked alike, the one with the smallest effective voxel size (root mean square "
    "over the three axes of the voxel size, enlarged where the highest frequencies are empty as after "
    "interpolation); within 5 % the larger foreground, then the order of the names. With three or more scans "
    "one that fewer than half of the others match is passed over for the next."
)


@dataclass(frozen=True)
class Rank:
    """What the choice of the reference rests on.

    Parameters
    ----------
    effective_mm : float
        Effective voxel size in mm.
    foreground_ml : float
        Volume of the foreground.
    coverage : float
        That volume relative to the largest one of the scans that are masked alike.
    """

    effective_mm: float
    foreground_ml: float
    coverage: float


def effective_voxel_mm(volume: Volume, /) -> float:
    """Root mean square of the effective voxel size of the three axes.

    Along each axis the power spectrum is multiplied by the squared frequency, which makes that of sharp
    edges flat; the voxel is enlarged to what would just carry the highest band that holds at least
    `FADED` of the strongest. A scan that was blown up to smaller voxels gains nothing by it. Noise fills all
    bands and hides that, so that the estimate is never below the voxel size and never wrong for a raw scan.

    Parameters
    ----------
    volume : Volume
        Scan with its head somewhere in the middle.

    Returns
    -------
    float
        Size in mm.
    """
    sizes = [spacing / _filled_band(volume.data, axis) for axis, spacing in enumerate(volume.spacing_mm)]
    return float(np.sqrt(np.mean(np.square(sizes))))


def _filled_band(data: np.ndarray, axis: int) -> float:
    """Share of the frequencies along an axis that hold detail, from 0.25 to 1."""
    count = data.shape[axis]
    if count < 16:
        return 1.0
    step = [max(1, n // 64) if a != axis else 1 for a, n in enumerate(data.shape)]
    lines = np.moveaxis(data[tuple(slice(s // 2, None, s) for s in step)], axis, -1).reshape(-1, count)
    lines = lines[lines.std(axis=1) > 0]
    power = (np.abs(np.fft.rfft(lines * np.hanning(count), axis=1)) ** 2).sum(axis=0)
    frequency = np.linspace(0, 1, len(power))
    edges = np.linspace(1 / 8, 1, 15)  # Lower bands hold the shape of the head, not detail.
    weighted = power * frequency**2
    bands = [weighted[(frequency >= a) & (frequency <= b)] for a, b in pairwise(edges)]
    strength = np.array([band.mean() if band.size else 0.0 for band in bands])
    filled = np.flatnonzero(strength >= FADED * strength.max())
    return float(max(0.25, edges[filled[-1] + 1])) if filled.size else 1.0


def rank(volumes: Sequence[Volume], scans: Sequence[Scan], /) -> tuple[list[int], list[Rank]]:
    """Sort scans by how well they would serve as session space, by `RULE`.

    Parameters
    ----------
    volumes : sequence of Volume
        Scans.
    scans : sequence of Scan
        The same, prepared.

    Returns
    -------
    order : list of int
        Positions, the best first.
    ranks : list of Rank
        What it rests on, in the order given.
    """
    sizes = [effective_voxel_mm(volume) for volume in volumes]
    contents = [float(scan.foreground.data.sum()) * scan.foreground.voxel_volume_mm3 / 1000 for scan in scans]
    masked = [scan.masked for scan in scans]
    ranks = []
    for size, content, kind in zip(sizes, contents, masked, strict=True):
        largest = max(c for c, k in zip(contents, masked, strict=True) if k == kind)
        ranks.append(Rank(size, content, content / largest))
    left, order = list(range(len(ranks))), []
    while left:
        full = [i for i in left if ranks[i].coverage >= COVERAGE] or left
        sharpest = min(ranks[i].effective_mm for i in full)
        best = max(
            (i for i in full if ranks[i].effective_mm <= ALIKE * sharpest),
            key=lambda i: ranks[i].foreground_ml,
        )
        order.append(best)
        left.remove(best)
    return order, ranks
