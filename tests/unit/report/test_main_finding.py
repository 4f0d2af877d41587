"""What the first page says of quality, growth and the main finding."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from simulated_cohort import simulate

from babyseg_py.report.associations import association_table
from babyseg_py.report.brief import quality_and_growth
from babyseg_py.report.figures import Shelf
from babyseg_py.report.finding import finding
from babyseg_py.report.results import Results, read_results
from babyseg_py.report.specifications import specification_curves, specification_table


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Results:
    root = simulate(tmp_path_factory.mktemp("finding") / "cohort", children=6, snapshots=False).root
    return read_results(records=root / "records.json", ledger=root / "ledger.tsv", cohort=root / "cohort")


def _association(score, structure, way, rho, p, **more):
    row = {"score": score, "structure": structure, "n": 40, "rho": rho, "p": p, "p_fdr": p}
    row |= {"ci_low": rho - 0.3, "ci_high": rho + 0.3, "covariates": "age", "notes": np.nan}
    return row | {"brain_volume_adjustment": way, "p_maxt": 0.123, "rho_detectable": 0.43} | more


def _with(cohort: Results, rows: list[dict], **more) -> Results:
    return replace(cohort, associations=pd.DataFrame(rows), more=cohort.more | more)


def _ways(score, structure, main=5):
    """Return four ways of one association, of which one could not be estimated."""
    rows = []
    for place, way in enumerate(("none", "covariate", "proportion", "residual")):
        rho = np.nan if way == "residual" else 0.1 * place - 0.05
        rows.append({
            "score": score, "structure": structure, "specification": way, "main": int(way == "covariate"),
            "brain_volume_adjustment": way, "outliers": "in", "visits": "one", "volume_source": "labels",
            "n": 40, "rho": rho, "ci_low": rho - 0.3, "ci_high": rho + 0.3, "p": 0.01 * place + 0.001 * main,
            "rank": np.nan if np.isnan(rho) else place + 1, "notes": np.nan,
        })  # fmt: skip
    return rows


def test_the_clearest_of_another_way_is_not_the_finding(cohort):
    rows = [_association("motor", "Caudate", "none", 0.6, 1e-5)]
    rows += [_association("motor", f"Part-{i}", "covariate", 0.3, 0.01 + 0.04 * i) for i in range(10)]
    first, verdict, power = finding(_with(cohort, rows, specifications=pd.DataFrame()), Shelf()).paragraphs
    assert first.startswith("Of 10 associations tested, the clearest is that of the part 0 with motor")
    assert "adjusted for multiplicity p = 0.100" in first
    assert verdict.startswith(
        "It does not hold after correction over all 10 tests of 1 score and 10 structures (Benjamini and "
        "Hochberg), so that chance alone can explain it. Brain volume as a covariate is the way that was "
    )
    assert (
        "40 children would have shown in 80 % of samples is 0.43 in one test and 0.54 in one of 10" in power
    )


def test_without_the_declared_way_the_correction_covers_the_choice(cohort):
    ways = ("none", "proportion", "residual")
    rows = [
        _association("motor", "Caudate", way, 0.5, p) for way, p in zip(ways, (0.01, 0.4, 0.9), strict=True)
    ]
    rows += [_association("motor", "Caudate", "covariate", np.nan, np.nan)]
    words = finding(_with(cohort, rows, specifications=pd.DataFrame()), Shelf()).paragraphs
    assert "Of 3 associations tested" in words[0]
    assert "p = 0.010; adjusted for multiplicity p = 0.030" in words[0]
    assert "It holds after correction over all 3 tests of 1 score and 1 structure and every way" in words[1]
    assert "could not be estimated; this is another way: brain volume not adjusted for" in words[1]


def test_the_finding_has_its_curve_also_on_one_side_and_the_table_shows_it(cohort, tmp_path):
    rows = [
        _association("motor", "Left-Caudate", "covariate", 0.4, 0.001),
        _association("motor", "Caudate", "covariate", 0.3, 0.02),
        _association("language", "Right-Amygdala", "covariate", 0.2, 0.2),
    ]
    ways = [
        *_ways("motor", "Caudate", 0),
        *_ways("motor", "Left-Caudate"),
        *_ways("language", "Right-Amygdala"),
    ]
    results = _with(cohort, rows, specifications=pd.DataFrame(ways))
    part = finding(results, Shelf(tmp_path))
    assert [picture.title for picture in part.pictures] == ["motor: Left caudate"]
    assert (
        "Over 3 ways of adjusting the same structure and score ρ runs from −0.05 to 0.15, in 2 of"
        in part.paragraphs[-1]
    )
    numbers = pd.read_csv(tmp_path / "specifications_motor.tsv", sep="\t")
    assert set(numbers["structure"]) == {"Left-Caudate"}
    assert len(numbers) == 4, "what could not be estimated is in the numbers too"
    titles = [picture.title for picture in specification_curves(results, Shelf()).pictures]
    assert titles == ["motor: Left caudate", "language: Right amygdala"]
    shown = specification_table(results, Shelf()).rows
    assert [row[1] for row in shown] == ["Left caudate"] * 4 + ["Right amygdala"] * 4
    assert [row[2] for row in shown].count("yes") == 2


def test_the_table_of_associations_has_maxt_and_power(cohort):
    table = association_table(_with(cohort, [_association("motor", "Caudate", "none", 0.3, 0.04)]), Shelf())
    (row,) = (dict(zip(table.columns, cells, strict=True)) for cells in table.rows)
    assert row["p max-T"] == "0.123"
    assert row["Smallest ρ to be seen"] == "0.43"


def test_quality_and_growth_are_told_in_numbers(cohort):
    dice = pd.DataFrame({
        "metric": "predicted_dice", "value": [0.9, 0.8, 0.7, 0.1], "flag": 0.0,
        "structure": [np.nan, np.nan, np.nan, "Left-Caudate"], "scan": np.nan,
    })  # fmt: skip
    model = {"structure": "Total-Brain-Volume", "age_reference": "birth", "n": 6, "n_observations": 11}
    models = [
        model | {"age_days": 30.4375 * month, "volume_mm3": 7e5, "change_mm3_per_month": 1e4 * month,
                 "change_ci_low": 5e3, "change_ci_high": 8e4}
        for month in (2, 6, 9)
    ]  # fmt: skip
    results = replace(cohort, qc=dice, more={"growth_models": pd.DataFrame(models)})
    quality, growth = quality_and_growth(results, Shelf()).paragraphs
    assert quality == (
        "Quality: 2 of 12 sessions (17 %) with a flag or a scan that failed. Dice that is to be expected of "
        "the labels: median 0.80, the lowest 0.70."
    )
    assert growth.startswith(
        "Growth: 6 children with two usable sessions or more; their brain volume changed by"
    )
    brain = cohort.growth.query("structure == 'Total-Brain-Volume'")["change_mm3_per_month"]
    assert f"by {brain.median() / 1000:.1f} mL a month" in growth
    assert growth.endswith(
        "(6 children, 11 sessions) brain volume at 6.0 months from birth is 700 mL and changes by 60.0 mL a "
        "month (95 % interval 5.0 to 80.0)."
    )


def test_growth_that_could_not_be_measured_says_why(cohort):
    models = pd.DataFrame(
        {
            "structure": ["Caudate"],
            "volume_mm3": [np.nan],
            "notes": ["n = 6 children is below 10: not estimated"],
        }
    )
    results = replace(cohort, growth=pd.DataFrame(), more={"growth_models": models})
    assert quality_and_growth(results, Shelf()).paragraphs[1] == (
        "Growth: no child has two usable sessions at different ages. No model of the cohort: n = 6 children "
        "is below 10: not estimated."
    )
