import numpy as np
import pandas as pd
import pytest

from babyseg_py.statistics.sites import COLUMNS, HARMONISED_COLUMNS, site_tables
from babyseg_py.statistics.visits import visit_facts


def study(rng, n=40, *, visits=2, sites=("A", "B"), shift=0.15, ages=None):
    """Return facts and volumes; the second site is larger, children grow."""
    child = np.repeat(np.arange(n), visits)
    site = np.array(sites)[child % len(sites)]
    days = 30 + 700 * rng.uniform(size=len(child)) if ages is None else ages(site, rng)
    keys = {
        "participant_id": [f"{c:02d}" for c in child],
        "session_id": [f"v{i % visits}" for i in range(len(child))],
    }
    facts = visit_facts(
        pd.DataFrame(keys | {"age_days": days, "age_reference": "birth", "site": site})
        .assign(sex=np.array(["F", "M"])[child // 2 % 2], group=None)
        .to_dict("records")
    )
    growth = 1 + 0.4 * np.log1p(days / 30)
    frames = []
    for name in ("Brain-Stem", "Left-Thalamus", "Right-Thalamus", "Fourth-Ventricle"):
        own, noise = rng.normal(0, 0.05, n)[child], rng.normal(0, 0.03, len(child))
        value = 5000 * (growth + own + noise) * np.where(site == sites[-1], 1 + shift, 1)
        frames.append(pd.DataFrame(keys).assign(structure=name, volume_mm3=value, volume_posterior_mm3=value))
    return facts, pd.concat(frames, ignore_index=True)


@pytest.mark.parametrize("visits", [1, 3])
def test_sites_differ_before_and_not_after_and_growth_stays(rng, visits):
    facts, volumes = study(rng, 60, visits=visits)
    effects, harmonised = site_tables(volumes, facts, source="labels")
    assert list(effects.columns) == COLUMNS
    assert list(harmonised.columns) == HARMONISED_COLUMNS
    before, after = (
        effects[effects["stage"] == stage].set_index("structure") for stage in ("before", "after")
    )
    assert (before["p"] < 0.01).all()
    assert (after["p"] > 0.05).all()
    assert (before["largest_difference_percent"] > 9).all()
    assert (after["largest_difference_percent"] < 4).all()
    np.testing.assert_allclose(after["age_percent"], before["age_percent"], rtol=0.1)
    assert (after["age_p"] < 1e-6).all()
    assert set(effects["method"]) == {"ComBat" if visits == 1 else "ComBat for repeated visits"}
    assert len(harmonised) == len(facts) * 5
    assert effects["sites"].iloc[0] == "A (30), B (30)"


def test_sites_are_compared_where_all_are_of_one_age(rng):
    facts, volumes = study(rng, 40, visits=1, ages=lambda site, rng: np.full(len(site), 180.0))
    effects, _ = site_tables(volumes, facts, source="labels")
    before, after = (effects.loc[effects["stage"] == stage, "p"] for stage in ("before", "after"))
    assert before.max() < 0.01
    assert after.min() > 0.05
    assert effects["age_p"].isna().all()
    assert (effects["covariates"] == "sex (M; reference F)").all()
    alone, _ = site_tables(volumes, facts.assign(sex=None), source="labels")
    assert (alone["covariates"] == "none").all()
    assert alone["p"].notna().all()


@pytest.mark.parametrize("visits", [1, 2])
def test_a_covariate_that_follows_from_the_others_changes_nothing_and_is_named(rng, visits):
    facts, volumes = study(rng, 40, visits=visits)
    expected, harmonised = site_tables(volumes, facts, source="labels")
    tied = facts.assign(group=facts["sex"].map({"F": "girls", "M": "boys"}))
    effects, same = site_tables(volumes, tied, source="labels")
    for column in ("f", "p", "age_percent", "age_p"):
        np.testing.assert_allclose(effects[column], expected[column], rtol=1e-6)
    np.testing.assert_allclose(same["harmonised_mm3"], harmonised["harmonised_mm3"], rtol=1e-8)
    assert effects["notes"].str.contains("follows from the other covariates: not used").all()


def test_a_group_of_one_age_each_is_not_told_from_age(rng):
    """Age keeps its test, the group is passed over."""
    facts, volumes = study(rng, 40, visits=1)
    old = np.arange(40) // 4 % 2 == 1
    facts = facts.assign(group=np.where(old, "g", "h"), age_months=np.where(old, 12.0, 6.0))
    effects, _ = site_tables(volumes, facts, source="labels")
    assert effects["notes"].str.contains("group=. follows from the other covariates", regex=True).all()
    assert effects["age_p"].between(0, 0.999999).all()


def test_visits_of_a_site_with_another_age_reference_are_named(rng):
    facts, volumes = study(rng, 40, visits=1)
    other = facts["site"] == "B"
    facts.loc[other, "age_weeks_pma"] = facts.loc[other, "age_months"] * 4.3 + 40
    facts.loc[other, "age_months"] = np.nan
    facts.loc[facts.index[:2], "site"] = "B"
    notes = site_tables(volumes, facts, source="labels")[0]["notes"]
    assert notes.str.contains("visits without an age after birth, not used: 20 of B").all()


def ages_apart(site, rng):
    return np.where(site == "A", 40.0, 600.0) + rng.uniform(0, 60, len(site))


def test_a_site_with_few_children_or_its_own_ages_is_refused(rng):
    facts, volumes = study(rng, 40, visits=1)
    lone = facts.assign(site=["C" if i < 3 else s for i, s in enumerate(facts["site"])])
    for given, words in (
        (lone, "refused: a site needs 5 children (C has 3)"),
        (facts.assign(site="A"), "1 sites with volumes: nothing to harmonise"),
        (facts.assign(site=None), "0 sites with volumes"),
        (
            facts.assign(sex=np.where(facts["site"] == "A", "F", "M")),
            "covariates explain most of who is at A",
        ),
    ):
        effects, harmonised = site_tables(volumes, given, source="labels")
        assert words in effects["notes"].iloc[0]
        assert harmonised.empty
    facts, volumes = study(rng, 40, ages=ages_apart)
    effects, _ = site_tables(volumes, facts, source="labels")
    assert "refused: site is confounded with age" in effects["notes"].iloc[0]
