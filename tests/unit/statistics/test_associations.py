import numpy as np
import pandas as pd
import pingouin
import pytest

from babyseg_py.statistics.associations import ADJUSTMENTS, COLUMNS, association_tables
from babyseg_py.statistics.scores import Declared
from babyseg_py.statistics.study import Study, gather_cohort
from babyseg_py.statistics.visits import visit_facts

CONTRACT = [
    "score",
    "structure",
    "n",
    "rho",
    "ci_low",
    "ci_high",
    "p",
    "p_fdr",
    "covariates",
    "brain_volume_adjustment",
    "notes",
]


def study(rng, n=30, *, sessions=("A",), reference="birth"):
    """Facts, long volumes and a table of scores of n children."""
    ids = [f"{i:02d}" for i in range(n)]
    records: list[dict] = []
    for i, child in enumerate(ids):
        for k, session in enumerate(sessions):
            age = None if reference is None else 40.0 + 300 * k + rng.uniform(0, 9)
            visit = {
                "participant_id": child,
                "session_id": session,
                "age_days": age,
                "age_reference": reference,
            }
            records.append(visit | {"sex": "FM"[i % 2], "site": "XY"[i % 3 == 0]})
    facts = visit_facts(records)
    brain = rng.normal(1e6, 5e4, len(facts))
    volumes = {
        "Left-Amygdala": brain * 1e-3 * rng.normal(1, 0.1, len(facts)),
        "Right-Amygdala": brain * 1e-3 * rng.normal(1, 0.1, len(facts)),
        "Total-Brain-Volume": brain,
    }
    long = pd.concat(
        [facts.assign(structure=name, volume_mm3=v, volume_posterior_mm3=v) for name, v in volumes.items()]
    )
    scores = pd.DataFrame(
        {
            "participant_id": ids,
            "score": rng.normal(size=n).astype(str),
            "epds": rng.integers(0, 9, n).astype(str),
        }
    )
    return facts, long, scores.astype(object)


def analyse(facts, volumes, scores, **options):
    chosen = {"scores": ["score"], "covariates": [], "flagged": set(), "source": "labels"} | options
    return association_tables(gather_cohort(Study(volumes, facts, scores, **chosen)))


def row_of(table, structure="Left-Amygdala", adjustment="none"):
    return table[(table["structure"] == structure) & (table["brain_volume_adjustment"] == adjustment)].iloc[0]


def frame_for_pingouin(facts, volumes, scores):
    left = volumes.pivot_table(index="participant_id", columns="structure", values="volume_mm3")
    table = left.join(facts.set_index("participant_id")).join(
        scores.set_index("participant_id").astype(float)
    )
    return table.rename(columns={"Left-Amygdala": "x", "Total-Brain-Volume": "brain"}).reset_index()


@pytest.mark.parametrize("adjustment", ADJUSTMENTS)
def test_every_adjustment_equals_pingouin(rng, adjustment):
    facts, volumes, scores = study(rng)
    table, _ = analyse(facts, volumes, scores, covariates=["epds", "sex"])
    data = frame_for_pingouin(facts, volumes, scores).assign(male=lambda d: (d["sex"] == "M").astype(float))
    covariates = ["age_days", "epds", "male"]
    if adjustment == "covariate":
        covariates.append("brain")
    elif adjustment == "proportion":
        data["x"] = data["x"] / data["brain"]
    elif adjustment == "residual":
        data["x"] = data["x"] - np.polyval(np.polyfit(data["brain"], data["x"], 1), data["brain"])
    theirs = pingouin.partial_corr(data, "x", "score", covariates, method="spearman").iloc[0]
    ours = row_of(table, adjustment=adjustment)
    assert (ours["n"], ours["rho"]) == (30, pytest.approx(theirs["r"], abs=1e-8))
    assert ours["p"] == pytest.approx(theirs["p_val"], abs=1e-8)
    assert "age (days after birth); epds; sex (M; reference F)" in ours["covariates"]


def test_columns_are_those_of_the_contract_and_families_are_corrected_apart(rng):
    table, _ = analyse(*study(rng))
    assert list(table.columns[: len(CONTRACT)]) == CONTRACT
    assert len(table) == 4 + 3 * 3  # total brain volume is not adjusted for itself
    for _, family in table.groupby("brain_volume_adjustment"):
        np.testing.assert_allclose(family["p_fdr"], pingouin.multicomp(family["p"], method="fdr_bh")[1])
    assert row_of(table)["family"].startswith("4 structures")
    assert row_of(table, "Amygdala")["side"] == "both"


def test_a_planted_association_is_found_where_it_was_planted():
    facts, volumes, scores = study(np.random.default_rng(1), 60)
    planted = pd.to_numeric(scores["score"]).to_numpy()
    here = volumes["structure"] == "Left-Amygdala"
    volumes.loc[here, "volume_mm3"] *= 1 + 0.1 * planted
    table, _ = analyse(facts, volumes, scores)
    left, right = row_of(table, adjustment="residual"), row_of(table, "Right-Amygdala", "residual")
    assert left["p_fdr"] < 0.001
    assert left["ci_low"] > 0.2
    assert right["ci_low"] < 0 < right["ci_high"]


def test_visits_are_no_independent_children(rng):
    facts, volumes, scores = study(rng, sessions=("A", "B", "C"))
    table, visits = analyse(facts, volumes, scores)
    assert (table["n"] == 30).all()
    assert visits["used"].sum() == visits["participant_id"].nunique() == 30
    assert len(set(visits["session_id"])) == 1
    assert row_of(table)["age_max_days"] - row_of(table)["age_min_days"] < 10


def test_flagged_visits_are_replaced_or_left_out_and_said(rng):
    facts, volumes, scores = study(rng, sessions=("A", "B"))
    _, before = analyse(facts, volumes, scores)
    session = before["session_id"].iloc[0]
    other = {"A": "B", "B": "A"}[session]
    table, visits = analyse(facts, volumes, scores, flagged={("00", session), ("01", "A"), ("01", "B")})
    visits = visits.set_index("participant_id")
    assert visits.loc["00", "session_id"] == other
    assert visits.loc["01", ["used", "reason"]].tolist() == [0, "with every segmented visit flagged"]
    assert "1 with every segmented visit flagged" in row_of(table)["notes"]
    assert "3 flagged visits left out" in row_of(table)["notes"]


def test_everybody_who_is_left_out_is_counted_with_the_reason(rng):
    facts, volumes, scores = study(rng)
    scores.loc[0, "score"] = None
    scores.loc[1, "epds"] = None
    scores.loc[2, "participant_id"] = "99"
    scores = pd.concat([scores, scores.iloc[[3]].assign(score="77")], ignore_index=True)
    volumes = volumes[volumes["participant_id"] != "04"]
    table, visits = analyse(facts, volumes, scores, covariates=["epds"])
    reasons = visits[visits["used"] == 0].set_index("participant_id")["reason"].to_dict()
    assert reasons == {
        "00": "without score",
        "01": "without epds",
        "02": "not in the score table",
        "03": "with contradicting rows in the score table",
        "04": "without a segmented visit",
        "99": "not in the samplesheet",
    }
    assert row_of(table)["n"] == 25
    for reason in reasons.values():
        assert f"1 {reason}" in row_of(table)["notes"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"score": "5"}, "the score is constant"),
        ({"score": None}, "n = 0 is below 10"),
        ({"score": "good"}, "'good' are no numbers"),
    ],
)
def test_useless_scores_are_rows_with_a_reason(rng, change, words):
    facts, volumes, scores = study(rng)
    table, _ = analyse(facts, volumes, scores.assign(**change))
    assert table["notes"].str.contains(words).all()
    assert table[["rho", "p", "p_fdr", "ci_low"]].isna().all(axis=None)


def test_nine_children_are_too_few(rng):
    table, _ = analyse(*study(rng, 9))
    assert table["notes"].str.contains("n = 9 is below 10").all()
    assert table["rho"].isna().all()
    table, _ = analyse(*study(rng, 10))
    assert table["rho"].notna().all()


def test_a_covariate_that_is_the_score(rng):
    facts, volumes, scores = study(rng)
    table, _ = analyse(facts, volumes, scores.assign(copy=scores["score"]), covariates=["copy"])
    assert table["notes"].str.contains("covariates determine the ranks of the score").all()
    assert table["rho"].isna().all()


def test_collinear_covariates_are_named_and_change_nothing(rng):
    facts, volumes, scores = study(rng)
    alone, _ = analyse(facts, volumes, scores, covariates=["epds"])
    near = (pd.to_numeric(scores["epds"]) + 0.3 * rng.normal(size=30)).astype(str)
    both, _ = analyse(facts, volumes, scores.assign(again=scores["epds"]), covariates=["epds", "again"])
    assert row_of(both)["rho"] == pytest.approx(row_of(alone)["rho"], abs=1e-10)
    assert "collinear: again follows from" in row_of(both)["notes"]
    nearly, _ = analyse(facts, volumes, scores.assign(near=near), covariates=["epds", "near"])
    assert "nearly collinear (variance inflation): epds" in row_of(nearly)["notes"]


def test_strong_confounding_is_said(rng):
    facts, volumes, scores = study(rng, 60)
    order = volumes.loc[volumes["structure"] == "Left-Amygdala", "volume_mm3"].to_numpy()
    noisy = [(order + 0.3 * order.std() * rng.normal(size=60)).astype(str) for _ in range(2)]
    table, _ = analyse(facts, volumes, scores.assign(score=noisy[0], third=noisy[1]), covariates=["third"])
    row = row_of(table)
    assert "% or more of volume and score: they are taken off as curves" in row["notes"]
    assert row["p"] <= row["p_maxt"] <= 1


def test_ties_zeros_and_missing_volumes_are_said(rng):
    facts, volumes, scores = study(rng)
    scores.loc[:19, "score"] = "50"
    left = volumes.index[volumes["structure"] == "Left-Amygdala"]
    volumes = volumes.reset_index(drop=True)
    left = volumes.index[volumes["structure"] == "Left-Amygdala"]
    volumes.loc[left[0], "volume_mm3"] = np.nan
    volumes.loc[left[1:3], "volume_mm3"] = 0.0
    row = row_of(analyse(facts, volumes, scores)[0])
    assert row["n"] == 29
    for words in ("67 % of the scores are equal", "2 volumes are 0", "1 children without volume, or flagged"):
        assert words in row["notes"]


def test_without_ages_nothing_is_adjusted_for_age_and_that_is_said(rng):
    table, _ = analyse(*study(rng, reference=None))
    row = row_of(table)
    assert row["covariates"] == "none"
    assert "no ages in the sheet: not adjusted for age" in row["notes"]
    assert pd.isna(row["age_reference"])
    assert np.isfinite(row["rho"])


def test_ages_on_the_rarer_reference_are_left_out_not_converted(rng):
    facts, volumes, scores = study(rng)
    rare = facts["participant_id"].isin(["00", "01"])
    facts.loc[rare, "age_weeks_pma"], facts.loc[rare, "age_months"] = 41.0, np.nan
    table, _ = analyse(facts, volumes, scores)
    assert row_of(table)["n"] == 28
    assert "2 without age" in row_of(table)["notes"]


def test_no_brain_volume_leaves_only_what_needs_none(rng):
    facts, volumes, scores = study(rng)
    table, _ = analyse(facts, volumes[volumes["structure"] != "Total-Brain-Volume"], scores)
    assert np.isfinite(row_of(table)["rho"])
    assert np.isnan(row_of(table, adjustment="proportion")["rho"])
    assert "30 children without volume or brain volume" in row_of(table, adjustment="residual")["notes"]


def test_no_volumes_is_a_row_per_adjustment_and_no_scores_is_none(rng):
    facts, volumes, scores = study(rng)
    table, visits = analyse(facts, volumes.iloc[:0], scores)
    assert len(table) == 4
    assert table["notes"].str.contains("no volumes: not estimated").all()
    assert (visits["used"] == 0).all()
    nothing = Study(volumes, facts, scores, [], [], set(), "labels")
    table, visits = association_tables(gather_cohort(nothing))
    assert table.empty
    assert visits.empty
    assert list(table.columns) == COLUMNS


def test_scores_by_session_take_their_covariates_from_the_same_row(rng):
    facts, volumes, scores = study(rng, sessions=("A", "B"))
    early = scores.assign(session_id="ses-A", participant_id="sub-" + scores["participant_id"])
    table, visits = analyse(facts, volumes, early, covariates=["epds"])
    assert (visits["session_id"] == "A").all()
    assert row_of(table)["n"] == 30
    late = scores.assign(session_id="B", score="1")
    _, visits = analyse(facts, volumes, pd.concat([early, late.assign(score=None)]), covariates=["epds"])
    assert (visits["score_session_id"] == "A").all()


def test_postmenstrual_age_is_used_where_it_is_asked_for(rng):
    facts, volumes, scores = study(rng)
    with_gestation = facts.assign(_gestation_days=rng.normal(270, 12, len(facts)))
    asked, visits = analyse(with_gestation, volumes, scores, covariates=["age_weeks_pma"])
    assert asked["covariates"].iloc[0] == "age (days postmenstrual)"
    days = facts["age_days"] + with_gestation["_gestation_days"]
    np.testing.assert_allclose(visits["age_days"].astype(float), days)
    refused, _ = analyse(facts, volumes, scores, covariates=["age_weeks_pma"])
    assert refused["covariates"].iloc[0] == "age (days after birth)"
    assert refused["notes"].str.contains("age_weeks_pma: 0 of 30 visits with an age tell it").all()


def test_numbers_are_categories_where_that_is_declared(rng):
    facts, volumes, scores = study(rng)
    scores["education"] = np.resize(["1", "2", "2", "3"], len(scores))
    declared = Declared(categories=("education",))
    as_categories, _ = analyse(facts, volumes, scores, covariates=["education"], declared=declared)
    as_words, _ = analyse(facts, volumes, scores.assign(education="level " + scores["education"]),
                          covariates=["education"])  # fmt: skip
    assert as_categories["covariates"].iloc[0] == "age (days after birth); education (1, 3; reference 2)"
    np.testing.assert_array_equal(as_categories["rho"], as_words["rho"])
