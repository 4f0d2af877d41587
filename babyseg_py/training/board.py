"""Curves and example slices for TensorBoard, written beside the checkpoint."""

from pathlib import Path

import numpy as np
from tensorboardX import SummaryWriter
from torch import Tensor

from babyseg_py.labels import STRUCTURES

FOLDER = "tensorboard"
EXAMPLES = 3  # validation visits that are shown


class Board:
    """Event files of a run; a run that goes on replaces what came after its checkpoint.

    Parameters
    ----------
    folder : Path
        Folder of the run.
    step : int
        Step that the run begins from.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.writer = SummaryWriter(str(folder / FOLDER), purge_step=step + 1 if step else None)

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Add a point to each curve; a structure that no visit holds has none."""
        for name, value in values.items():
            if np.isfinite(value):
                self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def example(self, number: int, image: Tensor, target: Tensor, predicted: Tensor, step: int) -> None:
        """Show the middle axial slice of a visit: first scan, true labels, labels found."""
        self.writer.add_image(f"example/{number}", panel(image, target, predicted), step, dataformats="HWC")

    def close(self) -> None:
        """End the event file."""
        self.writer.close()


def panel(image: Tensor, target: Tensor, predicted: Tensor) -> np.ndarray:
    """Put a slice, its labels and the labels found side by side.

    Parameters
    ----------
    image : (I, J, K) Tensor
        Scan, 0 to 1, on RAS axes.
    target, predicted : (I, J, K) Tensor
        Channel of the structure at each voxel.

    Returns
    -------
    (J, 3 I, 3) np.ndarray of np.uint8
        Middle axial slice, anterior at the top and left of the brain at the left.
    """
    colours = np.array([structure.colour for structure in STRUCTURES], dtype=np.uint8)
    middle = image.shape[2] // 2
    grey = (image[:, :, middle].float().clamp(0, 1).numpy() * 255).astype(np.uint8)
    maps = [colours[labels[:, :, middle].long().numpy()] for labels in (target, predicted)]
    slices = [np.repeat(grey[..., None], 3, axis=2), *maps]
    return np.concatenate([s.transpose(1, 0, 2)[::-1] for s in slices], axis=1)
