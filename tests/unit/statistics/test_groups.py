import numpy as np
import pandas as pd
import pingouin
import pytest
import statsmodels.formula.api as smf

from babyseg_py.statistics.groups import COLUMNS, Ancova, ancova, eta_interval, group_table
from babyseg_py.statistics.visits import visit_facts


def study(rng, n=60, *, groups=("control", "preterm", "hie"), effect=0.0):
    group = np.array(groups)[np.arange(n) % len(groups)]
    age = 100 + 60 * rng.uniform(size=n)
    ids = [f"{i:02d}" for i in range(n)]
    keys = {"participant_id": ids, "session_id": "a"}
    facts = visit_facts(
        pd.DataFrame(keys | {"age_days": age, "age_reference": "birth", "group": group})
        .assign(sex=rng.choice(["F", "M"], n), site=None)
        .to_dict("records")
    )
    brain = 5e5 + 2000 * age + 2e4 * rng.normal(size=n)
    stem = 4000 + 10 * age + 300 * rng.normal(size=n) + effect * (group == groups[-1])
    frames = [
        pd.DataFrame(keys).assign(structure=name, volume_mm3=v, volume_posterior_mm3=v)
        for name, v in {"Brain-Stem": stem, "Total-Brain-Volume": brain}.items()
    ]
    return facts, pd.concat(frames, ignore_index=True)


def test_it_is_the_ancova_of_pingouin_and_the_contrast_of_statsmodels(rng):
    facts, volumes = study(rng)
    table = group_table(volumes, facts, source="labels", covariates=())
    assert list(table.columns) == COLUMNS
    data = facts.merge(volumes[volumes["structure"] == "Brain-Stem"])
    theirs = pingouin.ancova(data, dv="volume_mm3", between="group", covar="age_days", effsize="np2").iloc[0]
    of = table[(table["structure"] == "Brain-Stem") & (table["brain_volume_adjustment"] == "none")]
    ours = of[of["comparison"] == "all groups"].iloc[0]
    assert ours["f"] == pytest.approx(theirs["F"], rel=1e-8)
    assert ours["p"] == pytest.approx(theirs["p_unc"], abs=1e-8)
    assert ours["partial_eta2"] == pytest.approx(theirs["np2"], abs=1e-8)
    model = smf.ols("volume_mm3 ~ C(group, Treatment('control')) + age_days", data).fit()
    pair = of[of["comparison"] == "hie - control"]
    sign = 1 if len(pair) else -1
    pair = pair.iloc[0] if len(pair) else of[of["comparison"] == "control - hie"].iloc[0]
    assert sign * pair["difference_mm3"] == pytest.approx(model.params.iloc[1], abs=1e-6)


def test_two_groups_without_covariates_are_a_t_test(rng):
    y, groups = rng.normal(10, 1, 40), np.repeat(["a", "b"], 20)
    theirs = pingouin.ttest(y[20:], y[:20]).iloc[0]
    fitted = ancova(y, groups, np.zeros((40, 0)))
    assert isinstance(fitted, Ancova)
    assert fitted.p == pytest.approx(theirs.filter(like="p").iloc[0], abs=1e-8)
    low, high = eta_interval(fitted)
    assert 0 <= low <= fitted.partial_eta2 <= high


def test_pairs_have_the_p_of_tukey(rng):
    facts, volumes = study(rng)
    ageless = facts.assign(age_months=np.nan, age_days=np.nan)
    table = group_table(volumes, ageless, source="labels", covariates=())
    of = table[(table["structure"] == "Brain-Stem") & (table["brain_volume_adjustment"] == "none")]
    data = facts.merge(volumes[volumes["structure"] == "Brain-Stem"])
    theirs = pingouin.pairwise_tukey(data, dv="volume_mm3", between="group")
    column = next(name for name in theirs.columns if name.startswith("p"))
    assert sorted(of["p_tukey"].dropna()) == pytest.approx(sorted(theirs[column]), abs=1e-6)


def test_a_planted_difference_is_found_between_its_groups_only():
    table = group_table(*reversed(study(np.random.default_rng(1), effect=600.0)), source="labels")
    of = table[table["brain_volume_adjustment"] == "none"].set_index(["structure", "comparison"])
    assert of.loc[("Brain-Stem", "all groups"), "p_fdr"] < 0.001
    assert (
        of.loc[("Brain-Stem", "hie - control"), "ci_low"] > 0
        or of.loc[("Brain-Stem", "hie - control"), "ci_high"] < 0
    )
    assert of.loc[("Brain-Stem", "hie - control"), "hedges_g_ci_low"] > 0.5
    pair = of.loc[("Brain-Stem", "preterm - control")]
    assert pair["ci_low"] < 0 < pair["ci_high"]
    assert of.loc[("Total-Brain-Volume", "all groups"), "p"] > 0.01
    assert of["covariates"].iloc[0].startswith("age (days after birth); sex (")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"group": None}, "no child with volumes has a group in the samplesheet"),
        ({"group": "x"}, "there are not two groups of 5 children: x (60)"),
    ],
)
def test_without_groups_there_is_a_reason(rng, change, words):
    facts, volumes = study(rng)
    table = group_table(volumes, facts.assign(**change), source="labels")
    assert table["notes"].tolist() == [words]


def test_small_groups_are_left_out_and_said(rng):
    facts, volumes = study(rng)
    facts.loc[:2, "group"] = "rare"
    table = group_table(volumes, facts, source="labels")
    assert table["notes"].str.contains("groups of fewer than 5 children left out: rare").all()
    assert (table["n"] == 57).all()
    facts["sex"] = np.where(facts["group"] == "control", "F", "M")
    alike = facts[facts["group"] != "hie"]
    assert (
        "groups follow from the covariates" in group_table(volumes, alike, source="labels")["notes"].iloc[0]
    )


def test_a_covariate_that_is_left_out_is_said(rng):
    """One sex only, and a site that some children lack, are no covariates; no values at all are silent."""
    facts, volumes = study(rng)
    facts = facts.assign(sex="F", site=np.where(np.arange(len(facts)) < 3, None, "berlin"))
    row = group_table(volumes, facts, source="labels", covariates=("sex", "site")).iloc[0]
    assert "not adjusted for sex: all 60 values are F" in row["notes"]
    assert "not adjusted for site: missing for some children" in row["notes"]
    assert "sex" not in row["covariates"]
    silent = group_table(volumes, facts.assign(site=None), source="labels", covariates=("site",)).iloc[0]
    assert "site" not in str(silent["notes"])
