"""Reliability and associations with behaviour."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from babyseg_py.report.figures import ACCENT, GREY, INK, PALE, WIDTH_IN, Shelf, file_name
from babyseg_py.report.finding import SIGNIFICANT, why_no_association
from babyseg_py.report.parts import Absent, Part, Picture, Plot, Table
from babyseg_py.report.results import Results
from babyseg_py.report.structures import both_sides, in_order
from babyseg_py.report.words import (
    MISSING,
    brain_words,
    count,
    interval,
    number,
    p_value,
    plain_name,
    sentence_case,
    text,
)

LOOKS = (("o", ACCENT), ("s", INK), ("D", GREY), ("v", "#8a6d1f"))
SCORES_DRAWN = 6
OPEN_ROWS = 40


def reliability(results: Results, shelf: Shelf) -> Part:
    """Tabulate intraclass correlations and the variation within a visit, left and right together."""
    table = results.reliability
    if table.empty:
        return Absent(
            "No reliability, because no visit has two scans of one contrast, or scans of two contrasts."
        )
    shown = both_sides(table[table["volume_source"] == "labels"]).fillna({"notes": ""})
    shown = shown.assign(compared=shown["kind"] + ": " + shown["contrasts"])
    notes = {str(name): of["notes"].unique().tolist() for name, of in shown.groupby("compared", sort=False)}
    common = all(len(words) == 1 for words in notes.values())
    columns = ["Structure", "Scans compared", "n", "ICC(2,1) [95 %]", "ICC(3,1) [95 %]",
               "CV within a visit (%)", "Difference (%)", "Notes"]  # fmt: skip
    rows = []
    place = {name: rank for rank, name in enumerate(in_order(shown["structure"]))}
    for row in sorted(shown.to_dict("records"), key=lambda row: place[row["structure"]]):
        cells = [
            plain_name(row["structure"]), row["compared"], number(row["n"], 0), _interval(row, "icc_2_1"),
            _interval(row, "icc_3_1"), number(row["cv_within_percent"], 1),
            number(row["difference_percent"], 1), row["notes"],
        ]  # fmt: skip
        rows.append(tuple(cells[:-1] if common else cells))
    note = " ".join(
        f"{sentence_case(name)}: {words[0]}." for name, words in notes.items() if common and words[0]
    )
    folded = f"The whole table, {count(len(rows), 'row')}" if len(rows) > OPEN_ROWS else ""
    heads = tuple(columns[:-1] if common else columns)
    return Table(heads, rows, frozenset(range(2, 7)), folded=folded, note=note)


def _interval(row: dict, name: str) -> str:
    if pd.isna(row[name]):
        return MISSING
    return f"{number(row[name])} [{number(row[f'{name}_ci_low'])}, {number(row[f'{name}_ci_high'])}]"


def forest(results: Results, shelf: Shelf) -> Part:
    """Draw each association with its interval, a figure per score, left and right together."""
    table = results.associations
    known = both_sides(table[table["rho"].notna()]) if len(table) else table
    if known.empty:
        return Absent(why_no_association(results))
    best = known.groupby("score")["p"].min().sort_values(kind="stable")
    pictures = [
        _forest(str(score), known[known["score"] == score], shelf) for score in best.index[:SCORES_DRAWN]
    ]
    more = len(best) - SCORES_DRAWN
    note = f"The {SCORES_DRAWN} scores with the smallest p; {more} more are in the table." if more > 0 else ""
    return Plot(tuple(pictures), note=note)


def _forest(score: str, table: pd.DataFrame, shelf: Shelf) -> Picture:
    structures = in_order(table["structure"])
    ways = list(dict.fromkeys(table["brain_volume_adjustment"]))
    figure = Figure(figsize=(WIDTH_IN, 1.0 + len(structures) * max(0.2, 0.1 * len(ways))))
    axes = figure.subplots()
    for n, way in enumerate(ways):
        shift = 0.7 * (n - (len(ways) - 1) / 2) / len(ways)
        of = table[table["brain_volume_adjustment"] == way]
        _intervals(axes, of, of["structure"].map(structures.index) + shift, *LOOKS[n % len(LOOKS)])
        marker, colour = LOOKS[n % len(LOOKS)]
        axes.plot([], [], marker, color=colour, markersize=4, label=brain_words(way))
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(structures)), [plain_name(name) for name in structures])
    axes.set_ylim(len(structures) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=PALE, linewidth=0.5)
    reach = min(1.0, 0.05 + float(np.nanmax(np.abs(table[["ci_low", "ci_high", "rho"]].to_numpy(float)))))
    axes.set_xlim(-reach, reach)
    axes.set_xlabel(
        "partial Spearman ρ with 95 % interval (filled: holds after correction within score and way)"
    )
    figure.legend(loc="outside upper center", ncols=2)
    clearest = table.sort_values("p", kind="stable").to_dict("records")[0]
    alt = (
        f"Associations of {len(structures)} structures with {score}; the clearest is that of "
        f"{plain_name(clearest['structure'])}, ρ {number(clearest['rho'])}, "
        f"interval {interval(clearest['ci_low'], clearest['ci_high'])}."
    )
    return shelf.add(
        file_name("associations", score), figure, table, table="associations", alt=alt, title=score
    )


def _intervals(axes: Axes, table: pd.DataFrame, heights: pd.Series, marker: str, colour: str) -> None:
    axes.hlines(heights, table["ci_low"], table["ci_high"], color=colour, linewidth=0.9)
    sure = table["p_fdr"] < SIGNIFICANT
    for points, fill in ((sure, colour), (~sure, "white")):
        rho = table.loc[points, "rho"]
        axes.plot(
            rho,
            heights[points],
            marker,
            color=colour,
            markerfacecolor=fill,
            markersize=4,
            markeredgewidth=0.9,
        )


def measurement_error(results: Results, shelf: Shelf) -> Part:
    """Tabulate the associations with the error of the volumes in their intervals, left and right together."""
    table = results.more.get("measurement_error", pd.DataFrame())
    known = both_sides(table[table["rho_corrected"].notna()]) if len(table) else table
    if known.empty:
        return Absent(
            "The error of the volumes is not in the intervals of the associations, because the volumes came "
            "without intervals, or there are no scores."
        )
    rows = [
        (
            text(row["score"]), plain_name(text(row["structure"])),
            brain_words(row["brain_volume_adjustment"]), number(row["n"], 0), number(row["reliability"]),
            number(row["rho"]), interval(row["ci_low"], row["ci_high"]), number(row["rho_corrected"]),
            interval(row["corrected_ci_low"], row["corrected_ci_high"]), p_value(row["p_corrected"]),
        )
        for row in known.sort_values("p_corrected", kind="stable").to_dict("records")
    ]  # fmt: skip
    columns = ("Score", "Structure", "Brain volume", "n", "Reliability", "ρ, volumes as known",
               "95 % interval", "ρ, true volumes", "95 % interval", "p")  # fmt: skip
    folded = f"Associations with the error of the volumes, {count(len(rows), 'row')}"
    return Table(columns, rows, frozenset(range(3, 10)), folded=folded)


def association_table(results: Results, shelf: Shelf) -> Part:
    """Tabulate all associations, the smallest p first."""
    table = results.associations
    if table.empty:
        return Absent(why_no_association(results))
    rows = [
        (
            text(row["score"]), plain_name(text(row["structure"])), number(row["n"], 0), number(row["rho"]),
            interval(row["ci_low"], row["ci_high"]), p_value(row["p"]),
            p_value(row["p_fdr"]), p_value(row.get("p_maxt", np.nan)), number(row.get("rho_detectable")),
            text(row["covariates"]), brain_words(row["brain_volume_adjustment"]), text(row["notes"], ""),
        )
        for row in table.sort_values("p", kind="stable").to_dict("records")
    ]  # fmt: skip
    columns = ("Score", "Structure", "n", "ρ", "95 % interval", "p", "p adjusted", "p max-T",
               "Smallest ρ to be seen", "Covariates", "Brain volume", "Notes")  # fmt: skip
    folded = f"All associations, {count(len(rows), 'row')}"
    return Table(columns, rows, frozenset(range(2, 9)), folded=folded)
