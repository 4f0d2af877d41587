"""Intensities of the tissues in one scan."""

from typing import Any

import numpy as np

from babyseg_py.synthesis.ranges import Ranges
from babyseg_py.synthesis.tissues import CONTRASTS, tissue_table

WHITE = ("white_matter", "deep_white_matter", "cerebellar_white")
GREY = ("cortex", "hippocampus", "amygdala", "caudate", "putamen", "accumbens", "cerebellar_cortex")
MYELINATION_MONTHS = (3.0, 12.0)
ALIKE = 0.08  # prior means that differ by less are hardly told apart in a real scan


def draw_contrast(
    generator: np.random.Generator, ranges: Ranges, age_months: float | None, hard: float
) -> tuple[np.ndarray, str, dict[str, Any] | None]:
    """Draw tissue means, (T,), name the contrast, and say how myelination differs between places.

    Realistic contrasts are T1w and T2w priors between birth and full myelination; at low ``hard`` random
    contrasts keep the grey and the white matter well apart, and nothing is said of myelination.
    """
    table = tissue_table()
    if generator.random() < ranges.realistic:
        kind = int(generator.integers(len(CONTRASTS)))
        maturity = _draw_maturity(generator, ranges, age_months)
        prior = (1 - maturity) * table.means[kind, 0] + maturity * table.means[kind, 1]
        centre = prior[1:20].mean()
        compression = 1 + hard * (generator.uniform(*ranges.compression) - 1)
        means = centre + (prior - centre) * compression
        means = means + hard * generator.normal(0, ranges.mean_jitter, len(means))
        means[table.number("deep_white_matter")] += hard * generator.normal(0, 0.02)
        slope = compression * (table.means[kind, 1] - table.means[kind, 0])
        if generator.random() < ranges.inverted:
            means, slope = 1 - means, -slope
        means[0] = 0
        further = generator.spawn(1)[0]
        if further.random() < ranges.merged * hard:
            means = merge_alike(means, prior)
        means = np.clip(_shared(further, ranges, means, hard), 0, 1.2)
        places = _draw_myelination(further, ranges, slope, maturity, hard)
        return means, f"{CONTRASTS[kind]} {maturity:.2f}", places

    means = generator.random(len(table.names))
    cortex, white = table.number("cortex"), table.number("white_matter")
    apart = 0.25 * (1 - hard) + 0.06
    while abs(means[cortex] - means[white]) < apart:
        means[[cortex, white]] = generator.random(2)
    means[table.number("deep_white_matter")] = means[white] + generator.normal(0, 0.03)
    if generator.random() < 0.7:
        for name in GREY:
            means[table.number(name)] = means[cortex] + generator.normal(0, 0.05)
    if generator.random() < 0.7:
        for name in ("lateral_ventricle", "midline_ventricle"):
            means[table.number(name)] = means[table.number("csf")] + generator.normal(0, 0.02)
    means[0] = 0 if generator.random() < 0.8 else generator.random()
    means = _shared(generator.spawn(1)[0], ranges, means, hard)
    return np.clip(means, 0, 1.2), "random", None


def merge_alike(means: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Give one mean to tissues whose prior means hardly differ: their T1w or T2w classes are merged.

    Parameters
    ----------
    means, prior : (T,) np.ndarray
        Means of a scan, and the prior that they were drawn around.

    Returns
    -------
    (T,) np.ndarray
        From the lowest prior on, those within `ALIKE` of the first of a group share a mean.
    """
    merged = means.copy()
    group: list[int] = []
    for tissue in [*np.argsort(prior, kind="stable"), None]:
        if group and (tissue is None or prior[tissue] - prior[group[0]] >= ALIKE):
            merged[group] = means[group].mean()
            group = []
        if tissue:  # Air, tissue 0, stays by itself.
            group.append(tissue)
    return merged


def _shared(generator: np.random.Generator, ranges: Ranges, means: np.ndarray, hard: float) -> np.ndarray:
    """Let half of the tissues take the mean of another tissue; cortex and white matter keep theirs."""
    if generator.random() >= ranges.shared * hard:
        return means
    taken = generator.integers(1, len(means), len(means))
    chosen = generator.random(len(means)) < 0.5
    chosen[[0, *(tissue_table().number(name) for name in ("cortex", "white_matter"))]] = False
    return np.where(chosen, means[taken], means)


def _draw_myelination(
    generator: np.random.Generator, ranges: Ranges, slope: np.ndarray, maturity: float, hard: float
) -> dict[str, Any] | None:
    """Weights of the ways in which maturity differs between places, and what white matter changes with it."""
    if generator.random() >= ranges.myelination * hard:
        return None
    white = np.isin(tissue_table().names, WHITE)
    weights = ranges.myelination_size * generator.random(4) * [1, 0.7, 0.7, 0.25]
    return {
        "maturity": maturity,
        "slopes": np.where(white, slope, 0).tolist(),
        "weights": weights.tolist(),
    }


def _draw_maturity(generator: np.random.Generator, ranges: Ranges, age_months: float | None) -> float:
    if generator.random() > ranges.follow_map_age:
        return float(generator.random())
    start, end = MYELINATION_MONTHS
    age = end if age_months is None else age_months
    expected = np.clip((age - start) / (end - start), 0, 1)
    return float(np.clip(expected + generator.normal(0, 0.15), 0, 1))
