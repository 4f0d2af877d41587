import numpy as np
import pandas as pd
import pytest

from babyseg_py.statistics.associations import COLUMNS
from babyseg_py.statistics.finding import main_family


def _associations(rows: list[tuple]) -> pd.DataFrame:
    columns = ["score", "structure", "brain_volume_adjustment", "rho", "p"]
    return pd.DataFrame(rows, columns=columns)


def test_p_is_over_all_scores_and_structures_of_the_declared_way():
    family = main_family(
        _associations(
            [
                ("a", "Amygdala", "none", 0.9, 1e-6),
                ("a", "Amygdala", "covariate", 0.3, 0.04),
                ("a", "Caudate", "covariate", 0.5, 0.01),
                ("b", "Amygdala", "covariate", -0.1, 0.5),
                ("b", "Caudate", "covariate", np.nan, np.nan),
                ("b", "Total-Brain-Volume", "none", 0.2, 0.2),
                ("b", "Amygdala", "residual", 0.9, 1e-6),
            ]
        )
    )
    assert family.declared
    assert family.tests["structure"].tolist() == ["Caudate", "Amygdala", "Total-Brain-Volume", "Amygdala"]
    assert family.tests["p_all"].to_numpy() == pytest.approx([0.04, 0.08, 0.2 * 4 / 3, 0.5])


def test_where_the_declared_way_has_no_estimate_all_ways_are_corrected_for():
    rows = [("a", "Amygdala", way, 0.4, p) for way, p in (("none", 0.02), ("proportion", 0.6))]
    family = main_family(_associations([*rows, ("a", "Amygdala", "covariate", np.nan, np.nan)]))
    assert not family.declared
    assert family.tests["p_all"].to_numpy() == pytest.approx([0.04, 0.6])


@pytest.mark.parametrize("columns", [[], COLUMNS])
def test_nothing_is_a_family_of_none(columns):
    assert main_family(pd.DataFrame(columns=columns)).tests.empty


def test_chance_alone_seldom_holds(rng):
    """With no effect at all the clearest of 3 scores, 20 structures and 4 ways holds in about 5 %."""
    names = [("abc"[i % 3], f"Part-{i // 3}") for i in range(60)]
    held = 0
    for _ in range(400):
        p = rng.uniform(size=(4, 60))
        rows = [
            (*name, way, 0.1, one)
            for way, of in zip(("none", "covariate", "proportion", "residual"), p, strict=True)
            for name, one in zip(names, of, strict=True)
        ]
        held += main_family(_associations(rows)).tests["p_all"].iloc[0] < 0.05
    assert held / 400 < 0.08
