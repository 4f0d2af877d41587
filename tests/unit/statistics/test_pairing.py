import numpy as np
import pandas as pd

from babyseg_py.statistics.pairing import choose_rule, pair_visits, unlisted_note
from babyseg_py.statistics.visits import visit_facts


def facts_of(*visits):
    """Facts from (participant, session, days)."""
    return visit_facts(
        {
            "participant_id": p,
            "session_id": s,
            "age_days": d,
            "age_reference": "birth" if d is not None else None,
        }
        for p, s, d in visits
    )


def answers_of(*rows):
    return pd.DataFrame([*rows], columns=["participant_id", "session_id", "score"])


def pair(visits, answers, facts=None):
    facts = visits if facts is None else facts
    rule = choose_rule(visits, by_session=bool(answers["session_id"].notna().any()))
    chosen = pair_visits(visits, answers, facts, rule)
    return chosen[["participant_id", "session_id", "score"]].to_numpy().tolist(), rule


VISITS = facts_of(("01", "A", 30), ("01", "B", 365), ("02", "A", 31), ("02", "B", 400), ("03", "B", 420))


def test_scores_of_the_child_go_with_the_age_that_children_share():
    pairs, rule = pair(VISITS, answers_of(("01", None, 1.0), ("02", None, 2.0), ("03", None, 3.0)))
    assert pairs == [["01", "B", 1.0], ["02", "B", 2.0], ["03", "B", 3.0]]
    assert rule.words == "one visit per child: nearest to 400 days after birth"


def test_scores_of_a_session_go_with_its_visit():
    pairs, rule = pair(VISITS, answers_of(("01", "A", 1.0), ("02", "B", 2.0)))
    assert pairs == [["01", "A", 1.0], ["02", "B", 2.0]]
    assert "the score's own session" in rule.words


def test_among_several_scored_visits_the_age_that_children_share():
    pairs, _ = pair(
        VISITS, answers_of(("01", "A", 1.0), ("01", "B", 9.0), ("02", "B", 2.0), ("03", "B", 3.0))
    )
    assert pairs[0] == ["01", "B", 9.0]


def test_without_a_visit_of_the_session_the_nearest_in_age_to_it():
    facts = facts_of(("01", "A", 30), ("01", "B", 365), ("01", "C", 100), ("02", "B", 400))
    visits = facts[facts["session_id"] != "C"]
    pairs, _ = pair(visits, answers_of(("01", "C", 1.0), ("02", "B", 2.0)), facts)
    assert pairs[0] == ["01", "A", 1.0]


def test_a_session_of_unknown_age_is_better_than_nothing_and_worse_than_any_known():
    pairs, _ = pair(VISITS, answers_of(("01", "X", 1.0), ("02", "X", 2.0), ("02", "A", 5.0)))
    assert [p[2] for p in pairs] == [1.0, 5.0]
    assert pairs[1][1] == "A"


def test_among_sessions_of_unknown_age_the_one_that_most_children_have():
    answers = answers_of(("01", "18mo", 1.0), ("01", "36mo", 2.0), ("02", "36mo", 3.0), ("03", "36mo", 4.0))
    pairs, rule = pair(VISITS, answers)
    assert [score for _, _, score in pairs] == [2.0, 3.0, 4.0]
    assert "a session without age" in rule.words
    chosen = pair_visits(VISITS, answers, VISITS, rule)
    assert unlisted_note(chosen, VISITS).endswith("an age that is not known: 3 of 36mo")
    assert unlisted_note(chosen.assign(score_session_id="A"), VISITS) == ""


def test_without_ages_the_session_that_most_have():
    visits = facts_of(("01", "A", None), ("01", "B", None), ("02", "B", None))
    pairs, rule = pair(visits, answers_of(("01", None, 1.0), ("02", None, 2.0)))
    assert [p[1] for p in pairs] == ["B", "B"]
    assert rule.reference is None
    assert "session B" in rule.words


def test_order_of_rows_does_not_matter(rng):
    answers = answers_of(("01", "A", 1.0), ("01", "B", 9.0), ("02", "B", 2.0), ("03", "B", 3.0))
    expected, _ = pair(VISITS, answers)
    shuffled = VISITS.sample(frac=1, random_state=rng)
    assert pair(shuffled, answers.iloc[::-1], VISITS)[0] == expected


def test_nobody_gives_nothing():
    pairs, rule = pair(VISITS.iloc[:0], answers_of())
    assert pairs == []
    assert np.isnan(rule.target)
