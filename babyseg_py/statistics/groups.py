"""Groups of children compared: analysis of covariance with differences of every pair of groups."""

from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import optimize, stats

from babyseg_py.labels.table import BRAIN_VOLUME
from babyseg_py.statistics.partial import basis_of, false_discovery_rate
from babyseg_py.statistics.scores import code_covariates, unusable
from babyseg_py.statistics.structures import BRAIN_COVARIATE, side_of, volume_matrix
from babyseg_py.statistics.visits import REFERENCES, VISIT, age_on, common_reference, nearest_visits

COLUMNS = [
    "structure", "side", "volume_source", "brain_volume_adjustment", "comparison", "n", "n_groups", "groups",
    "f", "df1", "df2", "p", "p_fdr", "partial_eta2", "partial_eta2_ci_low", "partial_eta2_ci_high",
    "difference_mm3", "ci_low", "ci_high", "p_tukey", "hedges_g", "hedges_g_ci_low", "hedges_g_ci_high",
    "covariates", "visit_rule", "family", "notes",
]  # fmt: skip
FEWEST_PER_GROUP = 5
ADJUSTMENTS = ("none", "covariate")


@dataclass(frozen=True)
class Sample:
    """One visit of every child that has a group, an age and the covariates.

    Parameters
    ----------
    visits : pandas.DataFrame
    groups : (n,) array of str
    design : (n, k) array
        Covariates, coded.
    described : tuple of str
    rule : str
        How the visit was chosen.
    notes : tuple of str
    """

    visits: pd.DataFrame
    groups: np.ndarray
    design: np.ndarray
    described: tuple[str, ...]
    rule: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Ancova:
    """Linear model of one structure: adjusted means of the groups at the mean of the covariates."""

    n: int
    names: tuple[str, ...]
    counts: np.ndarray
    means: np.ndarray
    covariance: np.ndarray
    sd: float
    f: float
    df1: int
    df2: int

    @property
    def p(self) -> float:
        """Probability of an F this large without any difference."""
        return float(stats.f.sf(self.f, self.df1, self.df2))

    @property
    def partial_eta2(self) -> float:
        """Share of the variance, beside the covariates, that is between groups."""
        return self.f * self.df1 / (self.f * self.df1 + self.df2)


def group_table(
    volumes: pd.DataFrame, facts: pd.DataFrame, *, source: str, covariates: tuple[str, ...] = ("sex", "site")
) -> pd.DataFrame:
    """Compare the groups of the samplesheet by analysis of covariance, one visit per child.

    Covariates are the age at the visit and those named that every child has and that differ; brain volume is
    one more in a second set of rows. A row of all groups has F, p and partial eta squared with the interval
    from the noncentral F; a row of each pair the difference of the adjusted means with the interval and p of
    Tukey and Kramer, and Hedges' g (difference over the residual standard deviation, corrected for few
    children) with its interval. Groups of fewer than 5 children are left out, with a note.

    Parameters
    ----------
    volumes, facts, source
        As of `babyseg_py.statistics.growthmodels.growth_models`.
    covariates : tuple of str
        Columns of ``facts``.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`; one row with the reason if there is nothing to compare.
    """
    matrix = volume_matrix(volumes, source)
    sample = draw_groups(facts, matrix, covariates)
    common = {"volume_source": source, "visit_rule": getattr(sample, "rule", None)}
    if isinstance(sample, str):
        return pd.DataFrame([{"volume_source": source, "notes": sample}], columns=COLUMNS)
    values = matrix.reindex(pd.MultiIndex.from_frame(sample.visits[VISIT]))
    rows: list[dict] = []
    for adjustment in ADJUSTMENTS:
        family: list[dict] = []
        for name in values.columns:
            if adjustment == "covariate" and (name == BRAIN_VOLUME or BRAIN_VOLUME not in values):
                continue
            of = common | {"structure": name, "side": side_of(name, values.columns)}
            of |= {"brain_volume_adjustment": adjustment}
            family += [of | row for row in _structure(values, name, sample, adjustment)]
        rows += _with_family(family)
    return pd.DataFrame(rows, columns=COLUMNS)


def draw_groups(facts: pd.DataFrame, matrix: pd.DataFrame, covariates: tuple[str, ...]) -> Sample | str:
    """Take one visit of every child with a group; say why if there are not two groups of 5 children."""
    known = facts[pd.MultiIndex.from_frame(facts[VISIT]).isin(matrix.index) & facts["group"].notna()]
    if known.empty:
        return "no child with volumes has a group in the samplesheet"
    chosen, rule = nearest_visits(known)
    reference = common_reference(chosen)
    notes = []
    if reference:
        chosen = chosen.assign(age=age_on(chosen, reference))
        lacking = int(chosen["age"].isna().sum())
        notes += [f"{lacking} children without an age {REFERENCES[reference]}"] if lacking else []
        chosen = chosen.dropna(subset=["age"])
    counts = chosen["group"].value_counts()
    small = sorted(counts.index[counts < FEWEST_PER_GROUP])
    if small:
        notes.append(f"groups of fewer than {FEWEST_PER_GROUP} children left out: {', '.join(small)}")
    chosen = chosen[~chosen["group"].isin(small)]
    if len(chosen["group"].unique()) < 2:
        words = ", ".join(f"{name} ({n})" for name, n in sorted(counts.items()))
        return f"there are not two groups of {FEWEST_PER_GROUP} children: {words}"
    left_out = {name: _why_not(chosen[name]) for name in covariates if chosen[name].notna().any()}
    notes += [f"not adjusted for {name}: {why}" for name, why in left_out.items() if why]
    coded = code_covariates(chosen[[name for name, why in left_out.items() if not why]])
    design, described = coded.design, list(coded.described)
    if reference:
        design = np.column_stack([chosen["age"].to_numpy(float), design])
        described.insert(0, f"age (days {REFERENCES[reference]})")
    groups = chosen["group"].to_numpy().astype(str)
    return Sample(
        chosen.reset_index(drop=True),
        groups,
        design,
        tuple(described),
        f"one visit per child: {rule}",
        tuple(notes),
    )


def _why_not(column: pd.Series) -> str:
    """Say why groups are not adjusted for a covariate of which there are values; empty if they are."""
    return "missing for some children" if column.isna().any() else unusable(column)


def ancova(y: np.ndarray, groups: np.ndarray, design: np.ndarray, /) -> Ancova | str:
    """Fit one structure; say why not if the groups follow from the covariates or too few children are left.

    Parameters
    ----------
    y : (n,) array of float
    groups : (n,) array of str
    design : (n, k) array of float
        Covariates without intercept.
    """
    names, codes = np.unique(groups, return_inverse=True)
    counts = np.bincount(codes)
    if len(names) < 2 or counts.min() < 2:
        return "a group has fewer than two children with this volume: not compared"
    centred = design - design.mean(axis=0)
    spread = centred.std(axis=0)
    centred = centred[:, spread > 0] / spread[spread > 0]
    _, redundant = basis_of(centred)
    centred = np.delete(centred, redundant, axis=1)
    x = np.column_stack([np.eye(len(names))[codes], centred])
    df2 = len(y) - x.shape[1]
    if basis_of(x)[1] or df2 < FEWEST_PER_GROUP:
        return "the groups follow from the covariates, or too few children are left: not compared"
    inverse = np.linalg.inv(x.T @ x)
    beta = inverse @ (x.T @ y)
    rest = float(((y - x @ beta) ** 2).sum())
    if rest <= 1e-12 * float(((y - y.mean()) ** 2).sum()) or np.ptp(y) == 0:
        return "the volume is constant within groups: not compared"
    null = np.column_stack([np.ones(len(y)), centred])
    without = float(((y - null @ np.linalg.lstsq(null, y, rcond=None)[0]) ** 2).sum())
    k, variance = len(names), rest / df2
    f = (without - rest) / (k - 1) / variance
    return Ancova(
        len(y),
        tuple(names),
        counts,
        beta[:k],
        variance * inverse[:k, :k],
        float(np.sqrt(variance)),
        f,
        k - 1,
        df2,
    )


def _structure(values: pd.DataFrame, name: str, sample: Sample, adjustment: str) -> list[dict]:
    y, design, described = values[name].to_numpy(float), sample.design, [*sample.described]
    if adjustment == "covariate":
        design = np.column_stack([design, values[BRAIN_VOLUME].to_numpy(float)])
        described.append(BRAIN_COVARIATE)
    there = np.isfinite(y) & np.isfinite(design).all(axis=1)
    notes = list(sample.notes)
    if not there.all():
        notes.append(f"{int((~there).sum())} children without volume, or flagged")
    fitted = ancova(y[there], sample.groups[there], design[there])
    common = {"covariates": "; ".join(described) or "none", "n": int(there.sum())}
    if isinstance(fitted, str):
        return [common | {"comparison": "all groups", "notes": "; ".join([fitted, *notes])}]
    low, high = eta_interval(fitted)
    words = ", ".join(f"{g} ({n})" for g, n in zip(fitted.names, fitted.counts, strict=True))
    common |= {"n_groups": len(fitted.names), "groups": words, "notes": "; ".join(notes) or None}
    omnibus = {
        "comparison": "all groups",
        "f": fitted.f,
        "df1": fitted.df1,
        "df2": fitted.df2,
        "p": fitted.p,
        "partial_eta2": fitted.partial_eta2,
        "partial_eta2_ci_low": low,
        "partial_eta2_ci_high": high,
    }
    pairs = combinations(range(len(fitted.names)), 2)
    return [common | omnibus, *(common | _pair(fitted, i, j) for i, j in pairs)]


def _pair(fitted: Ancova, i: int, j: int) -> dict:
    """Compare two groups: the second less the first."""
    difference = fitted.means[j] - fitted.means[i]
    covariance = fitted.covariance
    error = np.sqrt(covariance[i, i] + covariance[j, j] - 2 * covariance[i, j])
    k, df = len(fitted.names), fitted.df2
    quantile = _range_quantile(k, df)
    small = 1 - 3 / (4 * df - 1)
    g = small * difference / fitted.sd
    spread = small * np.sqrt((error / fitted.sd) ** 2 + (difference / fitted.sd) ** 2 / (2 * df))
    reach = stats.norm.ppf(0.975) * spread
    return {
        "comparison": f"{fitted.names[j]} - {fitted.names[i]}",
        "difference_mm3": difference,
        "ci_low": difference - quantile * error,
        "ci_high": difference + quantile * error,
        "p_tukey": _range_tail(abs(difference) / error, k, df),
        "df2": df,
        "hedges_g": g,
        "hedges_g_ci_low": g - reach,
        "hedges_g_ci_high": g + reach,
    }


@cache
def _range_quantile(k: int, df: int) -> float:
    """95 % quantile of Tukey's studentised range over the root of 2; of two groups that is Student's t."""
    return float(stats.t.ppf(0.975, df) if k == 2 else stats.studentized_range.ppf(0.95, k, df) / np.sqrt(2))


def _range_tail(t: float, k: int, df: int) -> float:
    return float(2 * stats.t.sf(t, df) if k == 2 else stats.studentized_range.sf(np.sqrt(2) * t, k, df))


def eta_interval(fitted: Ancova, *, level: float = 0.9) -> tuple[float, float]:
    """Return the 90 % interval of partial eta squared from the noncentral F (Steiger 2004)."""

    def bound(tail: float) -> float:
        def off(nc: float) -> float:
            return float(stats.ncf.cdf(fitted.f, fitted.df1, fitted.df2, nc)) - tail

        if off(0.0) <= 0:
            return 0.0
        top = 10.0 + 4 * fitted.f * fitted.df1
        while off(top) > 0 and top < 1e6:
            top *= 2
        return float(optimize.brentq(off, 0.0, top))

    low, high = bound((1 + level) / 2), bound((1 - level) / 2)
    return low / (low + fitted.n), high / (high + fitted.n)


def _with_family(rows: list[dict]) -> list[dict]:
    """Adjust the tests of all groups over the structures of one adjustment for brain volume."""
    tests = [row for row in rows if row["comparison"] == "all groups"]
    p = np.array([row.get("p", np.nan) for row in tests], dtype=float)
    words = f"{int(np.isfinite(p).sum())} structures of one adjustment"
    for row, adjusted in zip(tests, false_discovery_rate(p), strict=True):
        row |= {"p_fdr": adjusted, "family": words}
    return rows
