import numpy as np
import pandas as pd
import pytest

from babyseg_py.statistics.scores import (
    as_numbers,
    code_covariates,
    distinct_names,
    fill_constant,
    one_row_each,
    plain_ids,
)


def test_what_is_no_number_is_missing_and_said():
    numbers, note = as_numbers(pd.Series(["1", "2.5", None, "high", "inf"], name="cbcl"))
    np.testing.assert_array_equal(numbers, [1, 2.5, np.nan, np.nan, np.nan])
    assert note == "cbcl: 2 values such as 'high' are no numbers and missing"
    assert as_numbers(pd.Series(["1", None], name="cbcl"))[1] == ""


def test_categories_become_dummies_with_a_stated_reference():
    table = pd.DataFrame({"epds": ["3", "8", None, "1"], "school": ["low", "high", "low", None]})
    coded = code_covariates(table)
    assert coded.names == ("epds", "school=high")
    assert coded.described == ("epds", "school (high; reference low)")
    np.testing.assert_array_equal(coded.design, [[3, 0], [8, 1], [np.nan, 0], [1, np.nan]])


def test_numbers_in_the_sheet_are_still_categories():
    coded = code_covariates(pd.DataFrame({"site": ["1", "2", "3", "1"]}))
    assert coded.names == ("site=2", "site=3")
    assert coded.described == ("site (2, 3; reference 1)",)


def test_a_few_words_among_numbers_are_missing_numbers():
    coded = code_covariates(pd.DataFrame({"epds": ["3", "8", "unknown", "1"]}))
    assert coded.names == ("epds",)
    assert "'unknown'" in coded.notes[0]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (["F", "F", None], "all 2 values are F"),
        (["4", "4.0", None], "all 2 values are 4"),
        ([None] * 3, "it has no value"),
    ],
)
def test_a_covariate_of_one_value_or_none_is_left_out_and_said(values, why):
    coded = code_covariates(pd.DataFrame({"epds": ["1", "2", "3"], "odd": values}, dtype=object))
    assert coded.names == coded.described == ("epds",)
    assert coded.notes == (f"not adjusted for odd: {why}",)


def test_numbers_that_are_declared_as_categories_are_coded_as_such():
    table = pd.DataFrame({"education": ["10", "2", "2.0", "3", None]})
    coded = code_covariates(table, ("education",))
    assert coded.described == ("education (3, 10; reference 2)",)
    np.testing.assert_array_equal(coded.design[:4], [[0, 1], [0, 0], [0, 0], [1, 0]])
    assert np.isnan(coded.design[4]).all()


def test_no_covariate_is_no_column():
    assert code_covariates(pd.DataFrame(index=range(3))).design.shape == (3, 0)


def test_identifiers_lose_their_prefix():
    table = plain_ids(pd.DataFrame({"participant_id": ["sub-01", " 02"], "session_id": ["ses-A", None]}))
    assert table["participant_id"].tolist() == ["01", "02"]
    assert table["session_id"].iloc[0] == "A"
    assert plain_ids(table[["participant_id"]])["session_id"].isna().all()


@pytest.mark.parametrize("session", ["A", None])
def test_a_child_said_twice(session):
    rows = [
        ["01", session, "5"],
        ["01", session, "5"],
        ["02", session, "5"],
        ["02", session, "6"],
        ["03", session, "1"],
    ]
    table, contradicted = one_row_each(pd.DataFrame(rows, columns=["participant_id", "session_id", "score"]))
    assert table["participant_id"].tolist() == ["01", "02", "03"]
    assert table["score"].fillna("?").tolist() == ["5", "?", "1"]
    assert contradicted == {"score": {"02"}}


def test_rows_of_one_session_that_fill_other_columns_are_put_together():
    rows = [
        ["01", "A", "100", None],
        ["01", "A", None, "7"],
        ["02", "A", "100", None],
        ["02", "A", "100.0", "8"],
        ["03", None, "1", None],
        ["03", None, "2", "9"],
    ]
    columns = ["participant_id", "session_id", "language", "motor"]
    table, contradicted = one_row_each(pd.DataFrame(rows, columns=columns))
    assert table.to_numpy()[:2].tolist() == [["01", "A", "100", "7"], ["02", "A", "100", "8"]]
    assert table[["language", "motor"]].iloc[2].fillna("?").tolist() == ["?", "9"]
    assert contradicted == {"language": {"03"}}


def test_a_contradiction_costs_the_column_at_every_session_of_the_child():
    rows = [["01", "A", "1", "4"], ["01", "A", "2", "4"], ["01", "B", "1", "5"], ["02", "A", "3", "6"]]
    table, _ = one_row_each(pd.DataFrame(rows, columns=["participant_id", "session_id", "iq", "motor"]))
    assert table["iq"].fillna("?").tolist() == ["?", "?", "3"]
    assert table["motor"].tolist() == ["4", "5", "6"]


def test_columns_called_like_those_of_visits_are_named_apart():
    table = pd.DataFrame(columns=["participant_id", "session_id", "age", "iq", "iq_later", "nap_later"])
    renamed, scores, covariates = distinct_names(table, ["iq", "iq_later"], ["age", "sex", "nap_later"])
    assert scores == ["iq", "iq_later (score table)"]
    assert covariates == ["age (score table)", "sex", "nap_later"]
    assert set(renamed.columns) == {"participant_id", "session_id", *scores, "age (score table)", "nap_later"}


def test_a_name_that_is_taken_too_is_not_given_twice():
    table = pd.DataFrame(columns=["participant_id", "age", "age (score table)"])
    renamed, scores = distinct_names(table, ["age", "age (score table)"])
    assert scores == ["age (score table)'", "age (score table)"]
    assert renamed.columns.is_unique


def test_a_covariate_that_never_changes_is_known_at_every_session():
    rows = [
        ["01", "A", "low", "3"],
        ["01", "B", None, None],
        ["02", "A", "low", "1"],
        ["02", "B", "high", None],
    ]
    table = pd.DataFrame(
        [*rows, ["02", "C", None, "1"]], columns=["participant_id", "session_id", "school", "epds"]
    )
    filled = fill_constant(table, ["school", "epds"])
    assert filled["school"].fillna("?").tolist() == ["low", "low", "low", "high", "?"]
    assert filled["epds"].tolist() == ["3", "3", "1", "1", "1"]
