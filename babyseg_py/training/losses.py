"""Cross-entropy plus soft Dice with the gradient in closed form."""

import torch
from torch import Tensor

SMOOTHING = 10.0  # voxels


class _CrossEntropyDice(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits: Tensor, target: Tensor) -> Tensor:  # type: ignore[override]
        classes = logits.shape[1]
        rows = logits.movedim(1, -1).reshape(-1, classes).float()
        index = target.reshape(-1, 1).long()
        p = torch.softmax(rows, dim=1)
        own = p.gather(1, index)
        cross_entropy = -own.clamp_min(1e-12).log().mean()

        size = torch.bincount(index[:, 0], minlength=classes).to(p.dtype)
        overlap = torch.zeros(classes, dtype=p.dtype, device=p.device).index_add_(0, index[:, 0], own[:, 0])
        numerator = 2 * overlap + SMOOTHING
        denominator = (p * p).sum(dim=0) + size + SMOOTHING
        present = size > 0
        share = present / present.sum()
        dice_loss = (share * (1 - numerator / denominator)).sum()

        # dL/dp of Dice is a * p + b at the own class; the softmax then projects it.
        a = share * 2 * numerator / denominator**2
        b = (-share * 2 / denominator)[index]
        dp = p * a
        dp.scatter_add_(1, index, b)
        grad = p * (dp - (p * dp).sum(dim=1, keepdim=True))
        grad.add_(p, alpha=1 / len(p))
        grad.scatter_add_(1, index, torch.full_like(own, -1 / len(p)))
        ctx.grad = grad.to(logits.dtype).reshape(*target.shape, classes).movedim(-1, 1)
        return cross_entropy + dice_loss

    @staticmethod
    def backward(ctx, scale: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return ctx.grad * scale, None


def cross_entropy_dice(logits: Tensor, target: Tensor, /) -> Tensor:
    """Cross-entropy plus one minus soft Dice, 2 Σxy / (Σx² + Σy²), averaged over the classes present.

    Parameters
    ----------
    logits : (B, C, I, J, K) Tensor
        Class scores before softmax.
    target : (B, I, J, K) Tensor of integers
        Class of each voxel.

    Returns
    -------
    () Tensor
        The loss; its gradient is computed in closed form, which saves memory and time on CPUs.
    """
    return _CrossEntropyDice.apply(logits, target)


def hard_dice(predicted: Tensor, target: Tensor, /, classes: int) -> Tensor:
    """Dice of each class, (C,), NaN for one that neither map holds."""
    a = torch.bincount(predicted.flatten().long(), minlength=classes)
    b = torch.bincount(target.flatten().long(), minlength=classes)
    both = torch.bincount(target.flatten().long()[(predicted == target).flatten()], minlength=classes)
    return 2 * both / (a + b)
