"""Several raters of the same sessions: how each of them did, and how their volumes agree."""

import pandas as pd

from babyseg_py.report.figures import Shelf
from babyseg_py.report.methods_compared import agreement_table, draw_pairs
from babyseg_py.report.parts import Absent, Part, Table
from babyseg_py.report.results import Results
from babyseg_py.report.structures import in_order
from babyseg_py.report.words import base_name, count, listing, number, plain_name
from babyseg_py.statistics.raters import AUTOMATIC, sessions_without

DRAWN = 6
NAMES = {"staple": "STAPLE", "majority": "majority"}
MEASURES = ("sensitivity", "predictive_value", "dice", "assd_mm", "hd95_mm")
HEADINGS = ("Sensitivity", "Predictive value", "Dice", "ASSD (mm)", "HD95 (mm)")
NO_RATERS = "No session has label maps of two raters or more (--raters)."
TOO_FEW = "No comparison of volumes, because fewer than three children have label maps of two raters."


def rater_summary(results: Results, shelf: Shelf) -> Part:
    """Tabulate how each rater did against either consensus, and name sessions that have none."""
    table = _performance(results)
    lost = sessions_without(results.raters, table)
    told = f"Without a consensus, for the reason in the ledger: {listing(lost)}." if lost else ""
    if table.empty:
        return Absent(told or NO_RATERS)
    rows = []
    for (rater, consensus), of in table.groupby(["rater", "consensus"], sort=True):
        means = of[list(MEASURES)].mean()
        sessions = str(of["visit_id"].nunique())
        cells = (number(means[name]) for name in MEASURES)
        rows.append((str(rater), NAMES[str(consensus)], sessions, *cells))
    few = table.groupby("visit_id")["rater"].nunique()
    pairs = int((few == 2).sum())
    if pairs:
        words = f"{count(pairs, 'session')} of two raters: neither consensus can tell who is right there."
        told = f"{told} {words}".strip()
    columns = ("Rater", "Consensus", "Sessions", *HEADINGS)
    return Table(columns, rows, frozenset(range(2, 8)), note=told)


def rater_structures(results: Results, shelf: Shelf) -> Part:
    """Tabulate the same by structure, left and right together, against STAPLE."""
    table = _performance(results)
    if table.empty:
        return Absent(NO_RATERS)
    table = table[table["consensus"] == "staple"].assign(name=lambda of: of["structure"].map(base_name))
    means = table.groupby(["name", "rater"])[list(MEASURES)].mean()
    rows = [
        (plain_name(name), str(rater), *(number(row[measure]) for measure in MEASURES))
        for name in in_order(table["structure"])
        for rater, row in means.loc[name].iterrows()
    ]
    folded = f"Raters by structure, {count(len(rows), 'row')}"
    return Table(("Structure", "Rater", *HEADINGS), rows, frozenset(range(2, 7)), folded=folded)


def rater_bland_altman(results: Results, shelf: Shelf) -> Part:
    """Draw raters against the segmentation, then raters against each other."""
    agreement, volumes = _compared(results)
    first = f"{AUTOMATIC}, "
    part = draw_pairs(
        agreement, volumes, shelf, kind="raters", drawn=DRAWN, first=lambda s: s.startswith(first)
    )
    return part or Absent(TOO_FEW if results.raters else NO_RATERS)


def rater_agreement(results: Results, shelf: Shelf) -> Part:
    """Tabulate how volumes of raters agree with each other and with the segmentation."""
    part = agreement_table(_compared(results)[0], "raters")
    return part or Absent(TOO_FEW if results.raters else NO_RATERS)


def _performance(results: Results) -> pd.DataFrame:
    return results.more.get("rater_performance", pd.DataFrame())


def _compared(results: Results) -> tuple[pd.DataFrame, pd.DataFrame]:
    names = ("rater_agreement", "rater_agreement_volumes")
    agreement, volumes = (results.more.get(name, pd.DataFrame()) for name in names)
    return agreement, volumes
