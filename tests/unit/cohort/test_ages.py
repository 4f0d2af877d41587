"""Ages in days."""

import pytest

from babyseg_py.cohort.ages import birth_range, last_place, make_age, number, same_age


@pytest.mark.parametrize(
    ("text", "unit", "days"),
    [("10", "days", 10), ("40.5", "weeks", 283.5), ("6.2", "months", 188.7125), ("2", "years", 730.5)],
)
def test_days(text, unit, days):
    assert make_age(text, unit, "birth").days == pytest.approx(days)


def test_last_place_written():
    assert last_place("6.25") == pytest.approx(0.01)
    assert last_place("12") == last_place("1e2") == 1
    assert make_age("6,2", "weeks", "birth", decimal_comma=True).step_days == pytest.approx(0.7)


@pytest.mark.parametrize("text", ["six", "6 months", "1_0", "inf", "nan", "0x1", "٦", "6,2", "1.2.3", ""])
def test_no_number(text):
    with pytest.raises(ValueError):
        number(text)
    with pytest.raises(ValueError, match="not a number"):
        make_age(text, "days", "birth")


@pytest.mark.parametrize(("text", "words"), [("-1", "negative"), ("1e9", "120 years"), ("121", "120 years")])
def test_impossible_ages(text, words):
    with pytest.raises(ValueError, match=words):
        make_age(text, "years", "birth")


def test_same_age_in_two_units():
    assert same_age(make_age("6.2", "months", "birth"), make_age("189", "days", "birth"))
    assert not same_age(make_age("6.2", "months", "birth"), make_age("6.3", "months", "birth"))


def test_age_since_birth_of_a_postmenstrual_age():
    age = make_age("40", "weeks", "conception")
    assert birth_range(age, 252.0) == (28, 28)
    assert birth_range(age, None) == (280 - 308, 280 - 154)
