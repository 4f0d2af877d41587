"""Sites before and after harmonisation: what the tables say, and the volumes themselves over age."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from babyseg_py.report.figures import ACCENT, FLAG, GREY, INK, WIDTH_IN, Shelf
from babyseg_py.report.inputs import AXES
from babyseg_py.report.longitudinal import estimated, why_not
from babyseg_py.report.parts import Part, Picture, Plot, Table
from babyseg_py.report.results import Results
from babyseg_py.report.words import count, listing, number, p_value, plain_name, text
from babyseg_py.statistics.visits import DAYS_PER_MONTH

DRAWN = 3
LOOKS = (("o", ACCENT), ("s", FLAG), ("D", INK), ("v", "#8a6d1f"), ("^", "#6b4f8f"), ("P", GREY))
STAGES = (("volume_mm3", "line_mm3", "as measured"), ("harmonised_mm3", "harmonised_line_mm3", "harmonised"))
_FEWEST_FOR_A_LINE = 4


def sites(results: Results, shelf: Shelf) -> Part:
    """Tabulate the effects of sites and age before and after harmonisation."""
    known = estimated(results, "site_effects", "f")
    if known.empty:
        return why_not(results, "site_effects", "harmonisation of sites")
    wide = known.set_index(["structure", "stage"])
    rows = []
    for name in dict.fromkeys(known["structure"]):
        before, after = wide.loc[(name, "before")], wide.loc[(name, "after")]
        cells = (
            f(of[c])
            for of in (before, after)
            for c, f in (("largest_difference_percent", number), ("p", p_value), ("age_percent", number))
        )
        rows.append((plain_name(name), *cells))
    columns = (
        "Structure",
        "Sites differ by (%)",
        "p",
        "Growth (%)",
        "After: sites differ by (%)",
        "p",
        "Growth (%)",
    )
    words = text(known["method"].iloc[0]) + "; children by site: " + text(known["sites"].iloc[0])
    return Table(
        columns,
        rows,
        frozenset(range(1, 7)),
        note=f"{words}. Growth is from the 10th to the 90th percentile of age. Harmonisation fits the volumes"
        " to the sites, so that p after it says nothing about whether it was right.",
    )


def harmonised(results: Results, shelf: Shelf) -> Part:
    """Draw volumes over age by site before and after, of the structures that sites differ in the most."""
    effects = estimated(results, "site_effects", "f")
    volumes = results.more.get("harmonised_volumes", pd.DataFrame())
    if effects.empty or volumes.empty:
        return why_not(results, "site_effects", "figure of harmonised volumes")
    before = effects[effects["stage"] == "before"]
    largest = before.sort_values("largest_difference_percent", ascending=False, kind="stable")
    structures = largest["structure"].head(DRAWN).tolist()
    ages = results.visits[["visit_id", "age_days", "age_reference"]]
    shown = volumes[volumes["structure"].isin(structures)].merge(ages, on="visit_id")
    shown = shown.dropna(subset=["age_days", "site", "volume_mm3", "harmonised_mm3"])
    pictures = tuple(
        _figure(str(reference), structures, _with_lines(of), shelf)
        for reference, of in shown.groupby("age_reference", sort=False)
    )
    return Plot(pictures) if pictures else why_not(results, "site_effects", "figure of harmonised volumes")


def _with_lines(table: pd.DataFrame) -> pd.DataFrame:
    """Add a straight line of each site in log(age in months + 1), for the eye."""
    months = np.log1p(table["age_days"] / DAYS_PER_MONTH)
    table = table.assign(line_mm3=np.nan, harmonised_line_mm3=np.nan, _age=months)
    for _, own in table.groupby(["structure", "site"]):
        if len(own) >= _FEWEST_FOR_A_LINE and np.ptp(own["_age"]) > 0:
            for column, line, _ in STAGES:
                table.loc[own.index, line] = np.polyval(np.polyfit(own["_age"], own[column], 1), own["_age"])
    return table.drop(columns="_age").sort_values(["structure", "site", "age_days"], kind="stable")


def _figure(reference: str, structures: list[str], table: pd.DataFrame, shelf: Shelf) -> Picture:
    label, days = AXES[reference]
    figure = Figure(figsize=(WIDTH_IN, 0.7 + 2.1 * len(structures)))
    panels = figure.subplots(len(structures), 2, sharex=True, sharey="row", squeeze=False)
    sites = sorted(table["site"].unique())
    looks = [LOOKS[n % len(LOOKS)] for n in range(len(sites))]
    crowded = len(table) > 300 * len(structures)
    for row, name in zip(panels, structures, strict=True):
        for axes, (column, line, words) in zip(row, STAGES, strict=True):
            for site, (marker, colour) in zip(sites, looks, strict=True):
                own = table[(table["structure"] == name) & (table["site"] == site)]
                age = own["age_days"] / days
                axes.plot(age, own[column] / 1000, marker, color=colour, markersize=3, markeredgewidth=0,
                          alpha=0.6, rasterized=crowded)  # fmt: skip
                axes.plot(age, own[line] / 1000, color=colour, linewidth=1.2)
            axes.set_title(f"{plain_name(name)}, {words}")
    for site, (marker, colour) in zip(sites, looks, strict=True):
        panels[0, 0].plot([], [], marker, color=colour, markersize=4, linestyle="-", label=site)
    figure.legend(loc="outside upper center", ncols=min(len(sites), 6))
    figure.supxlabel(label, fontsize=8)
    figure.supylabel("volume (mL)", fontsize=8)
    columns = ["participant_id", "session_id", "site", "age_days", "age_reference", "structure"]
    numbers = table[columns + [name for stage in STAGES for name in stage[:2]]]
    alt = (
        f"Volumes of {listing([plain_name(name).lower() for name in structures])} over {label} at "
        f"{count(len(sites), 'site')}, as measured and harmonised."
    )
    return shelf.add(f"sites_{reference}", figure, numbers, table="figure_sites", alt=alt)
