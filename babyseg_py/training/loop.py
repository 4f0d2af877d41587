"""The training loop: every sample is made once, every step can be resumed from."""

import csv
import fcntl
import math
import pickle
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from babyseg_py.errors import UnusableData
from babyseg_py.labels import LABELS
from babyseg_py.models.groupnet import GroupNet
from babyseg_py.synthesis.labelbank import LabelBank, digest, load_bank
from babyseg_py.training.board import EXAMPLES, Board
from babyseg_py.training.failure import Watch, stop_training
from babyseg_py.training.losses import hard_dice, loss_where_known
from babyseg_py.training.recipe import Recipe
from babyseg_py.training.samples import Numbered, Samples, validation_visits
from babyseg_py.training.team import Team
from babyseg_py.writing import appearing, made_folder

CHECKPOINT = "checkpoint.pt"
LOG = "log.csv"
LOWEST = 0.01  # of the rate, at the end of its fall
Visits = list[tuple[int, Tensor, Tensor]]  # number, images, target


def learning_rate(recipe: Recipe, step: int) -> float:
    """Rate at a step: linear warm-up, constant, then a fall to a hundredth, linear or a half cosine."""
    start = (1 - recipe.decay) * recipe.steps
    done = 0.0 if step < start else (step - start) / max(1.0, recipe.steps - start)
    if recipe.fall == "cosine":
        done = (1 - math.cos(math.pi * done)) / 2
    warm = min(1.0, (step + 1) / max(1, recipe.warmup))
    return recipe.learning_rate * warm * (1 - (1 - LOWEST) * done)


def split_bank(recipe: Recipe) -> tuple[LabelBank, LabelBank]:
    """Read a recipe's label maps: those to train on, and those to validate with.

    Raises
    ------
    UnusableData
        If a map that is to be held out is not there, or none is left.
    """
    bank = load_bank(recipe.bank)
    names = [m.name for m in bank.maps]
    missing = sorted(set(recipe.held_out) - set(names))
    if missing:
        raise UnusableData(recipe.bank, f"lacks the held-out maps {missing}", f"it holds {names}")
    kept = tuple(m for m in bank.maps if m.name not in recipe.held_out)
    if not kept:
        raise UnusableData(recipe.bank, "has no map left to train on", "hold fewer maps out, or pack more")
    held = tuple(m for m in bank.maps if m.name in recipe.held_out)
    return replace(bank, maps=kept), replace(bank, maps=held or kept)


@dataclass(frozen=True)
class Before:
    """Training of the weights that a run begins with and what it was on; names of the maps of the run."""

    steps: int = 0
    hours: float = 0.0
    data: str = ""
    maps: tuple[str, ...] = ()


class Trainer:
    """A network in training: weights, their running mean and the optimiser.

    Parameters
    ----------
    recipe : Recipe
        What to do.
    folder : Path
        Where checkpoints and the log are kept; a checkpoint there is resumed from.
    team : Team
        The processes that train together; the result does not depend on their number.
    samples, validation : Samples, list of (str, Tensor, Tensor)
        Visits to train on and to validate with; those of the recipe's bank if not given.
    start : dict of str to Tensor
        Weights to begin with; random ones if not given.
    before : Before
        Training that those weights had.
    learns_from : str
        Checksum of what is learned from; that of the recipe's bank if not given. A checkpoint of another one
        is not gone on with.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        *,
        team: Team | None = None,
        samples: Numbered | None = None,
        validation: list[tuple[str, Tensor, Tensor]] | None = None,
        start: dict[str, Tensor] | None = None,
        before: Before = Before(),
        learns_from: str = "",
    ) -> None:
        self.recipe, self.folder, self.team = recipe, folder, team or Team()
        if recipe.batch % self.team.size:
            what = f"a batch of {recipe.batch} cannot be shared by {self.team.size} processes"
            raise UnusableData(str(folder), what, "give the recipe a batch that is a multiple of them")
        self.device = torch.device(self.team.device)
        torch.manual_seed(recipe.seed)
        network = GroupNet(recipe.network)
        if start is not None:
            network.load_state_dict(start)
        self.network = network.to(self.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.mean = GroupNet(recipe.network).to(self.device).eval()
        self.mean.load_state_dict(self.network.state_dict())
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
        )
        self.step, self.seconds = 0, 0.0
        if samples is None or validation is None:
            kept, held = split_bank(recipe)
            learns_from = learns_from or digest(kept, held)
            before = replace(before, maps=tuple(m.name for m in kept.maps))
            samples = Samples(kept, recipe)
            validation = validation_visits(held, recipe) if self.team.leads else []
        self.before, self.learns_from = before, learns_from
        self.samples, self.validation = samples, validation
        made_folder(folder)
        self.seen = _version(folder / CHECKPOINT)
        if self.seen:
            self._resume()
        self.shared = self.team.share(self.network)
        self.watch = Watch(recipe.network.classes, recipe.loss)

    def run(self) -> None:
        """Train to the recipe's last step.

        Raises
        ------
        UnusableData
            If a loss or a gradient is not finite or training diverges (the step is kept to be looked at), or
            if another process trains in the folder, or did since its checkpoint was read.
        """
        if not self.team.leads:
            self._run()
            return
        with alone_in(self.folder):
            if _version(self.folder / CHECKPOINT) != self.seen:
                what = "another process has trained in this folder in the meantime"
                raise UnusableData(str(self.folder), what, "call the same command again to go on from there")
            drop_rows_after(self.folder / LOG, self.step)
            self._run()

    def _run(self) -> None:
        recipe = self.recipe
        if self.step >= recipe.steps and self.team.leads:
            done = f"has {self.step} steps, and the recipe asks for {recipe.steps}"
            print(f"{self.folder}: this training is finished: it {done}", flush=True)
        board = Board(self.folder, self.step) if recipe.tensorboard and self.team.leads else None
        began, first, losses = time.perf_counter(), self.step, []
        clock = began
        for visits in self._batches():
            losses.append(self._update(visits))
            self.step += 1
            now = time.perf_counter()
            self.seconds, clock = self.seconds + now - clock, now
            last = self.step == recipe.steps
            if not self.team.leads:
                continue
            left = (recipe.steps - self.step) * (now - began) / (self.step - first)
            saves = self.step % recipe.save_every == 0 or last
            if self.step % recipe.validate_every == 0 or last:
                self._report(float(np.mean(losses)), left, board)
                losses = []
            elif saves:
                print(f"step {self.step}, loss {np.mean(losses):.4f} {_minutes(left)}", flush=True)
            if saves:
                self._save()
        if board:
            board.close()

    def _batches(self) -> Iterator[Visits]:
        """Yield this process's visits of each remaining step, made ahead of time by other processes."""
        batch, team = self.recipe.batch, self.team
        numbers = [
            step * batch + place
            for step in range(self.step, self.recipe.steps)
            for place in range(team.rank, batch, team.size)
        ]
        loader = DataLoader(
            self.samples,
            batch_size=None,
            sampler=numbers,
            num_workers=self.recipe.workers,
            prefetch_factor=4,
        )
        visits: Visits = []
        for number, (images, target) in zip(numbers, loader, strict=True):
            visits.append((number, images.to(self.device), target.to(self.device)))
            if len(visits) == batch // team.size:
                yield visits
                visits = []

    def _update(self, visits: Visits) -> float:
        """Take one step; visits may have different numbers of scans, so that each is a pass of its own."""
        recipe = self.recipe
        rate = learning_rate(recipe, self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        values = []
        for place, (_, images, target) in enumerate(visits):
            last = place == len(visits) - 1
            with nullcontext() if last or self.team.size == 1 else self.shared.no_sync():  # type: ignore[operator]
                with torch.autocast(self.device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
                    scores = self.shared(images[None])
                loss = loss_where_known(recipe.loss, scores, target[None])
                (loss / len(visits)).backward()
            values.append(float(loss.detach()))
        norm = float(torch.nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip))
        if complaint := self.watch.complaint(values, norm):
            raise self._failure(complaint, visits, values)
        self.optimiser.step()
        share = min(recipe.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            mean = [p.detach() for p in self.mean.parameters()]
            new = [p.detach() for p in self.network.parameters()]
            torch._foreach_lerp_(mean, new, 1 - share)
        return sum(values) / len(values)

    def _failure(self, what: str, visits: Visits, losses: list[float]) -> UnusableData:
        kept = []
        for (number, _, _), loss in zip(visits, losses, strict=True):
            name, params = self.samples.named_params(number)
            kept.append({"number": number, "map": name, "loss": str(loss), "params": params})
        return stop_training(
            self.folder,
            step=self.step,
            what=what,
            visits=kept,
            state=self._state(),
            rank=self.team.rank,
        )

    def _predict(self, images: Tensor) -> Tensor:
        """Most probable class of each voxel by the running mean of the weights, (I, J, K)."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            return self.mean(images.to(self.device)[None])[0].argmax(dim=0).cpu()

    @torch.inference_mode()
    def validate(self, board: Board | None = None) -> dict[str, Tensor]:
        """Dice per class on the fixed validation visits, (visits, classes), by kind of visit."""
        result: dict[str, list[Tensor]] = {}
        for number, (kind, images, target) in enumerate(self.validation):
            predicted = self._predict(images)
            result.setdefault(kind, []).append(hard_dice(predicted, target, self.recipe.network.classes))
            if board and number < EXAMPLES:
                board.example(number, images[0], target, predicted, self.step)
        return {kind: torch.stack(rows) for kind, rows in result.items()}

    def _report(self, loss: float, seconds_left: float, board: Board | None) -> None:
        dice = self.validate(board)
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
        append_row(self.folder / LOG, row)
        if board:
            means = {k: v for k, v in row.items() if "_" in k}
            structures = {f"dice/{label}": row[str(label)] for label in LABELS if str(label) in row}
            rate = learning_rate(self.recipe, self.step - 1)
            board.scalars({"loss": loss, "learning_rate": rate, **means, **structures}, self.step)
        words = ", ".join(f"{k} {v}" for k, v in row.items())
        print(f"{words} {_minutes(seconds_left)}", flush=True)

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "mean": self.mean.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "before": asdict(self.before),
            "learns_from": self.learns_from,
            "shape": asdict(self.recipe.network),
            "inference": self.recipe.inference,
            "brain_voxels": list(self.recipe.synthesis.brain_voxels),
            "polarised": self.recipe.synthesis.polarised,
        }

    def _save(self) -> None:
        with appearing(self.folder / CHECKPOINT) as partial:
            torch.save(self._state(), partial)
        self.seen = _version(self.folder / CHECKPOINT)

    def _resume(self) -> None:
        path = self.folder / CHECKPOINT
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            known = state.get("learns_from") or self.learns_from
            if self.learns_from and known != self.learns_from:
                what = "is of a training that learned from something else"
                advice = "name another folder with -o; --start, or --weights, goes on from weights"
                raise UnusableData(str(path), what, advice)
            self.network.load_state_dict(state["network"])
            self.mean.load_state_dict(state["mean"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step, self.seconds = state["step"], state["seconds"]
            self.before = Before(**state.get("before", {}))
        except (
            OSError,
            pickle.UnpicklingError,
            RuntimeError,
            EOFError,
            KeyError,
            TypeError,
            ValueError,
        ) as problem:
            reason = " ".join(str(problem).split())[:120]
            what = f"is damaged, or of another network than the recipe's ({reason})"
            raise UnusableData(str(path), what, "give another folder with -o, or its recipe") from problem


def _version(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file is written anew; None if there is none."""
    if not path.exists():
        return None
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


def _minutes(seconds: float) -> str:
    return f"({seconds / 60:.0f} minutes left)"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes from training in a folder, and clear away what killed ones left."""
    with (folder / ".lock").open("w") as lock:
        try:
            # Not flock: processes that synthesise would hold it on for a moment after a kill.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            what = "another process trains in this folder"
            raise UnusableData(str(folder), what, "wait for it, or name another folder with -o") from None
        for unfinished in folder.glob(f".part-*-{CHECKPOINT}"):
            unfinished.unlink(missing_ok=True)
        yield


def append_row(path: Path, row: dict[str, float]) -> None:
    """Add a row to a log, which begins with the names of its columns."""
    new = not path.exists() or not path.stat().st_size
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow(row)


def drop_rows_after(path: Path, step: int) -> None:
    """Take out the rows of steps that were lost, as they will be taken again."""
    if not path.exists():
        return
    header, *rows = path.read_text(encoding="utf-8").splitlines(keepends=True) or [""]
    numbers = [row.split(",", 1)[0] if row.endswith("\n") else "" for row in rows]
    kept = [
        row for row, number in zip(rows, numbers, strict=True) if number.isdecimal() and int(number) <= step
    ]
    with appearing(path) as partial:
        partial.write_text("".join([header, *kept]), encoding="utf-8")
