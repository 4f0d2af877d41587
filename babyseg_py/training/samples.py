"""Synthetic visits to train on and to validate with, each numbered: the number alone decides what it is."""

from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from babyseg_py.synthesis.labelbank import LabelBank
from babyseg_py.synthesis.randomise import Params, draw_params
from babyseg_py.synthesis.synthesise import apply
from babyseg_py.training.recipe import Recipe

VALIDATION = 987654321  # keeps the visits of validation apart from those of training
KINDS = ("brain", "head", "clean")


class Numbered(Dataset, ABC):
    """Visits by number, which can say what each is made of."""

    @abstractmethod
    def named_params(self, number: int) -> tuple[str, Params]:
        """Name of the map that a visit is made from, and its parameters."""


class Samples(Numbered):
    """Synthetic visits, numbered step by step; a step has as many as the recipe's batch."""

    def __init__(self, bank: LabelBank, recipe: Recipe) -> None:
        self.bank, self.recipe = bank, recipe

    def __len__(self) -> int:
        return self.recipe.steps * self.recipe.batch

    def params(self, number: int) -> Params:
        """Parameters of a visit: all that is needed to make it again."""
        recipe = self.recipe
        step = number // recipe.batch
        generator = np.random.default_rng((recipe.seed, number))
        hard = min(1.0, max(0.0, (step + 1 - recipe.ease_from) / max(1, recipe.ease_in)))
        ranges = recipe.synthesis
        if step < recipe.two_scans_from:
            ranges = replace(ranges, two_scans=0.0)
        return draw_params(generator, self.bank, ranges, hard=hard)

    def named_params(self, number: int) -> tuple[str, Params]:
        """Name of the map that a visit is made from, and its parameters."""
        params = self.params(number)
        return self.bank.maps[params["map"]].name, params

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        sample = apply(self.bank, self.params(number))
        return sample.images, sample.target


def validation_visits(bank: LabelBank, recipe: Recipe) -> list[tuple[str, Tensor, Tensor]]:
    """Visits with realistic contrasts: brain alone, within a head, and undisturbed.

    White matter and cortex on undisturbed visits tell whether the network looks at intensities: one that
    only knows positions stays near .6 there.

    Returns
    -------
    list of (str, (G, I, J, K) Tensor, (I, J, K) Tensor)
        Kind, images and target.
    """
    chosen = []
    for number in range(recipe.validation_samples):
        kind = KINDS[number % len(KINDS)]
        bare = kind != "head"
        ranges = replace(recipe.synthesis, realistic=1.0, inverted=0.0, bare_brain=float(bare), two_scans=0.0)
        generator = np.random.default_rng((recipe.seed, VALIDATION, number))
        sample = apply(bank, draw_params(generator, bank, ranges, hard=float(kind != "clean")))
        chosen.append((kind, sample.images, sample.target))
    return chosen
