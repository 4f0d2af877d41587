"""Change within the children's own templates."""

import pandas as pd

from babyseg_py.report.figures import Shelf
from babyseg_py.report.parts import Absent, Part, Table
from babyseg_py.report.results import Results
from babyseg_py.report.structures import PANELS
from babyseg_py.report.words import count, interval, number, plain_name, text


def template_visits(results: Results, shelf: Shelf) -> Part:
    """Tabulate for each child with two visits or more which are in its template, and why others are not."""
    table = results.more.get("templates", pd.DataFrame())
    if table.empty:
        return Absent("No templates, because the tables of the cohort do not tell of any.")
    several = table[table.groupby("participant_id")["session_id"].transform("size") > 1]
    if several.empty:
        return Absent("No templates, because no child has two visits.")
    rows = []
    for child, own in several.groupby("participant_id", sort=True):
        used, out = own[own["used"] == 1], own[own["used"] != 1]
        reasons = (
            f"{row['session_id']}: {text(row['reason'], 'not used')}" for row in out.to_dict("records")
        )
        rows.append((text(child), ", ".join(used["session_id"]) or "none", "; ".join(reasons)))
    single = table["participant_id"].nunique() - several["participant_id"].nunique()
    return Table(
        ("Child", "Visits in its template", "Left out, and why"),
        rows,
        folded=f"Templates, {count(len(rows), 'child', 'children')}",
        note=f"{count(single, 'child', 'children')} with one visit in the samplesheet not shown."
        if single
        else "",
    )


def template_change(results: Results, shelf: Shelf) -> Part:
    """Tabulate the change per month in the templates: medians, and agreement of the Jacobian."""
    table = results.more.get("change", pd.DataFrame())
    known = table[table["change_mm3_per_month"].notna()] if len(table) else table
    known = known[known["structure"].isin(PANELS)] if len(known) else known
    if known.empty:
        return Absent("No change in templates, because no child has two usable visits at different ages.")
    rows = []
    for name in PANELS:
        of = known[known["structure"] == name]
        if len(of):
            judged = of["agrees"].dropna()
            rows.append(
                (
                    plain_name(name), number(len(of), 0),
                    *(number(of[c].median() / 1000) for c in ("change_mm3_per_month", "single_mm3_per_month",
                                                              "jacobian_mm3_per_month")),
                    number(of["percent_per_month"].median(), 1),
                    f"{int(judged.sum())} of {len(judged)}" if len(judged) else "n/a",
                )
            )  # fmt: skip
    columns = ("Structure", "Children", "Change (mL a month)", "Visits one by one", "By the Jacobian",
               "% a month", "Jacobian agrees")  # fmt: skip
    return Table(columns, rows, frozenset(range(1, 6)))


def child_change(table: pd.DataFrame) -> Table | None:
    """Tabulate the change of one child in its template; None without any."""
    known = table[table["change_mm3_per_month"].notna()] if len(table) else table
    known = known[known["structure"].isin(PANELS)] if len(known) else known
    if known.empty:
        return None
    known = known.sort_values("structure", key=lambda names: names.map(PANELS.index), kind="stable")
    rows = [
        (
            plain_name(row["structure"]), number(row["change_mm3_per_month"] / 1000),
            interval(row["ci_low"] / 1000, row["ci_high"] / 1000), text(row["interval_method"], "none"),
            number(row["jacobian_mm3_per_month"] / 1000), number(row["single_mm3_per_month"] / 1000),
            {1.0: "yes", 0.0: "no"}.get(row["agrees"], "n/a"),
        )
        for row in known.to_dict("records")
    ]  # fmt: skip
    columns = ("Structure", "Change (mL a month)", "95 % interval", "Interval from", "By the Jacobian",
               "Visits one by one", "Agree")  # fmt: skip
    return Table(columns, rows, frozenset({1, 2, 4, 5}))
