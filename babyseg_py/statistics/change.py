"""Change per month of every structure in the child's own template, by volumes and by the Jacobian."""

import numpy as np
import pandas as pd

from babyseg_py.labels import STRUCTURES
from babyseg_py.labels.table import BRAIN_VOLUME
from babyseg_py.statistics.growth import growth_table
from babyseg_py.statistics.structures import SOURCES
from babyseg_py.statistics.visits import DAYS_PER_MONTH, VISIT, age_on

COLUMNS = [
    "participant_id", "structure", "side", "n_visits", "sessions", "age_reference", "age_first_days",
    "age_last_days", "volume_first_mm3", "volume_last_mm3", "change_mm3_per_month", "ci_low", "ci_high",
    "interval_method", "percent_per_month", "percent_ci_low", "percent_ci_high", "jacobian_mm3_per_month",
    "single_mm3_per_month", "difference_percent", "agrees", "notes",
]  # fmt: skip
AGREEMENT_PERCENT = 5.0
LINE = "spread about the line"
ERRORS = "errors of the volumes"
_IN_BRAIN = [s.name for s in STRUCTURES if s.in_brain_volume]
_KEY = ["participant_id", "structure"]
_NORMAL = 1.959964
_NINE_OF_TEN = 1.644854  # half-width of an interval of 90 %, in standard errors
_NO_INTERVAL = "two visits: no interval"


def change_table(longitudinal: pd.DataFrame, volumes: pd.DataFrame) -> pd.DataFrame:
    r"""Rates of change of the children that have a template, three ways.

    The rate is the slope of the volumes from sharpened posteriors on age, as `growth_table` fits it. Beside
    it stand the rate of the template's structures carried by the Jacobian, and that of the visits segmented
    one by one. With three visits or more the interval is that of the slope by the spread about the line
    (Student's t). With two it is :math:`\pm 1.96 \sqrt{\sum_v (t_v - \bar t)^2 s_v^2} / \sum_v (t_v - \bar
    t)^2`, in which :math:`s_v` is the standard error of a single visit's volume by its interval; errors of
    the two sides, and of the parts of a total, are taken as fully correlated. A bias that is the same in
    all visits is in :math:`s_v` but not in the change: the interval is wide rather than narrow.

    Parameters
    ----------
    longitudinal : pandas.DataFrame
        The table longitudinal of the cohort: only visits that are used.
    volumes : pandas.DataFrame
        The table volumes of the cohort.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`. ``difference_percent`` is the change over the whole time by the Jacobian less that
        by the visits one by one, in percent of the mean volume; ``agrees`` is 1 where it is at most
        `AGREEMENT_PERCENT` either way.
    """
    if longitudinal.empty:
        return pd.DataFrame(columns=COLUMNS)
    posterior = SOURCES["posteriors"]
    keys = pd.MultiIndex.from_frame(longitudinal[VISIT].drop_duplicates())
    single = volumes[pd.MultiIndex.from_frame(volumes[VISIT]).isin(keys)]
    table = growth_table(longitudinal, source="posteriors")
    carried = growth_table(
        longitudinal.assign(**{posterior: longitudinal["volume_jacobian_mm3"]}), source="posteriors"
    )
    others = {
        "jacobian_mm3_per_month": carried,
        "single_mm3_per_month": growth_table(single, source="posteriors"),
    }
    for name, other in others.items():
        rates = other[[*_KEY, "change_mm3_per_month"]].rename(columns={"change_mm3_per_month": name})
        table = table.merge(rates, on=_KEY, how="left")
    table = _with_intervals(table, single)
    mean = _mean_volume(table)
    months = (table["age_last_days"] - table["age_first_days"]) / DAYS_PER_MONTH
    rate = table["jacobian_mm3_per_month"] - table["single_mm3_per_month"]
    table["difference_percent"] = 100 * rate * months / mean
    near = table["difference_percent"].abs() <= AGREEMENT_PERCENT
    table["agrees"] = near.astype(float).where(table["difference_percent"].notna())
    return table[COLUMNS]


def _mean_volume(table: pd.DataFrame) -> pd.Series:
    """Volume of the line at the mean age, mm³."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return 100 * table["change_mm3_per_month"] / table["percent_per_month"]


def _with_intervals(table: pd.DataFrame, volumes: pd.DataFrame) -> pd.DataFrame:
    """Add intervals from the errors of the volumes where the visits do not tell their own."""
    errors = _errors(volumes)
    rows = [_with_interval(row, errors) for row in table.to_dict("records")]
    return pd.DataFrame(rows, columns=[*table.columns, "interval_method"])


def _with_interval(row: dict, errors: dict[tuple[str, str], pd.DataFrame]) -> dict:
    rate = row["change_mm3_per_month"]
    if pd.notna(row["ci_low"]) or pd.isna(rate):
        return row | {"interval_method": LINE if pd.notna(row["ci_low"]) else None}
    of = errors.get((row["participant_id"], row["structure"]))
    used = str(row["sessions"]).split(";")
    reach = np.nan if of is None else _reach(of[of["session_id"].isin(used)], row["age_reference"])
    if not np.isfinite(reach):
        return row | {"interval_method": None}
    scale = row["percent_per_month"] / rate if rate else np.nan
    words = [word for word in str(row["notes"]).split("; ") if word != _NO_INTERVAL]
    return row | {
        "ci_low": rate - reach,
        "ci_high": rate + reach,
        "percent_ci_low": (rate - reach) * scale,
        "percent_ci_high": (rate + reach) * scale,
        "interval_method": ERRORS,
        "notes": "; ".join(words),
    }


def _reach(of: pd.DataFrame, reference: str) -> float:
    """Half-width of the 95 % interval of a slope through visits with known standard errors."""
    months, error = age_on(of, reference).to_numpy(float) / DAYS_PER_MONTH, of["error"].to_numpy(float)
    if len(months) < 2 or not np.isfinite(months).all():
        return np.nan
    away = months - months.mean()
    squares = float((away**2).sum())
    return _NORMAL * float(np.sqrt((away**2 * error**2).sum())) / squares if squares > 0 else np.nan


def _errors(volumes: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """Find the standard error of every volume by child and structure, sums and totals included."""
    known = volumes.reindex(columns=[*volumes.columns, *({"volume_ci_low", "volume_ci_high"} - {*volumes})])
    width = known["volume_ci_high"] - known["volume_ci_low"]
    known = known.assign(error=width / (2 * _NINE_OF_TEN))
    single = known[known["error"].notna()]
    both = single.assign(structure=single["structure"].str.replace(r"^(Left|Right)-", "", regex=True))
    paired = both[both["structure"] != single["structure"]]
    brain = single[single["structure"].isin(_IN_BRAIN)].assign(structure=BRAIN_VOLUME)
    ages = ["age_months", "age_weeks_pma"]
    sums = pd.concat([paired, brain]).groupby([*VISIT, "structure"], sort=False, as_index=False)
    summed = sums.agg({"error": "sum"} | dict.fromkeys(ages, "first"))
    parts = pd.concat([single[[*VISIT, "structure", *ages, "error"]], summed], ignore_index=True)
    return {(str(a), str(b)): of for (a, b), of in parts.groupby(_KEY, sort=False)}
