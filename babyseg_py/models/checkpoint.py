"""Checkpoints in the published BabySeg format: read without running code, checked tensor by tensor.

Such a file is a ``torch.save`` of ``{'model': state_dict, 'env': …}``. Channel order and preprocessing are
not in it: they are those of the publication (Hoffmann, Zöllei, Dalca 2025). Of ``env``, which holds the
machine's whole environment, only the commits of the code are kept.
"""

import hashlib
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from babyseg_py.errors import UnusableData
from babyseg_py.labels import LABELS
from babyseg_py.models.groupnet import GroupNet, GroupNetConfig
from babyseg_py.models.weights import (
    FixedGrid,
    ModelInfo,
    Networks,
    check_tensors,
    checksum,
    existing_file,
    load_weights,
)

PUBLISHED = GroupNetConfig()
ADVICE = "give a checkpoint of the published network, or convert another shape with `babyseg convert`"
STARTS = (b"PK\x03\x04", b"\x80\x02")  # zip archive, and the older plain pickle
COMMIT = re.compile(r"[0-9a-f]{7,40}")


def load_networks(path: Path | str) -> tuple[Networks, ModelInfo]:
    """Read weights of either format, told apart by content.

    Raises
    ------
    UnusableData
        As `load_weights` and `read_checkpoint`.
    """
    return read_checkpoint(path) if is_checkpoint(path) else load_weights(path)


def is_checkpoint(path: Path | str) -> bool:
    """Whether a file begins as ``torch.save`` writes it."""
    with existing_file(path).open("rb") as file:
        return file.read(4).startswith(STARTS)


def read_checkpoint(
    path: Path | str, *, network: GroupNetConfig = PUBLISHED, labels: tuple[int, ...] = LABELS
) -> tuple[Networks, ModelInfo]:
    """Read a checkpoint in the published format.

    Parameters
    ----------
    path : Path or str
        File.
    network : GroupNetConfig
        Shape that its tensors must have; the published one if not given.
    labels : tuple of int
        Label number of each output channel, background first.

    Returns
    -------
    Networks
        One network in float32 and evaluation mode.
    ModelInfo
        With the preprocessing of the publication.

    Raises
    ------
    UnusableData
        If the file is missing, damaged, holds more than tensors and plain values, or if any tensor is
        missing, unknown, of another shape or not finite; such tensors are named.
    """
    path = existing_file(path)
    content = _content(path)
    with torch.device("meta"):  # Shapes without memory.
        model = GroupNet(network)
    wanted = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    state = _state(content, path)
    check_tensors(state, wanted, path, advice=ADVICE)
    model.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    provenance = {"checkpoint": path.name, "checkpoint_sha256": digest, **_commits(content)}
    weights = checksum({f"segment.{name}": tensor for name, tensor in model.state_dict().items()})
    return Networks(model.eval()), ModelInfo(labels, network, FixedGrid(), provenance, weights)


def _content(path: Path) -> Any:
    try:
        if zipfile.is_zipfile(path):  # torch does not look at the checksums of its archives
            with zipfile.ZipFile(path) as archive:
                if damaged := archive.testzip():
                    raise UnusableData(str(path), f"is damaged ({damaged})", "copy the file again")
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        what = "is damaged, or holds more than tensors and plain values, and was not opened"
        raise UnusableData(str(path), what, ADVICE) from None
    except (
        zipfile.BadZipFile,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as problem:
        reason = " ".join(str(problem).split())[:120]
        raise UnusableData(
            str(path), f"cannot be read as a checkpoint ({reason})", "copy the file again"
        ) from None


def _state(content: Any, path: Path) -> dict[str, Tensor]:
    state = content.get("model") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping):
        raise UnusableData(str(path), "holds no state dict under 'model'", ADVICE)
    odd = [str(name) for name, value in state.items() if not isinstance(value, Tensor)]
    if odd:
        raise UnusableData(str(path), f"{odd[0]} is not a tensor", ADVICE)
    return {str(name): tensor for name, tensor in state.items()}


def _commits(content: Mapping[str, Any]) -> dict[str, str]:
    """Read the commits of the code that made a checkpoint, as far as it names them."""
    env = content.get("env")
    commits = env.get("git-rev-parse") if isinstance(env, Mapping) else None
    if not isinstance(commits, Mapping):
        return {}
    return {f"commit_{name}": str(c) for name, c in commits.items() if COMMIT.fullmatch(str(c))}
