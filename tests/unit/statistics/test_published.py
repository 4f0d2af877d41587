"""Published growth of the brain as a band of plausibility."""

import numpy as np
import pandas as pd
import pytest

from babyseg_py.statistics.published import plausibility_table, published_brain_volume
from babyseg_py.statistics.visits import visit_facts


def test_the_curve_has_the_published_numbers():
    birth, weeks, months, year, two = published_brain_volume(np.array([0, 21, 90, 365.25, 730.5]))
    assert birth == pytest.approx((347_388 + 335_509) / 2)
    assert months / birth == pytest.approx(1.64)
    assert year / weeks == pytest.approx(2.01)
    assert two / year == pytest.approx(1.15)


def test_it_grows_all_the_time_and_says_nothing_beyond():
    volumes = published_brain_volume(np.arange(0.0, 731.0))
    assert (np.diff(volumes) > 0).all()
    assert volumes[1] / volumes[0] == pytest.approx(1.01, abs=0.003)
    assert volumes[90] / volumes[89] == pytest.approx(1.004, abs=0.002)
    assert np.isnan(published_brain_volume(np.array([-1.0, 740.0, np.nan]))).all()


def study(volumes, reference="birth"):
    records = [{"participant_id": f"{i}", "session_id": "A", "age_days": 365.25, "age_reference": reference}
               for i in range(len(volumes))]  # fmt: skip
    keys = pd.DataFrame(records)[["participant_id", "session_id"]]
    table = keys.assign(structure="Total-Brain-Volume", volume_mm3=volumes, volume_posterior_mm3=volumes)
    return table, visit_facts(records)


def test_half_a_brain_is_outside_and_a_missing_volume_has_no_row():
    year = float(published_brain_volume(np.array(365.25)))
    found = plausibility_table(*study([year, year / 2, 1.2 * year, 1.4 * year, np.nan]), source="labels")
    assert found["outside"].tolist() == [0, 1, 0, 1]
    assert found["ratio"].tolist() == pytest.approx([1, 0.5, 1.2, 1.4])
    assert found["low_mm3"].iloc[0] == pytest.approx(0.7 * year)


def test_postmenstrual_ages_are_not_compared():
    found = plausibility_table(*study([5e5], "conception"), source="labels")
    assert found["ratio"].isna().all()
    assert "no brain volume at an age since birth" in found["notes"].iloc[0]
