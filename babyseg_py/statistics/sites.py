"""Site effects before and after harmonisation, and harmonised volumes; refused where sites cannot be told."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from babyseg_py.statistics.agescales import AgeScale, spline_scale
from babyseg_py.statistics.combat import FEWEST_PER_SITE, combat
from babyseg_py.statistics.mixed import fit_fixed, fit_mixed
from babyseg_py.statistics.partial import basis_of
from babyseg_py.statistics.scores import code_covariates
from babyseg_py.statistics.structures import side_of, volume_matrix
from babyseg_py.statistics.visits import REFERENCES, VISIT, age_on, common_reference

COLUMNS = [
    "structure", "side", "volume_source", "method", "stage", "n", "n_observations", "n_sites", "sites", "f",
    "df1", "df2", "p", "largest_difference_percent", "age_percent", "age_p", "covariates", "notes",
]  # fmt: skip
HARMONISED_COLUMNS = [*VISIT, "site", "structure", "side", "volume_source", "volume_mm3", "harmonised_mm3"]
_OVERLAP, _EXPLAINED = 0.2, 0.8
_CONSTANT = 1e-12
_ABSENT = "constant, or missing at nearly all visits of a site: not harmonised"


@dataclass(frozen=True)
class Sample:
    """Visits with a site, an age and covariates to keep.

    Parameters
    ----------
    visits : pandas.DataFrame
        participant_id, session_id, site, age (days).
    kept : (N, k) array
        Functions of age, first, then sex and group; none follows from the others.
    age_columns : tuple of int
        Which functions of age are in it: columns of the natural spline that `_age_scale` lays.
    described : str
    left_out : str
        Which visits lack a site, or an age on the reference that most visits state, and which covariates
        follow from the others; empty if none does.
    """

    visits: pd.DataFrame
    kept: np.ndarray
    age_columns: tuple[int, ...]
    described: str
    left_out: str


def site_tables(
    volumes: pd.DataFrame, facts: pd.DataFrame, *, source: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Test and take off the effects of sites, keeping those of age, sex and group.

    Refused, with the reason, if a site has fewer than 5 children, or if site and age cannot be told apart:
    the ages of two sites overlap by less than a fifth, or age and covariates explain four fifths of a site.
    Where children have several visits the variant for repeated visits is used. Nothing else in the results
    uses the harmonised volumes.

    Parameters
    ----------
    volumes, facts, source
        As of `babyseg_py.statistics.growthmodels.growth_models`.

    Returns
    -------
    effects : pandas.DataFrame
        Columns `COLUMNS`; a row before and one after for every structure, or one row with the reason.
    harmonised : pandas.DataFrame
        Columns `HARMONISED_COLUMNS`; empty if refused.
    """
    matrix = volume_matrix(volumes, source)
    sample = _sample(facts, matrix)
    problem = refusal(sample.visits, sample.kept)
    common = {"volume_source": source, "covariates": sample.described}
    if problem:
        words = "; ".join(filter(None, [problem, sample.left_out]))
        return pd.DataFrame([common | {"notes": words}], columns=COLUMNS), _nothing()
    values = matrix.reindex(pd.MultiIndex.from_frame(sample.visits[VISIT]))
    usable = [name for name in values.columns if _everywhere(values[name], sample.visits)]
    left_out = [name for name in values.columns if name not in usable]
    if not usable:
        return pd.DataFrame([common | {"notes": _ABSENT}], columns=COLUMNS), _nothing()
    children = sample.visits["participant_id"].to_numpy().astype(str)
    repeated = len(set(children)) < len(children)
    before = values[usable].to_numpy(float)
    sites = sample.visits["site"].to_numpy().astype(str)
    after = combat(before, sites, sample.kept, children, repeated=repeated).volumes
    common |= {"method": "ComBat for repeated visits" if repeated else "ComBat"} | _counts(sample)
    rows = []
    for stage, table in (("before", before), ("after", after)):
        for column, name in enumerate(usable):
            row = _effect(table[:, column], sample, children) | {"stage": stage, "structure": name}
            more = {"side": side_of(name, matrix.columns), "notes": sample.left_out or None}
            rows.append(common | row | more)
    rows += [
        common | {"structure": name, "side": side_of(name, matrix.columns), "notes": _ABSENT}
        for name in left_out
    ]
    sides = {name: side_of(name, matrix.columns) for name in usable}
    return pd.DataFrame(rows, columns=COLUMNS), _long(sample, sides, before, after, source)


def _everywhere(volumes: pd.Series, visits: pd.DataFrame) -> bool:
    """Say whether every site has a structure at enough visits, and it differs between them."""
    there = volumes.notna().to_numpy()
    counts = visits.loc[there, "site"].value_counts().reindex(visits["site"].unique(), fill_value=0)
    return bool(counts.min() >= FEWEST_PER_SITE and volumes.std() > 0)


def _nothing() -> pd.DataFrame:
    return pd.DataFrame(columns=HARMONISED_COLUMNS)


def _sample(facts: pd.DataFrame, matrix: pd.DataFrame) -> Sample:
    seen = facts[pd.MultiIndex.from_frame(facts[VISIT]).isin(matrix.index)]
    known = seen[seen["site"].notna()]
    reference = common_reference(known) if len(known) else None
    visits = known.assign(age=age_on(known, reference) if reference else np.nan)
    notes = [f"{len(seen) - len(known)} visits without a site not used"] if 0 < len(known) < len(seen) else []
    if reference:
        lacking = visits.loc[visits["age"].isna(), "site"].value_counts().sort_index()
        words = ", ".join(f"{n} of {site}" for site, n in lacking.items())
        notes += [f"visits without an age {REFERENCES[reference]}, not used: {words}"] if words else []
        visits = visits.dropna(subset=["age"])
    stated = [
        name for name in ("sex", "group") if visits[name].notna().all() and len(visits[name].unique()) > 1
    ]
    coded = code_covariates(visits[stated])
    of_age = _age_scale(visits)(visits["age"].to_numpy(float)) if reference and len(visits) else None
    kept = coded.design if of_age is None else np.column_stack([of_age, coded.design])
    n_age = 0 if of_age is None else of_age.shape[1]
    left = _independent(kept)
    age_columns = tuple(place for place in left if place < n_age)
    described = [f"age ({_age_scale(visits).name})"] if age_columns else []
    described += coded.described
    follow = [coded.names[place - n_age] for place in range(n_age, kept.shape[1]) if place not in left]
    notes += [f"{name} follows from the other covariates: not used" for name in follow]
    return Sample(
        visits.reset_index(drop=True),
        kept[:, left],
        age_columns,
        "; ".join(described) or "none",
        "; ".join(notes),
    )


def _age_scale(visits: pd.DataFrame) -> AgeScale:
    return spline_scale(visits["age"].to_numpy(float), 3)


def _independent(columns: np.ndarray) -> list[int]:
    """Return which columns differ between rows and do not follow from those before."""
    centred = columns - columns.mean(axis=0) if len(columns) else columns
    varied = [
        place
        for place, column in enumerate(columns.T)
        if len(columns) and centred[:, place] @ centred[:, place] > _CONSTANT * (column @ column)
    ]
    redundant = basis_of(centred[:, varied])[1]
    return [place for number, place in enumerate(varied) if number not in redundant]


def refusal(visits: pd.DataFrame, kept: np.ndarray) -> str:
    """Say why sites cannot be harmonised; empty if they can.

    Parameters
    ----------
    visits : pandas.DataFrame
        participant_id, site and age (days; NaN without ages) of every visit.
    kept : (N, k) array
        Covariates whose effects stay.
    """
    sites = sorted(visits["site"].unique())
    if len(sites) < 2:
        return f"{len(sites)} sites with volumes: nothing to harmonise"
    counts = visits.groupby("site")["participant_id"].nunique()
    small = [f"{site} has {counts[site]}" for site in sites if counts[site] < FEWEST_PER_SITE]
    if small:
        return f"refused: a site needs {FEWEST_PER_SITE} children ({', '.join(small)})"
    spans = visits.groupby("site")["age"].agg(["min", "max"])
    for i, one in enumerate(sites):
        for other in sites[i + 1 :]:
            shared = spans.loc[[one, other], "max"].min() - spans.loc[[one, other], "min"].max()
            whole = spans.loc[[one, other], "max"].max() - spans.loc[[one, other], "min"].min()
            if whole > 30 and shared < _OVERLAP * whole:
                return (
                    f"refused: site is confounded with age, as the ages of {one} and {other} hardly overlap"
                )
    design = np.column_stack([np.ones(len(kept)), kept])
    basis, _ = basis_of(design / np.sqrt((design**2).mean(axis=0)).clip(1e-12))
    for site in sites:
        of = (visits["site"] == site).to_numpy(float)
        centred = of - of.mean()
        left = of - basis @ (basis.T @ of)
        if left @ left < (1 - _EXPLAINED) * (centred @ centred):
            return f"refused: age and covariates explain most of who is at {site}, and cannot be told from it"
    return ""


def _counts(sample: Sample) -> dict:
    counts = sample.visits.groupby("site")["participant_id"].nunique()
    words = ", ".join(f"{site} ({n})" for site, n in counts.items())
    return {
        "n": sample.visits["participant_id"].nunique(),
        "n_observations": len(sample.visits),
        "n_sites": len(counts),
        "sites": words,
    }


def _effect(volumes: np.ndarray, sample: Sample, children: np.ndarray) -> dict:
    """Test the sites (Wald F) and the age in a model with random intercepts where children come again."""
    there = np.isfinite(volumes)
    y, children = volumes[there], children[there]
    names, codes = np.unique(sample.visits["site"].to_numpy().astype(str)[there], return_inverse=True)
    left = _independent(sample.kept[there])
    kept = sample.kept[there][:, left]
    design = np.column_stack([np.ones(len(y)), np.eye(len(names))[codes][:, 1:], kept - kept.mean(axis=0)])
    lengths = np.sqrt((design**2).mean(axis=0))
    n, x = len(np.unique(children)), design / lengths
    single = n == len(y)
    model = (
        fit_fixed(y / y.std(), x)
        if single
        else fit_mixed(y / y.std(), x, np.ones((len(y), 1)), children, exact=False)
    )
    beta = model.beta / lengths * y.std()
    covariance = model.covariance / np.outer(lengths, lengths) * y.var()
    place, df1, df2 = slice(1, len(names)), len(names) - 1, n - design.shape[1]
    f = float(beta[place] @ np.linalg.solve(covariance[place, place], beta[place])) / df1
    row = {"f": f, "df1": df1, "df2": df2, "p": float(stats.f.sf(f, df1, df2))}
    row["largest_difference_percent"] = 100 * float(np.ptp([0.0, *beta[place]])) / y.mean()
    n_age = len(sample.age_columns)
    if not n_age or left[:n_age] != list(range(n_age)):
        return row  # no age, or one that is not told from what else these visits differ in
    of = slice(len(names), len(names) + n_age)
    f = float(beta[of] @ np.linalg.solve(covariance[of, of], beta[of])) / n_age
    low, high = _age_scale(sample.visits)(np.quantile(sample.visits["age"].to_numpy(float), [0.1, 0.9]))
    change = 100 * float((high - low)[list(sample.age_columns)] @ beta[of]) / y.mean()
    return row | {"age_percent": change, "age_p": float(stats.f.sf(f, n_age, df2))}


def _long(
    sample: Sample, sides: dict[str, str], before: np.ndarray, after: np.ndarray, source: str
) -> pd.DataFrame:
    keys = sample.visits[[*VISIT, "site"]]
    parts = [
        keys.assign(
            structure=name,
            side=side,
            volume_source=source,
            volume_mm3=before[:, column],
            harmonised_mm3=after[:, column],
        )
        for column, (name, side) in enumerate(sides.items())
    ]
    table = pd.concat(parts, ignore_index=True)
    return table.sort_values(VISIT, kind="stable", ignore_index=True)[HARMONISED_COLUMNS]
