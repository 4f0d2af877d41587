"""The training loop: every sample is made once, every step can be resumed from."""

import csv
import math
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from babyseg_py.errors import UnusableData
from babyseg_py.labels import LABELS
from babyseg_py.models.groupnet import GroupNet
from babyseg_py.synthesis.labelbank import LabelBank, load_bank
from babyseg_py.synthesis.randomise import draw_params
from babyseg_py.synthesis.synthesise import apply
from babyseg_py.training.losses import cross_entropy_dice, hard_dice
from babyseg_py.training.recipe import Recipe

CHECKPOINT = "checkpoint.pt"


class Samples(Dataset):
    """Synthetic visits numbered by training step: the number alone decides what a visit looks like."""

    def __init__(self, bank: LabelBank, recipe: Recipe) -> None:
        self.bank, self.recipe = bank, recipe

    def __len__(self) -> int:
        return self.recipe.steps

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        recipe = self.recipe
        generator = np.random.default_rng((recipe.seed, step))
        hard = min(1.0, max(0.0, (step + 1 - recipe.ease_from) / max(1, recipe.ease_in)))
        ranges = recipe.synthesis
        if step < recipe.two_scans_from:
            ranges = replace(ranges, two_scans=0.0)
        sample = apply(self.bank, draw_params(generator, self.bank, ranges, hard=hard))
        return sample.images, sample.target


def learning_rate(recipe: Recipe, step: int) -> float:
    """Rate at a step: linear warm-up, constant, then a linear fall to a hundredth."""
    start = (1 - recipe.decay) * recipe.steps
    fall = 1.0 if step < start else 1 - 0.99 * (step - start) / max(1.0, recipe.steps - start)
    return recipe.learning_rate * min(1.0, (step + 1) / max(1, recipe.warmup)) * fall


class Trainer:
    """A network in training: weights, their running mean and the optimiser.

    Parameters
    ----------
    recipe : Recipe
        What to do.
    folder : Path
        Where checkpoints and the log are kept; a checkpoint there is resumed from.
    device : str
        ``cpu`` or ``cuda``.
    """

    def __init__(self, recipe: Recipe, folder: Path, *, device: str = "cpu") -> None:
        self.recipe, self.folder, self.device = recipe, folder, torch.device(device)
        torch.manual_seed(recipe.seed)
        network = GroupNet(recipe.network)
        self.network = network.to(self.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.mean = GroupNet(recipe.network).to(self.device).eval()
        self.mean.load_state_dict(self.network.state_dict())
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
        )
        self.step, self.seconds = 0, 0.0
        bank = load_bank(recipe.bank)
        names = [m.name for m in bank.maps]
        missing = sorted(set(recipe.held_out) - set(names))
        if missing:
            raise UnusableData(recipe.bank, f"lacks the held-out maps {missing}", f"it holds {names}")
        kept = tuple(m for m in bank.maps if m.name not in recipe.held_out)
        held = tuple(m for m in bank.maps if m.name in recipe.held_out)
        self.samples = Samples(replace(bank, maps=kept), recipe)
        self.validation = self._validation_set(replace(bank, maps=held or kept))
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / CHECKPOINT).exists():
            self._resume()

    def run(self) -> None:
        """Train to the recipe's last step."""
        remaining = range(self.step, self.recipe.steps)
        loader = DataLoader(
            self.samples, batch_size=None, sampler=remaining, num_workers=1, prefetch_factor=4
        )
        clock, losses = time.perf_counter(), []
        for images, target in loader:
            losses.append(self._update(images.to(self.device), target.to(self.device)))
            self.step += 1
            now = time.perf_counter()
            self.seconds, clock = self.seconds + now - clock, now
            last = self.step == self.recipe.steps
            if self.step % self.recipe.validate_every == 0 or last:
                self._report(float(np.mean(losses)), self.validate())
                losses = []
            if self.step % self.recipe.save_every == 0 or last:
                self._save()

    def _update(self, images: Tensor, target: Tensor) -> float:
        recipe = self.recipe
        rate = learning_rate(recipe, self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
            scores = self.network(images[None])
        loss = cross_entropy_dice(scores, target[None])
        value = float(loss.detach())
        if not math.isfinite(value):
            raise FloatingPointError(f"loss {value} at step {self.step}: lower the learning rate")
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip)
        self.optimiser.step()
        share = min(recipe.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            mean = [p.detach() for p in self.mean.parameters()]
            new = [p.detach() for p in self.network.parameters()]
            torch._foreach_lerp_(mean, new, 1 - share)
        return value

    @torch.inference_mode()
    def validate(self) -> dict[str, Tensor]:
        """Dice per class on the fixed validation visits, (visits, classes), by kind of visit."""
        result: dict[str, list[Tensor]] = {}
        for kind, images, target in self.validation:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16"):
                scores = self.mean(images.to(self.device)[None])
            predicted = scores[0].argmax(dim=0).cpu()
            result.setdefault(kind, []).append(hard_dice(predicted, target, self.recipe.network.classes))
        return {kind: torch.stack(rows) for kind, rows in result.items()}

    def _validation_set(self, bank: LabelBank) -> list[tuple[str, Tensor, Tensor]]:
        """Visits of held-out maps with realistic contrasts: brain alone, within a head, and undisturbed.

        White matter and cortex on undisturbed visits tell whether the network looks at intensities: one
        that only knows positions stays near .6 there.
        """
        chosen = []
        for number in range(self.recipe.validation_samples):
            kind = ("brain", "head", "clean")[number % 3]
            bare = kind != "head"
            ranges = replace(
                self.recipe.synthesis, realistic=1.0, inverted=0.0, bare_brain=float(bare), two_scans=0.0
            )
            generator = np.random.default_rng((self.recipe.seed, 987654321, number))
            sample = apply(bank, draw_params(generator, bank, ranges, hard=float(kind != "clean")))
            chosen.append((kind, sample.images, sample.target))
        return chosen

    def _report(self, loss: float, dice: dict[str, Tensor]) -> None:
        row: dict[str, float] = {
            "step": self.step,
            "minutes": round(self.seconds / 60, 2),
            "loss": round(loss, 4),
        }
        folded = [LABELS.index(label) for label in (2, 3, 41, 42)]
        for kind, values in dice.items():
            row[f"dice_{kind}"] = round(float(values[:, 1:].nanmean()), 4)
            row[f"white_and_cortex_{kind}"] = round(float(values[:, folded].nanmean()), 4)
        by_label = torch.cat(list(dice.values())).nanmean(dim=0)
        row |= {str(label): round(float(value), 3) for label, value in zip(LABELS, by_label, strict=False)}
        path = self.folder / "log.csv"
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow(row)
        left = (self.recipe.steps - self.step) * self.seconds / max(1, self.step) / 60
        print(", ".join(f"{k} {v}" for k, v in row.items()), f"({left:.0f} minutes left)", flush=True)

    def _save(self) -> None:
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "mean": self.mean.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "shape": asdict(self.recipe.network),
        }
        temporary = self.folder / f"{CHECKPOINT}.part"
        torch.save(state, temporary)
        temporary.replace(self.folder / CHECKPOINT)

    def _resume(self) -> None:
        state = torch.load(self.folder / CHECKPOINT, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.mean.load_state_dict(state["mean"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]
