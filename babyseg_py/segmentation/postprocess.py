"""Largest components, by a rule that does not cut real anatomy."""

from collections.abc import Sequence

import cc3d
import numpy as np
import torch
from torch import Tensor

# A part of a structure is kept if it has this share of the structure's largest part. Cortex, white matter
# and ventricles are thin and folded, so that real anatomy may hang together by less than a voxel.
SMALLEST_SHARE = 0.2
SMALLEST_SHARE_FOLDED = 0.01
FOLDED_LABELS = (2, 3, 4, 41, 42, 43)
SMALLEST_BRAIN_SHARE = 0.1


def drop_fragments(posteriors: Tensor, labels: Sequence[int]) -> Tensor:
    """Take the probability of a structure away where it would make a fragment.

    Components are 26-connected. First the labelled brain as a whole: its largest component is kept, and
    others of at least a tenth of it; what lies elsewhere becomes background. Then each structure: components
    of at least a fifth of its largest one are kept (a hundredth for cortex, white matter and ventricles);
    the others take the next probable label.

    Parameters
    ----------
    posteriors : (C, I, J, K) Tensor
        Probabilities, background first.
    labels : sequence of int
        Label number of each channel.

    Returns
    -------
    (C, I, J, K) Tensor
        Probabilities that sum to one again.
    """
    result = posteriors.clone()
    best = result.argmax(dim=0).numpy().astype(np.uint8)
    stray = (best > 0) & ~_large_parts(best > 0, SMALLEST_BRAIN_SHARE)
    mask = torch.from_numpy(stray)
    result[:, mask] = 0
    result[0, mask] = 1
    best[stray] = 0
    for channel, label in enumerate(labels[1:], start=1):
        own = best == channel
        if not own.any():
            continue
        share = SMALLEST_SHARE_FOLDED if label in FOLDED_LABELS else SMALLEST_SHARE
        fragments = torch.from_numpy(own & ~_large_parts(own, share))
        result[channel, fragments] = 0
    return result.div_(result.sum(dim=0, keepdim=True).clamp_min_(1e-6))


def _large_parts(mask: np.ndarray, share: float) -> np.ndarray:
    parts = cc3d.connected_components(mask, connectivity=26)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    if len(sizes) <= 2:
        return mask
    return (sizes >= max(1, share * sizes.max()))[parts] & mask
