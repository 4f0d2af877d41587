"""Cases matched to controls of the same sex and like age, and the differences within the pairs."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

from babyseg_py.statistics.groups import FEWEST_PER_GROUP
from babyseg_py.statistics.partial import false_discovery_rate
from babyseg_py.statistics.structures import side_of, volume_matrix
from babyseg_py.statistics.visits import DAYS_PER_MONTH, VISIT, age_on, common_reference, nearest_visits

CALIPER = 0.1
BALANCED = 0.1
PAIR_COLUMNS = [
    "pair", "case_id", "case_session_id", "case_age_days", "control_id", "control_session_id",
    "control_age_days", "age_difference_days", "sex", "age_reference", "notes",
]  # fmt: skip
BALANCE_COLUMNS = [
    "variable", "stage", "n_cases", "n_controls", "mean_cases", "mean_controls", "smd", "variance_ratio",
    "notes",
]  # fmt: skip
DIFFERENCE_COLUMNS = [
    "cases", "controls", "structure", "side", "n", "difference_mm3", "ci_low", "ci_high",
    "difference_percent", "p", "p_fdr", "volume_source", "notes",
]  # fmt: skip


@dataclass(frozen=True)
class Candidates:
    """The children that can be matched.

    Parameters
    ----------
    names : (str, str)
        Group of the cases, the smaller one, and of the controls.
    cases : pandas.DataFrame
        One visit of each case: participant_id, session_id, age (days), sex.
    controls : pandas.DataFrame
        Every visit of each control, with the same columns.
    reference : str
        What ages count from.
    exact : bool
        Whether every child has a sex, so that only children of one sex are matched.
    left_out : str
        Who is not among them, in words; empty if nobody is left out.
    """

    names: tuple[str, str]
    cases: pd.DataFrame
    controls: pd.DataFrame
    reference: str
    exact: bool
    left_out: str = ""


def matching_tables(
    volumes: pd.DataFrame, facts: pd.DataFrame, *, source: str, caliper: float = CALIPER
) -> dict[str, pd.DataFrame]:
    """Match the smaller of two groups of the samplesheet to the larger, and compare the pairs.

    Parameters
    ----------
    volumes : pandas.DataFrame
        Long table of volumes of the visits that are used.
    facts : pandas.DataFrame
        All visits of the samplesheet.
    source : str
        ``labels`` or ``posteriors``.
    caliper : float
        Largest difference of log(age + 1 month) within a pair.

    Returns
    -------
    dict of str to pandas.DataFrame
        matched_pairs, match_balance, matched_differences; where nothing can be matched the first has a row
        with the reason.
    """
    matrix = volume_matrix(volumes, source)
    found = draw_candidates(facts[pd.MultiIndex.from_frame(facts[VISIT]).isin(matrix.index)])
    empty = {
        "match_balance": pd.DataFrame(columns=BALANCE_COLUMNS),
        "matched_differences": pd.DataFrame(columns=DIFFERENCE_COLUMNS),
    }
    if isinstance(found, str):
        return {"matched_pairs": pd.DataFrame([{"notes": found}], columns=PAIR_COLUMNS)} | empty
    pairs = match_children(found, caliper=caliper)
    if len(pairs) < FEWEST_PER_GROUP:
        words = (
            f"{len(pairs)} of {len(found.cases)} cases ({found.names[0]}) have a control ({found.names[1]}) "
            f"of the same sex within the caliper: below {FEWEST_PER_GROUP}, not compared"
        )
        words = "; ".join(filter(None, [words, found.left_out]))
        return {"matched_pairs": pd.DataFrame([{"notes": words}], columns=PAIR_COLUMNS)} | empty
    unmatched = len(found.cases) - len(pairs)
    words = f"{unmatched} cases without a control within the caliper left out" if unmatched else ""
    notes = "; ".join(filter(None, [words, found.left_out])) or None
    return {
        "matched_pairs": pairs.assign(notes=notes)[PAIR_COLUMNS],
        "match_balance": balance(found, pairs),
        "matched_differences": differences(matrix, pairs, found.names).assign(
            volume_source=source, notes=notes
        )[DIFFERENCE_COLUMNS],
    }


def draw_candidates(facts: pd.DataFrame) -> Candidates | str:
    """Find cases and controls among the visits that have volumes; say why if there are no two groups."""
    known = facts[facts["group"].notna()]
    reference = common_reference(known)
    if reference is None:
        return "no ages: nothing to match on" if len(known) else "no child with volumes has a group"
    known = known.assign(age=age_on(known, reference)).dropna(subset=["age"])
    both = known.groupby("participant_id")["group"].transform("nunique") > 1
    n = known.loc[both, "participant_id"].nunique()
    left_out = f"{n} children who are in both groups at different visits left out" if n else ""
    known = known[~both]
    sizes = known.groupby("group")["participant_id"].nunique().sort_index()
    if len(sizes) != 2 or sizes.min() < FEWEST_PER_GROUP:
        words = ", ".join(f"{name} ({n})" for name, n in sizes.items()) or "there is none"
        words = f"matching needs exactly two groups of {FEWEST_PER_GROUP} children or more: {words}"
        return "; ".join(filter(None, [words, left_out]))
    case, control = sizes.sort_values(kind="stable").index
    chosen, _ = nearest_visits(known[known["group"] == case])
    columns = [*VISIT, "age", "sex"]
    return Candidates(
        (str(case), str(control)),
        chosen[columns].reset_index(drop=True),
        known.loc[known["group"] == control, columns].reset_index(drop=True),
        reference,
        bool(known["sex"].notna().all()),
        left_out,
    )


def match_children(found: Candidates, /, *, caliper: float = CALIPER) -> pd.DataFrame:
    """Pair each case with one control of its own: as many pairs as there can be, then the most alike in age.

    A control enters with the visit nearest in age to the case. Ages are compared as log(age + 1 month),
    because growth slows with age. The pairs are optimal together (assignment problem), so that the order of
    the children changes nothing.

    Parameters
    ----------
    found : Candidates
    caliper : float
        Largest difference of the logarithms; 0.1 is 10 % of the age and a month.

    Returns
    -------
    pandas.DataFrame
        `PAIR_COLUMNS` without notes.
    """
    cases = found.cases.sort_values(VISIT, ignore_index=True)
    visits = found.controls.sort_values(VISIT, ignore_index=True)
    apart = np.abs(_scale(cases["age"])[:, None] - _scale(visits["age"]))
    if found.exact:
        same = cases["sex"].to_numpy(object)[:, None] == visits["sex"].to_numpy(object)
        apart = np.where(same, apart, np.inf)
    # Visits are sorted, so that those of one control stand together.
    starts = np.flatnonzero(~visits["participant_id"].duplicated())
    ends = [*starts[1:], len(visits)]
    best = np.stack(
        [start + apart[:, start:end].argmin(axis=1) for start, end in zip(starts, ends, strict=True)], axis=1
    )
    cost = np.take_along_axis(apart, best, axis=1)
    allowed = cost <= caliper
    # A pair that is not allowed costs more than all that are, so that no pair is given up for likeness.
    forbidden = 2 * caliper * (min(cost.shape) + 1) + 1
    rows, columns = optimize.linear_sum_assignment(np.where(allowed, cost, forbidden))
    kept = [(i, best[i, j]) for i, j in zip(rows, columns, strict=True) if allowed[i, j]]
    own, other = cases.iloc[[i for i, _ in kept]], visits.iloc[[j for _, j in kept]]
    ages = own["age"].to_numpy(float), other["age"].to_numpy(float)
    return pd.DataFrame(
        {
            "pair": np.arange(1, len(kept) + 1),
            "case_id": own["participant_id"].to_numpy(object),
            "case_session_id": own["session_id"].to_numpy(object),
            "case_age_days": ages[0],
            "control_id": other["participant_id"].to_numpy(object),
            "control_session_id": other["session_id"].to_numpy(object),
            "control_age_days": ages[1],
            "age_difference_days": ages[0] - ages[1],
            "sex": own["sex"].to_numpy(object),
            "age_reference": found.reference,
        }
    )


def _scale(age_days: pd.Series) -> np.ndarray:
    return np.log(age_days.to_numpy(float) / DAYS_PER_MONTH + 1)


def balance(found: Candidates, pairs: pd.DataFrame) -> pd.DataFrame:
    r"""Compare cases and controls in what they were matched on, before and after.

    The standardised mean difference is :math:`(\bar x_1 - \bar x_0)/\sqrt{(s_1^2 + s_0^2)/2}` with the
    standard deviations before matching in both rows, so that it can be compared (Austin 2009,
    https://doi.org/10.1002/sim.3697); before matching a control counts with the visit that is nearest to the
    mean age of the cases.

    Returns
    -------
    pandas.DataFrame
        Columns `BALANCE_COLUMNS`; notes say where the difference is 0.1 or more after matching.
    """
    middle = found.controls.assign(off=(found.controls["age"] - found.cases["age"].mean()).abs())
    controls = middle.sort_values(["participant_id", "off", "session_id"]).drop_duplicates("participant_id")
    both = {
        "before": (found.cases, controls),
        "after": (
            pairs[["case_age_days", "sex"]].set_axis(["age", "sex"], axis=1),
            pairs[["control_age_days", "sex"]].set_axis(["age", "sex"], axis=1),
        ),
    }
    levels = sorted(found.cases["sex"].dropna().unique())[:1] if found.exact else []
    rows = []
    for level in [None, *levels]:
        name = "age (days)" if level is None else f"sex {level}"
        pooled = np.sqrt(np.mean([_value(one, level).var(ddof=1) for one in both["before"]]))
        for stage, (cases, others) in both.items():
            x, y = _value(cases, level), _value(others, level)
            smd = (x.mean() - y.mean()) / pooled if pooled > 0 else np.nan
            ratio = x.var(ddof=1) / y.var(ddof=1) if y.var(ddof=1) > 0 else np.nan
            odd = stage == "after" and abs(smd) >= BALANCED
            words = "the groups still differ by 0.1 standard deviations or more" if odd else None
            rows.append([name, stage, len(x), len(y), x.mean(), y.mean(), smd, ratio, words])
    return pd.DataFrame(rows, columns=BALANCE_COLUMNS)


def _value(table: pd.DataFrame, level: str | None) -> np.ndarray:
    """Return the ages, or who is of one sex as 0 and 1."""
    return table["age"].to_numpy(float) if level is None else (table["sex"] == level).to_numpy(float)


def differences(matrix: pd.DataFrame, pairs: pd.DataFrame, names: tuple[str, str]) -> pd.DataFrame:
    """Compare the volumes within the pairs by the paired t test, case less control."""
    own, other = (
        matrix.reindex(pd.MultiIndex.from_frame(pairs[[f"{who}_id", f"{who}_session_id"]]))
        for who in ("case", "control")
    )
    rows = []
    for structure in matrix.columns:
        x, y = own[structure].to_numpy(float), other[structure].to_numpy(float)
        there = np.isfinite(x) & np.isfinite(y)
        d, n = (x - y)[there], int(there.sum())
        row: dict[str, object] = {"cases": names[0], "controls": names[1], "structure": structure}
        row |= {"side": side_of(structure, matrix.columns), "n": n}
        if n >= FEWEST_PER_GROUP and d.std(ddof=1) > 0:
            error = d.std(ddof=1) / np.sqrt(n)
            reach = stats.t.ppf(0.975, n - 1) * error
            row |= {"difference_mm3": d.mean(), "ci_low": d.mean() - reach, "ci_high": d.mean() + reach}
            row |= {"p": float(2 * stats.t.sf(abs(d.mean() / error), n - 1))}
            row |= {"difference_percent": 100 * d.mean() / y[there].mean() if y[there].mean() > 0 else np.nan}
        rows.append(row)
    table = pd.DataFrame(rows).reindex(columns=DIFFERENCE_COLUMNS)
    return table.assign(p_fdr=false_discovery_rate(table["p"].to_numpy(float)))
