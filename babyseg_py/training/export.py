"""From a checkpoint to weights that inference reads."""

import pickle
import re
from pathlib import Path
from typing import Any

import torch

from babyseg_py.errors import UnusableData
from babyseg_py.labels import LABELS
from babyseg_py.models.groupnet import GroupNet, GroupNetConfig
from babyseg_py.models.weights import FIXED_GRID, FixedGrid, ModelInfo, Networks, Preprocessing, save_weights
from babyseg_py.training.loop import CHECKPOINT, Before

DATA = (
    "Label maps of 11 infants of 1 to 38 months (DCAN-Labs/BIBSnet, Apache-2.0) and of 20 adults with "
    "their heads (BBillot/SynthSeg, Apache-2.0); images synthesised from them, no real image."
)

# Of the way from the smallest to the largest brain of training. Finer voxels show more (Dice on held-out
# visits .880 at .50 and .886 at .73), but the first look may take a brain for a tenth smaller than it is.
SHOWN = 0.7
_OURS = re.compile(r"age-\d+(-\d+)?mo|adult-\d\d")


def export_weights(segment: Path, locate: Path, path: Path) -> None:
    """Write the running means of the weights of two runs' checkpoints as one safetensors file.

    Parameters
    ----------
    segment : Path
        Folder of the run on images in which white matter is brighter than cortex (``polarised``), or of a
        recipe of one look.
    locate : Path
        Folder of the run on images of any contrast, of the same network shape; not used for one look.
    path : Path
        File to write.
    """
    first = _read(segment)
    one_look = first.get("inference") == FIXED_GRID  # checkpoints of before there were two ways say nothing
    if not one_look and first["shape"] != _read(locate)["shape"]:
        raise UnusableData(str(locate), "has a network of another shape", "train both looks with one network")
    runs = {"segment": first} if one_look else {"segment": first, "locate": _read(locate)}
    networks, provenance = {}, {"data": _data(first)}
    for role, state in runs.items():
        networks[role] = GroupNet(GroupNetConfig.from_dict(state["shape"]))
        networks[role].load_state_dict(state["mean"])
        before = Before(**state.get("before", {}))
        provenance[f"{role}_steps"] = str(before.steps + state["step"])
        provenance[f"{role}_hours"] = f"{before.hours + state['seconds'] / 3600:.2f}"
    # Samples lie on RAS axes; the published network was trained on LIA.
    recipe = FixedGrid(orientation="RAS") if one_look else _two_looks(first)
    info = ModelInfo(LABELS, networks["segment"].config, recipe, provenance)
    save_weights(Networks(**networks), info, path)


def _two_looks(segment: dict[str, Any]) -> Preprocessing:
    """Show the network brains of a size in the upper part of those that it was trained on."""
    if "brain_voxels" not in segment:  # checkpoints of before the sizes were kept
        return Preprocessing()
    low, high = segment["brain_voxels"]
    return Preprocessing(brain_voxels=round(low * (high / low) ** SHOWN, 1))


def _data(state: dict[str, Any]) -> str:
    """Say what was learned from; the maps of the package's weights are known by their names."""
    before = state.get("before", {})
    names, earlier = before.get("maps", ()), before.get("data", "")
    own = f"{len(names)} label maps ({', '.join(names)}); images synthesised from them, no real image."
    if all(map(_OURS.fullmatch, names)):  # checkpoints of before the names were kept have none
        own = DATA
    return own if earlier in ("", own) else f"{earlier} Then {own}"


def _read(folder: Path) -> dict[str, Any]:
    path, advice = folder / CHECKPOINT, "name the folder of a training run"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if {"shape", "mean", "step", "seconds"} <= set(state):
            return state
        fault = "holds no training"
    except FileNotFoundError:
        raise UnusableData(str(folder), "holds no checkpoint", advice) from None
    except (OSError, pickle.UnpicklingError, RuntimeError, EOFError, TypeError, ValueError) as problem:
        fault = f"cannot be read ({' '.join(str(problem).split())[:120]})"
    raise UnusableData(str(path), fault, advice)
