"""Weights as data: safetensors with all that inference has to know in its metadata."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from babyseg_py.errors import UnusableData
from babyseg_py.models.groupnet import GroupNet, GroupNetConfig
from babyseg_py.writing import appearing

FORMAT = "babyseg-groupnet-2"
ADVICE = "give weights made by `babyseg train --export` or `babyseg convert`"
MOST_PROBLEMS_NAMED = 5


@dataclass(frozen=True)
class Preprocessing:
    """How an image reaches networks that take two looks: one that finds the brain, one that segments it.

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
class FixedGrid:
    """How an image reaches the published network: one look at a grid of fixed voxels, led by the first scan.

    The leading scan is turned to `orientation`, cropped to its non-zero voxels and sampled linearly at
    `voxel_mm`; the grid grows to whole multiples. The other scans are sampled on that grid. Posteriors are
    neither averaged with those of the mirror image nor cleaned.

    Parameters
    ----------
    orientation : str
        Directions that the axes of the grid point to.
    voxel_mm : float
        Side of its voxels in mm.
    multiple, smallest, largest : int
        Each side is the next multiple in voxels, at least the smallest and at most the largest.
    low, high : float
        Quantiles of all voxels of the grid that become 0 and 1.
    """

    orientation: str = "LIA"
    voxel_mm: float = 0.7
    multiple: int = 64
    smallest: int = 128
    largest: int = 320
    low: float = 0.01
    high: float = 0.99


Recipe = Preprocessing | FixedGrid
TWO_LOOKS = "two-looks"  # Also what a file means that names no recipe.
FIXED_GRID = "fixed-grid"
RECIPES: dict[str, type[Recipe]] = {TWO_LOOKS: Preprocessing, FIXED_GRID: FixedGrid}


@dataclass(frozen=True)
class ModelInfo:
    """What the metadata of a weights file says.

    Parameters
    ----------
    labels : tuple of int
        Label number of each output channel.
    network : GroupNetConfig
        Shape of the network that segments.
    preprocessing : Preprocessing or FixedGrid
        How an image reaches it: the recipe that inference follows.
    provenance : dict
        Data, recipe and training time, in words.
    checksum : str
        Of the tensors of the file that it was read from; empty where there is none.
    """

    labels: tuple[int, ...]
    network: GroupNetConfig
    preprocessing: Recipe
    provenance: dict[str, str]
    checksum: str = ""


@dataclass(frozen=True)
class Networks:
    """The networks of a weights file.

    Parameters
    ----------
    segment : GroupNet
        Segments images: of the polarity that white matter is brighter than cortex where there is a first
        look, of any contrast where there is none.
    locate : GroupNet or None
        Finds the brain and its tissues in images of any contrast, roughly; None for a recipe of one look. It
        may have another shape.
    """

    segment: GroupNet
    locate: GroupNet | None = None

    @property
    def by_role(self) -> dict[str, GroupNet]:
        """Return the networks that there are, by the prefix of their tensors."""
        both = {"segment": self.segment, "locate": self.locate}
        return {role: network for role, network in both.items() if network is not None}


def save_weights(
    networks: Networks, info: ModelInfo, path: Path | str, *, dtype: torch.dtype = torch.float16
) -> None:
    """Write weights, in half precision if not told otherwise; the file appears whole or not at all."""
    tensors = {
        f"{role}.{name}": t.detach().to(dtype).contiguous()
        for role, network in networks.by_role.items()
        for name, t in network.state_dict().items()
    }
    recipe = next(name for name, kind in RECIPES.items() if isinstance(info.preprocessing, kind))
    metadata = {
        "format": FORMAT,
        "labels": json.dumps(info.labels),
        "network": json.dumps(asdict(info.network)),
        "recipe": recipe,
        "preprocessing": json.dumps(asdict(info.preprocessing)),
        "provenance": json.dumps(info.provenance),
        "checksum": checksum(tensors),
    }
    if networks.locate and networks.locate.config != info.network:
        metadata["locate_network"] = json.dumps(asdict(networks.locate.config))
    with appearing(path) as partial:
        partial.write_bytes(save(tensors, metadata))  # save_file would keep it from other users.


def load_weights(path: Path | str) -> tuple[Networks, ModelInfo]:
    """Read weights and build their networks, in evaluation mode and float32.

    Raises
    ------
    UnusableData
        If the file is missing, not ours, damaged, or does not fit the network that it names.
    """
    path = existing_file(path)
    metadata, tensors = read_tensors(path, form=FORMAT, advice=ADVICE)
    info = _info(metadata, path)
    locate = _locate(metadata, info, path)
    networks = Networks(GroupNet(info.network), locate)
    wanted = {
        f"{role}.{name}": tuple(t.shape)
        for role, network in networks.by_role.items()
        for name, t in network.state_dict().items()
    }
    check_tensors(tensors, wanted, path)
    for role, network in networks.by_role.items():
        own = {n.removeprefix(f"{role}."): t.float() for n, t in tensors.items() if n.startswith(f"{role}.")}
        network.load_state_dict(own)
        network.eval()
    return networks, info


def read_tensors(path: Path, *, form: str, advice: str) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Read metadata and tensors of a safetensors file of a given format, and check that they are whole.

    Raises
    ------
    UnusableData
        If the file is not safetensors, of another format, or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
    except (SafetensorError, OSError) as problem:
        raise UnusableData(str(path), f"is not a safetensors file ({problem})", advice) from problem
    if metadata.get("format") != form:
        raise UnusableData(str(path), f"has format {metadata.get('format')!r}, not {form!r}", advice)
    if checksum(tensors) != metadata.get("checksum"):
        raise UnusableData(str(path), "is damaged: its checksum differs", "copy the file again")
    return metadata, tensors


def existing_file(path: Path | str) -> Path:
    """Return the path of a weights file, which has to be there."""
    path = Path(path)
    if not path.is_file():
        raise UnusableData(str(path), "no such weights file", "correct its path")
    return path


def _locate(metadata: dict[str, str], info: ModelInfo, path: Path) -> GroupNet | None:
    """Network of the first look, of the shape of the other one if nothing else is said."""
    if not isinstance(info.preprocessing, Preprocessing):
        return None
    with _understood(path):
        shape = metadata.get("locate_network")
        return GroupNet(GroupNetConfig.from_dict(json.loads(shape)) if shape else info.network)


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError) as problem:
        what = f"its metadata cannot be understood ({type(problem).__name__}: {problem})"
        raise UnusableData(
            str(path), what, "get the file again, or a newer version of this program"
        ) from None


def _info(metadata: dict[str, str], path: Path) -> ModelInfo:
    with _understood(path):
        return ModelInfo(
            labels=tuple(json.loads(metadata["labels"])),
            network=GroupNetConfig.from_dict(json.loads(metadata["network"])),
            preprocessing=RECIPES[metadata.get("recipe", TWO_LOOKS)](**json.loads(metadata["preprocessing"])),
            provenance=json.loads(metadata["provenance"]),
            checksum=metadata["checksum"],
        )


def check_tensors(
    tensors: dict[str, torch.Tensor], wanted: dict[str, tuple[int, ...]], path: Path, *, advice: str = ADVICE
) -> None:
    """Name the tensors that are missing, unknown, of another shape, or do not hold finite real numbers.

    Parameters
    ----------
    tensors : dict of str to Tensor
        What a file holds.
    wanted : dict of str to tuple of int
        Shape of every tensor of the network.
    path : Path
        File, for the message.
    advice : str
        What the user can do.

    Raises
    ------
    UnusableData
        If there is any such tensor; the first ones are named.
    """
    found = {name: tuple(t.shape) for name, t in tensors.items()}
    problems = [f"{name} is missing" for name in wanted.keys() - found.keys()]
    problems += [f"{name} is unknown" for name in found.keys() - wanted.keys()]
    for name in wanted.keys() & found.keys():
        if wanted[name] != found[name]:
            problems.append(f"{name} has shape {found[name]}, not {wanted[name]}")
        elif not _finite(tensors[name]):
            problems.append(f"{name} holds values that are not finite real numbers")
    if problems:
        named = "; ".join(sorted(problems)[:MOST_PROBLEMS_NAMED])
        more = len(problems) - MOST_PROBLEMS_NAMED
        named += f"; and {more} more" if more > 0 else ""
        raise UnusableData(str(path), f"does not fit the network: {named}", advice)


def _finite(tensor: torch.Tensor) -> bool:
    dense = tensor.layout is torch.strided and tensor.is_floating_point()
    return dense and bool(tensor.isfinite().all())


def checksum(tensors: dict[str, torch.Tensor]) -> str:
    """SHA-256 over names and bytes of all tensors."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()
