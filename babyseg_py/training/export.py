"""From a checkpoint to weights that inference reads."""

import pickle
import re
from pathlib import Path
from typing import Any

import torch

from babyseg_py.errors import UnusableData
from babyseg_py.labels import LABELS
from babyseg_py.models.default import default_weights
from babyseg_py.models.groupnet import GroupNet, GroupNetConfig
from babyseg_py.models.weights import (
    FIXED_GRID,
    FixedGrid,
    ModelInfo,
    Networks,
    Preprocessing,
    load_weights,
    save_weights,
)
from babyseg_py.training.loop import CHECKPOINT, Before

DATA = (
    "Label maps of 11 infants of 1 to 38 months (DCAN-Labs/BIBSnet, Apache-2.0) and of 20 adults with "
    "their heads (BBillot/SynthSeg, Apache-2.0); images synthesised from them, no real image."
)

# Of the way from the smallest to the largest brain of training. Finer voxels show more (Dice on held-out
# visits .880 at .50 and .886 at .73), but the first look may take a brain for a tenth smaller than it is.
SHOWN = 0.7
_OURS = re.compile(r"age-\d+(-\d+)?mo|adult-\d\d")
_FEWEST_OF_OURS = 25  # of 31; some are held out


def export_weights(segment: Path, path: Path, *, locate: Path | None = None) -> None:
    """Write the running means of the weights of a run's checkpoint as a safetensors file.

    Parameters
    ----------
    segment : Path
        Folder of the run of the network that segments; if it was trained on images brought to one polarity
        (``polarised``) another one has to find the brain.
    path : Path
        File to write.
    locate : Path, optional
        What finds the brain, in images of any polarity: a weights file, whose first look is taken, or the
        folder of a run. If not given the run itself, or, if it knows one polarity, the default weights. Not
        used for recipes of one look.

    Raises
    ------
    UnusableData
        If there is no checkpoint, or what is to find the brain knows one polarity.
    """
    state = _read(segment)
    networks = {"segment": _network(state)}
    provenance = {"data": _data(state)} | _training("segment", state)
    # Samples lie on RAS axes; the published network was trained on LIA.
    recipe: FixedGrid | Preprocessing = FixedGrid(orientation="RAS")
    if state.get("inference") != FIXED_GRID:  # checkpoints of before there were two ways say nothing
        recipe = _two_looks(state)
        source = locate or (default_weights() if state.get("polarised") else segment)
        networks["locate"], words = _first_look(source)
        provenance |= words
    info = ModelInfo(LABELS, networks["segment"].config, recipe, provenance)
    save_weights(Networks(**networks), info, path)


def _first_look(source: Path) -> tuple[GroupNet, dict[str, str]]:
    """Network that finds the brain, and what is known of its training."""
    if source.is_file():
        networks, info = load_weights(source)
        if networks.locate is None:
            what = "take one look, and have no network that finds the brain"
            raise UnusableData(
                str(source), what, "give weights that take two looks, such as the default ones"
            )
        kept = {name: words for name, words in info.provenance.items() if name.startswith("locate_")}
        return networks.locate, kept | {"locate_weights": f"{source.name} {info.checksum[:12]}"}
    state = _read(source)
    if state.get("polarised"):
        what = "was trained on images brought to one polarity, and does not find the brain in others"
        advice = "name a run of a recipe without `polarised`, or a weights file"
        raise UnusableData(str(source), what, advice)
    return _network(state), _training("locate", state)


def _network(state: dict[str, Any]) -> GroupNet:
    network = GroupNet(GroupNetConfig.from_dict(state["shape"]))
    network.load_state_dict(state["mean"])
    return network


def _training(role: str, state: dict[str, Any]) -> dict[str, str]:
    before = Before(**state.get("before", {}))
    hours = before.hours + state["seconds"] / 3600
    return {f"{role}_steps": str(before.steps + state["step"]), f"{role}_hours": f"{hours:.2f}"}


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
    ours = all(map(_OURS.fullmatch, names)) and len(names) >= _FEWEST_OF_OURS
    if ours or not names:  # checkpoints of before the names were kept have none
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
