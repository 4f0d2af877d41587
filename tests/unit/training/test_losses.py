"""The loss in closed form equals what autograd makes of its definition."""

import pytest
import torch
from torch.nn import functional as F

from babyseg_py.training.losses import SMOOTHING, cross_entropy_dice, hard_dice, soft_dice


def dice_by_autograd(logits: torch.Tensor, target: torch.Tensor, smoothing: float) -> torch.Tensor:
    p = logits.softmax(dim=1)
    y = F.one_hot(target, logits.shape[1]).movedim(-1, 1).to(p.dtype)
    axes = (0, 2, 3, 4)
    numerator = 2 * (p * y).sum(axes) + smoothing
    denominator = (p * p).sum(axes) + y.sum(axes) + smoothing
    present = y.sum(axes) > 0
    return (1 - numerator / denominator)[present].mean()


def both_by_autograd(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits, target) + dice_by_autograd(logits, target, SMOOTHING)


@pytest.mark.parametrize(
    ("loss", "reference"),
    [(cross_entropy_dice, both_by_autograd), (soft_dice, lambda x, y: dice_by_autograd(x, y, 0.0))],
)
def test_value_and_gradient(loss, reference, rng) -> None:
    """Loss and gradient agree, an absent class included."""
    logits = torch.from_numpy(rng.normal(size=(2, 5, 4, 6, 3))).float().requires_grad_()
    target = torch.from_numpy(rng.integers(0, 4, size=(2, 4, 6, 3)))
    ours = loss(logits, target)
    (3 * ours).backward()
    gradient, logits.grad = logits.grad, None
    theirs = reference(logits, target)
    (3 * theirs).backward()
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    assert torch.allclose(gradient, logits.grad, atol=1e-6)


def test_hard_dice_by_hand() -> None:
    """Half overlap is one half, absence in both is NaN."""
    dice = hard_dice(torch.tensor([1, 1, 0, 0]), torch.tensor([0, 1, 1, 0]), 3)
    assert dice[:2].tolist() == [0.5, 0.5]
    assert dice[2].isnan()


def test_published_dice_by_hand() -> None:
    """Two voxels, one certain and right, one undecided: 1 - 2·1.5/(1.25+2); one class is absent."""
    logits = torch.tensor([[100.0, 0.0], [-100.0, 0.0]])[None, :, :, None, None]
    target = torch.zeros(1, 2, 1, 1, dtype=torch.int64)
    assert soft_dice(logits, target).item() == pytest.approx(1 - 3 / 3.25, abs=1e-5)
