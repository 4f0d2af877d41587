"""Growth curves, and the change per month."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from babyseg_py.report.figures import ACCENT, FLAG, GREY, PALE, WIDTH_IN, Shelf
from babyseg_py.report.inputs import AXES
from babyseg_py.report.parts import Absent, Part, Plot, Table
from babyseg_py.report.results import Results
from babyseg_py.report.structures import PANELS, by_part, by_structure, sums
from babyseg_py.report.words import count, interval, listing, number, plain_name
from babyseg_py.statistics.published import TOLERANCE, published_brain_volume

COLUMNS = 4


def curves(results: Results, shelf: Shelf) -> Part:
    """Draw volume against age, a panel per structure, a line per child, a figure per age reference."""
    matrix = by_structure(results.volumes, ["visit_id"])
    if matrix.empty:
        return Absent("No growth curves, because no session has volumes.")
    return _over_age(matrix, "growth", results, shelf)


def part_curves(results: Results, shelf: Shelf) -> Part:
    """Draw the same for the parts that the fuller label set tells."""
    matrix = by_part(results.more.get("parts", pd.DataFrame()), ["visit_id"])
    if matrix.empty:
        return Absent("No parts of structures, because the run was made without --labels fuller.")
    return _over_age(matrix, "growth_parts", results, shelf)


def _over_age(matrix: pd.DataFrame, name: str, results: Results, shelf: Shelf) -> Part:
    visits = results.visits.set_index("visit_id")
    table = matrix.join(visits[["participant_id", "session_id", "age_days", "age_reference", "status"]])
    pictures = [
        _figure(f"{name}_{reference}", list(matrix.columns), known, shelf)
        for reference, known in table.dropna(subset=["age_days"]).groupby("age_reference")
    ]
    if not pictures:
        return Absent("No growth curves, because the samplesheet gives no ages.")
    missing = int(table["age_days"].isna().sum())
    return Plot(
        tuple(pictures), note=f"{count(missing, 'session')} without an age: not shown." if missing else ""
    )


def _figure(name: str, structures: list[str], table: pd.DataFrame, shelf: Shelf):
    label, days = AXES[str(table["age_reference"].iloc[0])]
    rows = -(-len(structures) // COLUMNS)
    figure = Figure(figsize=(WIDTH_IN, 0.4 + 1.75 * rows))
    panels = figure.subplots(rows, COLUMNS, sharex=True, squeeze=False).ravel()
    table = table.assign(age=table["age_days"] / days).sort_values("age")
    faint = 0.75 if table["participant_id"].nunique() <= 30 else 0.3
    for axes, structure in zip(panels, structures, strict=False):
        for _, child in table.dropna(subset=[structure]).groupby("participant_id"):
            axes.plot(child["age"], child[structure] / 1000, color=ACCENT, linewidth=0.8, alpha=faint)
        flagged = table["status"] != "ok"
        for of, colour, marker in ((table[~flagged], ACCENT, "o"), (table[flagged], FLAG, "^")):
            axes.plot(of["age"], of[structure] / 1000, marker, color=colour, markersize=3, markeredgewidth=0)
        axes.set_title(plain_name(structure))
        axes.set_ylim(bottom=0)
    for axes in panels[len(structures) :]:
        axes.remove()
    for axes in panels[max(0, len(structures) - COLUMNS) : len(structures)]:
        axes.tick_params(labelbottom=True)
    figure.supxlabel(label, fontsize=8)
    figure.supylabel("volume (mL)", fontsize=8)
    numbers = table.reset_index().melt(
        ["visit_id", "participant_id", "session_id", "age_days", "age_reference", "status"],
        value_vars=structures, var_name="structure", value_name="volume_mm3",
    )  # fmt: skip
    children = count(table["participant_id"].nunique(), "child", "children")
    alt = f"Volume against {label} for {len(structures)} structures; {children}."
    return shelf.add(name, figure, numbers, table="figure_ages", alt=alt)


def published(results: Results, shelf: Shelf) -> Part:
    """Draw the total brain volume of each session within the band of published growth."""
    table = results.more.get("growth_plausibility", pd.DataFrame())
    known = table[table["ratio"].notna()] if "ratio" in table else table
    if known.empty:
        return Absent(
            "No comparison with published growth, because no session has a brain volume and an age from "
            "birth of at most two years."
        )
    label, days = AXES["birth"]
    ages = np.linspace(0, 730.5, 100)
    middle = published_brain_volume(ages) / 1000
    figure = Figure(figsize=(WIDTH_IN * 0.6, 2.6))
    axes = figure.subplots()
    axes.fill_between(
        ages / days, (1 - TOLERANCE) * middle, (1 + TOLERANCE) * middle, color=PALE, linewidth=0
    )
    axes.plot(ages / days, middle, color=GREY, linewidth=1)
    for outside, colour, marker in ((0, ACCENT, "o"), (1, FLAG, "^")):
        of = known[known["outside"] == outside]
        axes.plot(of["age_days"] / days, of["volume_mm3"] / 1000, marker, color=colour, markersize=3.5)
    axes.set_xlabel(label)
    axes.set_ylabel("total brain volume (mL)")
    axes.set_ylim(bottom=0)
    out = known[known["outside"] == 1]
    words = f"{count(len(out), 'session')} of {len(known)} outside the band of published growth"
    note = f"{words}: {listing(out['visit_id'].tolist(), 6)}." if len(out) else f"{words}."
    return Plot(
        (
            shelf.add(
                "published_growth",
                figure,
                known,
                table="growth_plausibility",
                alt=f"Total brain volume over age. {note}",
            ),
        ),
        note,
    )


def change(results: Results, shelf: Shelf) -> Part:
    """Tabulate the change per month over the children."""
    return _changes(results.growth, PANELS, "Each child's own change is in cohort/growth.tsv.")


def part_change(results: Results, shelf: Shelf) -> Part:
    """Tabulate the same for the parts that the fuller label set tells."""
    table = results.more.get("parts_growth", pd.DataFrame())
    if table.empty:
        return Absent("No change of parts, because the run was made without --labels fuller.")
    return _changes(table, sums(table["structure"]), "Each child's own change is in cohort/parts_growth.tsv.")


def _changes(table: pd.DataFrame, structures: Sequence[str], note: str) -> Part:
    if table.empty or table["change_mm3_per_month"].isna().all():
        return Absent("No change per month, because no child has two usable visits at different ages.")
    labels = table[(table["volume_source"] == "labels") & table["change_mm3_per_month"].notna()]
    rows = []
    for structure in [name for name in structures if (labels["structure"] == name).any()]:
        of = labels[labels["structure"] == structure]
        low, middle, high = of["change_mm3_per_month"].quantile([0.25, 0.5, 0.75]) / 1000
        percent = of["percent_per_month"].median()
        rows.append((plain_name(structure), str(len(of)), number(middle), interval(low, high),
                     number(percent, 1)))  # fmt: skip
    columns = (
        "Structure",
        "Children",
        "Median change (mL a month)",
        "Middle half of the children",
        "Median (% a month)",
    )
    return Table(columns, rows, frozenset({1, 2, 3, 4}), note=note)
