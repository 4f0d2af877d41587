"""Training of the network that divides structures into parts, on what weights make of synthetic visits."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from babyseg_py.errors import UnusableData
from babyseg_py.labels import LABELS
from babyseg_py.labels.fuller import allowed_parts, channels_of, mirrored_parts, parts
from babyseg_py.models.refiner import Refiner, RefinerInfo, save_refiner, shares
from babyseg_py.synthesis.anatomy import sample_map, taken_cortex, window_positions
from babyseg_py.synthesis.labelbank import LabelBank, digest
from babyseg_py.synthesis.randomise import draw_params
from babyseg_py.synthesis.synthesise import BELOW_CEREBRUM, apply
from babyseg_py.training.loop import append_row, learning_rate, split_bank
from babyseg_py.training.recipe import Recipe
from babyseg_py.training.samples import VALIDATION, Samples
from babyseg_py.writing import appearing

CHECKPOINT = "refiner.pt"
LOG = "refiner.csv"
CONTRADICTION = 1e-6  # added to a probability before its logarithm
EMA = 0.995
FLUID = 24  # label of the fluid around the brain
Segment = Callable[[Tensor], Tensor]  # images, (G, I, J, K), to posteriors, (22, I, J, K)


class Divided(Dataset):
    """Synthetic visits with the parts that each voxel may be."""

    def __init__(self, bank: LabelBank, recipe: Recipe) -> None:
        self.samples = Samples(bank, recipe)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        params = self.samples.params(number)
        return apply(self.samples.bank, params).images, parts_of(self.samples.bank, params)


def parts_of(bank: LabelBank, params: dict) -> Tensor:
    """Parts that each voxel of a synthetic visit may be, as bits, (I, J, K); 0 where nothing is divided.

    Raises
    ------
    UnusableData
        If the bank does not tell parts.
    """
    if bank.parts is None:
        raise UnusableData("bank", "does not tell the parts of structures", "pack the label maps again")
    flip = params["anatomy"]["flip"]
    bits = mirrored_bits(bank.parts) if flip else bank.parts
    chosen = bank.maps[params["map"]]
    positions = window_positions(bank, params, torch.device("cpu"))
    classes, _ = sample_map(chosen, positions)
    result = torch.from_numpy(bits)[classes]
    if params["sulci"] is not None:
        tissue = torch.from_numpy(bank.tissue)[classes]
        _, fluid = taken_cortex(chosen, positions, tissue, params)
        result = result.masked_fill(fluid, allowed_parts(0, FLUID, frozenset(p.label for p in parts())))
    if params["surroundings"]["cerebrum_only"]:
        below = torch.isin(torch.from_numpy(bank.target)[classes], torch.tensor(BELOW_CEREBRUM))
        result = result.masked_fill(below, 0)
    return result


def mirrored_bits(bits: np.ndarray) -> np.ndarray:
    """Bits of the mirror images of parts."""
    result = np.zeros_like(bits)
    for here, there in enumerate(mirrored_parts()):
        result |= (bits >> here & 1) << there
    return result


def division_loss(scores: Tensor, bits: Tensor) -> Tensor:
    """Cross entropy within the structures that are divided, and soft Dice of their parts.

    A voxel that may be several parts, but not all, of its structure counts with the probability that it is
    one of them. In the cross entropy of a structure the voxels of a part weigh together as the root of their
    number, so that small parts are learned too without being overdrawn. Dice is that of the parts that some
    voxels surely are, over the voxels of their structure of which it is known whether they are that part.

    Parameters
    ----------
    scores : (P, I, J, K) Tensor
        Of the refiner.
    bits : (I, J, K) Tensor of int64
        Parts that each voxel may be.
    """
    given = shares(scores.float())
    entropies, dice = [], []
    values = torch.unique(bits).tolist()
    for parent in dict.fromkeys(part.parent for part in parts()):
        channels = channels_of(parent)
        whole = sum(1 << channel for channel in channels)
        sets = [value for value in values if value & whole and value != whole]
        masks = [bits == value for value in sets]
        total = sum(float(mask.sum()) ** 0.5 for mask in masks)
        for value, mask in zip(sets, masks, strict=True):
            probability = torch.stack([given[c][mask] for c in channels if value >> c & 1]).sum(dim=0)
            entropy = -(probability + CONTRADICTION).log().mean()
            entropies.append(entropy * float(mask.sum()) ** 0.5 / total)
            if value.bit_count() == 1:
                channel = value.bit_length() - 1
                known = [m for v, m in zip(sets, masks, strict=True) if v == value or not v & value]
                claimed = sum(given[channel][m].sum() for m in known)
                dice.append(1 - 2 * given[channel][mask].sum() / (claimed + mask.sum()))
    zero = scores.sum() * 0
    return (sum(entropies, zero) + sum(dice, zero)) / max(1, len(entropies))


@dataclass
class _State:
    refiner: Refiner
    mean: Refiner
    optimiser: torch.optim.Optimizer
    step: int = 0
    learns_from: str = ""


def train_refiner(
    recipe: Recipe, segment: Segment, folder: Path, target: Path, *, provenance: dict[str, str]
) -> None:
    """Train a refiner for given weights, go on from its checkpoint if there is one, and write its file.

    Parameters
    ----------
    recipe : Recipe
        Bank, synthesis, steps and rate; what it says of the network is not used.
    segment : callable
        Images to the posteriors that are to be divided, by the given weights.
    folder : Path
        Checkpoint and log.
    target : Path
        File of the refiner.
    provenance : dict of str to str
        Written with it; ``weights`` is the checksum of those that segment.

    Raises
    ------
    UnusableData
        If the checkpoint in the folder is damaged, or of other weights or maps.
    """
    kept, held = split_bank(recipe)
    torch.manual_seed(recipe.seed)
    folder.mkdir(parents=True, exist_ok=True)
    state = _begin(recipe, folder, learns_from=f"{digest(kept, held)}-{provenance.get('weights', '')}")
    numbers = range(state.step, recipe.steps)
    loader = DataLoader(
        Divided(kept, recipe), batch_size=None, sampler=numbers, num_workers=recipe.workers, prefetch_factor=4
    )
    validation = [_validation_visit(held, recipe, number) for number in range(recipe.validation_samples)]
    losses, began = [], time.perf_counter()
    for images, bits in loader:
        losses.append(_update(state, recipe, segment(images), images, bits))
        state.step += 1
        last = state.step == recipe.steps
        if state.step % recipe.validate_every == 0 or last:
            row = {"step": state.step, "loss": round(float(np.mean(losses)), 4)}
            row |= {name: round(v, 3) for name, v in _validate(state.mean, segment, validation).items()}
            append_row(folder / LOG, row)
            pace = (time.perf_counter() - began) / (state.step - numbers.start)
            left = f"({(recipe.steps - state.step) * pace / 60:.0f} minutes left)"
            print(", ".join(f"{k} {v}" for k, v in row.items()), left, flush=True)
            losses = []
        if state.step % recipe.save_every == 0 or last:
            _save(state, folder)
    save_refiner(state.mean, RefinerInfo(provenance | {"steps": str(state.step)}), target)


def _begin(recipe: Recipe, folder: Path, *, learns_from: str) -> _State:
    refiner, mean = Refiner(), Refiner().eval()
    mean.load_state_dict(refiner.state_dict())
    optimiser = torch.optim.AdamW(
        refiner.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    state = _State(refiner, mean, optimiser, learns_from=learns_from)
    path = folder / CHECKPOINT
    if not path.exists():
        return state
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        refiner.load_state_dict(found["refiner"])
        mean.load_state_dict(found["mean"])
        optimiser.load_state_dict(found["optimiser"])
        state.step = found["step"]
    except (OSError, EOFError, UnpicklingError, RuntimeError, KeyError, TypeError, ValueError) as problem:
        what = f"cannot be read ({' '.join(str(problem).split())[:120]})"
        raise UnusableData(str(path), what, "name another folder with -o") from None
    if found.get("learns_from", learns_from) != learns_from:
        what = "is of a training with other weights or label maps"
        raise UnusableData(str(path), what, "name another folder with -o")
    return state


def _save(state: _State, folder: Path) -> None:
    with appearing(folder / CHECKPOINT) as partial:
        torch.save(
            {
                "step": state.step,
                "refiner": state.refiner.state_dict(),
                "mean": state.mean.state_dict(),
                "optimiser": state.optimiser.state_dict(),
                "learns_from": state.learns_from,
            },
            partial,
        )


def _update(state: _State, recipe: Recipe, posteriors: Tensor, images: Tensor, bits: Tensor) -> float:
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(recipe, state.step)
    with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bf16"):
        scores = state.refiner(images.mean(dim=0), posteriors.clone())
    loss = division_loss(scores, bits)
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.refiner.parameters(), recipe.clip)
    state.optimiser.step()
    share = min(EMA, (1 + state.step) / (10 + state.step))
    with torch.no_grad():
        for mean, new in zip(state.mean.parameters(), state.refiner.parameters(), strict=True):
            mean.lerp_(new, 1 - share)
    return float(loss.detach())


def _validation_visit(bank: LabelBank, recipe: Recipe, number: int) -> tuple[Tensor, Tensor]:
    ranges = replace(recipe.synthesis, realistic=1.0, inverted=0.0, two_scans=0.0, cerebrum_only=0.0)
    generator = np.random.default_rng((recipe.seed, VALIDATION, number))
    params = draw_params(generator, bank, ranges)
    return apply(bank, params).images, parts_of(bank, params)


@torch.inference_mode()
def _validate(refiner: Refiner, segment: Segment, visits: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """Mean Dice of each part over visits whose maps tell it from all others, on what the weights segment."""
    dice: dict[str, list[float]] = {}
    for images, bits in visits:
        posteriors = segment(images)
        given = shares(refiner(images.mean(dim=0), posteriors))
        found = posteriors.argmax(dim=0)
        for channel, part in enumerate(parts()):
            own = 1 << channel
            siblings = channels_of(part.parent)
            if not (bits == own).any() or part.label == part.parent == 0:
                continue
            parent = LABELS.index(part.parent)
            predicted = (found == parent) & (given[siblings].argmax(dim=0) == siblings.index(channel))
            unclear = ((bits & own) > 0) & (bits != own)
            predicted &= ~unclear
            truth = bits == own
            both = float((predicted & truth).sum())
            dice.setdefault(f"{part.parent}/{part.label}", []).append(
                2 * both / max(1.0, float(predicted.sum() + truth.sum()))
            )
    return {name: float(np.mean(values)) for name, values in sorted(dice.items())}
