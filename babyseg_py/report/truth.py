"""For a digital cohort: what was put in, and what was found."""

import numpy as np
import pandas as pd

from babyseg_py.report.figures import Shelf, agreement
from babyseg_py.report.finding import SIGNIFICANT
from babyseg_py.report.parts import Absent, Part, Plot, Prose, Table
from babyseg_py.report.results import Results
from babyseg_py.report.structures import PANELS, by_structure
from babyseg_py.report.words import brain_words, count, interval, number, p_equals, plain_name

NOT_DIGITAL = "Known answers exist only for a digital cohort (babyseg demo-data); this one has none."


def _pairs(results: Results) -> pd.DataFrame:
    """Volumes of every session and structure: true_ml, found_ml, error_percent."""
    empty = pd.DataFrame(columns=["visit_id", "structure", "true_ml", "found_ml", "error_percent"])
    if results.truth is None or results.truth.volumes.empty or results.volumes.empty:
        return empty
    true, found = (
        _long(table, name)
        for table, name in ((results.truth.volumes, "true_ml"), (results.volumes, "found_ml"))
    )
    pairs = true.merge(found, on=["visit_id", "structure"]).dropna()
    pairs = pairs[pairs["true_ml"] > 0].reset_index(drop=True)
    return pairs.assign(error_percent=100 * (pairs["found_ml"] / pairs["true_ml"] - 1))


def _long(volumes: pd.DataFrame, name: str) -> pd.DataFrame:
    matrix = by_structure(volumes, ["visit_id"]) / 1000
    return matrix.reset_index().melt("visit_id", var_name="structure", value_name=name)


def recovered_volumes(results: Results, shelf: Shelf) -> Part:
    """Draw found against true volumes."""
    if results.truth is None:
        return Absent(NOT_DIGITAL)
    pairs = _pairs(results)
    if pairs.empty:
        return Absent("No session has both a true and a measured volume.")
    names = {name: plain_name(name) for name in PANELS if (pairs["structure"] == name).any()}
    axes = {"x": "true volume (mL)", "y": "measured volume (mL)", "percent": "error (% of the true volume)"}
    figure = agreement(pairs, names, **axes)
    note = (
        f"{count(pairs['visit_id'].nunique(), 'session')}; "
        f"median error {number(pairs['error_percent'].median(), 1)} %, "
        f"median size of the error {number(pairs['error_percent'].abs().median(), 1)} %."
    )
    return Plot(
        (
            shelf.add(
                "truth_volumes",
                figure,
                pairs,
                table="figure_truth",
                alt=f"Measured against true volumes. {note}",
            ),
        ),
        note=note,
    )


def recovery_table(results: Results, shelf: Shelf) -> Part:
    """Tabulate bias, spread and correlation of the measured volumes by structure."""
    pairs = _pairs(results)
    if pairs.empty:
        return Absent(
            NOT_DIGITAL if results.truth is None else "No session has both a true and a measured volume."
        )
    rows = []
    for structure, of in pairs.groupby("structure", sort=False):
        low, middle, high = np.percentile(of["error_percent"], (25, 50, 75))
        same = of["true_ml"].nunique() < 2 or of["found_ml"].nunique() < 2 or len(of) < 3
        r = np.nan if same else np.corrcoef(of["true_ml"], of["found_ml"])[0, 1]
        rows.append((plain_name(str(structure)), str(len(of)), number(of["true_ml"].median(), 1),
                     number(of["found_ml"].median(), 1), number(middle, 1), interval(low, high, 1),
                     number(r)))  # fmt: skip
    columns = (
        "Structure",
        "Sessions",
        "True (mL)",
        "Measured (mL)",
        "Median error (%)",
        "Middle half (%)",
        "Correlation",
    )
    return Table(columns, rows, frozenset(range(1, 7)))


def planted_effects(results: Results, shelf: Shelf) -> Part:
    """Say of each planted association whether it was found, and what was found where nothing was planted."""
    if results.truth is None:
        return Absent(NOT_DIGITAL)
    planted = results.truth.planted.get("associations", [])
    if not planted:
        return Absent("No association was planted in this cohort.")
    points = [_verdict(effect, results.associations) for effect in planted]
    points += [
        _nothing(str(score), results.associations) for score in results.truth.planted.get("null_scores", [])
    ]
    return Prose(points=tuple(points))


def _estimates(table: pd.DataFrame, score: str) -> pd.DataFrame:
    return table if table.empty else table[(table["score"] == score) & table["rho"].notna()]


def _verdict(effect: dict, table: pd.DataFrame) -> str:
    score, structure, rho = str(effect["score"]), str(effect["structure"]), effect.get("rho")
    amount = "" if rho is None else f" (ρ = {number(rho)} in the truth)"
    put_in = f"Planted: {plain_name(structure).lower()} with {score}{amount}."
    same = _estimates(table, score)
    same = same[same["structure"] == structure] if len(same) else same
    if same.empty:
        return f"{put_in} Not estimated in this run."
    sign = np.sign(same["rho"]) == (np.sign(same["rho"]) if rho is None else np.sign(rho))
    sure, perhaps = sign & (same["p_fdr"] < SIGNIFICANT), sign & (same["p"] < SIGNIFICANT)
    if sure.any():
        verdict = (
            f"Found, in {int(sure.sum())} of {count(len(same), 'way')} to take brain volume into account"
        )
    elif perhaps.any():
        verdict = "Seen, but it does not hold after correction for the number of tests"
    else:
        verdict = "Not found"
    row = same.assign(wrong=~sign).sort_values(["wrong", "p"]).to_dict("records")[0]
    found = f"ρ = {number(row['rho'])} (95 % interval {interval(row['ci_low'], row['ci_high'])})"
    p = f"n = {number(row['n'], 0)}, {p_equals(row['p'])}, adjusted {p_equals(row['p_fdr'])}"
    return f"{put_in} {verdict}: {found}, {p}, {brain_words(row['brain_volume_adjustment'])}."


def _nothing(score: str, table: pd.DataFrame) -> str:
    estimates = _estimates(table, score)
    if estimates.empty:
        return f"Nothing was planted in {score}; nothing was estimated either."
    wrong = int((estimates["p_fdr"] < SIGNIFICANT).sum())
    found = "none holds" if not wrong else f"{wrong} {'holds' if wrong == 1 else 'hold'}, by chance,"
    return f"Nothing was planted in {score}: of {count(len(estimates), 'estimate')} {found} after correction."
