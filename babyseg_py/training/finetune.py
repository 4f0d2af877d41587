"""Going on from weights with corrected label maps or unlabelled scans, without forgetting what they knew."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from scipy.ndimage import binary_dilation
from torch import Tensor

from babyseg_py.errors import UnusableData
from babyseg_py.labels import LABELS
from babyseg_py.models.weights import FixedGrid, ModelInfo, Networks, Preprocessing
from babyseg_py.synthesis.labelbank import LabelBank, digest
from babyseg_py.training.export import SHOWN
from babyseg_py.training.loop import Trainer
from babyseg_py.training.losses import IGNORED
from babyseg_py.training.recipe import Recipe, recipe_from_dict
from babyseg_py.training.samples import Numbered, Samples, validation_visits
from babyseg_py.training.team import Team
from babyseg_py.training.unlabelled import RealSamples, RealVisit

DEFAULTS = Path(__file__).with_name("finetune.yaml")
MARGIN = 2  # voxels around an old label of a corrected structure that count as in doubt
SPAN = 1.47  # largest brain to the smallest, as in the training of the default weights
SETTLED = {"bank", "network", "held_out", "inference"}  # by the weights and the maps to keep
WORSE = 0.01  # loss of Dice of another structure that is told


@dataclass(frozen=True)
class Job:
    """What to learn from: corrected maps, unlabelled visits, or both.

    Parameters
    ----------
    kept : LabelBank
        Maps that stand for what was learned before.
    corrected : LabelBank or None
        Maps that were corrected by hand.
    structures : tuple of int
        Label numbers that were corrected; what the kept maps say of them is not learned.
    unlabelled : tuple of RealVisit
        Visits of real scans, with the labels that the weights gave all scans together.
    """

    kept: LabelBank
    corrected: LabelBank | None = None
    structures: tuple[int, ...] = ()
    unlabelled: tuple[RealVisit, ...] = ()

    @property
    def digest(self) -> str:
        """Checksum of all that is learned from."""
        banks = digest(*filter(None, (self.kept, self.corrected)))
        return "-".join([banks, *map(str, self.structures), *(visit.name for visit in self.unlabelled)])

    @property
    def sources(self) -> str:
        """Say in words what is learned from."""
        words = [f"{len(self.corrected.maps)} corrected label maps"] if self.corrected else []
        words += [f"{len(self.unlabelled)} unlabelled visits"] if self.unlabelled else []
        return " and ".join(words)


class Mixture(Numbered):
    """Visits from kept maps (odd numbers) and, in turn, from corrected maps and unlabelled scans (even)."""

    def __init__(self, job: Job, recipe: Recipe) -> None:
        # Among kept maps with ages those without one are adults'; where none has one they are anybody's.
        aged = any(m.age_months is not None for m in job.kept.maps)
        self.kept = Samples(job.kept, recipe if aged else _of_any_maturity(recipe))
        self.new: list[Samples | RealSamples] = []
        if job.corrected is not None:
            aged = all(m.age_months is not None for m in job.corrected.maps)
            self.new.append(Samples(job.corrected, recipe if aged else _of_any_maturity(recipe)))
        if job.unlabelled:
            self.new.append(RealSamples(job.unlabelled, recipe))
        self.doubtful = [LABELS.index(label) for label in job.structures]

    def __len__(self) -> int:
        return len(self.kept)

    def part(self, number: int) -> Samples | RealSamples:
        """Return the samples that a visit is one of."""
        return self.kept if number % 2 else self.new[number // 2 % len(self.new)]

    def named_params(self, number: int) -> tuple[str, dict[str, Any]]:
        """Map or visit, and parameters, of a sample."""
        return self.part(number).named_params(number)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        images, target = self.part(number)[number]
        return images, self._without_doubt(target) if number % 2 else target

    def _without_doubt(self, target: Tensor) -> Tensor:
        """Take corrected structures of a kept map out of the loss, with a margin around them."""
        old = np.isin(target.numpy(), self.doubtful)
        if not old.any():
            return target
        return target.masked_fill(torch.from_numpy(binary_dilation(old, iterations=MARGIN)), IGNORED)


def _of_any_maturity(recipe: Recipe) -> Recipe:
    """Return the recipe for maps of unknown age, which are not to count as adults."""
    return replace(recipe, synthesis=replace(recipe.synthesis, follow_map_age=0.0))


def finetune_recipe(path: Path | None, info: ModelInfo) -> Recipe:
    """Read the settings of a fine-tuning for the network of given weights.

    Parameters
    ----------
    path : Path or None
        Settings that differ from `DEFAULTS`; those of ``synthesis`` may be given one by one.
    info : ModelInfo
        Of the weights.

    Raises
    ------
    UnusableData
        If the file cannot be read, a setting is unknown or the grid does not suit the network.
    """
    values = _settings(DEFAULTS)
    if path:
        given = _settings(path)
        values |= given | {"synthesis": values["synthesis"] | given["synthesis"]}
    where = str(path or DEFAULTS)
    if isinstance(info.preprocessing, Preprocessing):
        low = info.preprocessing.brain_voxels / SPAN**SHOWN
        around = {"brain_voxels": [round(low, 1), round(low * SPAN, 1)]}
        values["synthesis"] = around | values["synthesis"]
    recipe = recipe_from_dict({**values, "bank": "", "network": asdict(info.network)}, where=where)
    if isinstance(info.preprocessing, FixedGrid):  # One look sees images of any polarity.
        recipe = replace(recipe, synthesis=replace(recipe.synthesis, polarised=False))
    return recipe


def _settings(path: Path) -> dict[str, Any]:
    """Read settings, ``synthesis`` always among them."""
    advice = f"write it like {DEFAULTS}"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        raise UnusableData(str(path), f"cannot be read ({problem})", advice) from problem
    if not isinstance(values, dict) or not isinstance(values.get("synthesis") or {}, dict):
        raise UnusableData(str(path), "is not a list of settings, or its synthesis is none", advice)
    if settled := sorted(SETTLED & set(values)):
        what = f"has {', '.join(settled)}, which the weights and the maps decide"
        raise UnusableData(str(path), what, "leave these out")
    return values | {"synthesis": values.get("synthesis") or {}}


def finetune(
    job: Job, recipe: Recipe, start: tuple[Networks, ModelInfo], folder: Path, *, team: Team | None = None
) -> tuple[Networks, ModelInfo, dict[int, tuple[float, float]]]:
    """Go on from weights with corrected maps, unlabelled scans, or both.

    Parameters
    ----------
    job : Job
        What to learn from, and the maps to keep.
    recipe : Recipe
        From `finetune_recipe`.
    start : (Networks, ModelInfo)
        Weights to go on from.
    folder : Path
        Folder of the checkpoint and the log; what is there is gone on with.
    team : Team, optional
        As for `Trainer`.

    Returns
    -------
    Networks, ModelInfo
        The weights: the running mean, with the network of the first look as it was.
    dict of int to (float, float)
        Dice of each label on synthetic visits of the kept maps before and after.
    """
    networks, info = start
    validation = validation_visits(job.kept, recipe)
    trainer = Trainer(
        recipe,
        folder,
        team=team,
        samples=Mixture(job, recipe),
        validation=validation,
        start=networks.segment.state_dict(),
        learns_from=job.digest + info.checksum,
    )
    before = dice_by_label(networks.segment, trainer)
    trainer.run()
    after = dice_by_label(trainer.mean, trainer)
    provenance = info.provenance | {"finetuned_steps": str(recipe.steps), "finetuned_on": job.sources}
    tuned = replace(networks, segment=trainer.mean.cpu())
    changes = {label: (before[label], after[label]) for label in before}
    return tuned, replace(info, provenance=provenance), changes


def dice_by_label(network: torch.nn.Module, trainer: Trainer) -> dict[int, float]:
    """Mean Dice of each label on a trainer's validation visits."""
    mean, trainer.mean = trainer.mean, network.to(trainer.device).eval()  # type: ignore[assignment]
    dice = torch.cat(list(trainer.validate().values())).nanmean(dim=0)
    trainer.mean = mean
    return {label: float(value) for label, value in zip(LABELS, dice, strict=True) if label}


def forgotten(changes: dict[int, tuple[float, float]], structures: Sequence[int]) -> list[int]:
    """Labels that were not corrected and fell by more than a hundredth."""
    return [
        label
        for label, (before, after) in changes.items()
        if label not in structures and before - after > WORSE
    ]
