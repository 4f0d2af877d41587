import numpy as np
import pandas as pd
import pytest

from babyseg_py.statistics.structures import asymmetry, side_of, volume_matrix, wide

ROWS = (
    ("Left-Amygdala", 18, 110.0),
    ("Brain-Stem", 16, 500.0),
    ("Right-Amygdala", 54, 90.0),
    ("Total-Brain-Volume", None, 1e6),
)


def table(visits=("A",)):
    rows = [["01", v, 5.0, label, name, "n", mm3, 2 * mm3] for v in visits for name, label, mm3 in ROWS]
    names = ["participant_id", "session_id", "age_days", "label", "structure", "side", "volume_mm3"]
    return pd.DataFrame(rows, columns=[*names, "volume_posterior_mm3"])


def test_both_sides_are_summed_last():
    matrix = volume_matrix(table(), "labels")
    assert list(matrix.columns) == [name for name, _, _ in ROWS] + ["Amygdala"]
    assert matrix.loc[("01", "A"), "Amygdala"] == 200
    assert volume_matrix(table(), "posteriors").loc[("01", "A"), "Amygdala"] == 400


def test_a_total_that_is_there_is_not_made_again():
    rows = pd.concat([table(), table().iloc[:1].assign(structure="Amygdala", volume_mm3=7.0)])
    assert volume_matrix(rows, "labels").loc[("01", "A"), "Amygdala"] == 7


def test_a_missing_side_leaves_the_sum_missing():
    rows = table(("A", "B")).drop(index=2)
    assert np.isnan(volume_matrix(rows, "labels").loc[("01", "A"), "Amygdala"])


def test_sides():
    names = pd.Index(["Left-Amygdala", "Right-Amygdala", "Amygdala", "Brain-Stem"])
    assert [side_of(name, names) for name in names] == ["left", "right", "both", "none"]


def test_asymmetry_by_hand():
    row = asymmetry(table()).iloc[0]
    assert (row["structure"], row["left_mm3"], row["right_mm3"]) == ("Amygdala", 110, 90)
    assert row["asymmetry"] == row["asymmetry_posterior"] == pytest.approx(0.2)
    assert row["age_days"] == 5


def test_asymmetry_of_nothing_is_missing():
    rows = table()
    rows.loc[[0, 2], "volume_mm3"] = 0.0
    assert np.isnan(asymmetry(rows)["asymmetry"].iloc[0])
    assert np.isnan(asymmetry(table().drop(index=2))["asymmetry"].iloc[0])


def test_wide_has_a_row_per_visit():
    spread = wide(table(("A", "B")))
    assert len(spread) == 2
    assert spread["Brain-Stem_mm3"].tolist() == [500, 500]
    assert spread["Left-Amygdala_posterior_mm3"].tolist() == [220, 220]
    assert list(spread.columns[:3]) == ["participant_id", "session_id", "age_days"]


def test_empty_tables_stay_empty():
    nothing = table().iloc[:0]
    assert volume_matrix(nothing, "labels").empty
    assert asymmetry(nothing).empty
    assert wide(nothing).empty
