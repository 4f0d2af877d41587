import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from usable_study import usable

from babyseg_py.statistics.analysis import growth_of
from babyseg_py.statistics.growth import growth_table, slopes
from babyseg_py.statistics.visits import visit_facts

DAYS = 30.4375


def visits(*rows, structure="Brain-Stem"):
    """Long table and facts from (participant, session, months or None, reference, volume)."""
    records = [
        {
            "participant_id": p,
            "session_id": s,
            "age_days": None if m is None else m * DAYS,
            "age_reference": r,
        }
        for p, s, m, r, _ in rows
    ]
    facts = visit_facts(records)
    volumes = pd.DataFrame([[p, s, structure, v, 2 * v] for p, s, _, _, v in rows])
    volumes.columns = ["participant_id", "session_id", "structure", "volume_mm3", "volume_posterior_mm3"]
    return volumes.merge(facts, on=["participant_id", "session_id"]), facts


def test_slope_and_interval_equal_statsmodels(rng):
    months, volumes = np.array([1.0, 4, 12, 24]), rng.normal(1000, 100, (4, 3))
    volumes[2, 1] = np.nan
    fit = slopes(months, volumes)
    for column in range(3):
        known = np.isfinite(volumes[:, column])
        model = sm.OLS(volumes[known, column], sm.add_constant(months[known])).fit()
        low, high = model.conf_int()[1]
        assert fit["slope"][column] == pytest.approx(model.params[1], rel=1e-9)
        assert (fit["low"][column], fit["high"][column]) == pytest.approx((low, high), rel=1e-9)
    assert list(fit["n"]) == [4, 3, 4]


def test_two_visits_give_the_difference_without_interval():
    table, _ = visits(("01", "A", 1, "birth", 900.0), ("01", "B", 5, "birth", 1100.0))
    row = growth_table(table, source="labels").iloc[0]
    assert row["change_mm3_per_month"] == pytest.approx(50)
    assert row["percent_per_month"] == pytest.approx(5)
    assert np.isnan(row["ci_low"])
    assert row["notes"] == "two visits: no interval"
    assert (row["sessions"], row["volume_first_mm3"], row["volume_last_mm3"]) == ("A;B", 900, 1100)
    assert growth_table(table, source="posteriors").iloc[0]["change_mm3_per_month"] == pytest.approx(100)


def test_a_structure_that_has_no_volume_from_posteriors_says_so():
    """The intracranial estimate is one of labels alone: nothing was flagged, and no visit lacks it."""
    table, _ = visits(
        ("01", "A", 1, "birth", 900.0), ("01", "B", 5, "birth", 1100.0), structure="Intracranial-Estimate"
    )
    table["volume_posterior_mm3"] = np.nan
    row = growth_table(table, source="posteriors").iloc[0]
    assert row["notes"] == "no volume from posteriors: no change"
    table["volume_mm3"] = np.nan
    flagged = growth_table(table, source="posteriors").iloc[0]
    assert flagged["notes"].startswith("2 visits without this structure, or flagged; fewer than two")


def test_order_of_visits_is_that_of_age_not_of_names():
    table, _ = visits(("01", "Z", 1, "birth", 900.0), ("01", "A", 5, "birth", 1100.0))
    row = growth_table(table, source="labels").iloc[0]
    assert (row["sessions"], row["volume_first_mm3"]) == ("Z;A", 900)
    assert row["change_mm3_per_month"] > 0


def test_ages_on_two_references_are_not_mixed():
    rows = [
        ("01", "A", 9.5, "conception", 5.0),
        ("01", "B", 3, "birth", 900.0),
        ("01", "C", 7, "birth", 1100.0),
    ]
    table, _ = visits(*rows)
    row = growth_table(table, source="labels").iloc[0]
    assert (row["n_visits"], row["age_reference"]) == (2, "birth")
    assert row["change_mm3_per_month"] == pytest.approx(50)
    assert "1 visits without an age after birth are not used" in row["notes"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("01", "A", 1, "birth", 900.0)], "one visit: no change"),
        ([("01", "A", None, None, 900.0), ("01", "B", None, None, 950.0)], "no age in the sheet"),
        ([("01", "A", 2, "birth", 900.0), ("01", "B", 2, "birth", 950.0)], "all visits at the same age"),
        ([("01", "A", 9, "conception", 900.0), ("01", "B", 2, "birth", 950.0)], "one visit: no change"),
    ],
)
def test_a_child_without_change_has_one_row_that_says_why(rows, words):
    table, _ = visits(*rows)
    row = growth_table(table, source="labels")
    assert len(row) == 1
    assert words in row["notes"].iloc[0]
    assert np.isnan(row["change_mm3_per_month"].iloc[0])


def test_visits_close_together_and_missing_structures_are_said():
    table, _ = visits(("01", "A", 1, "birth", 900.0), ("01", "B", 1.2, "birth", 901.0))
    assert "only 6 days apart" in growth_table(table, source="labels").iloc[0]["notes"]
    table, _ = visits(("01", "A", 1, "birth", 900.0), ("01", "B", 5, "birth", np.nan))
    row = growth_table(table, source="labels").iloc[0]
    assert row["notes"] == "1 visits without this structure, or flagged; fewer than two visits: no change"


def test_flagged_visits_are_left_out_and_every_child_of_the_sheet_has_a_row():
    rows = [("01", s, m, "birth", v) for s, m, v in (("A", 1, 900.0), ("B", 5, 1100.0), ("C", 9, 1e6))]
    table, facts = visits(*rows)
    more = visit_facts(
        [{"participant_id": "02", "session_id": "A", "age_days": 3.0, "age_reference": "birth"}]
    )
    growth = growth_of(usable(pd.concat([facts, more]), volumes=table, visits_out={("01", "C")}))["growth"]
    row = growth[(growth["participant_id"] == "01") & (growth["volume_source"] == "labels")].iloc[0]
    assert row["change_mm3_per_month"] == pytest.approx(50)
    assert "1 flagged visit left out" in row["notes"]
    assert growth.loc[growth["participant_id"] == "02", "notes"].tolist() == ["no usable visit"] * 2


def test_nothing_gives_an_empty_table():
    table, facts = visits(("01", "A", 1, "birth", 900.0))
    assert growth_table(table.iloc[:0], source="labels").empty
    assert growth_of(usable(facts.iloc[:0], volumes=table.iloc[:0]))["growth"].empty
