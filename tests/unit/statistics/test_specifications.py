from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from repeated_study import repeated_study

from babyseg_py.statistics.associations import association_tables
from babyseg_py.statistics.specifications import COLUMNS, specification_table
from babyseg_py.statistics.study import Study, gather_cohort


@pytest.fixture
def chosen():
    """Return the options that both tables take."""
    return {"scores": ["score"], "covariates": ["epds"], "flagged": set(), "source": "labels"}


def test_there_are_32_ways_and_one_of_them_is_the_main_one(rng, chosen):
    facts, volumes, phenotype = repeated_study(rng)
    table = specification_table(Study(volumes, facts, phenotype, **chosen))
    assert list(table.columns) == COLUMNS
    for structure, of in table.groupby("structure"):
        assert len(of) == (8 if structure == "Total-Brain-Volume" else 32)
        assert of["main"].sum() == 1
        assert of["specification"].is_unique
        assert sorted(of["rank"]) == list(range(1, len(of) + 1))
        assert of.sort_values("rank")["rho"].is_monotonic_increasing


def test_the_main_way_is_the_row_of_the_associations(rng, chosen):
    facts, volumes, phenotype = repeated_study(rng)
    study = Study(volumes, facts, phenotype, **chosen)
    main = specification_table(study).query("main == 1").set_index("structure")
    table, _ = association_tables(gather_cohort(study))
    for structure, way in (("Left-Amygdala", "covariate"), ("Total-Brain-Volume", "none")):
        of = table[(table["structure"] == structure) & (table["brain_volume_adjustment"] == way)].iloc[0]
        for column in ("n", "rho", "ci_low", "ci_high", "p", "covariates"):
            assert main.loc[structure, column] == of[column]


def test_outliers_are_left_out_where_it_says_so(rng, chosen):
    facts, volumes, phenotype = repeated_study(rng, visits=(1,))
    here = (volumes["structure"] == "Left-Amygdala") & (volumes["participant_id"] == "003")
    volumes.loc[here, ["volume_mm3", "volume_posterior_mm3"]] *= 20
    of = specification_table(Study(volumes, facts, phenotype, **chosen)).query("structure == 'Left-Amygdala'")
    assert (of.loc[of["outliers"] == "out", "n_outliers"] >= 1).all()
    assert (of.loc[of["outliers"] == "in", "n"] == 40).all()
    assert (of["n"] + of["n_outliers"] == 40).all()


def test_all_visits_use_what_one_visit_leaves_out(chosen):
    rng = np.random.default_rng(0)
    stronger = []
    for _ in range(6):
        facts, volumes, phenotype = repeated_study(rng, 60, between=4.0, visits=(4,))
        ways = specification_table(Study(volumes, facts, phenotype, **chosen)).query(
            "structure == 'Left-Amygdala' and brain_volume_adjustment == 'none' and outliers == 'in'"
        )
        rho = ways[ways["volume_source"] == "labels"].set_index("visits")["rho"]
        stronger.append(rho["all"] - rho["one"])
    assert np.mean(stronger) > 0


def test_without_scores_it_is_empty(rng, chosen):
    facts, volumes, phenotype = repeated_study(rng)
    study = Study(volumes, facts, phenotype, **chosen)
    nothing = specification_table(replace(study, scores=[], covariates=[]))
    assert nothing.empty
    without_ages = facts.assign(age_months=np.nan, age_days=np.nan)
    table = specification_table(replace(study, facts=without_ages))
    assert pd.to_numeric(table["rho"]).notna().all()
