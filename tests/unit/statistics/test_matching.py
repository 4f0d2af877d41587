"""Matching of cases to controls."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from babyseg_py.statistics.matching import Candidates, balance, differences, match_children, matching_tables
from babyseg_py.statistics.visits import visit_facts


def children(names, ages, sexes, session="A"):
    return pd.DataFrame(
        {"participant_id": names, "session_id": session, "age": np.array(ages, float), "sex": sexes}
    )


def candidates(cases, controls, exact=True):
    return Candidates(("case", "control"), cases, controls, "birth", exact)


def test_pairs_are_the_best_of_all_permutations(rng):
    cases = children([f"c{i}" for i in range(6)], rng.uniform(100, 200, 6), ["F"] * 6)
    controls = children([f"k{i}" for i in range(7)], rng.uniform(100, 200, 7), ["F"] * 7)
    pairs = match_children(candidates(cases, controls), caliper=9)
    log = [np.log(t["age"].to_numpy() / 30.4375 + 1) for t in (cases, controls)]
    best = min(np.abs(log[0] - log[1][list(order)]).sum() for order in permutations(range(7), 6))
    found = [np.log(pairs[f"{who}_age_days"] / 30.4375 + 1) for who in ("case", "control")]
    assert (found[0] - found[1]).abs().sum() == pytest.approx(best)
    assert pairs["control_id"].is_unique
    shuffled = candidates(cases.sample(frac=1, random_state=1), controls.sample(frac=1, random_state=2))
    assert match_children(shuffled, caliper=9).equals(pairs)


def test_as_many_pairs_as_there_can_be_before_the_most_alike():
    """k1 is nearest to c1, but k2 is out of reach of c2: c1 takes k2, so that both have a control."""
    cases = children(["c1", "c2"], [100, 103], ["F", "F"])
    controls = children(["k1", "k2"], [100, 91], ["F", "F"])
    pairs = match_children(candidates(cases, controls), caliper=0.08).set_index("case_id")
    assert pairs["control_id"].to_dict() == {"c1": "k2", "c2": "k1"}


def test_sex_and_caliper_are_kept_and_the_nearest_visit_of_a_control_is_taken():
    cases = children(["c1", "c2", "c3"], [100, 200, 400], ["F", "M", "M"])
    controls = pd.concat([children(["k1", "k2"], [100, 204], ["M", "M"]),
                          children(["k1", "k3"], [410, 103], ["M", "F"], session="B")])  # fmt: skip
    pairs = match_children(candidates(cases, controls)).set_index("case_id")
    assert pairs["control_id"].to_dict() == {"c1": "k3", "c2": "k2", "c3": "k1"}
    assert pairs.loc["c3", "control_session_id"] == "B"
    assert pairs["age_difference_days"].tolist() == [-3, -4, -10]
    alone = match_children(candidates(cases, controls), caliper=0.01)
    assert alone.empty


def test_balance_is_the_standardised_mean_difference(rng):
    cases = children([f"c{i}" for i in range(8)], rng.uniform(100, 150, 8), list("FFMMMMMM"))
    controls = children([f"k{i}" for i in range(30)], rng.uniform(90, 300, 30), list("FM" * 15))
    found = candidates(cases, controls)
    pairs = match_children(found)
    table = balance(found, pairs).set_index(["variable", "stage"])
    pooled = np.sqrt((cases["age"].var() + controls["age"].var()) / 2)
    before = (cases["age"].mean() - controls["age"].mean()) / pooled
    assert table.loc[("age (days)", "before"), "smd"] == pytest.approx(before)
    after = (pairs["case_age_days"] - pairs["control_age_days"]).mean() / pooled
    assert table.loc[("age (days)", "after"), "smd"] == pytest.approx(after)
    assert abs(after) < 0.1 < abs(before)
    assert table.loc[("sex F", "after"), "smd"] == 0


@pytest.fixture
def study(rng):
    """Return volumes and facts of 12 cases and 40 controls; cases are older, and at like age 200 mm³ less."""
    records, rows = [], []
    for i in range(52):
        group = "preterm" if i < 12 else "term"
        age = rng.uniform(150, 300) if i < 12 else rng.uniform(60, 320)
        key = {"participant_id": f"{i:02d}", "session_id": "A"}
        records.append(key | {"age_days": age, "age_reference": "birth", "group": group, "sex": "FM"[i % 2]})
        volume = 1000 + 4 * age - 200 * (i < 12) + 20 * rng.normal()
        rows.append(key | {"structure": "Brain-Stem", "volume_mm3": volume, "volume_posterior_mm3": volume})
    return pd.DataFrame(rows), visit_facts(records)


def test_a_planted_difference_is_found_within_the_pairs(study):
    volumes, facts = study
    tables = matching_tables(volumes, facts, source="labels")
    row = tables["matched_differences"].iloc[0]
    assert (row["cases"], row["controls"]) == ("preterm", "term")
    pairs = tables["matched_pairs"]
    assert row["n"] == len(pairs) >= 10
    assert pairs["control_id"].is_unique
    sex = facts.set_index("participant_id")["sex"]
    assert (sex[pairs["case_id"]].to_numpy() == sex[pairs["control_id"]].to_numpy()).all()
    assert row["difference_mm3"] == pytest.approx(-200, abs=50)
    assert row["ci_low"] < row["difference_mm3"] < row["ci_high"] < 0
    assert row["p"] < 0.01
    crude = volumes.groupby(facts["group"])["volume_mm3"].mean()
    assert crude["preterm"] - crude["term"] > -100


def test_children_of_both_groups_are_nobodys_control(study):
    """A child whose group changes between visits would be compared with itself."""
    volumes, facts = study
    again = facts[facts["group"] == "preterm"].head(3).assign(session_id="B", group="term")
    more = volumes[volumes["participant_id"].isin(again["participant_id"])].assign(session_id="B")
    both = pd.concat([facts, again], ignore_index=True)
    tables = matching_tables(pd.concat([volumes, more]), both, source="labels")
    without = facts[~facts["participant_id"].isin(again["participant_id"])]
    expected = matching_tables(volumes, without, source="labels")
    names = ["case_id", "control_id"]
    assert tables["matched_pairs"][names].equals(expected["matched_pairs"][names])
    words = "3 children who are in both groups at different visits left out"
    assert tables["matched_pairs"]["notes"].str.contains(words).all()


def test_the_comparison_is_the_paired_t_test(study):
    volumes, facts = study
    pairs = matching_tables(volumes, facts, source="labels")["matched_pairs"]
    value = volumes.set_index("participant_id")["volume_mm3"]
    expected = stats.ttest_rel(value[pairs["case_id"]], value[pairs["control_id"]])
    matrix = volumes.set_index(["participant_id", "session_id"])[["volume_mm3"]].set_axis(
        ["Brain-Stem"], axis=1
    )
    found = differences(matrix, pairs, ("preterm", "term")).iloc[0]
    assert found["p"] == pytest.approx(expected.pvalue, rel=1e-10)
    assert (found["ci_low"], found["ci_high"]) == pytest.approx(tuple(expected.confidence_interval(0.95)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.assign(group=None), "no child with volumes has a group"),
        (lambda t: t.assign(group=t["group"].where(t["participant_id"] > "07")), "exactly two groups of 5"),
        (lambda t: t.assign(age_months=np.nan, age_weeks_pma=np.nan), "no ages"),
        (
            lambda t: t.assign(age_months=t["age_months"] + 900 * (t["group"] == "term")),
            "below 5, not compared",
        ),
    ],
)
def test_what_cannot_be_matched_says_why(study, change, words):
    volumes, facts = study
    tables = matching_tables(volumes, change(facts), source="labels")
    assert words in tables["matched_pairs"]["notes"].iloc[0]
    assert tables["matched_differences"].empty
