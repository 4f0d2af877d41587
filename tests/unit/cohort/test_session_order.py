"""The order of sessions, where their labels tell it."""

import pytest

from babyseg_py.cohort.session_order import chains


@pytest.mark.parametrize(
    "labels",
    [
        ["1", "2", "10"],
        ["V1", "V2", "V10"],
        ["A", "B", "C"],
        ["visitA", "visitB"],
        ["3mo", "12mo"],
        ["2wk", "3mo", "1yr"],
        ["month6", "month12"],
        ["baseline", "followup"],
        ["neo", "1yr", "2yr"],
        ["baseline", "6mo", "12mo", "final"],
        ["20230131", "20240101"],
        ["pre", "post"],
    ],
)
def test_known_orders(labels):
    assert [[label] for label in labels] in chains(reversed(labels))


@pytest.mark.parametrize(
    "labels", [["clinic", "home"], ["31012023", "01022023"], ["83120", "90011"], ["A", "2"]]
)
def test_unknown_orders(labels):
    assert chains(labels) == []


def test_equal_numbers_stand_side_by_side():
    assert chains(["1", "01", "2"]) == [[["01", "1"], ["2"]]]
