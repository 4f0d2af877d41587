"""Ways of measuring against each other: Bland–Altman plots, limits of agreement and tests."""

from collections.abc import Callable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from babyseg_py.report.figures import ACCENT, FLAG, GREY, INK, WIDTH_IN, Shelf, file_name
from babyseg_py.report.parts import Absent, Part, Picture, Plot, Table
from babyseg_py.report.results import Results
from babyseg_py.report.structures import PANELS
from babyseg_py.report.words import base_name, count, interval, number, p_value, plain_name
from babyseg_py.statistics.methods import MANUAL
from babyseg_py.statistics.structures import one_sided

DRAWN = 3
LINES = (
    ("bias_mm3", "bias_ci_low", "bias_ci_high"),
    ("limit_low", "limit_low_ci_low", "limit_low_ci_high"),
    ("limit_high", "limit_high_ci_low", "limit_high_ci_high"),
)
PREFIXES = {"methods": "bland_altman", "raters": "bland_altman_raters"}
_COLUMNS = 4
NOTHING = (
    "No comparison of methods, because fewer than three children have volumes from two contrasts, or from a "
    "scan and a reference segmentation."
)


def bland_altman(results: Results, shelf: Shelf) -> Part:
    """Draw differences against means, with bias and limits, of up to three pairs of methods."""
    # With a reference segmentation, it is what the others are judged by.
    part = draw_pairs(
        _table(results),
        results.more.get("method_volumes", pd.DataFrame()),
        shelf,
        kind="methods",
        drawn=DRAWN,
        first=lambda methods: methods.endswith(MANUAL),
    )
    return part or Absent(NOTHING)


def draw_pairs(
    agreement: pd.DataFrame,
    volumes: pd.DataFrame,
    shelf: Shelf,
    *,
    kind: str,
    drawn: int,
    first: Callable[[str], bool],
) -> Plot | None:
    """Draw pairs of methods, or of another kind, up to a number; those that are told ``first`` first.

    Returns
    -------
    Plot or None
        None if no pair was compared.
    """
    if agreement.empty or volumes.empty:
        return None
    pairs = agreement[(agreement["comparison"] == "pair") & agreement["bias_mm3"].notna()]
    names = sorted(dict.fromkeys(pairs["methods"]), key=lambda methods: not first(methods))
    if not names:
        return None
    prefix = PREFIXES[kind]
    pictures = tuple(
        draw_pair(methods, agreement, volumes, shelf, prefix=prefix) for methods in names[:drawn]
    )
    more = len(names) - drawn
    return Plot(
        pictures, note=f"{count(more, 'more pair')} of {kind} in the table below." if more > 0 else ""
    )


def _table(results: Results) -> pd.DataFrame:
    return results.more.get("method_agreement", pd.DataFrame())


def draw_pair(
    methods: str,
    agreement: pd.DataFrame,
    volumes: pd.DataFrame,
    shelf: Shelf,
    *,
    prefix: str = PREFIXES["methods"],
) -> Picture:
    """Draw the differences of two methods, such as ``T1w, manual``, a panel per structure."""
    table = agreement[agreement["methods"] == methods]
    structures = _structures(table)
    rows = max(-(-len(structures) // _COLUMNS), 1)
    figure = Figure(figsize=(WIDTH_IN, 0.5 + 1.75 * rows))
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    first, second = methods.split(", ")
    drawn = []
    for axes, name in zip(panels, structures, strict=False):
        of = volumes[volumes["structure"] == name]
        wide = of.pivot_table(index=["participant_id", "session_id"], columns="method", values="volume_mm3")
        wide = wide.reindex(columns=[first, second])
        points = wide[[first, second]].dropna() / 1000
        mean, difference = points.mean(axis=1), points[second] - points[first]
        limits = table[table["structure"] == name].iloc[0]
        axes.plot(mean, difference, "o", color=ACCENT, markersize=2.8, markeredgewidth=0, alpha=0.6)
        _lines(axes, limits)
        axes.set_title(plain_name(name))
        points = points.set_axis(["first_ml", "second_ml"], axis=1).reset_index()
        lines = {f"{c.removesuffix('_mm3')}_ml": limits[c] / 1000 for band in LINES for c in band}
        drawn.append(
            points.assign(
                structure=name, first_method=first, second_method=second,
                mean_ml=mean.to_numpy(), difference_ml=difference.to_numpy(), **lines,
            )
        )  # fmt: skip
    for axes in panels[len(structures) :]:
        axes.remove()
    figure.supxlabel("mean of both (mL)", fontsize=8)
    figure.supylabel(f"{second} less {first} (mL)", fontsize=8)
    alt = f"Bland–Altman plots of {second} against {first} for {count(len(structures), 'structure')}."
    title = f"{second} less {first}"
    numbers = pd.concat(drawn) if drawn else pd.DataFrame()
    return shelf.add(
        file_name(prefix, methods), figure, numbers, table="figure_bland_altman", alt=alt, title=title
    )


def _structures(table: pd.DataFrame) -> list[str]:
    """Return the structures of the panels; of one measured on one side alone that side, without any all."""
    whole = _whole(table)
    return [name for panel in PANELS for name in whole if base_name(name) == panel] or whole


def _whole(table: pd.DataFrame) -> list[str]:
    names = pd.Index(table["structure"].unique())
    return [name for name in names if base_name(name) == name or one_sided(name, names)]


def _lines(axes: Axes, row: pd.Series) -> None:
    """Draw the bias and both limits with the bands of their intervals."""
    for colour, (name, low, high) in zip((INK, FLAG, FLAG), LINES, strict=True):
        axes.axhline(row[name] / 1000, color=colour, linewidth=0.9)
        axes.axhspan(row[low] / 1000, row[high] / 1000, color=colour, alpha=0.1, linewidth=0)
    axes.axhline(0, color=GREY, linewidth=0.6, linestyle=":")


def method_table(results: Results, shelf: Shelf) -> Part:
    """Tabulate bias, limits, intraclass correlation and paired tests, left and right together."""
    return agreement_table(_table(results), "methods") or Absent(NOTHING)


def agreement_table(table: pd.DataFrame, kind: str) -> Table | None:
    """Tabulate an agreement of methods, or of another kind; None if nothing was compared."""
    known = table[table["icc_2_1"].notna()] if len(table) else table
    known = known[known["structure"].isin(_whole(known))] if len(known) else known
    if known.empty:
        return None
    rows = [
        (
            str(row["methods"]), plain_name(row["structure"]), number(row["n"], 0),
            number(row["bias_mm3"] / 1000), interval(row["bias_ci_low"] / 1000, row["bias_ci_high"] / 1000),
            number(row["bias_percent"], 1), interval(row["limit_low"] / 1000, row["limit_high"] / 1000),
            number(row["icc_2_1"]), number(row["f"], 1), p_value(row["p_corrected"]), p_value(row["p_fdr"]),
        )
        for row in known.to_dict("records")
    ]  # fmt: skip
    columns = (kind.capitalize(), "Structure", "n", "Bias (mL)", "95 % interval", "Bias (%)",
               "Limits of agreement (mL)", "ICC(2,1)", "F", "p", "p adjusted")  # fmt: skip
    folded = f"Agreement of {kind}, {count(len(rows), 'row')}"
    return Table(columns, rows, frozenset(range(2, 11)), folded=folded)
