import numpy as np
import pandas as pd
import pytest

from babyseg_py.statistics.visits import (
    FACTS,
    VISIT,
    common_reference,
    counted_as_asked,
    nearest_visits,
    target_age,
    visit_facts,
)


def record(participant, session, days=None, reference=None, **more):
    return {
        "participant_id": participant,
        "session_id": session,
        "age_days": days,
        "age_reference": reference,
    } | more


def test_ages_are_never_guessed_from_one_another():
    facts = visit_facts([record("01", "A", 30.4375, "birth"), record("02", "A", 280.0, "conception")])
    assert facts["age_months"].tolist() == pytest.approx([1, np.nan], nan_ok=True)
    assert facts["age_weeks_pma"].tolist() == pytest.approx([np.nan, 40], nan_ok=True)
    assert facts["age_reference"].tolist() == ["birth", "conception"]


def test_a_visit_may_state_both_ages():
    facts = visit_facts([record("01", "A", 287.0, "conception"), record("01", "A", 7.0, "birth")])
    assert facts.loc[0, ["age_days", "age_reference", "age_weeks_pma"]].tolist() == [7.0, "birth", 41.0]


def test_one_sorted_row_per_visit_with_the_first_value_that_is_stated():
    rows = [record("02", "A"), record("01", "B", sex="F"), record("01", "A"), record("01", "A", site="X")]
    facts = visit_facts(rows)
    assert facts[["participant_id", "session_id"]].to_numpy().tolist() == [
        ["01", "A"],
        ["01", "B"],
        ["02", "A"],
    ]
    assert facts["site"].iloc[0] == "X"
    assert pd.isna(facts["age_days"]).all()


def test_no_record_gives_no_row():
    assert visit_facts([]).empty


def test_target_age_lies_where_children_are_alike():
    children = np.array(["a", "a", "b", "b", "c", "c", "d"])
    ages = np.array([30.0, 700, 31, 760, 33, 650, 720])
    assert target_age(children, ages) in {700, 720}  # the child d has the later visit only
    assert target_age(children[:-1], ages[:-1]) == 31
    assert target_age(children, np.full(7, np.nan)) is None


def test_target_age_equals_the_plain_search(rng):
    children, ages = rng.integers(0, 40, 200).astype(str), rng.uniform(0, 1000, 200)
    ages[::17] = np.nan
    known = ~np.isnan(ages)
    groups = [ages[known & (children == c)] for c in np.unique(children[known])]
    cost = {t: sum(np.abs(g - t).min() for g in groups) for t in ages[known]}
    assert target_age(children, ages) == min(cost, key=cost.get)


def test_nearest_visits_are_one_per_child():
    rows = [
        record("01", "A", 30.0, "birth"),
        record("01", "B", 400.0, "birth"),
        record("02", "B", 390.0, "birth"),
    ]
    chosen, rule = nearest_visits(visit_facts(rows))
    assert chosen[["participant_id", "session_id"]].to_numpy().tolist() == [["01", "B"], ["02", "B"]]
    assert rule == "visit nearest to 390 days after birth"


def test_without_ages_the_session_that_most_have():
    rows = [record("01", "A"), record("01", "B"), record("02", "B"), record("03", "C")]
    chosen, rule = nearest_visits(visit_facts(rows))
    assert chosen["session_id"].tolist() == ["B", "B", "C"]
    assert "session B" in rule


def test_a_visit_without_age_comes_last():
    rows = [record("01", "A"), record("01", "B", 900.0, "birth"), record("02", "B", 30.0, "birth")]
    chosen, _ = nearest_visits(visit_facts(rows))
    assert chosen["session_id"].tolist() == ["B", "B"]


def test_common_reference():
    rows = [record("01", "A", 300.0, "conception"), record("02", "A", 20.0, "birth"), record("03", "A")]
    assert common_reference(visit_facts(rows)) == "birth"
    assert common_reference(visit_facts([*rows, record("04", "A", 300.0, "conception")])) == "conception"
    assert common_reference(visit_facts(rows[2:])) is None


@pytest.mark.parametrize("known", [4, 2])
def test_ages_count_from_what_is_asked_for_where_most_visits_tell_it(known):
    rows = [record(f"{i}", "A", 70.0 + i, "birth") for i in range(4)]
    for row in rows[:known]:
        row["gestation_days"] = 280.0
    facts = visit_facts(rows)
    same, note = counted_as_asked(facts, ["sex", "age"])
    assert same is facts
    assert note == ""
    counted, note = counted_as_asked(facts, ["age_weeks_pma"])
    if known == 4:
        assert note == ""
        assert common_reference(counted) == "conception"
        np.testing.assert_allclose(counted["age_weeks_pma"], (350 + np.arange(4)) / 7)
    else:
        assert counted is facts
        assert note.startswith("age_weeks_pma: 2 of 4 visits with an age tell it")
        assert note.endswith("adjusted for age after birth instead")


def test_facts_without_gestation_have_no_column_of_it():
    assert visit_facts([record("01", "A", 3.0, "birth")]).columns.tolist() == [*VISIT, *FACTS]
