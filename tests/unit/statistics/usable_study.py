"""What of a cohort is used, made from the tables that a test is about."""

import pandas as pd

from babyseg_py.statistics.inputs import Inputs, Usable

EMPTY_QC = pd.DataFrame(
    columns=["participant_id", "session_id", "scan", "structure", "metric", "flag"], dtype=object
)
NONE = pd.DataFrame()


def usable(facts=NONE, *, volumes=NONE, scans=NONE, visits_out=frozenset(), scans_out=frozenset()):
    """Return a cohort of which these visits and scans are flagged."""
    inputs = Inputs(facts, volumes, scans, EMPTY_QC, None, [], [], "labels")
    return Usable(inputs, volumes, scans, set(visits_out), set(scans_out), 0)
