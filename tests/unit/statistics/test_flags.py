import numpy as np
import pandas as pd
import pytest

from babyseg_py.statistics.flags import flagged_scans, flagged_visits, without_flagged_structures

QC = pd.DataFrame(
    [
        ["01", "A", None, None, 1.0],
        ["01", "B", "T1w", None, 1.0],
        ["02", "A", None, None, 0.0],
        ["02", "A", None, "Left-Amygdala", 1.0],
        ["02", "A", "T1w", "Brain-Stem", 1.0],
        ["02", "B", "T1w", "Brain-Stem", np.nan],
    ],
    columns=["participant_id", "session_id", "scan", "structure", "flag"],
)
NAMES = ["Left-Amygdala", "Right-Amygdala", "Amygdala", "Brain-Stem", "Total-Brain-Volume"]


def volumes(**columns):
    return pd.DataFrame({"structure": NAMES, "volume_mm3": 1.0, "volume_posterior_mm3": 1.0}).assign(
        participant_id="02", session_id="A", **columns
    )


def missing(table):
    assert (table["volume_mm3"].isna() == table["volume_posterior_mm3"].isna()).all()
    return table.loc[table["volume_mm3"].isna(), "structure"].tolist()


def test_flags_of_sessions_scans_and_structures_are_told_apart():
    assert flagged_visits(QC) == {("01", "A")}
    assert flagged_scans(QC) == {("01", "B", "T1w")}


def test_a_flagged_structure_takes_its_sum_along_and_nothing_else():
    before = volumes()
    masked, n = without_flagged_structures(before, QC)
    assert missing(masked) == ["Left-Amygdala", "Amygdala"]
    assert n == 1
    assert missing(before) == []


def test_structures_of_a_visit_that_is_flagged_as_a_whole_are_not_counted_again():
    structures = pd.concat([QC, QC[QC["structure"].notna()].assign(participant_id="01", session_id="A")])
    assert without_flagged_structures(volumes(), structures)[1] == 1


@pytest.mark.parametrize(("scan", "lost"), [("T1w", ["Brain-Stem"]), ("T2w", [])])
def test_flags_of_a_scan_count_for_that_scan(scan, lost):
    masked, n = without_flagged_structures(volumes(scan=scan), QC)
    assert missing(masked) == lost
    assert n == 1


def test_no_flags_and_no_volumes():
    assert missing(without_flagged_structures(volumes(), QC.iloc[:0])[0]) == []
    assert without_flagged_structures(volumes().iloc[:0], QC)[0].empty
    assert flagged_visits(QC.iloc[:0]) == flagged_scans(QC.iloc[:0]) == set()
