"""Earlier brain with later score, and change with change: one number of each per child, ranks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from babyseg_py.labels.table import BRAIN_VOLUME
from babyseg_py.statistics.agescales import levelled
from babyseg_py.statistics.associations import estimate, family_of
from babyseg_py.statistics.pairing import Rule
from babyseg_py.statistics.partial import FEWEST
from babyseg_py.statistics.repeated import COLUMNS
from babyseg_py.statistics.sample import Cohort, Sample, usable_visits
from babyseg_py.statistics.scores import SHEET_COLUMNS, Covariates, as_numbers, code_covariates
from babyseg_py.statistics.structures import side_of
from babyseg_py.statistics.study import Gathered
from babyseg_py.statistics.visits import (
    REFERENCES,
    VISIT,
    age_on,
    common_reference,
    target_age,
)

EARLIER, GIVEN, CHANGE = (
    "earlier brain, later score",
    "earlier brain, later score, given the earlier score",
    "change with change",
)
LEAST_GAP_DAYS = 30.0


@dataclass(frozen=True)
class Pairs:
    """One pair of times per child.

    Parameters
    ----------
    table : pandas.DataFrame
        participant_id, session_id and age (days) of the first, later_session_id and later_age of the second,
        score and later_score (the first may be missing), and the covariates of the sheet and the score table.
    reference : str
        What ages count from.
    """

    table: pd.DataFrame
    reference: str


def later_table(of: Gathered) -> pd.DataFrame:
    """Correlate a score with the volume at an earlier visit, and changes of scores with changes of volumes.

    Partial Spearman correlations, one pair of times per child, at least 30 days apart. *Earlier brain, later
    score*: among the visits that a score follows the one nearest to the age at which children can be compared
    best (`babyseg_py.statistics.visits.target_age`), then the later score by the same rule; covariates are
    both ages, and in a second model the score at the earlier visit. *Change with change*: difference between
    the first and the last visit with volumes and a score; covariates are the age at the first one and the
    time between them.

    The cohort's curve over age (natural spline of log age, 3 df) is taken off volumes and scores first.
    Growth slows, so that changes of volume and score both follow the ages that they are between, and straight
    lines on ages do not take that off where children were seen at unlike ages. Changes are not divided by
    time, as the error of both would grow where time is short, which rank correlations take for an
    association.

    Returns
    -------
    pandas.DataFrame
        Columns `babyseg_py.statistics.repeated.COLUMNS`; a score that cannot be modelled has a row with the
        reason for each model.
    """
    rows: list[dict] = []
    matrix = _levelled_volumes(of.cohort, of.matrix)
    for score in of.scores:
        for model, make in ((EARLIER, _earlier), (GIVEN, _given), (CHANGE, _change)):
            for row in _model(make, score, of.covariates, of.cohort, matrix):
                rows.append({"score": score, "model": model, "volume_source": of.source} | row)
    return pd.DataFrame(rows, columns=COLUMNS)


def _levelled_volumes(cohort: Cohort, matrix: pd.DataFrame) -> pd.DataFrame:
    usable = usable_visits(cohort)
    reference = common_reference(usable) if len(usable) else None
    if reference is None:
        return matrix
    visits = usable.assign(age=age_on(usable, reference)).dropna(subset=["age"])
    values = matrix.reindex(pd.MultiIndex.from_frame(visits[VISIT]))
    days = visits["age"].to_numpy(float)
    level = levelled(values.to_numpy(float), days, at=float(np.median(days)))
    return pd.DataFrame(level, index=values.index, columns=matrix.columns)


def _model(
    make: Callable, score: str, covariates: list[str], cohort: Cohort, matrix: pd.DataFrame
) -> Iterator[dict]:
    refused = cohort.unlike_scales.get(score)
    pairs = f"{refused.words}: not estimated" if refused else _pairs(score, cohort, changes=make is _change)
    if isinstance(pairs, str):
        yield {"n": 0, "notes": pairs}
        return
    table, volumes, response, columns = make(pairs, matrix)
    coded = code_covariates(table[covariates], cohort.categories)
    design = np.column_stack([*columns.values(), coded.design])
    complete = np.isfinite(design).all(axis=1) & np.isfinite(response)
    notes = [*coded.notes]
    if not complete.all():
        notes.append(f"{int((~complete).sum())} children without a covariate are not used")
    covered = Covariates(
        design[complete], (*columns, *coded.names), (*columns, *coded.described), tuple(notes)
    )
    rule = Rule(pairs.reference, np.nan, None, True)
    visits = table.loc[complete, [*VISIT, "age"]].reset_index(drop=True)
    sample = Sample(visits, response[complete], covered, rule, tuple(notes))
    yield from _rows(sample, volumes[complete], {"age_reference": pairs.reference})


def _rows(sample: Sample, volumes: pd.DataFrame, common: dict) -> Iterator[dict]:
    """Yield every structure, without and with that of total brain volume as one more covariate."""
    yield from _family(sample, volumes, common | {"brain_volume_adjustment": "none"})
    if BRAIN_VOLUME in volumes:
        brain = volumes[BRAIN_VOLUME].to_numpy(float)
        others = volumes[np.isfinite(brain)].drop(columns=BRAIN_VOLUME)
        yield from _family(
            _with_brain(sample, brain), others, common | {"brain_volume_adjustment": "covariate"}
        )


def _family(sample: Sample, volumes: pd.DataFrame, common: dict) -> Iterator[dict]:
    nothing = np.full(len(volumes), np.nan)
    found = [estimate(volumes[name].to_numpy(float), nothing, sample, "none") for name in volumes.columns]
    for name, one, family in zip(volumes.columns, found, family_of(found), strict=True):
        result = one.result
        yield (
            common
            | {key: value for key, value in family.items() if key in COLUMNS}
            | {
                "structure": name,
                "side": side_of(name, volumes.columns),
                "n": result.n,
                "n_observations": result.n,
                "estimate": result.rho,
                "r": result.rho,
                "ci_low": result.ci_low,
                "ci_high": result.ci_high,
                "p": result.p,
                "df": result.n - result.k - 2 if np.isfinite(result.p) else np.nan,
                "measure": "partial Spearman correlation",
                "covariates": "; ".join(sample.covariates.described) or "none",
                "notes": "; ".join([*one.notes, *sample.notes]) or None,
            }
        )


def _with_brain(sample: Sample, brain: np.ndarray) -> Sample:
    kept = np.isfinite(brain)
    of = sample.covariates
    design = np.column_stack([of.design, brain])[kept]
    words = "that of total brain volume"
    covariates = Covariates(design, (*of.names, "total brain volume"), (*of.described, words), of.notes)
    return Sample(sample.visits[kept], sample.score[kept], covariates, sample.rule, sample.notes)


def _pairs(score: str, cohort: Cohort, *, changes: bool) -> Pairs | str:
    """Pair an earlier visit with a later score, or the first and last scored visit; else say why not."""
    numbers, _ = as_numbers(cohort.answers[score])
    scored = cohort.answers.assign(score=numbers)[numbers.notna() & cohort.answers["session_id"].notna()]
    usable = usable_visits(cohort)
    reference = common_reference(usable) if len(usable) else None
    if scored.empty:
        return "no score belongs to a visit (is there a column session_id?): not estimated"
    if reference is None:
        return "no ages in the sheet, so that nothing is earlier or later: not estimated"
    own = [name for name in cohort.answers.columns if name not in VISIT]
    visits = usable.drop(columns=[name for name in SHEET_COLUMNS if name in own])
    visits = visits.assign(age=age_on(usable, reference)).dropna(subset=["age"])
    ages = cohort.facts[VISIT].assign(later_age=age_on(cohort.facts, reference)).dropna()
    scored = scored.merge(ages, on=VISIT)
    if scored.empty:
        return "no score belongs to a session with an age: not estimated"
    days = scored["later_age"].to_numpy(float)
    scored["score"] = levelled(scored[["score"]].to_numpy(float), days, at=float(np.median(days)))[:, 0]
    later = scored[[*VISIT, "later_age", "score"]]
    later = later.rename(columns={"session_id": "later_session_id", "score": "later_score"})
    own = [name for name in cohort.answers.columns if name not in VISIT]
    first = visits.merge(
        scored[[*VISIT, "score", *(n for n in own if n != "score")]],
        on=VISIT,
        how="inner" if changes else "left",
    )
    pairs = first.merge(later, on="participant_id")
    pairs = pairs[pairs["later_age"] - pairs["age"] >= LEAST_GAP_DAYS]
    if changes:
        seen = visits[VISIT].rename(columns={"session_id": "later_session_id"})
        pairs = pairs.merge(seen, on=["participant_id", "later_session_id"])
    n = pairs["participant_id"].nunique()
    if n < FEWEST:
        which = "two scored visits with volumes" if changes else "a score after a visit with volumes"
        return (
            f"{n} children with {which}, {LEAST_GAP_DAYS:.0f} days apart, are below {FEWEST}: not estimated"
        )
    chosen = _first_and_last(pairs) if changes else _nearest(pairs)
    return Pairs(_with_answers(chosen, scored, own), reference)


def _with_answers(chosen: pd.DataFrame, scored: pd.DataFrame, own: list[str]) -> pd.DataFrame:
    """Fill covariates that the earlier session lacks from the later one of the score table."""
    later = scored[[*VISIT, *(name for name in own if name != "score")]]
    later = later.rename(columns={"session_id": "later_session_id"})
    joined = chosen.merge(
        later, on=["participant_id", "later_session_id"], how="left", suffixes=("", "_later")
    )
    for name in own:
        if f"{name}_later" in joined:
            joined[name] = joined[name].where(joined[name].notna(), joined[f"{name}_later"])
    return joined.sort_values("participant_id", ignore_index=True)


def _nearest(pairs: pd.DataFrame) -> pd.DataFrame:
    for age, session in (("age", "session_id"), ("later_age", "later_session_id")):
        target = target_age(pairs["participant_id"].to_numpy(), pairs[age].to_numpy()) or 0.0
        ranked = pairs.assign(_off=(pairs[age] - target).abs())
        ranked = ranked.sort_values(["participant_id", "_off", age, session], kind="stable")
        best = ranked.drop_duplicates("participant_id")[["participant_id", session]]
        pairs = pairs.merge(best, on=["participant_id", session])
    return pairs.drop_duplicates("participant_id")


def _first_and_last(pairs: pd.DataFrame) -> pd.DataFrame:
    ranked = pairs.assign(_last=-pairs["later_age"]).sort_values(
        ["participant_id", "age", "_last", "session_id", "later_session_id"], kind="stable"
    )
    return ranked.drop_duplicates("participant_id").drop(columns="_last")


def _earlier(pairs: Pairs, matrix: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray, dict]:
    table, since = pairs.table, REFERENCES[pairs.reference]
    volumes = matrix.reindex(pd.MultiIndex.from_frame(table[VISIT])).reset_index(drop=True)
    columns = {
        f"age at the visit (days {since})": table["age"].to_numpy(float),
        f"age at the score (days {since})": table["later_age"].to_numpy(float),
    }
    return table, volumes, table["later_score"].to_numpy(float), columns


def _given(pairs: Pairs, matrix: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray, dict]:
    table, volumes, response, columns = _earlier(pairs, matrix)
    return table, volumes, response, columns | {"the score at the visit": table["score"].to_numpy(float)}


def _change(pairs: Pairs, matrix: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray, dict]:
    table, since = pairs.table, REFERENCES[pairs.reference]
    keys = [["participant_id", "session_id"], ["participant_id", "later_session_id"]]
    first, last = (matrix.reindex(pd.MultiIndex.from_frame(table[k])).to_numpy(float) for k in keys)
    gap = (table["later_age"] - table["age"]).to_numpy(float)
    volumes = pd.DataFrame(last - first, columns=matrix.columns)
    response = (table["later_score"] - table["score"]).to_numpy(float)
    columns = {
        f"age at the first visit (days {since})": table["age"].to_numpy(float),
        "time between the visits (days)": gap,
    }
    return table, volumes, response, columns
