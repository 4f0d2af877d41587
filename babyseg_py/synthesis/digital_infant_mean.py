"""The mean anatomy of aligned label maps, with folds that stay crisp."""

from collections.abc import Sequence

import cc3d
import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from babyseg_py.images import Volume
from babyseg_py.registration.velocity import Box, sample
from babyseg_py.synthesis.digital_infant_align import Aligned, positions, to_index

# Background, then white matter, cortex, ventricles, choroid plexus, cerebellum, deep grey matter, brain stem,
# third and fourth ventricle.
FINE: tuple[int, ...] = (
    0,
    2,
    41,
    3,
    42,
    4,
    43,
    31,
    63,
    8,
    47,
    7,
    46,
    10,
    49,
    11,
    50,
    12,
    51,
    13,
    52,
    26,
    58,
    17,
    53,
    18,
    54,
    28,
    60,
    16,
    14,
    15,
)
_CEREBRUM = ((2, 3), (41, 42))
# Labels that the maps of the youngest lack, with the one that holds their voxels there.
_UNSEEN = ((7, 8), (46, 47), (31, 4), (63, 43))
_SHARPEN, _SHARPEN_SIGMA_MM = 1.5, 2.5
_LOCAL_SIGMA_MM = 4.0
_DUST = 40  # voxels


def mean_anatomy(
    maps: Sequence[Volume], found: Sequence[Aligned], box: Box, velocity_box: Box, /
) -> np.ndarray:
    """Label of the mean of aligned maps.

    Folds differ between children, so a plain majority leaves a smooth core of white matter. The border of
    white matter and cortex is therefore drawn where the sharpened mean crosses a level that keeps the local
    mean amount of white matter.

    Parameters
    ----------
    maps : sequence of Volume
        Maps with the labels of `FINE`.
    found : sequence of Aligned
        Their transforms.
    box, velocity_box : Box
        Grid of the result and of the velocities.

    Returns
    -------
    (I, J, K) np.ndarray of np.uint8
        Mean anatomy.
    """
    mean = {n: np.zeros(box.shape, np.float32) for n in FINE[1:]}
    seen = {n: np.zeros(box.shape, np.float32) for pair in _UNSEEN for n in pair}
    for labels, one in zip(maps, found, strict=True):
        where = to_index(positions(one, box, velocity_box), labels.affine)
        have = {}
        for number in FINE[1:]:
            mask = torch.from_numpy((labels.data == number).astype(np.float32))
            have[number] = sample(mask[None], where, outside="zeros")[0].numpy()
            mean[number] += have[number] / len(maps)
        for rare, holder in _UNSEEN:
            if have[rare].any():
                seen[rare] += have[rare]
                seen[holder] += have[holder]
    for rare, holder in _UNSEEN:
        both = mean[rare] + mean[holder]
        share = seen[rare] / np.maximum(seen[rare] + seen[holder], 1e-6)
        mean[rare], mean[holder] = both * share, both * (1 - share)
    return _crisp({n: gaussian_filter(one, 0.6 / box.spacing_mm) for n, one in mean.items()}, box.spacing_mm)


def _crisp(mean: dict[int, np.ndarray], spacing_mm: float) -> np.ndarray:
    """Most probable label, white matter and cortex of a side counting as one until the last step."""
    best = 1 - np.sum(list(mean.values()), axis=0)
    out = np.zeros(best.shape, np.uint8)
    joined = dict(mean)
    for white, grey in _CEREBRUM:
        joined[white] = mean[white] + mean[grey]
        del joined[grey]
    for number, chance in joined.items():
        better = chance > best
        out[better] = number
        best = np.maximum(best, chance)
    for white, grey in _CEREBRUM:
        cerebrum = out == white
        inner = _white(mean[white] / (mean[white] + mean[grey] + 1e-3), cerebrum, spacing_mm)
        inner = cc3d.dust(inner, threshold=_DUST, connectivity=26).astype(bool)
        out[cerebrum & ~inner] = grey
    return out


def _white(share: np.ndarray, cerebrum: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Part of the cerebrum that is white matter: sharpened, with the local mean amount kept."""
    share = share + _SHARPEN * (share - gaussian_filter(share, _SHARPEN_SIGMA_MM / spacing_mm))
    plain = np.clip(share, 0, 1)
    sigma = _LOCAL_SIGMA_MM / spacing_mm
    weight = gaussian_filter(cerebrum.astype(np.float32), sigma) + 1e-3
    target = gaussian_filter(np.where(cerebrum, plain, 0), sigma) / weight
    level = np.zeros_like(share)
    for _ in range(8):
        now = 1 / (1 + np.exp(np.clip((0.5 - share - level) * 20, -50, 50)))
        level += target - gaussian_filter(np.where(cerebrum, now, 0), sigma) / weight
    return (share + level > 0.5) & cerebrum
