"""The group network: equal to the published one, and indifferent to the order of scans."""

import numpy as np
import pytest
import torch

from babyseg_py.models.groupnet import GroupNet, GroupNetConfig

SMALL = GroupNetConfig(classes=3, encoder=(2, 4), decoder=(4, 4), head=(3,), norm=True, shared=True)
GOLDEN = {
    "one_scan": GroupNetConfig(5, (1, 8, 8, 8), (8,) * 4),
    "three_scans": GroupNetConfig(5, (1, 8, 8, 8), (8,) * 4),
    "deep_two_scans": GroupNetConfig(4, (1, 6, 6, 6, 6, 6), (6,) * 6),
}


def network(config: GroupNetConfig) -> GroupNet:
    torch.manual_seed(3)
    return GroupNet(config).eval()


def normalise(image: torch.Tensor) -> torch.Tensor:
    low, high = torch.quantile(image.flatten(), torch.tensor([0.01, 0.99]))
    image = image.clamp(low, high) - low
    return image / image.max()


@pytest.mark.parametrize("case", GOLDEN)
def test_equals_the_published_network(case: str, shared_data) -> None:
    """Posteriors agree with those of the published code, through its own tensor names."""
    golden = np.load(shared_data.parent / "golden" / "groupnet.npz")
    state = {
        k.removeprefix(f"{case}/state/"): torch.from_numpy(golden[k]) for k in golden if f"{case}/state/" in k
    }
    net = GroupNet(GOLDEN[case]).eval()
    net.load_state_dict(state)
    images = torch.stack([normalise(torch.from_numpy(image)) for image in golden[f"{case}/images"]])
    with torch.inference_mode():
        posteriors = net(images[None])[0].softmax(dim=0).numpy()
    step = 2 if case.startswith("deep") else 1
    assert np.abs(posteriors[:, ::step, ::step, ::step] - golden[f"{case}/posteriors"]).max() <= 1e-4


def test_has_the_published_tensors(shared_data) -> None:
    """Names and shapes of the full published network are ours."""
    lines = (shared_data.parent / "golden" / "groupnet_full_state.tsv").read_text().splitlines()[1:]
    published = dict(line.split("\t") for line in lines)
    ours = {name: "x".join(map(str, t.shape)) for name, t in GroupNet(GroupNetConfig()).state_dict().items()}
    assert ours == published


@pytest.mark.parametrize("shared", [True, False])
def test_order_of_scans_does_not_matter(shared: bool) -> None:
    """Permuting the scans of a visit changes nothing but rounding."""
    net = network(GroupNetConfig(3, (2, 4), (4, 4), (3,), norm=True, shared=shared))
    images = torch.rand(1, 3, 8, 12, 4)
    with torch.inference_mode():
        assert torch.allclose(net(images), net(images[:, [2, 0, 1]]), atol=1e-5)


@pytest.mark.parametrize("shared", [True, False])
def test_equal_scans_count_as_one(shared: bool) -> None:
    """A scan given three times gives what it gives once."""
    net = network(GroupNetConfig(3, (2, 4), (4, 4), (3,), norm=True, shared=shared))
    image = torch.rand(1, 1, 8, 12, 4)
    with torch.inference_mode():
        assert torch.allclose(net(image), net(image.expand(-1, 3, -1, -1, -1)), atol=1e-5)


def test_visits_of_a_batch_do_not_mix() -> None:
    """Each visit of a batch gives what it gives alone."""
    net = network(SMALL)
    images = torch.rand(2, 2, 8, 4, 4)
    with torch.inference_mode():
        together = net(images)
        assert torch.allclose(together[:1], net(images[:1]), atol=1e-5)
        assert torch.allclose(together[1:], net(images[1:]), atol=1e-5)


def test_grid_that_pooling_would_cut_is_refused() -> None:
    """A side that is not a multiple of the pooling is an error, not a crop."""
    with pytest.raises(ValueError, match="not a multiple of 4"):
        network(SMALL)(torch.rand(1, 1, 8, 6, 8))


def test_levels_must_match() -> None:
    """As many decoder as encoder levels."""
    with pytest.raises(ValueError, match="levels differ"):
        GroupNetConfig(3, (2, 4), (4,))
