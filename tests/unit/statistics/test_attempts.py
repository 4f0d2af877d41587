"""An analysis that fails in a way that nobody foresaw leaves the others alone."""

import numpy as np
import pytest
from repeated_study import repeated_study
from usable_study import EMPTY_QC

from babyseg_py.errors import UnusableData
from babyseg_py.statistics import analysis
from babyseg_py.statistics.attempts import attempt
from babyseg_py.statistics.inputs import Inputs
from babyseg_py.statistics.study import Gathered, Study


def inputs(rng):
    facts, volumes, phenotype = repeated_study(rng, 16)
    scans = volumes.assign(scan="T1w", suffix="T1w", run=np.nan, side="none").iloc[:0]
    return Inputs(facts, volumes, scans, EMPTY_QC, phenotype, ["score"], [], "labels")


@pytest.mark.parametrize(
    ("broken", "tables"),
    [
        ("growth_models", {"growth_models"}),
        ("centile_tables", {"centiles", "child_centiles"}),
        ("repeated_table", {"behaviour_models"}),
        ("compare_shapes", {"shape", "shape_vertices"}),
    ],
)
def test_what_fails_is_named_and_all_else_is_as_without_it(rng, monkeypatch, capsys, broken, tables):
    """The tables of the analysis that fails have their columns and no rows."""
    given = inputs(rng)
    whole = analysis.analyse(given).tables
    make = getattr(analysis, broken)

    def fails_on_children(of, *args, **kwargs):
        if len(of.matrix if isinstance(of, Gathered) else of.volumes if isinstance(of, Study) else of):
            raise np.linalg.LinAlgError("Singular matrix")
        return make(of, *args, **kwargs)

    monkeypatch.setattr(analysis, broken, fails_on_children)
    found = analysis.analyse(given).tables
    assert found.keys() == whole.keys()
    for name in whole.keys() - tables - {"analyses"}:
        assert found[name].equals(whole[name]), name
    for name in tables:
        assert found[name].empty
        assert list(found[name].columns) == list(whole[name].columns)
    told = found["analyses"].set_index("table")
    failed = told["reason"].str.startswith("failed: an error in the program ended it")
    assert {f"{name}.tsv" for name in tables} >= set(told.index[failed]) != set()
    assert told.loc[failed, "reason"].str.contains("LinAlgError: Singular matrix").all()
    assert (told.loc[failed, "ran"] == 0).all()
    assert "Traceback" in capsys.readouterr().err


def test_a_file_at_fault_and_a_failure_without_rows_are_raised():
    def unusable(data):
        raise UnusableData("volumes.tsv", "is cut off", "make it again")

    def broken(data):
        raise RuntimeError(f"of {data}")

    with pytest.raises(UnusableData, match="cut off"):
        attempt(unusable, 1, 0)
    with pytest.raises(RuntimeError, match="of 1"):
        attempt(broken, 1, 0)
