"""A small network that divides structures into their parts, given an image and the structures' posteriors."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from babyseg_py.errors import UnusableData
from babyseg_py.labels import LABELS
from babyseg_py.labels.fuller import Part, channels_of, parts
from babyseg_py.models.groupnet import Block
from babyseg_py.models.weights import check_tensors, checksum, existing_file, read_tensors
from babyseg_py.writing import appearing

FORMAT = "babyseg-refiner-1"
ADVICE = "give a file made by `babyseg train --refine`, or install again"
WIDTHS = (12, 24, 32)


class Refiner(nn.Module):
    """U-Net from an image and the posteriors of the 22 labels to scores of the parts of structures."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.widths = widths
        self.down = nn.ModuleList(
            Block(a, b, norm=True, shared=True)
            for a, b in zip((len(LABELS) + 1, *widths[:-1]), widths, strict=True)
        )
        self.up = nn.ModuleList(
            Block(a + b, b, norm=True, shared=True)
            for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.last = nn.Conv3d(widths[0], len(parts()), 1)

    def forward(self, image: Tensor, posteriors: Tensor) -> Tensor:
        """Score the parts.

        Parameters
        ----------
        image : (I, J, K) Tensor
            Mean of the scans, 0 to 1, white matter brighter than cortex.
        posteriors : (22, I, J, K) Tensor
            Of the 22 labels, in their order.

        Returns
        -------
        (P, I, J, K) Tensor
            Scores in the order of `labels.fuller.parts`.
        """
        x = torch.cat((image[None], posteriors))[None]
        if x.device.type == "cpu":
            x = x.contiguous(memory_format=torch.channels_last_3d)
        skips = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool3d(x, 2) if level else x, 1)
            skips.append(x)
        skips.pop()
        for block in self.up:
            skip = skips.pop()
            x = F.interpolate(x, size=skip.shape[2:], mode="trilinear", align_corners=False)
            x = block(torch.cat((skip, x), dim=1), 1)
        return self.last(x)[0]


def shares(scores: Tensor) -> Tensor:
    """Probability of each part, given its parent, from the scores of all parts, (P, ...)."""
    result = torch.empty_like(scores)
    for parent in dict.fromkeys(part.parent for part in parts()):
        channels = channels_of(parent)
        result[channels] = scores[channels].softmax(dim=0)
    return result


@dataclass(frozen=True)
class RefinerInfo:
    """What the metadata of a refiner's file says.

    Parameters
    ----------
    provenance : dict of str to str
        Data, recipe and steps, in words.
    """

    provenance: dict[str, str]


def save_refiner(refiner: Refiner, info: RefinerInfo, path: Path | str) -> None:
    """Write a refiner in half precision; the file appears whole or not at all."""
    tensors = {name: t.detach().half().contiguous() for name, t in refiner.state_dict().items()}
    metadata = {
        "format": FORMAT,
        "parts": json.dumps([[part.parent, part.label] for part in parts()]),
        "widths": json.dumps(refiner.widths),
        "provenance": json.dumps(info.provenance),
        "checksum": checksum(tensors),
    }
    with appearing(path) as partial:
        partial.write_bytes(save(tensors, metadata))


def load_refiner(path: Path | str) -> tuple[Refiner, RefinerInfo]:
    """Read a refiner, in evaluation mode and float32.

    Raises
    ------
    UnusableData
        If the file is missing, damaged, or divides structures otherwise than this program.
    """
    path = existing_file(path)
    metadata, tensors = read_tensors(path, form=FORMAT, advice=ADVICE)
    divided = tuple(Part(*pair) for pair in json.loads(metadata["parts"]))
    if divided != parts():
        raise UnusableData(str(path), "divides structures otherwise than this program does", ADVICE)
    refiner = Refiner(tuple(json.loads(metadata["widths"])))
    check_tensors(tensors, {n: tuple(t.shape) for n, t in refiner.state_dict().items()}, path, advice=ADVICE)
    refiner.load_state_dict({name: t.float() for name, t in tensors.items()})
    return refiner.eval(), RefinerInfo(json.loads(metadata["provenance"]))
