"""Harmonised volumes in place of the measured ones."""

import numpy as np
import pandas as pd
import pytest
from repeated_study import repeated_study
from usable_study import EMPTY_QC

from babyseg_py.statistics.analysis import analyse
from babyseg_py.statistics.harmonised import harmonised_volumes
from babyseg_py.statistics.inputs import Inputs
from babyseg_py.statistics.sites import site_tables


@pytest.fixture
def study(rng):
    """Return facts, volumes and scores of 40 children at two sites, of which B measures 20 % more."""
    facts, volumes, phenotype = repeated_study(rng, visits=(1, 2))
    site = np.where(facts["participant_id"].astype(int) % 4 < 2, "A", "B")
    facts = facts.assign(site=site)
    volumes = volumes.drop(columns="site").merge(facts[["participant_id", "session_id", "site"]])
    more = np.where(volumes["site"] == "B", 1.2, 1.0)
    for column in ("volume_mm3", "volume_posterior_mm3"):
        volumes[column] = volumes[column] * more
    return facts, volumes, phenotype


def ratio(volumes, structure="Total-Brain-Volume"):
    of = volumes[volumes["structure"] == structure].groupby("site")["volume_mm3"].mean()
    return of["B"] / of["A"]


def test_the_planted_effect_of_a_site_vanishes_and_growth_stays(study):
    facts, volumes, _ = study
    made, reason = harmonised_volumes(volumes, facts)
    assert reason == ""
    assert ratio(volumes) > 1.12
    assert ratio(made) == pytest.approx(1, abs=0.06)
    brain = [t[t["structure"] == "Total-Brain-Volume"].sort_values("age_days") for t in (volumes, made)]
    young, old = (b["age_days"] < 100 for b in brain)
    growth = [
        b.loc[~w, "volume_mm3"].mean() / b.loc[w, "volume_mm3"].mean()
        for b, w in zip(brain, (young, old), strict=True)
    ]
    assert growth[1] == pytest.approx(growth[0], rel=0.1)


def test_what_cannot_be_harmonised_is_missing_and_a_refusal_changes_nothing(study):
    facts, volumes, _ = study
    alone = facts.assign(site=facts["site"].where(facts["participant_id"] != "000"))
    made, _ = harmonised_volumes(volumes, alone)
    assert "000" not in set(made["participant_id"])
    same, reason = harmonised_volumes(volumes, facts.assign(site="A"))
    assert "nothing to harmonise" in reason
    assert same is volumes


def test_a_visit_without_a_site_gives_way_to_another_one_of_the_child(study):
    """Visits that cannot be harmonised are no visits with missing volumes, which an analysis would choose."""
    facts, volumes, _ = study
    second = facts["session_id"] == facts["session_id"].max()
    some = facts.assign(
        site=facts["site"].where(~(second & facts["participant_id"].str.endswith(("1", "3"))))
    )
    made, _ = harmonised_volumes(volumes, some)
    left = pd.MultiIndex.from_frame(made[["participant_id", "session_id"]]).unique()
    assert len(left) == some["site"].notna().sum() < len(facts)
    assert made["volume_mm3"].notna().all()
    effects, _ = site_tables(volumes, some, source="labels")
    assert effects["notes"].str.contains(f"{some['site'].isna().sum()} visits without a site not used").all()


def test_the_analyses_use_them_and_say_so(study):
    facts, volumes, phenotype = study
    keep = volumes["structure"] == "Total-Brain-Volume"
    scans = volumes.assign(scan="T1w", suffix="T1w", run=np.nan, side="none").iloc[:0]

    def run(sheet, harmonise, covariates=()):
        tables_of = sheet, volumes[keep], scans, EMPTY_QC, phenotype
        tables = analyse(Inputs(*tables_of, ["score"], list(covariates), "labels", harmonise)).tables
        return tables["associations"]["rho"].iloc[0], tables["analyses"].set_index("table")["reason"]

    plain, words = run(facts, False)
    assert not words.str.contains("harmonised").any()
    other, words = run(facts, True, ["site"])
    assert other != plain
    assert "on volumes harmonised between sites; site is a covariate too" in words["associations.tsv"]
    refused, words = run(facts.assign(site="A"), True)
    assert refused == plain
    assert "as measured, as harmonisation was not possible (1 sites with volumes" in words["associations.tsv"]
