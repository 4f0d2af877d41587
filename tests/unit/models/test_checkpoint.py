"""Checkpoints in the published format: every tensor checked, nothing run, nothing lost on the way to ours."""

import pickle
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from babyseg_py.cli import main
from babyseg_py.errors import UnusableData
from babyseg_py.labels import LABELS
from babyseg_py.models.checkpoint import load_networks, read_checkpoint
from babyseg_py.models.groupnet import GroupNet, GroupNetConfig
from babyseg_py.models.weights import FixedGrid, load_weights

NARROW = GroupNetConfig(len(LABELS), (1, 2), (2, 2))
NARROW_WORDS = ["--encoder", "1", "2", "--decoder", "2", "2"]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
ENV = {"os.environ": {"TOKEN": "secret"}, "hostname": "gpu-7", "git-rev-parse": {"babyseg": COMMIT}}


@cache
def published_state() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return GroupNet(GroupNetConfig()).state_dict()


def write_checkpoint(path: Path, config: GroupNetConfig, change=lambda state: None) -> Path:
    full = config == GroupNetConfig()
    state = dict(published_state() if full else GroupNet(config).state_dict())
    change(state)
    torch.save({"model": state, "env": ENV}, path)
    return path


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """Return a checkpoint of the full published shape."""
    return write_checkpoint(tmp_path_factory.mktemp("published") / "babyseg.pt", GroupNetConfig())


@pytest.fixture(scope="module")
def converted(published) -> Path:
    """Return what `babyseg convert` makes of it."""
    path = published.with_name("w.safetensors")
    assert main(["convert", str(published), "-o", str(path)]) == 0
    return path


def test_full_shape_is_read_and_converted_without_loss(published, converted) -> None:
    """The checkpoint and what `babyseg convert` makes of it are one network, bit for bit."""
    networks, info = load_networks(published)
    again, info_again = load_networks(converted)
    assert sum(t.numel() for t in networks.segment.parameters()) == 5_834_432
    assert networks.locate is None
    assert again.locate is None
    assert info == info_again
    assert info.preprocessing == FixedGrid()
    assert info.labels == LABELS
    state = torch.load(published, weights_only=True)["model"]
    for name, tensor in again.segment.state_dict().items():
        assert torch.equal(tensor, state[name])


def test_nothing_of_the_environment_is_kept_but_the_commit(converted) -> None:
    """A checkpoint holds the whole environment of the machine that made it, which is nobody's business."""
    content = converted.read_bytes()
    assert b"secret" not in content
    assert b"gpu-7" not in content
    with safe_open(converted, "pt") as file:
        assert COMMIT in file.metadata()["provenance"]


def cut(state) -> None:
    state["dec.1.0.conv_b.weight"] = state["dec.1.0.conv_b.weight"][:, :64]


def rename(state) -> None:
    state["add.0.conv.weight"] = state.pop("add.0.conv_b.weight")


def spoil(state) -> None:
    state["enc.3.2.conv_m.bias"] = torch.full((64,), torch.nan)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cut, r"dec\.1\.0\.conv_b\.weight has shape \(64, 64, 3, 3, 3\), not \(64, 128, 3, 3, 3\)"),
        (rename, r"add\.0\.conv\.weight is unknown; add\.0\.conv_b\.weight is missing"),
        (lambda s: s.pop("enc.0.0.conv_m.bias"), r"enc\.0\.0\.conv_m\.bias is missing"),
        (lambda s: s.update({"enc.6.0.conv_b.bias": torch.ones(64)}), r"enc\.6\.0\.conv_b\.bias is unknown"),
        (spoil, r"enc\.3\.2\.conv_m\.bias holds values that are not finite"),
        (
            lambda s: s.update({"add.0.conv_m.bias": torch.ones(22, dtype=torch.int64)}),
            r"add\.0\.conv_m\.bias",
        ),
        (
            lambda s: s.update({"add.0.conv_b.bias": torch.ones(22).to_sparse()}),
            r"add\.0\.conv_b\.bias holds values",
        ),
        (lambda s: s.update({"enc.0.0.conv_b.bias": 3}), r"enc\.0\.0\.conv_b\.bias is not a tensor"),
        (lambda s: [s.pop(name) for name in list(s)[:9]], "and 4 more"),
    ],
)
def test_tensors_that_do_not_fit_are_named(tmp_path, change, message) -> None:
    path = write_checkpoint(tmp_path / "c.pt", GroupNetConfig(), change)
    with pytest.raises(UnusableData, match=message):
        load_networks(path)


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_code_in_a_checkpoint_is_never_run(tmp_path) -> None:
    mark = tmp_path / "run"
    torch.save({"model": {}, "env": Trap(mark)}, tmp_path / "zip.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps({"model": Trap(mark)}, protocol=2))
    for name in ("zip.pt", "plain.pt"):
        with pytest.raises(UnusableData, match=name):
            load_networks(tmp_path / name)
    assert not mark.exists()


def test_damaged_and_foreign_files_are_refused(published, tmp_path) -> None:
    short = tmp_path / "short.pt"
    short.write_bytes(published.read_bytes()[:1_000_000])
    with pytest.raises(UnusableData, match=r"short\.pt: cannot be read as a checkpoint"):
        load_networks(short)
    flipped = bytearray(published.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    (tmp_path / "flipped.pt").write_bytes(flipped)
    with pytest.raises(UnusableData, match=r"flipped\.pt: is damaged"):
        load_networks(tmp_path / "flipped.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(UnusableData, match="no state dict under 'model'"):
        load_networks(tmp_path / "list.pt")
    with pytest.raises(UnusableData, match="no such weights file"):
        load_networks(tmp_path / "gone.pt")


def test_another_shape_has_to_be_said(tmp_path, capsys) -> None:
    path, target = write_checkpoint(tmp_path / "narrow.pt", NARROW), tmp_path / "w.safetensors"
    assert main(["convert", str(path), "-o", str(target)]) == 65
    assert "add.0.conv_b.weight has shape (22, 3, 3, 3, 3), not (22, 65, 3, 3, 3)" in capsys.readouterr().err
    assert main(["convert", str(path), "-o", str(target), "--encoder", "1", "2"]) == 2
    assert not target.exists()
    assert main(["convert", str(path), "-o", str(target), *NARROW_WORDS]) == 0
    assert load_weights(target)[1].network == NARROW
    assert main(["convert", str(path), "-o", str(target), *NARROW_WORDS]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["convert", str(path), "-o", str(target), *NARROW_WORDS, "--force"]) == 0
    assert main(["convert", str(target), "-o", str(target), "--force"]) == 2
    assert main(["convert", str(target), "-o", str(tmp_path / "again.safetensors")]) == 65


@pytest.mark.parametrize("case", ["one_scan", "three_scans"])
def test_converted_weights_reproduce_the_published_posteriors(case, shared_data, tmp_path) -> None:
    """From the published state dict through our file format to the published output."""
    golden = np.load(shared_data.parent / "golden" / "groupnet.npz")
    prefix = f"{case}/state/"
    state = {k.removeprefix(prefix): torch.from_numpy(golden[k]) for k in golden if k.startswith(prefix)}
    torch.save({"model": state, "env": {}}, tmp_path / "c.pt")
    words = [
        "--encoder",
        "1",
        "8",
        "8",
        "8",
        "--decoder",
        "8",
        "8",
        "8",
        "8",
        "--labels",
        "0",
        "2",
        "3",
        "4",
        "8",
    ]
    assert main(["convert", str(tmp_path / "c.pt"), "-o", str(tmp_path / "w.safetensors"), *words]) == 0
    networks, _ = load_weights(tmp_path / "w.safetensors")
    images = torch.from_numpy(golden[f"{case}/images"])
    low, high = (images.flatten(1).quantile(q, dim=1)[:, None, None, None] for q in (0.01, 0.99))
    with torch.inference_mode():
        scores = networks.segment(((images.clamp(low, high) - low) / (high - low))[None])
    assert np.abs(scores[0].softmax(dim=0).numpy() - golden[f"{case}/posteriors"]).max() <= 1e-4


def test_labels_are_told_to_the_reader(tmp_path) -> None:
    path = write_checkpoint(tmp_path / "c.pt", GroupNetConfig(2, (1, 2), (2, 2)))
    _, info = read_checkpoint(path, network=GroupNetConfig(2, (1, 2), (2, 2)), labels=(0, 16))
    assert info.labels == (0, 16)
