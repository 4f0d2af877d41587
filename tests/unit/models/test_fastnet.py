"""The network made ready for inference: equal to the plain one, whatever the slabs."""

import importlib.util

import pytest
import torch
from torch.nn import functional as F

from babyseg_py.models.fastnet import prepare, run
from babyseg_py.models.groupconv import Kernels, convolve, group_inputs, group_outputs
from babyseg_py.models.groupnet import GroupNet, GroupNetConfig
from babyseg_py.models.upsampled import phases, scores_of_rows, shuffled_kernels, upsampled_conv

PUBLISHED = GroupNetConfig(5, (1, 8, 8), (8, 6, 8))
WIDE = GroupNetConfig(4, (2, 6), (6, 5))
OURS = GroupNetConfig(3, (2, 4), (4, 4), (3,), norm=True, shared=True)
HEAD = GroupNetConfig(3, (1, 4, 5), (4, 6, 4), (5,))
ONE_LEVEL = GroupNetConfig(3, (4,), (5,))
GRID = (16, 24, 8)


@pytest.fixture(autouse=True)
def one_thread():
    """Small maps are faster on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def network(config: GroupNetConfig) -> GroupNet:
    torch.manual_seed(3)
    return GroupNet(config).eval()


def images(scans: int) -> torch.Tensor:
    return torch.rand((scans, *GRID), generator=torch.Generator().manual_seed(5))


def fast(net: GroupNet, x: torch.Tensor, dtype: torch.dtype = torch.float32, **options) -> torch.Tensor:
    return run(prepare(net, dtype), x, **options)


@torch.inference_mode()
def by_module(net: GroupNet, x: torch.Tensor) -> torch.Tensor:
    return net(x[None])[0].softmax(dim=0)


@pytest.mark.parametrize("scans", [1, 3])
def test_equals_the_plain_network(scans: int, root) -> None:
    """The published network, written without any of its shortcuts, gives the same posteriors."""
    spec = importlib.util.spec_from_file_location("plain", root / "benchmarks" / "plain_groupnet.py")
    plain = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plain)
    net, x = network(PUBLISHED), images(scans)
    assert torch.allclose(fast(net, x), plain.plain_posteriors(net, x), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("scans", [1, 2, 4])
@pytest.mark.parametrize("config", [PUBLISHED, WIDE, OURS, HEAD, ONE_LEVEL])
def test_equals_the_trained_module(config: GroupNetConfig, scans: int) -> None:
    """Any shape of network gives what the module gives that was trained."""
    net, x = network(config), images(scans)
    assert torch.allclose(fast(net, x), by_module(net, x), rtol=1e-5, atol=5e-6)


@pytest.mark.parametrize("rows", [1, 3, 50])
@pytest.mark.parametrize("scans", [1, 3])
def test_slabs_of_any_thickness_give_the_same(rows: int, scans: int) -> None:
    """Neither the thickness of the slabs nor computing the skips anew changes the posteriors."""
    net, x = network(PUBLISHED), images(scans)
    expected = fast(net, x)
    for keep in (True, False):
        assert torch.allclose(fast(net, x, rows=rows, keep_skips=keep), expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scans", [1, 3])
def test_scans_one_after_the_other_give_the_same_bits(scans: int, dtype: torch.dtype) -> None:
    """A network that normalises need not keep the first level's maps of more than one scan."""
    net, x = network(OURS), images(scans)
    assert torch.equal(fast(net, x, dtype, keep_skips=False), fast(net, x, dtype))


def test_scans_one_after_the_other_through_two_branches() -> None:
    """With kernels of their own for scan and mean, it is the same but for rounding."""
    net, x = network(GroupNetConfig(3, (2, 4), (4, 4), (3,), norm=True)), images(3)
    assert torch.allclose(fast(net, x, keep_skips=False), fast(net, x), rtol=1e-5, atol=5e-6)


def test_bfloat16_gives_nearly_the_same_labels() -> None:
    """Labels of scores that differ clearly are those of float32."""
    net, x = network(PUBLISHED), images(3)
    expected = fast(net, x)
    found = fast(net, x, torch.bfloat16)
    assert found.dtype == torch.float32
    first, second = expected.topk(2, dim=0).values
    clear = first - second > 2e-3
    assert clear.float().mean() > 0.5
    assert torch.equal(found.argmax(dim=0)[clear], expected.argmax(dim=0)[clear])


@pytest.mark.parametrize("config", [PUBLISHED, OURS])
def test_images_and_weights_are_left_alone(config: GroupNetConfig) -> None:
    """What is done in place is done on copies: the same images give the same twice; training may go on."""
    net, x = network(config), images(3)
    before, weights = x.clone(), [p.detach().clone() for p in net.parameters()]
    first = fast(net, x)
    assert torch.equal(x, before)
    assert torch.equal(fast(net, x), first)
    assert all(torch.equal(p, w) and p.requires_grad for p, w in zip(net.parameters(), weights, strict=True))
    net(x[None]).sum().backward()


def test_grid_that_pooling_would_cut_is_refused() -> None:
    """A side that is not a multiple of the pooling is an error, not a crop."""
    with pytest.raises(ValueError, match="not a multiple of 8"):
        fast(network(PUBLISHED), torch.rand(1, 8, 12, 8))


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("scans", [1, 2, 5])
def test_group_of_identity_kernels(scans: int, shared: bool) -> None:
    """As many convolutions as scans give each scan's maps halfway to the mean, in the scans' order."""
    identity = torch.zeros(1, 1, 3, 3, 3)
    identity[..., 1, 1, 1] = 1
    kernels = Kernels(identity, torch.zeros(1), None if shared else identity / 2)
    maps = [torch.full((1, 1, 1, 1, 1), float(g)) for g in range(scans)]
    inputs = group_inputs(maps, kernels)
    assert len(inputs) == scans
    results = [convolve(x, kernels, first=n == 0, padding=(1, 1, 1)) for n, x in enumerate(inputs)]
    found = [float(y) for y in group_outputs(results, kernels)]
    assert found == pytest.approx([(g + (scans - 1) / 2) / 2 for g in range(scans)])


@pytest.mark.parametrize(("skips", "coarse", "outputs"), [(1, 5, 3), (2, 3, 2)])
def test_upsampling_is_composed_exactly(skips: int, coarse: int, outputs: int) -> None:
    """Upsampling, concatenation and convolution in one equal the three, at faces, edges and corners too."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, coarse, 2, 5, 3, generator=generator)
    skip = torch.randn(1, skips, 4, 10, 6, generator=generator)
    weight = torch.randn(outputs, skips + coarse, 3, 3, 3, generator=generator)
    bias = torch.randn(outputs, generator=generator)
    up = F.interpolate(x, scale_factor=2, mode="trilinear", align_corners=False)
    expected = F.conv3d(torch.cat((skip, up), dim=1), weight, bias, padding=1)
    padded = F.pad(torch.cat((phases(skip), x), dim=1), (0, 0, 0, 0, 1, 1))
    conv = upsampled_conv(weight, bias, skips, torch.float32)
    found = scores_of_rows(padded, conv, first=True, last=True)
    assert torch.allclose(found, phases(expected), atol=1e-5)


def test_kernels_of_phases() -> None:
    """Convolving the eight phases equals the phases of what is convolved."""
    x = torch.rand(1, 2, 4, 6, 8)
    weight, bias = torch.rand(3, 2, 3, 3, 3), torch.rand(3)
    shuffled = shuffled_kernels(Kernels(weight, bias, weight / 2))
    expected = phases(F.conv3d(x, weight, bias, padding=1))
    found = F.conv3d(phases(x), shuffled.merged, shuffled.bias, padding=1)
    assert torch.allclose(found, expected, atol=1e-5)
