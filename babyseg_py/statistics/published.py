"""Published growth of the brain over the first two years, to judge whether measured volumes can be right."""

import numpy as np
import pandas as pd

from babyseg_py.labels.table import BRAIN_VOLUME
from babyseg_py.statistics.structures import SOURCES
from babyseg_py.statistics.visits import DAYS_PER_MONTH, VISIT, age_on

COLUMNS = [
    *VISIT, "age_days", "volume_source", "volume_mm3", "published_mm3", "low_mm3", "high_mm3", "ratio",
    "outside", "notes",
]  # fmt: skip
# Holland et al. 2014, https://doi.org/10.1001/jamaneurol.2014.1638: mean whole brain at birth of 87 term or
# term-equivalent infants, boys and girls, and growth over the first 90 days.
AT_BIRTH_MM3 = (347_388.0, 335_509.0)
IN_90_DAYS = 1.64
# Knickmeyer et al. 2008, https://www.jneurosci.org/content/28/47/12176: total brain, 98 children, from 2 to
# 4 weeks to 1 year, and from there to 2 years.
FIRST_SCAN_DAYS, YEAR_DAYS = 21.0, 365.25
IN_FIRST_YEAR, IN_SECOND_YEAR = 2.01, 1.15
# The abstracts give no spread between children: this share is ours.
TOLERANCE = 0.3


def published_brain_volume(age_days: np.ndarray, /) -> np.ndarray:
    """Return the mean total brain volume that published growth leads to.

    The mean at birth and the growth to 90 days are those of Holland et al. (2014), the growth from 2 to 4
    weeks (taken as 21 days) to 1 year and on to 2 years that of Knickmeyer et al. (2008). In between, the
    logarithm of the volume follows a straight line on log(age in months + 1), on which the first 90 days grow
    by 1.2 % a day at birth and 0.3 % at their end (Holland et al.: about 1 % and 0.4 %). What is counted as
    brain is not quite the same in both.

    Parameters
    ----------
    age_days : array of float
        Age since birth.

    Returns
    -------
    array of float
        mm³; NaN before birth and after two years.
    """
    age = np.asarray(age_days, float)
    birth = float(np.mean(AT_BIRTH_MM3))
    start = _line(np.array(FIRST_SCAN_DAYS), [0.0, 90.0], [birth, birth * IN_90_DAYS])
    first = float(start) * IN_FIRST_YEAR
    days = [0.0, 90.0, YEAR_DAYS, 2 * YEAR_DAYS]
    volumes = [birth, birth * IN_90_DAYS, first, first * IN_SECOND_YEAR]
    return np.where((age >= 0) & (age <= days[-1] + 1), _line(age, days, volumes), np.nan)


def _line(age: np.ndarray, days: list[float], volumes: list[float]) -> np.ndarray:
    scale = [np.log1p(np.asarray(x, float).clip(0) / DAYS_PER_MONTH) for x in (age, days)]
    return np.exp(np.interp(scale[0], scale[1], np.log(volumes)))


def plausibility_table(volumes: pd.DataFrame, facts: pd.DataFrame, *, source: str) -> pd.DataFrame:
    """Compare the total brain volume of each visit with published growth.

    Parameters
    ----------
    volumes : pandas.DataFrame
        Long table of volumes.
    facts : pandas.DataFrame
        All visits of the samplesheet.
    source : str
        ``labels`` or ``posteriors``.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`, a row per visit with a total brain volume and an age since birth of at most two
        years; one row with the reason if there is none. ``outside`` is 1 where the volume is not within 30 %.
    """
    brain = volumes.loc[volumes["structure"] == BRAIN_VOLUME, [*VISIT, SOURCES[source]]]
    brain = brain.set_axis([*VISIT, "volume_mm3"], axis=1).dropna()
    table = facts.assign(age_days=age_on(facts, "birth"))[[*VISIT, "age_days"]].merge(brain, on=VISIT)
    expected = published_brain_volume(table["age_days"].to_numpy(float))
    table = table.assign(published_mm3=expected, volume_source=source, notes=None).dropna(
        subset=["published_mm3"]
    )
    if table.empty:
        words = "no brain volume at an age since birth of at most two years"
        return pd.DataFrame([{"volume_source": source, "notes": words}], columns=COLUMNS)
    ratio = table["volume_mm3"] / table["published_mm3"]
    table = table.assign(
        low_mm3=(1 - TOLERANCE) * table["published_mm3"],
        high_mm3=(1 + TOLERANCE) * table["published_mm3"],
        ratio=ratio,
        outside=((ratio - 1).abs() > TOLERANCE).astype(int),
    )
    return table.sort_values(VISIT, ignore_index=True)[COLUMNS]
