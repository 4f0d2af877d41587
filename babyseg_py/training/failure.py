"""A step that must not be taken: what is kept of it, and how it is looked at again."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume, save_image, save_labels
from babyseg_py.labels import LABELS
from babyseg_py.models.groupnet import GroupNet, GroupNetConfig
from babyseg_py.synthesis.labelbank import LabelBank
from babyseg_py.synthesis.synthesise import apply
from babyseg_py.training.losses import LOSSES
from babyseg_py.training.recipe import Recipe
from babyseg_py.writing import appearing

FOLDER = "failed"
MEMORY = 0.98  # share of the old in the running mean of the loss
WORSE_THAN_GUESSING = 1.5
NO_OVERLAP = 0.99  # soft Dice loss; filling everything with background is at most 1 - .9 / 22
STILL = 1e-9  # norm of a gradient that is none
STANDSTILL = 20  # steps


class Watch:
    """Tells from the losses and gradients of a run that it has gone wrong.

    Parameters
    ----------
    classes : int
        Number of classes. A network that knows nothing has a cross-entropy of their logarithm, and a soft
        Dice of about 0; a run is taken to diverge when the running mean of its loss is half as much again.
    loss : str
        Of the recipe. Soft Dice alone is at most 1: there a run is taken to diverge when its running mean
        says that not even background is found. With any loss it is when a gradient of nothing stays so,
        as that of soft Dice does once all probabilities are 0 or 1.
    """

    def __init__(self, classes: int, loss: str = "cross_entropy_dice") -> None:
        self.limit = NO_OVERLAP if loss == "soft_dice" else WORSE_THAN_GUESSING * (math.log(classes) + 1)
        self.level: float | None = None
        self.still = 0

    def complaint(self, losses: Sequence[float], gradient: float) -> str | None:
        """Say what is wrong with a step, None if nothing is."""
        bad = [loss for loss in losses if not math.isfinite(loss)]
        if bad:
            return f"the loss is {bad[0]}"
        if not math.isfinite(gradient):
            return f"the norm of the gradient is {gradient}"
        loss = sum(losses) / len(losses)
        self.level = loss if self.level is None else MEMORY * self.level + (1 - MEMORY) * loss
        if self.level > self.limit:
            return f"training diverges: the mean loss is {self.level:.3g}, more than {self.limit:.3g}"
        self.still = self.still + 1 if gradient < STILL else 0
        if self.still == STANDSTILL:
            return f"training diverges: nothing was learned from {STANDSTILL} steps, the gradient is 0"
        return None


def stop_training(
    folder: Path, *, step: int, what: str, visits: list[dict[str, Any]], state: dict[str, Any], rank: int = 0
) -> UnusableData:
    """Keep what is needed to look at a step again, and return the error that ends the run.

    Parameters
    ----------
    folder : Path
        Folder of the run.
    step : int
        Number of the step, which has not been taken.
    what : str
        What is wrong.
    visits : list of dict
        Of each visit of the step its ``number``, the ``map`` that it was made from, its ``loss`` and its
        ``params``.
    state : dict
        The checkpoint before the step.
    rank : int
        Process that met it.
    """
    stem = f"step-{step}" + (f"_rank-{rank}" if rank else "")
    record = folder / FOLDER / f"{stem}.json"
    with appearing(record) as partial:
        partial.write_text(json.dumps({"step": step, "what": what, "visits": visits}, indent=1) + "\n")
    with appearing(record.with_suffix(".pt")) as partial:
        torch.save(state, partial)
    names = ", ".join(sorted({str(visit["map"]) for visit in visits}))
    return UnusableData(
        str(record),
        f"training stopped before step {step}: {what} (label map {names})",
        "lower learning_rate or take the map out; the last checkpoint is as it was. Of a run of `babyseg "
        f"train` the step can be looked at: `babyseg train CONFIG -o {folder} --replay {record}`",
    )


def replay(path: Path, bank: LabelBank, recipe: Recipe) -> list[float]:
    """Make the visits of a kept step again, write them as images beside it, and compute their losses.

    Parameters
    ----------
    path : Path
        File that `stop_training` wrote; the weights lie beside it.
    bank : LabelBank
        The maps that were trained on.
    recipe : Recipe
        The recipe of the run.

    Returns
    -------
    list of float
        Loss of each visit.

    Raises
    ------
    UnusableData
        If the file cannot be read or names a map that the bank lacks at its place.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        visits = [(visit["map"], visit["params"]) for visit in record["visits"]]
        state = torch.load(path.with_suffix(".pt"), map_location="cpu", weights_only=True)
    except (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, UnpicklingError) as problem:
        advice = "give a file that a stopped training named"
        raise UnusableData(str(path), f"cannot be read ({problem})", advice) from problem
    network = GroupNet(GroupNetConfig.from_dict(state["shape"]))
    network.load_state_dict(state["network"])
    losses = []
    for place, (name, params) in enumerate(visits):
        number = params["map"]
        if number >= len(bank.maps) or bank.maps[number].name != name:
            raise UnusableData(str(path), f"was made from {name}, which {recipe.bank} lacks", "give its bank")
        sample = apply(bank, params)
        stem = f"{path.stem}_visit-{place}"
        for scan, image in enumerate(sample.images):
            save_image(_centred(image.numpy()), path.with_name(f"{stem}_scan-{scan}.nii.gz"))
        labels = np.array(LABELS)[sample.target.numpy()]
        save_labels(_centred(labels), path.with_name(f"{stem}_dseg.nii.gz"))
        with (
            torch.inference_mode(),
            torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bf16"),
        ):
            scores = network(sample.images[None])
        losses.append(float(LOSSES[recipe.loss](scores, sample.target[None])))
    return losses


def _centred(data: np.ndarray) -> Volume:
    """Give an array voxels of 1 mm around the origin; sizes in a window are relative to the brain."""
    affine = np.eye(4)
    affine[:3, 3] = -(np.array(data.shape) - 1) / 2
    return Volume(data, affine)
