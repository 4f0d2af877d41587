"""From a checkpoint to weights that inference reads."""

from pathlib import Path

import torch

from babyseg_py.labels import LABELS
from babyseg_py.models.groupnet import GroupNet, GroupNetConfig
from babyseg_py.models.weights import ModelInfo, Preprocessing, save_weights
from babyseg_py.training.loop import CHECKPOINT

DATA = (
    "Label maps of 11 infants of 1 to 38 months (DCAN-Labs/BIBSnet, Apache-2.0) and of 20 adults with "
    "their heads (BBillot/SynthSeg, Apache-2.0); images synthesised from them, no real image."
)


def export_weights(folder: Path, path: Path) -> None:
    """Write the running mean of the weights in a run's checkpoint as safetensors."""
    state = torch.load(folder / CHECKPOINT, map_location="cpu", weights_only=True)
    network = GroupNet(GroupNetConfig.from_dict(state["shape"]))
    network.load_state_dict(state["mean"])
    provenance = {
        "data": DATA,
        "steps": str(state["step"]),
        "hours": f"{state['seconds'] / 3600:.2f}",
    }
    save_weights(network, ModelInfo(LABELS, network.config, Preprocessing(), provenance), path)
