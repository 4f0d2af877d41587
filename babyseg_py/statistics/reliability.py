"""How well volumes repeat: between repeat scans of one contrast, and between contrasts, of one visit."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from babyseg_py.statistics.structures import SOURCES, side_of, volume_matrix
from babyseg_py.statistics.visits import VISIT, age_on, common_reference, nearest_visits

COLUMNS = [
    "kind", "contrasts", "structure", "side", "volume_source", "n", "icc_2_1", "icc_2_1_ci_low",
    "icc_2_1_ci_high", "icc_3_1", "icc_3_1_ci_low", "icc_3_1_ci_high", "cv_within_percent", "n_visits_cv",
    "difference_percent", "visit_rule", "notes",
]  # fmt: skip
FEW, FEWEST = 10, 3
_SCAN = [*VISIT, "scan"]


@dataclass(frozen=True)
class Agreement:
    """An intraclass correlation with its 95 % interval; NaN where it is not defined."""

    icc: float = np.nan
    ci_low: float = np.nan
    ci_high: float = np.nan


def intraclass(ratings: np.ndarray, /) -> tuple[Agreement, Agreement]:
    r"""ICC(2,1) and ICC(3,1): absolute agreement and consistency of single measurements.

    With the mean squares of children :math:`R`, scans :math:`C` and error :math:`E` of the two-way table,
    :math:`ICC(2,1) = (R - E) / (R + (k-1) E + k (C - E)/n)` and :math:`ICC(3,1) = (R - E) / (R + (k-1) E)`;
    intervals of McGraw and Wong (1996, https://doi.org/10.1037/1082-989X.1.1.30), written so that an error of
    zero is no division by zero.

    Parameters
    ----------
    ratings : (n, k) array of float
        Children by scans, nothing missing.

    Returns
    -------
    (ICC(2,1), ICC(3,1)) : tuple of Agreement
        NaN for fewer than 3 children or 2 scans, or where nothing differs at all.
    """
    n, k = ratings.shape
    if n < FEWEST or k < 2:
        return Agreement(), Agreement()
    centred = ratings - ratings.mean()
    rows, columns = centred.mean(axis=1), centred.mean(axis=0)
    error = centred - rows[:, None] - columns
    df_error = (n - 1) * (k - 1)
    msr, msc = k * (rows @ rows) / (n - 1), n * (columns @ columns) / (k - 1)
    mse = float((error**2).sum()) / df_error
    tiny = np.finfo(float).eps ** 2 * float(np.abs(ratings).max()) ** 2 * n * k
    mse, msc = (0.0 if square < tiny else square for square in (mse, msc))
    if msr < tiny:
        return Agreement(), Agreement()
    return _absolute(msr, msc, mse, n, k), _consistent(msr, mse, n, k)


def _consistent(msr: float, mse: float, n: int, k: int) -> Agreement:
    df = (n - 1, (n - 1) * (k - 1))
    upper, lower = stats.f.ppf(0.975, *df) * mse, mse / stats.f.ppf(0.975, *df[::-1])
    low, high = ((msr - e) / (msr + (k - 1) * e) for e in (upper, lower))
    return Agreement((msr - mse) / (msr + (k - 1) * mse), float(low), float(high))


def _absolute(msr: float, msc: float, mse: float, n: int, k: int) -> Agreement:
    icc = (msr - mse) / (msr + (k - 1) * mse + k * (msc - mse) / n)
    rest = mse * (n * (1 + (k - 1) * icc) - k * icc)
    weight = k * icc * msc
    if weight == 0 and rest == 0:  # no error of either kind
        return Agreement(icc, icc, icc)
    df = (n - 1) * (k - 1) * (weight + rest) ** 2 / ((n - 1) * weight**2 + rest**2)
    upper, lower = stats.f.ppf(0.975, n - 1, df), stats.f.ppf(0.975, df, n - 1)
    noise = k * msc + (k * n - k - n) * mse
    low = n * (msr - upper * mse) / (upper * noise + n * msr)
    high = n * (lower * msr - mse) / (noise + n * lower * msr)
    return Agreement(icc, float(low), float(high))


def within_child_variation(volumes: np.ndarray, children: np.ndarray, /) -> tuple[np.ndarray, np.ndarray]:
    r"""Coefficient of variation within a visit, in percent.

    :math:`100 \sqrt{\operatorname{mean}_c \operatorname{mean}_{v} (s_{cv} / m_{cv})^2}` over children c and
    their visits v, with the standard deviation s (n - 1) and mean m of the scans of a visit: the root mean
    square of Bland and Altman (1996, https://doi.org/10.1136/bmj.313.7049.106), every child counting once.

    Parameters
    ----------
    volumes : (v, k, s) array of float
        Volumes in mm³ of v visits, up to k scans each, s structures; missing ones are NaN.
    children : (v,) array
        The child of each visit.

    Returns
    -------
    percent : (s,) array of float
        NaN without a visit that has two scans and a mean above 0.
    visits : (s,) array of int
        How many visits it is from.
    """
    known = np.isfinite(volumes)
    n = known.sum(axis=1)
    mean = np.where(known, volumes, 0.0).sum(axis=1) / np.maximum(n, 1)
    squares = (np.where(known, volumes - mean[:, None], 0.0) ** 2).sum(axis=1) / np.maximum(n - 1, 1)
    usable = (n > 1) & (mean > 0)
    relative = np.divide(squares, mean**2, out=np.zeros_like(mean), where=usable)
    _, child = np.unique(children, return_inverse=True)
    total, count = (np.zeros((len(children), mean.shape[1])) for _ in range(2))
    np.add.at(total, child, relative)
    np.add.at(count, child, usable)
    by_child = np.divide(total, count, out=np.zeros_like(total), where=count > 0).sum(axis=0)
    number = (count > 0).sum(axis=0)
    percent = 100 * np.sqrt(np.divide(by_child, number, out=np.full(len(number), np.nan), where=number > 0))
    return percent, usable.sum(axis=0)


def reliability_table(scans: pd.DataFrame, *, left_out: str = "") -> pd.DataFrame:
    """Reliability of every structure from the scans of the same visit.

    ``repeat`` compares the runs of one contrast: the first two runs of each visit in the ICC, all of them in
    the coefficient of variation. ``across contrasts`` compares the first run of one contrast with the first
    of another. In the ICC every child counts once, with the visit that `nearest_visits` chooses.

    Parameters
    ----------
    scans : pandas.DataFrame
        Volumes per scan: columns participant_id, session_id, scan, run, suffix, structure, volume_mm3,
        volume_posterior_mm3 and those of `visit_facts`. Scans that are not to be used are already left out.
    left_out : str
        What was left out, to be repeated in the notes.

    Returns
    -------
    pandas.DataFrame
        The columns of `COLUMNS`.
    """
    rows: list[dict] = []
    if len(scans):
        names = scans.drop_duplicates(_SCAN).sort_values(
            [*VISIT, "suffix", "run", "scan"], na_position="first"
        )
        matrices = {source: volume_matrix(scans, source, index=_SCAN) for source in SOURCES}
        for kind, contrasts, groups in _comparisons(names):
            chosen, rule = nearest_visits(groups)
            comparison = {"kind": kind, "contrasts": contrasts, "visit_rule": rule}
            for source, matrix in matrices.items():
                rows += [
                    comparison | {"volume_source": source} | row
                    for row in _rows(matrix, groups, chosen, left_out)
                ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _comparisons(names: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield kind, contrasts and the visits, each with the tuple of its scans to be compared."""
    facts = names.drop_duplicates(VISIT).set_index(VISIT)
    by_contrast = {str(c): rows.groupby(VISIT)["scan"].agg(tuple) for c, rows in names.groupby("suffix")}
    for contrast, scans in by_contrast.items():
        several = scans[scans.map(len) > 1]
        if len(several):
            yield "repeat", contrast, facts.loc[several.index].assign(scans=several).reset_index()
    for (first, ones), (second, others) in combinations(by_contrast.items(), 2):
        both = ones.index.intersection(others.index)
        if len(both):
            pairs = pd.Series([(ones[visit][0], others[visit][0]) for visit in both], index=both)
            yield "across contrasts", f"{first}, {second}", facts.loc[both].assign(scans=pairs).reset_index()


def _rows(matrix: pd.DataFrame, groups: pd.DataFrame, chosen: pd.DataFrame, left_out: str) -> Iterator[dict]:
    lookup = {key: values for key, values in zip(matrix.index, matrix.to_numpy(float), strict=True)}
    stacks = [
        np.stack([lookup[(p, s, scan)] for scan in scans])
        for p, s, scans in groups[[*VISIT, "scans"]].to_numpy()
    ]
    padded = np.full(
        (len(stacks), max(map(len, stacks)), len(matrix.columns)), np.nan
    )  # visit, scan, structure
    for visit, stack in enumerate(stacks):
        padded[visit, : len(stack)] = stack
    variation, n_visits = within_child_variation(padded, groups["participant_id"].to_numpy())
    pairs = padded[groups.index.get_indexer(chosen.index), :2]
    spread = _age_spread(chosen)
    for column, structure in enumerate(matrix.columns):
        pair = pairs[:, :, column]
        complete = pair[np.isfinite(pair).all(axis=1)]
        absolute, consistent = intraclass(complete)
        means = complete.mean(axis=1)
        relative = (complete[:, 1] - complete[:, 0])[means > 0] / means[means > 0]
        yield {
            "structure": structure,
            "side": side_of(structure, matrix.columns),
            "n": len(complete),
            "icc_2_1": absolute.icc,
            "icc_2_1_ci_low": absolute.ci_low,
            "icc_2_1_ci_high": absolute.ci_high,
            "icc_3_1": consistent.icc,
            "icc_3_1_ci_low": consistent.ci_low,
            "icc_3_1_ci_high": consistent.ci_high,
            "cv_within_percent": variation[column],
            "n_visits_cv": int(n_visits[column]),
            "difference_percent": 100 * relative.mean() if len(relative) else np.nan,
            "notes": "; ".join(filter(None, [_note(complete, len(pair), absolute), spread, left_out])),
        }


def _note(complete: np.ndarray, n: int, absolute: Agreement) -> str:
    notes = []
    if len(complete) < n:
        notes.append(f"{n - len(complete)} without this structure in both scans, or flagged")
    if len(complete) < FEWEST:
        notes.append(f"n = {len(complete)} is below {FEWEST}: no ICC")
    elif np.isnan(absolute.icc):
        notes.append("the children do not differ: no ICC")
    elif len(complete) < FEW:
        notes.append(f"n = {len(complete)} is below {FEW}: read the interval, not the ICC")
    return "; ".join(notes)


def _age_spread(visits: pd.DataFrame) -> str:
    reference = common_reference(visits)
    if reference is None:
        return ""
    ages = age_on(visits, reference).dropna()
    if ages.max() - ages.min() < 90:
        return ""
    return (
        f"ages {ages.min():.0f} to {ages.max():.0f} days ({reference}): differences in age raise an ICC, "
        "see the coefficient of variation"
    )
