"""From a checkpoint to weights that inference reads."""

from pathlib import Path

import torch

from babyseg_py.labels import LABELS
from babyseg_py.models.groupnet import GroupNet, GroupNetConfig
from babyseg_py.models.weights import ModelInfo, Networks, Preprocessing, save_weights
from babyseg_py.training.loop import CHECKPOINT

DATA = (
    "Label maps of 11 infants of 1 to 38 months (DCAN-Labs/BIBSnet, Apache-2.0) and of 20 adults with "
    "their heads (BBillot/SynthSeg, Apache-2.0); images synthesised from them, no real image."
)


def export_weights(segment: Path, locate: Path, path: Path) -> None:
    """Write the running means of the weights of two runs' checkpoints as one safetensors file.

    Parameters
    ----------
    segment : Path
        Folder of the run on images in which white matter is brighter than cortex (``polarised``).
    locate : Path
        Folder of the run on images of any contrast; of the same network shape.
    path : Path
        File to write.
    """
    networks, provenance = {}, {"data": DATA}
    for role, folder in (("segment", segment), ("locate", locate)):
        state = torch.load(folder / CHECKPOINT, map_location="cpu", weights_only=True)
        networks[role] = GroupNet(GroupNetConfig.from_dict(state["shape"]))
        networks[role].load_state_dict(state["mean"])
        provenance[f"{role}_steps"] = str(state["step"])
        provenance[f"{role}_hours"] = f"{state['seconds'] / 3600:.2f}"
    info = ModelInfo(LABELS, networks["segment"].config, Preprocessing(), provenance)
    save_weights(Networks(**networks), info, path)
