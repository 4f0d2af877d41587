"""Weights as data: safetensors with all that inference has to know in its metadata."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from babyseg_py.errors import UnusableData
from babyseg_py.models.groupnet import GroupNet, GroupNetConfig

FORMAT = "babyseg-groupnet-2"
ROLES = ("segment", "locate")
ADVICE = "give weights made by `babyseg train --export`"


@dataclass(frozen=True)
class Preprocessing:
    """How an image reaches the network.

    Parameters
    ----------
    head_voxels : float
        Cube root of the foreground's volume in voxels at the first look, which finds the brain.
    brain_voxels : float
        Cube root of the brain's volume in voxels at the second look.
    low, high : float
        Quantiles of the non-zero voxels that become 0 and 1.
    """

    head_voxels: float = 40.0
    brain_voxels: float = 60.0
    low: float = 0.005
    high: float = 0.995


@dataclass(frozen=True)
class ModelInfo:
    """What the metadata of a weights file says.

    Parameters
    ----------
    labels : tuple of int
        Label number of each output channel.
    network : GroupNetConfig
        Shape of the network.
    preprocessing : Preprocessing
        How an image reaches it.
    provenance : dict
        Data, recipe and training time, in words.
    """

    labels: tuple[int, ...]
    network: GroupNetConfig
    preprocessing: Preprocessing
    provenance: dict[str, str]


@dataclass(frozen=True)
class Networks:
    """The networks of a weights file, of one shape.

    Parameters
    ----------
    segment : GroupNet
        Segments images in which white matter is brighter than cortex.
    locate : GroupNet
        Finds the brain and its tissues in images of any contrast, roughly.
    """

    segment: GroupNet
    locate: GroupNet


def save_weights(networks: Networks, info: ModelInfo, path: Path | str) -> None:
    """Write weights in half precision; the file appears whole or not at all."""
    path = Path(path)
    tensors = {
        f"{role}.{name}": t.detach().half().contiguous()
        for role in ROLES
        for name, t in getattr(networks, role).state_dict().items()
    }
    metadata = {
        "format": FORMAT,
        "labels": json.dumps(info.labels),
        "network": json.dumps(asdict(info.network)),
        "preprocessing": json.dumps(asdict(info.preprocessing)),
        "provenance": json.dumps(info.provenance),
        "checksum": checksum(tensors),
    }
    temporary = path.with_name(f".{path.name}.part")
    save_file(tensors, temporary, metadata)
    temporary.replace(path)


def load_weights(path: Path | str) -> tuple[Networks, ModelInfo]:
    """Read weights and build their networks, in evaluation mode and float32.

    Raises
    ------
    UnusableData
        If the file is missing, not ours, damaged, or does not fit the network that it names.
    """
    path = Path(path)
    if not path.is_file():
        raise UnusableData(str(path), "no such weights file", "check the path given with --weights")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
    except (SafetensorError, OSError) as problem:
        raise UnusableData(str(path), f"is not a safetensors file ({problem})", ADVICE) from problem
    if metadata.get("format") != FORMAT:
        raise UnusableData(str(path), f"has format {metadata.get('format')!r}, not {FORMAT!r}", ADVICE)
    if checksum(tensors) != metadata.get("checksum"):
        raise UnusableData(str(path), "is damaged: its checksum differs", "copy the file again")
    info = ModelInfo(
        labels=tuple(json.loads(metadata["labels"])),
        network=GroupNetConfig.from_dict(json.loads(metadata["network"])),
        preprocessing=Preprocessing(**json.loads(metadata["preprocessing"])),
        provenance=json.loads(metadata["provenance"]),
    )
    networks = Networks(GroupNet(info.network), GroupNet(info.network))
    check_tensors(tensors, networks, path)
    for role in ROLES:
        own = {n.removeprefix(f"{role}."): t.float() for n, t in tensors.items() if n.startswith(f"{role}.")}
        getattr(networks, role).load_state_dict(own)
        getattr(networks, role).eval()
    return networks, info


def check_tensors(tensors: dict[str, torch.Tensor], networks: Networks, path: Path) -> None:
    """Name every tensor that is missing, unknown or of another shape than the networks'."""
    wanted = {
        f"{role}.{name}": tuple(t.shape)
        for role in ROLES
        for name, t in getattr(networks, role).state_dict().items()
    }
    found = {name: tuple(t.shape) for name, t in tensors.items()}
    problems = [f"{name} is missing" for name in wanted.keys() - found.keys()]
    problems += [f"{name} is unknown" for name in found.keys() - wanted.keys()]
    problems += [
        f"{name} has shape {found[name]}, not {wanted[name]}"
        for name in wanted.keys() & found.keys()
        if wanted[name] != found[name]
    ]
    if problems:
        raise UnusableData(str(path), f"does not fit the network: {'; '.join(sorted(problems)[:5])}", ADVICE)


def checksum(tensors: dict[str, torch.Tensor]) -> str:
    """SHA-256 over names and bytes of all tensors."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()
