"""Several raters of the same sessions: how each did, and how their volumes agree with the automatic ones."""

from collections.abc import Sequence

import pandas as pd

from babyseg_py.statistics.methods import compare_methods
from babyseg_py.statistics.structures import volume_matrix

AUTOMATIC = "automatic"
VOLUMES = ["rater", "label", "structure", "side", "volume_mm3"]
PERFORMANCE = [
    "consensus", "rater", "label", "structure", "volume_mm3", "consensus_volume_mm3", "sensitivity",
    "specificity", "predictive_value", "dice", "assd_mm", "hd95_mm",
]  # fmt: skip


def rater_tables(
    raters: pd.DataFrame, volumes: pd.DataFrame, facts: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compare the volumes of raters with each other and with the automatic ones, with one visit per child.

    Parameters
    ----------
    raters : pandas.DataFrame
        Table rater_volumes of the cohort; missing where a rater did not draw a structure.
    volumes : pandas.DataFrame
        Long table of volumes of the visits that are used.
    facts : pandas.DataFrame
        All visits of the samplesheet.

    Returns
    -------
    agreement, used : pandas.DataFrame
        As of `babyseg_py.statistics.methods.compare_methods`: rows ``pair`` for every two raters and for each
        with the automatic volumes, rows ``all`` for the raters, where there are three or more, and for these
        with the automatic volumes. A structure that nobody drew has no row.
    """
    known = raters.dropna(subset=["volume_mm3"]).assign(volume_posterior_mm3=float("nan"))
    by_rater = {str(name): volume_matrix(of, "labels") for name, of in known.groupby("rater")}
    automatic = {AUTOMATIC: volume_matrix(volumes, "labels")} if len(volumes) and by_rater else {}
    together = [[*by_rater]] if len(by_rater) > 2 else []
    together += [[AUTOMATIC, *by_rater]] if len(by_rater) > 1 and automatic else []
    return compare_methods(automatic | by_rater, facts, together=together)


def sessions_without(ratings: Sequence[dict], performance: pd.DataFrame) -> list[str]:
    """Return the ids of sessions with two raters or more of which there is no consensus."""
    made = set() if performance.empty else set(performance["visit_id"])
    return sorted({str(one["visit_id"]) for one in ratings} - made)
