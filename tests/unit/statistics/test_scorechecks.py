import numpy as np
import pandas as pd
import pytest

from babyseg_py.statistics.codes import suspected_codes
from babyseg_py.statistics.scorechecks import (
    id_note,
    likely_ids,
    same_as_score,
    scale_note,
    twin_notes,
    with_notes,
)


@pytest.mark.parametrize(
    ("values", "codes"),
    [
        ([3, 7, 12, 99], [99]),
        ([3, 7, 12, 99, 999], [99, 999]),
        ([3, 7, 12, 30, 98, 99], [98, 99]),
        ([3, 7, 12, -1], []),
        ([110, 130, 90, -1], [-1]),
        ([55, 60, 71, 999], [999]),
        ([-9, 3, 7, 12], [-9]),
        ([-99, 3, 7, 99], [-99, 99]),
        ([90, 95, 99, 110], []),
        ([60, 75, 88, 95, 99], []),
        ([1, 2, 7, 9], []),
        ([99, 99], []),
        ([np.nan], []),
    ],
)
def test_codes_are_values_of_the_list_that_lie_apart(values, codes):
    assert suspected_codes(np.array(values, float)) == codes


def test_raw_and_t_scores_are_named_and_others_are_not():
    table = pd.DataFrame(
        {"cbcl_raw": ["1", "5", "9"], "cbcl_T": ["50", "58", "66"], "cbcl_total": ["1", "2", "3"]}
    )
    notes = twin_notes(list(table.columns), table)
    assert set(notes) == {"cbcl_raw", "cbcl_T"}
    assert "rank correlation 1.00" in notes["cbcl_T"][0]
    assert twin_notes(["attention", "attention_start"], table) == {}


def test_sessions_that_do_not_overlap_are_named():
    answers = pd.DataFrame(
        {
            "participant_id": [*map(str, range(6))] * 2,
            "session_id": ["a"] * 6 + ["b"] * 6,
            "score": [str(v) for v in [*range(6), *range(50, 56)]],
        }
    )
    note = scale_note("score", answers, None, {})
    assert "session a has values of 0 to 5 and session b of 50 to 55" in note
    assert scale_note("score", answers.assign(session_id=None), None, {}) == ""


def test_notes_are_added_to_the_rows_of_their_score():
    table = pd.DataFrame({"score": ["x", "x", "y"], "notes": ["before", None, None]})
    assert with_notes(table, {"x": ["one", "two"]})["notes"].fillna("").tolist() == [
        "before; one; two",
        "one; two",
        "",
    ]


def test_children_spelled_in_another_way_are_named_once():
    assert likely_ids(["1", "02", "kd3"], ["01", "02", "kid3", "zz"]) == {"1": "01", "kd3": "kid3"}
    assert likely_ids(["sub01", "sub_2"], ["01", "02"]) == {"sub01": "01", "sub_2": "02"}
    assert likely_ids(["07"], ["01", "02"]) == {}
    assert id_note(["1"], ["01"]) == "not in the samplesheet: 1 (is 01 meant?)"
    assert id_note(["01"], ["01"]) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x.map("{:.1f}".format), "has the same values as the score iq"),
        (lambda x: x.astype(str).where(x.index != 3), "has the same values as the score iq"),
        (lambda x: (3 - 2 * x).astype(str), "tells the same as the score iq (correlation -1.000 over 24"),
        (lambda x: np.exp(x / 10).astype(str), "tells the same as the score iq (rank correlation 1.000"),
        (lambda x: (x + 8 * (x.index % 2)).astype(str), ""),
        (lambda x: (x > 110).astype(int).astype(str), ""),
        (lambda x: x.map("n{}".format), ""),
    ],
)
def test_a_covariate_that_tells_the_same_as_a_score_is_found(change, words):
    iq = pd.Series(np.random.default_rng(3).permutation(np.arange(88, 112)))
    answers = pd.DataFrame({"participant_id": iq.index, "iq": iq.astype(str), "other": change(iq)})
    found = same_as_score("other", "iq", answers)
    assert found.startswith(words) if words else found == ""


def test_few_values_beside_a_floor_are_not_the_same():
    answers = pd.DataFrame(
        {"participant_id": range(12), "iq": ["0"] * 10 + ["4", "9"], "other": ["0"] * 10 + ["8", "18"]}
    )
    assert same_as_score("other", "iq", answers) == ""
