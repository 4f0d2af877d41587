"""The loss in closed form equals what autograd makes of its definition."""

import pytest
import torch
from torch.nn import functional as F

from babyseg_py.training.losses import SMOOTHING, cross_entropy_dice, hard_dice


def reference(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    p = logits.softmax(dim=1)
    y = F.one_hot(target, logits.shape[1]).movedim(-1, 1).to(p.dtype)
    axes = (0, 2, 3, 4)
    numerator = 2 * (p * y).sum(axes) + SMOOTHING
    denominator = (p * p).sum(axes) + y.sum(axes) + SMOOTHING
    present = y.sum(axes) > 0
    return F.cross_entropy(logits, target) + (1 - numerator / denominator)[present].mean()


def test_value_and_gradient(rng) -> None:
    """Loss and gradient agree, an absent class included."""
    logits = torch.from_numpy(rng.normal(size=(2, 5, 4, 6, 3))).float().requires_grad_()
    target = torch.from_numpy(rng.integers(0, 4, size=(2, 4, 6, 3)))
    ours = cross_entropy_dice(logits, target)
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
