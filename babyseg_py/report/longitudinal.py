"""What the models of the cohort found: growth, centiles, repeated scores and groups."""

import pandas as pd
from matplotlib.figure import Figure

from babyseg_py.report.figures import ACCENT, INK, WIDTH_IN, Shelf
from babyseg_py.report.parts import Absent, Part, Picture, Plot, Table
from babyseg_py.report.results import Results
from babyseg_py.report.structures import PANELS, both_sides
from babyseg_py.report.words import (
    brain_words,
    count,
    interval,
    number,
    p_value,
    plain_name,
    text,
)
from babyseg_py.statistics.visits import DAYS_PER_MONTH

BANDS = (3, 50, 97)
_COLUMNS = 4


def what_ran(results: Results, shelf: Shelf) -> Part:
    """Tabulate the parts of the analysis, with the reason of each."""
    table = results.more.get("analyses", pd.DataFrame())
    if table.empty:
        return Absent("Which analyses ran is not known: the statistics left no table of them.")
    rows = [
        (
            text(row["analysis"]),
            "yes" if row["ran"] == 1 else "no",
            number(row["n_children"], 0),
            text(row["reason"]),
        )
        for row in table.to_dict("records")
    ]
    return Table(("Analysis", "Ran", "Children", "Why"), rows, frozenset({2}))


def why_not(results: Results, name: str, words: str) -> Absent:
    """Say why a table has nothing to show, by its own notes."""
    table = results.more.get(name, pd.DataFrame())
    notes = table["notes"].dropna() if "notes" in table else pd.Series(dtype=object)
    because = f": {notes.mode().iloc[0]}" if len(notes) else ""
    return Absent(f"No {words}{because}.")


def estimated(results: Results, name: str, estimate: str) -> pd.DataFrame:
    """Return the rows of a table that have an estimate, of structures without a side."""
    table = results.more.get(name, pd.DataFrame())
    return both_sides(table[table[estimate].notna()]) if estimate in table else pd.DataFrame()


def at_median_age(results: Results) -> pd.DataFrame:
    """Return the growth models of the cohort at the median age, without the scales that were not chosen."""
    known = estimated(results, "growth_models", "volume_mm3")
    if known.empty:
        return known
    return pd.DataFrame(known.groupby(["age_reference", "structure"], sort=False).nth(1))


def growth_curves(results: Results, shelf: Shelf) -> Part:
    """Tabulate the growth models at the median age."""
    middle = at_median_age(results)
    if middle.empty:
        return why_not(results, "growth_models", "growth model of the cohort")
    rows = [
        (
            plain_name(row["structure"]), f"{number(row['n'], 0)} ({number(row['n_observations'], 0)})",
            text(row["age_scale"]), text(row["random_effects"]), number(row["age_days"], 0),
            number(row["volume_mm3"] / 1000), number(row["change_mm3_per_month"] / 1000, 3),
            interval(row["change_ci_low"] / 1000, row["change_ci_high"] / 1000, 3),
        )
        for row in middle.to_dict("records")
    ]  # fmt: skip
    columns = ("Structure", "Children (visits)", "Scale of age", "Varies between children", "Age (days)",
               "Volume (mL)", "Change (mL a month)", "95 % interval")  # fmt: skip
    return Table(
        columns, rows, frozenset({1, 4, 5, 6, 7}), folded=f"Growth models, {count(len(rows), 'row')}"
    )


def centile_curves(results: Results, shelf: Shelf) -> Part:
    """Draw the centile curves of the structures that the report shows."""
    known = estimated(results, "centiles", "volume_mm3")
    known = known[known["structure"].isin(PANELS)] if len(known) else known
    if known.empty:
        return why_not(results, "centiles", "centile curves")
    pictures = [
        _centile_figure(str(reference), of, shelf)
        for reference, of in known.groupby("age_reference", sort=False)
    ]
    return Plot(tuple(pictures))


def _centile_figure(reference: str, table: pd.DataFrame, shelf: Shelf) -> Picture:
    structures = [name for name in PANELS if (table["structure"] == name).any()]
    height = -(-len(structures) // _COLUMNS)
    figure = Figure(figsize=(WIDTH_IN, 0.4 + 1.75 * height))
    panels = figure.subplots(height, _COLUMNS, squeeze=False).ravel()
    unit, words = (
        (7, "postmenstrual weeks") if reference == "conception" else (DAYS_PER_MONTH, "months from birth")
    )
    for axes, name in zip(panels, structures, strict=False):
        for centile, of in table[table["structure"] == name].groupby("centile"):
            age, middle = of["age_days"] / unit, centile == 50
            if centile in BANDS:
                axes.fill_between(
                    age, of["ci_low"] / 1000, of["ci_high"] / 1000, color=ACCENT, alpha=0.12, linewidth=0
                )
            axes.plot(
                age,
                of["volume_mm3"] / 1000,
                color=ACCENT if middle else INK,
                linewidth=1.2 if middle else 0.5,
            )
        axes.set_title(plain_name(name))
    for axes in panels[len(structures) :]:
        axes.remove()
    figure.supxlabel(f"age ({words})", fontsize=8)
    figure.supylabel("volume (mL)", fontsize=8)
    alt = f"Centile curves with their bands over age in {words} for {len(structures)} structures."
    return shelf.add(f"centiles_{reference}", figure, table, table="centiles", alt=alt)


def repeated_scores(results: Results, shelf: Shelf) -> Part:
    """Tabulate the models of repeated visits, the smallest p first."""
    known = estimated(results, "behaviour_models", "p")
    if known.empty:
        return why_not(results, "behaviour_models", "model of repeated visits")
    rows = [
        (
            text(row["score"]), plain_name(row["structure"]), text(row["model"]), text(row["effect"], ""),
            f"{number(row['n'], 0)} ({number(row['n_observations'], 0)})", number(row["estimate"]),
            interval(row["ci_low"], row["ci_high"]), p_value(row["p"]), p_value(row["p_fdr"]),
            p_value(row["p_maxt"]), number(row["rho_detectable"]),
            brain_words(row["brain_volume_adjustment"]), text(row["notes"], ""),
        )
        for row in known.sort_values("p", kind="stable").to_dict("records")
    ]  # fmt: skip
    columns = ("Score", "Structure", "Model", "Effect", "Children (visits)", "Estimate", "95 % interval", "p",
               "p adjusted", "p max-T", "Smallest r to be seen", "Brain volume", "Notes")  # fmt: skip
    return Table(columns, rows, frozenset(range(4, 11)), folded=f"All models, {count(len(rows), 'row')}")


def groups(results: Results, shelf: Shelf) -> Part:
    """Tabulate the differences between groups, left and right together."""
    table = results.more.get("groups", pd.DataFrame())
    known = (
        both_sides(table[table["comparison"].notna() & (table["p"].notna() | table["p_tukey"].notna())])
        if len(table)
        else table
    )
    if known.empty:
        return why_not(results, "groups", "comparison of groups")
    rows = [
        (
            plain_name(row["structure"]), brain_words(row["brain_volume_adjustment"]),
            text(row["comparison"]), number(row["n"], 0), number(row["difference_mm3"] / 1000),
            interval(row["ci_low"] / 1000, row["ci_high"] / 1000), number(row["hedges_g"]),
            number(row["partial_eta2"]), p_value(row["p"] if pd.notna(row["p"]) else row["p_tukey"]),
            p_value(row["p_fdr"]),
        )
        for row in known.to_dict("records")
    ]  # fmt: skip
    columns = ("Structure", "Brain volume", "Comparison", "n", "Difference (mL)", "95 % interval", "Hedges g",
               "Partial η²", "p", "p adjusted")  # fmt: skip
    return Table(columns, rows, frozenset(range(3, 10)), folded=f"Comparisons, {count(len(rows), 'row')}")


def matched(results: Results, shelf: Shelf) -> Part:
    """Tabulate the differences within matched pairs, with the balance of what they were matched on."""
    known = estimated(results, "matched_differences", "p")
    if known.empty:
        return why_not(results, "matched_pairs", "matching of cases to controls")
    rows = [
        (
            plain_name(row["structure"]), number(row["n"], 0), number(row["difference_mm3"] / 1000),
            interval(row["ci_low"] / 1000, row["ci_high"] / 1000), number(row["difference_percent"], 1),
            p_value(row["p"]), p_value(row["p_fdr"]),
        )
        for row in known.to_dict("records")
    ]  # fmt: skip
    balance = results.more["match_balance"]
    words = [
        f"{row['variable']} {number(row['mean_cases'], 1)} against {number(row['mean_controls'], 1)} "
        f"{row['stage']} (standardised difference {number(row['smd'])})"
        for row in balance.to_dict("records")
    ]
    first = known.iloc[0]
    note = f"Cases are {first['cases']}, controls {first['controls']}. {'; '.join(words)}."
    columns = ("Structure", "Pairs", "Cases less controls (mL)", "95 % interval", "%", "p", "p adjusted")
    return Table(
        columns,
        rows,
        frozenset(range(1, 7)),
        folded=f"Differences within pairs, {count(len(rows), 'row')}",
        note=" ".join(filter(None, [note, text(first["notes"], "")])),
    )
