"""Change in the children's templates, and which visits are in them."""

import numpy as np
import pandas as pd
import pytest

from babyseg_py.statistics.change import COLUMNS, ERRORS, LINE, change_table
from babyseg_py.statistics.dictionary import describe
from babyseg_py.statistics.templates import (
    ALONE,
    LOST,
    NO_LABELS,
    OFF,
    SINGLE,
    read_failures,
    template_table,
)
from babyseg_py.statistics.visits import DAYS_PER_MONTH, FACTS, VISIT

NAMES = {"Left-Thalamus": "left", "Right-Thalamus": "right"}


def visits(months, volumes, *, error=None, **more):
    """Long table of one child with both thalami of the given volumes."""
    rows = []
    for number, (age, volume) in enumerate(zip(months, volumes, strict=True)):
        for name, side in NAMES.items():
            facts = dict.fromkeys(FACTS) | {"age_months": age, "age_days": age * DAYS_PER_MONTH}
            row = {"participant_id": "01", "session_id": "ABC"[number], **facts}
            row |= {"label": 10, "structure": name, "side": side}
            row |= {"volume_mm3": volume, "volume_posterior_mm3": volume}
            if error:
                row |= {"volume_ci_low": volume - error, "volume_ci_high": volume + error}
            rows.append(row | {key: of[number] for key, of in more.items()})
    table = pd.DataFrame(rows)
    return table.assign(age_reference="birth", age_weeks_pma=np.nan)


def test_the_rate_of_two_visits_with_its_interval():
    """Ends of 90 % intervals that are 164.4854 away from the volume are a standard error of 100."""
    sharpened = visits([2, 6], [1000, 1400], volume_jacobian_mm3=[1010, 1390])
    table = change_table(sharpened, visits([2, 6], [990, 1410], error=164.4854)).set_index("structure")
    row = table.loc["Left-Thalamus"]
    assert row["change_mm3_per_month"] == pytest.approx(100)
    assert row["jacobian_mm3_per_month"] == pytest.approx(95)
    assert row["single_mm3_per_month"] == pytest.approx(105)
    assert row["ci_high"] - row["ci_low"] == pytest.approx(2 * 1.959964 * 100 * np.sqrt(2) / 4, rel=1e-4)
    assert row["interval_method"] == ERRORS
    both = table.loc["Thalamus"]
    assert both["change_mm3_per_month"] == pytest.approx(200)
    assert both["ci_high"] - both["ci_low"] == pytest.approx(2 * (row["ci_high"] - row["ci_low"]))


def test_the_interval_is_of_the_visits_that_the_rate_is_from():
    """A third visit whose volume is missing, as of a flagged structure, tells nothing."""
    two = visits([2, 3], [1000, 1100], volume_jacobian_mm3=[1000, 1100])
    expected = change_table(two, visits([2, 3], [1000, 1100], error=100))
    three = visits([2, 3, 24], [1000, 1100, np.nan], volume_jacobian_mm3=[1000, 1100, np.nan])
    single = visits([2, 3, 24], [1000, 1100, 3000], error=100)
    single["volume_posterior_mm3"] = single["volume_mm3"].where(single["session_id"] != "C")
    found = change_table(three, single)
    assert (found["sessions"] == "A;B").all()
    for end in ("ci_low", "ci_high"):
        np.testing.assert_allclose(found[end], expected[end])


def test_whether_jacobian_and_volumes_agree():
    """40 mm³ of 1200 are 3.3 %, 80 are 6.7 %."""
    for off, agrees in ((40, 1), (80, 0)):
        sharpened = visits([2, 6], [1000, 1400], volume_jacobian_mm3=[1000, 1400 - off])
        row = (
            change_table(sharpened, visits([2, 6], [1000, 1400])).set_index("structure").loc["Left-Thalamus"]
        )
        assert row["difference_percent"] == pytest.approx(-100 * off / 1200)
        assert row["agrees"] == agrees


def test_three_visits_have_the_interval_of_the_line():
    sharpened = visits([2, 4, 6], [1000, 1210, 1400], volume_jacobian_mm3=[1000, 1200, 1400])
    table = change_table(sharpened, visits([2, 4, 6], [1000, 1200, 1400], error=50))
    assert (table["interval_method"] == LINE).all()
    assert (table["ci_low"] < table["change_mm3_per_month"]).all()


def test_without_errors_two_visits_have_no_interval():
    sharpened = visits([2, 6], [1000, 1400], volume_jacobian_mm3=[1000, 1400])
    table = change_table(sharpened, visits([2, 6], [1000, 1400]))
    assert table["ci_low"].isna().all()
    assert table["notes"].str.contains("no interval").all()


def test_nobody_has_a_template():
    assert list(change_table(pd.DataFrame(), visits([2], [1000])).columns) == COLUMNS


def test_every_column_is_described():
    for column in COLUMNS:
        assert describe("change", column)["Description"]


@pytest.fixture
def facts():
    ids = [
        ("1", "A"),
        ("2", "A"),
        ("2", "B"),
        ("3", "A"),
        ("3", "B"),
        ("4", "A"),
        ("4", "B"),
        ("5", "A"),
        ("5", "B"),
    ]
    return pd.DataFrame(ids, columns=VISIT)


def test_every_visit_says_why_it_is_in_no_template(facts, tmp_path):
    labelled = facts[~((facts["participant_id"] == "3") & (facts["session_id"] == "B"))]
    part = pd.DataFrame([("2", "A", 1, None), ("2", "B", 1, None)], columns=[*VISIT, "used", "reason"])
    file = tmp_path / "sub-4.template.failure.json"
    file.write_text('{"step": "template", "file": "sub-4", "what": "has 1 usable visit", "advice": "look"}')
    table = template_table(facts, labelled, [part], read_failures([file]))
    reasons = dict(zip(map(tuple, table[VISIT].to_numpy()), table["reason"], strict=True))
    assert table["used"].tolist() == [0, 1, 1, 0, 0, 0, 0, 0, 0]
    assert reasons[("1", "A")] == SINGLE
    assert reasons[("3", "A")] == ALONE
    assert reasons[("3", "B")] == NO_LABELS
    assert reasons[("4", "A")] == "sub-4: has 1 usable visit; look"
    assert reasons[("5", "A")] == LOST


def test_templates_that_are_not_wanted(facts):
    table = template_table(facts, facts, [], {}, switched_off=True)
    assert set(table["reason"]) == {OFF}
