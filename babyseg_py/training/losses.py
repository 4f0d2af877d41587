"""Soft Dice, alone or with cross-entropy, with the gradient in closed form."""

from collections.abc import Callable

import torch
from torch import Tensor

SMOOTHING = 10.0  # voxels
IGNORED = 255  # in a target: a voxel that is not learned from
_TINY = 1e-6  # voxels; keeps the published form finite


class _DiceLoss(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx, logits: Tensor, target: Tensor, smoothing: float, weight: float
    ) -> Tensor:
        classes = logits.shape[1]
        rows = logits.movedim(1, -1).reshape(-1, classes).float()
        index = target.reshape(-1, 1).long()
        p = torch.softmax(rows, dim=1)
        own = p.gather(1, index)
        cross_entropy = -own.clamp_min(1e-12).log().mean()

        size = torch.bincount(index[:, 0], minlength=classes).to(p.dtype)
        overlap = torch.zeros(classes, dtype=p.dtype, device=p.device).index_add_(0, index[:, 0], own[:, 0])
        numerator = 2 * overlap + smoothing
        denominator = (p * p).sum(dim=0) + size + smoothing
        present = size > 0
        share = present / present.sum()
        dice_loss = (share * (1 - numerator / denominator)).sum()

        # dL/dp of Dice is a * p + b at the own class; the softmax then projects it.
        a = share * 2 * numerator / denominator**2
        b = (-share * 2 / denominator)[index]
        dp = p * a
        dp.scatter_add_(1, index, b)
        grad = p * (dp - (p * dp).sum(dim=1, keepdim=True))
        grad.add_(p, alpha=weight / len(p))
        grad.scatter_add_(1, index, torch.full_like(own, -weight / len(p)))
        ctx.grad = grad.to(logits.dtype).reshape(*target.shape, classes).movedim(-1, 1)
        return weight * cross_entropy + dice_loss

    @staticmethod
    def backward(ctx, scale: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        return ctx.grad * scale, None, None, None


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
    return _DiceLoss.apply(logits, target, SMOOTHING, 1.0)


def soft_dice(logits: Tensor, target: Tensor, /) -> Tensor:
    """One minus soft Dice, 2 Σxy / (Σx² + Σy²), averaged over the classes present: the published loss.

    Parameters
    ----------
    logits, target : Tensor
        As for `cross_entropy_dice`.

    Returns
    -------
    () Tensor
        The loss, 0 to 1.
    """
    return _DiceLoss.apply(logits, target, _TINY, 0.0)


def loss_where_known(name: str, logits: Tensor, target: Tensor, /) -> Tensor:
    """Loss of a name in `LOSSES` over the voxels whose target is not `IGNORED`, of one visit.

    Parameters
    ----------
    name : str
        Of the loss.
    logits : (1, C, I, J, K) Tensor
        Class scores before softmax.
    target : (1, I, J, K) Tensor of integers
        Class of each voxel, or `IGNORED`.
    """
    known = target[0] != IGNORED
    if known.all():
        return LOSSES[name](logits, target)
    return LOSSES[name](logits[:, :, known], target[:, known])


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy_dice": cross_entropy_dice,
    "soft_dice": soft_dice,
}


def hard_dice(predicted: Tensor, target: Tensor, /, classes: int) -> Tensor:
    """Dice of each class, (C,), NaN for one that neither map holds."""
    a = torch.bincount(predicted.flatten().long(), minlength=classes)
    b = torch.bincount(target.flatten().long(), minlength=classes)
    both = torch.bincount(target.flatten().long()[(predicted == target).flatten()], minlength=classes)
    return 2 * both / (a + b)
