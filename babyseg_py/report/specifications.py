"""Every way of adjusting an association: a curve and a table, so that nobody picks."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from babyseg_py.report.figures import FLAG, GREY, INK, PALE, WIDTH_IN, Shelf, file_name
from babyseg_py.report.longitudinal import why_not
from babyseg_py.report.parts import Part, Picture, Plot, Table
from babyseg_py.report.results import Results
from babyseg_py.report.words import brain_words, count, interval, number, p_value, plain_name, text
from babyseg_py.statistics.finding import main_family

SCORES_DRAWN = 6
CHOICES = (
    ("brain_volume_adjustment", ("none", "covariate", "proportion", "residual")),
    ("outliers", ("in", "out")),
    ("visits", ("one", "all")),
    ("volume_source", ("labels", "posteriors")),
)


def ways_of(results: Results, score: str, structure: str) -> pd.DataFrame:
    """Return all specifications of one association from the lowest ρ, those without an estimate last."""
    table = results.more.get("specifications", pd.DataFrame())
    if table.empty:
        return table
    same = (table["score"] == score) & (table["structure"] == structure)
    return table[same].sort_values("rank", kind="stable")


def shown(results: Results) -> list[pd.DataFrame]:
    """Return the specifications of the main finding, then those of the clearest structure of other scores."""
    tests = main_family(results.associations).tests
    table = results.more.get("specifications", pd.DataFrame())
    if "rho" in table:
        main = table[(table["main"] == 1) & table["rho"].notna() & table["p"].notna()]
        tests = pd.concat([tests.head(1), main.sort_values("p", kind="stable")])
    best = tests.drop_duplicates("score").head(SCORES_DRAWN) if len(tests) else tests
    ways = [ways_of(results, row["score"], row["structure"]) for row in best.to_dict("records")]
    return [of for of in ways if len(of) and of["rho"].notna().any()]


def specification_curves(results: Results, shelf: Shelf) -> Part:
    """Draw every way of adjusting of the main finding, and of the clearest structure of each other score."""
    ways = shown(results)
    if not ways:
        return why_not(results, "specifications", "specification curve")
    return Plot(tuple(draw_curve(of, shelf) for of in ways))


def specification_table(results: Results, shelf: Shelf) -> Part:
    """Tabulate what the curves show."""
    ways = shown(results)
    if not ways:
        return why_not(results, "specifications", "table of specifications")
    rows = [
        (
            text(row["score"]), plain_name(row["structure"]), "yes" if row["main"] == 1 else "no",
            brain_words(row["brain_volume_adjustment"]), text(row["outliers"]), text(row["visits"]),
            text(row["volume_source"]), number(row["n"], 0), number(row["rho"]),
            interval(row["ci_low"], row["ci_high"]), p_value(row["p"]), text(row["notes"], ""),
        )
        for row in pd.concat(ways).to_dict("records")
    ]  # fmt: skip
    columns = ("Score", "Structure", "Main", "Brain volume", "Outliers", "Visits", "Volumes from", "n", "ρ",
               "95 % interval", "p", "Notes")  # fmt: skip
    folded = f"Ways of adjusting, {count(len(rows), 'row')}"
    return Table(columns, rows, frozenset(range(7, 11)), folded=folded)


def draw_curve(table: pd.DataFrame, shelf: Shelf) -> Picture:
    """Draw the specifications of one association, in the order of the table."""
    drawn = table[table["rho"].notna()]
    figure = Figure(figsize=(WIDTH_IN, 4.2))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    place = np.arange(len(drawn))
    main = (drawn["main"] == 1).to_numpy()
    for of, colour in ((~main, GREY), (main, FLAG)):
        above.vlines(place[of], drawn["ci_low"][of], drawn["ci_high"][of], color=colour, linewidth=0.9)
        above.plot(place[of], drawn["rho"][of], "o", color=colour, markersize=3.5)
    above.axhline(0, color=INK, linewidth=0.6)
    above.set_ylabel("partial Spearman ρ")
    _choices(below, drawn, place)
    score, structure = str(drawn["score"].iloc[0]), str(drawn["structure"].iloc[0])
    low, high = drawn["rho"].min(), drawn["rho"].max()
    alt = (
        f"{len(drawn)} ways to relate {plain_name(structure)} to {score}, ρ from {number(low)} to "
        f"{number(high)}; "
        f"the main way has {number(drawn['rho'][main].iloc[0]) if main.any() else 'none'}."
    )
    title = f"{score}: {plain_name(structure)}"
    return shelf.add(
        file_name("specifications", score), figure, table, table="specifications", alt=alt, title=title
    )


def _choices(axes: Axes, table: pd.DataFrame, place: np.ndarray) -> None:
    """Mark below each estimate which choices it stands for."""
    labels: list[str] = []
    for column, levels in CHOICES:
        for level in levels:
            of = (table[column] == level).to_numpy()
            axes.plot(place[of], np.full(int(of.sum()), len(labels)), "|", color=INK, markersize=6)
            labels.append(f"{column.replace('_', ' ')}: {level}")
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color=PALE, linewidth=0.5)
