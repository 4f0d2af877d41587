"""Weights files: written whole, read exactly, refused with a reason."""

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from babyseg_py.errors import UnusableData
from babyseg_py.models.groupnet import GroupNet, GroupNetConfig
from babyseg_py.models.weights import (
    FORMAT,
    ModelInfo,
    Networks,
    Preprocessing,
    checksum,
    load_weights,
    save_weights,
)

CONFIG = GroupNetConfig(3, (2, 4), (4, 4), (3,), norm=True, shared=True)


@pytest.fixture
def saved(tmp_path):
    net = Networks(GroupNet(CONFIG), GroupNet(CONFIG))
    path = tmp_path / "w.safetensors"
    save_weights(net, ModelInfo((0, 2, 41), CONFIG, Preprocessing(brain_voxels=33.0), {"data": "none"}), path)
    return net, path


def test_round_trip(saved) -> None:
    """Tensors come back in half precision, metadata as it was."""
    net, path = saved
    again, info = load_weights(path)
    assert info.labels == (0, 2, 41)
    assert info.network == CONFIG
    assert info.preprocessing.brain_voxels == 33.0
    for ours, theirs in ((net.segment, again.segment), (net.locate, again.locate)):
        for name, tensor in ours.state_dict().items():
            assert torch.equal(theirs.state_dict()[name], tensor.half().float())


def test_missing_file() -> None:
    """A wrong path is named."""
    with pytest.raises(UnusableData, match=r"nowhere\.safetensors: no such weights file"):
        load_weights("nowhere.safetensors")


def test_text_is_not_weights(tmp_path) -> None:
    """A file that is not safetensors is refused."""
    path = tmp_path / "w.safetensors"
    path.write_text("no weights")
    with pytest.raises(UnusableData, match="is not a safetensors file"):
        load_weights(path)


def test_changed_byte_is_noticed(saved) -> None:
    """The checksum covers every tensor."""
    _, path = saved
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UnusableData, match="damaged"):
        load_weights(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("segment.enc.0.0.conv_b.bias"), r"segment\.enc\.0\.0\.conv_b\.bias is missing"),
        (lambda t: t.update(extra=torch.zeros(1)), "extra is unknown"),
        (lambda t: t.update({"locate.enc.0.0.conv_b.bias": torch.zeros(7)}), r"has shape \(7,\), not \(2,\)"),
    ],
)
def test_tensors_that_do_not_fit_are_named(saved, change, message) -> None:
    """A missing, extra or wrong tensor is named."""
    _, path = saved
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    change(tensors)
    save_file(tensors, path, {**metadata, "format": FORMAT, "checksum": checksum(tensors)})
    with pytest.raises(UnusableData, match=message):
        load_weights(path)
