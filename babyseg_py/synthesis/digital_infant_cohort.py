"""The plan of a digital cohort: who is seen when, how, and which score goes with which volume."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from babyseg_py.synthesis.digital_infant import OLDEST_MONTHS, SIZE_SD, Child, Model, draw_child
from babyseg_py.synthesis.digital_infant_images import Scan

PLANTED_LABEL = 17  # left hippocampus
PLANTED_SCORE = "language"
NULL_SCORES = ("motor", "sleep")
# The planted structure differs more between children than others do, evenly and on one side alone, so that a
# dozen children can show its association.
PLANTED_SD = 0.15
PLANTED_CORRELATION = 0.95
VISIT_SD = 3.0  # of a score from visit to visit of one child, in points
SPACING_MM = 1.3
THICK = 1.8  # slice thickness of a thick scan relative to the in-plane voxel
_FIRST_MONTHS = (0.3, 2.5, 6.0, 1.2, 4.0, 8.0, 3.2, 0.8, 5.0, 7.0, 12.0, 12.6)
_SECOND_MONTHS = (12.0, 12.8, 11.4, 12.4, 11.1, 13.0, 11.8, 12.2, 11.6, 12.6, 24.0, 34.0)
_REPEATED = {
    (1, 0): "T1w",
    (4, 0): "T1w",
    (7, 1): "T1w",
    (3, 1): "T2w",
}  # (child, visit): contrast taken twice
_CORRUPT = (5, 1)  # this visit has a second T2w run that was cut off while it was copied
_CASES = (1, 2, 6, 7, 11)  # the others are controls; they differ by chance alone
_WITH_RATERS = ((0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (6, 1))  # close to twelve months
_WITH_TRUTH = ((0, 0), (0, 1), (2, 0), (2, 1))  # these lie still between their scans


@dataclass(frozen=True)
class PlannedScan:
    """A scan and what becomes of its file.

    Parameters
    ----------
    run : int or None
        Number among repeat scans.
    scan : Scan
        How it is taken.
    corrupt : bool
        Whether its file is cut off.
    """

    run: int | None
    scan: Scan
    corrupt: bool = False


@dataclass(frozen=True)
class PlannedVisit:
    """A visit.

    Parameters
    ----------
    session : str
        Session label.
    age_months : float
        Age after birth at term.
    with_head : bool
        Whole heads rather than skull-stripped scans.
    with_truth : bool
        Whether the sheet names a reference segmentation.
    with_raters : bool
        Whether raters labelled the first scan.
    scans : tuple of PlannedScan
        The first is a T1w scan.
    seed : int
        Of the surroundings of the brain.
    """

    session: str
    age_months: float
    with_head: bool
    with_truth: bool
    with_raters: bool
    scans: tuple[PlannedScan, ...]
    seed: int


@dataclass(frozen=True)
class PlannedChild:
    """A child with its visits."""

    participant: str
    sex: str
    site: str
    group: str
    child: Child
    visits: tuple[PlannedVisit, ...]


def plan_cohort(
    model: Model, /, *, children: int, visits: int = 2, spacing_mm: float = SPACING_MM, seed: int = 1
) -> list[PlannedChild]:
    """Plan a cohort; equal arguments give equal cohorts.

    Parameters
    ----------
    model : Model
        From `digital_infant.load_model`.
    children, visits : int
        How many children, and how many visits for each.
    spacing_mm : float
        Voxel size in the plane of all scans.
    seed : int
        Of everything that is drawn.

    Returns
    -------
    list of PlannedChild
        Children ``01``, ``02``, …
    """
    generator = np.random.default_rng(seed)
    spread = generator.permutation(_normal_scores(children)) * PLANTED_SD
    planned = []
    for number in range(children):
        child = draw_child(model, generator, structures={PLANTED_LABEL: float(spread[number])})
        site = "AB"[number % 2]
        ages = _ages(number, visits, generator)
        planned.append(
            PlannedChild(
                participant=f"{number + 1:02d}",
                sex="FM"[int(generator.integers(2))],
                site=site,
                group="case" if number % len(_FIRST_MONTHS) in _CASES else "control",
                child=child,
                visits=tuple(
                    _visit((number, v), age, site, spacing_mm, generator) for v, age in enumerate(ages)
                ),
            )
        )
    return planned


def relative_volume(child: Child, /) -> float:
    """Log of a child's left hippocampus relative to the mean of its age, brain size included."""
    return child.size + child.structures.get(PLANTED_LABEL, 0.0)


def draw_scores(cohort: list[PlannedChild], /, *, seed: int = 1) -> dict[str, np.ndarray]:
    """Scores of all children by name: one that follows the planted volume, the others by chance.

    Parameters
    ----------
    cohort : list of PlannedChild
        The plan.
    seed : int
        Of the chance.

    Returns
    -------
    dict of str to (N,) np.ndarray
        Scores with mean 100 and standard deviation 15, in order of the children.
    """
    generator = np.random.default_rng([seed, 7])
    size = np.array([relative_volume(one.child) for one in cohort])
    size = (size - size.mean()) / np.hypot(PLANTED_SD, SIZE_SD)
    noise = generator.standard_normal((1 + len(NULL_SCORES), len(cohort)))
    own = np.sqrt(1 - PLANTED_CORRELATION**2)
    scores = {PLANTED_SCORE: PLANTED_CORRELATION * size + own * noise[0]}
    scores |= dict(zip(NULL_SCORES, noise[1:], strict=True))
    return {name: np.round(100 + 15 * values, 1) for name, values in scores.items()}


def draw_visit_scores(cohort: list[PlannedChild], /, *, seed: int = 1) -> dict[str, list[np.ndarray]]:
    """Scores at every visit by name: those of the child, which `draw_scores` draws, and chance around them.

    Parameters
    ----------
    cohort : list of PlannedChild
        The plan.
    seed : int
        Of the chance.

    Returns
    -------
    dict of str to list of (V,) np.ndarray
        Scores at the visits of each child, in their order.
    """
    generator = np.random.default_rng([seed, 8])
    return {
        name: [
            np.round(value + VISIT_SD * generator.standard_normal(len(one.visits)), 1)
            for one, value in zip(cohort, values, strict=True)
        ]
        for name, values in draw_scores(cohort, seed=seed).items()
    }


def _normal_scores(count: int) -> np.ndarray:
    """Evenly spread quantiles of the normal distribution with standard deviation 1."""
    values = norm.ppf((np.arange(count) + 0.5) / count)
    return values / values.std() if count > 1 else np.zeros(1)


def _ages(number: int, visits: int, generator: np.random.Generator) -> list[float]:
    """Ages of one child's visits in months: the table for two, then every ten months or so."""
    place = number % len(_FIRST_MONTHS)
    ages = [_FIRST_MONTHS[place], _SECOND_MONTHS[place]]
    while len(ages) < visits:
        ages.append(min(ages[-1] + generator.uniform(8, 12), OLDEST_MONTHS))
    return [round(float(age), 1) for age in ages[:visits]]


def _visit(
    place: tuple[int, int], age: float, site: str, spacing_mm: float, generator: np.random.Generator
) -> PlannedVisit:
    """Plan the scans of one visit; ``place`` is (child, visit)."""
    number, visit = place
    still = place in _WITH_TRUTH
    suffixes: list[tuple[str, int | None]] = [("T1w", None), ("T2w", None)]
    again = _REPEATED.get(place) or ("T2w" if place == _CORRUPT else None)
    if again:
        suffixes = [s for s in suffixes if s[0] != again] + [(again, 1), (again, 2)]
        suffixes.sort(key=lambda s: s[0])
    rest = _pose(generator)
    scans = []
    for suffix, run in suffixes:
        turn, shift = rest if still else _moved(rest, generator)
        thick = suffix == "T2w" and (still or (number + visit) % 3 == 1)
        scan = Scan(
            suffix=suffix,
            spacing_mm=(spacing_mm, spacing_mm, spacing_mm * (THICK if thick else 1)),
            rotation_deg=turn,
            shift_mm=shift,
            blur_mm=float(generator.uniform(0.2, 0.7)),
            bias=float(generator.uniform(0.06, 0.16)),
            noise=float(generator.uniform(0.012, 0.02) * (1.4 if site == "B" else 1)),
            axes="RAS" if site == "A" else "LPS",
            seed=int(generator.integers(2**31)),
        )
        scans.append(PlannedScan(run, scan, corrupt=place == _CORRUPT and run == 2))
    return PlannedVisit(
        session="ABCDEFGH"[visit],
        age_months=age,
        with_head=(number + visit) % 2 == 1,
        with_truth=still,
        with_raters=place in _WITH_RATERS,
        scans=tuple(scans),
        seed=int(generator.integers(2**31)),
    )


def _pose(generator: np.random.Generator) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    turn, shift = generator.normal(0, 5, 3), generator.normal(0, 5, 3)
    return _three(np.clip(turn, -10, 10)), _three(shift)


def _moved(
    rest: tuple[tuple[float, float, float], tuple[float, float, float]], generator: np.random.Generator
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Pose after the child has moved between two scans."""
    turn, shift = (np.array(part) for part in rest)
    return _three(turn + generator.normal(0, 2.5, 3)), _three(shift + generator.normal(0, 2, 3))


def _three(values: np.ndarray) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
