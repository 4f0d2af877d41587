"""A page per child: its visits side by side, its growth among the cohort's, what was flagged and left out."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup

from babyseg_py import __version__
from babyseg_py.report import vectors
from babyseg_py.report.figures import data_uri
from babyseg_py.report.inputs import AXES
from babyseg_py.report.parts import Card, Picture, Swatches, Table
from babyseg_py.report.results import Results
from babyseg_py.report.sessions import swatches, visit_flags
from babyseg_py.report.side_by_side import Column, flagged_as_a_whole, side_by_side, youngest_first
from babyseg_py.report.structures import PANELS, both_sides, by_structure
from babyseg_py.report.thumbnails import THREADS, Setting, fitting, shrunk, size_of
from babyseg_py.report.within_child import child_change
from babyseg_py.report.words import age, count, interval, number, plain_name, sentence_case, text
from babyseg_py.statistics.files import write_table
from babyseg_py.writing import write_text

PICTURE_BYTES = 60_000
TO_SCALE_BYTES = 40_000
BACKGROUND_POINTS = 300
CENTILES = (3, 10, 50, 90, 97)


@dataclass(frozen=True)
class ChildPage:
    """What the template of a child shows.

    Parameters
    ----------
    child : str
        Without prefix.
    facts : str
        Sex, site and group.
    visits : list of Column
        The visits to one scale, in order of age.
    legend : Swatches
        Colours of the outlines.
    cards : list of Card
        A card per visit with more slices, in the same order.
    growth : dict of str to list of Markup
        A panel per structure, by the label of the age axis.
    growth_note : str
        What the grey lines are.
    numbers : pd.DataFrame
        What the panels show of the child: a row per session and structure.
    changes, centiles, in_template : Table or None
    template : Picture or None
        The child's template with its labels.
    excluded : list of str
        What was left out, and why.
    """

    child: str
    facts: str
    visits: list[Column]
    legend: Swatches
    cards: list[Card]
    growth: dict[str, list[Markup]]
    growth_note: str
    numbers: pd.DataFrame
    changes: Table | None
    centiles: Table | None
    in_template: Table | None
    template: Picture | None
    excluded: list[str]


def write_children(results: Results, folder: Path, *, back: str) -> int:
    """Write ``sub-X.html`` for every child of the samplesheet, and the numbers of its growth beside it.

    Parameters
    ----------
    results : Results
    folder : Path
        Where the pages go.
    back : str
        Address of the cohort's report, relative to the pages.

    Returns
    -------
    int
        How many pages there are.
    """
    package = files("babyseg_py.report")
    names = ("child.html", "style.css")
    template, style = (package.joinpath(name).read_text(encoding="utf-8") for name in names)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(template)

    def write(make: Callable[[], ChildPage]) -> None:
        child = make()
        html = page.render(page=child, style=Markup(style), version=__version__, back=back)
        write_text(folder / f"sub-{child.child}.html", html)
        if len(child.numbers):
            write_table(child.numbers, folder / f"sub-{child.child}_growth.tsv", kind="volumes")

    with ThreadPoolExecutor(THREADS) as pool:  # pictures, which take most of the time, are made side by side
        return len(list(pool.map(write, _pages(results))))


@dataclass(frozen=True)
class _Shared:
    """What the pages of all children are made from."""

    results: Results
    panels: dict[str, dict[str, vectors.Panel]]
    note: str
    matrix: pd.DataFrame
    flags: dict[str, list[str]]
    tables: dict[str, dict[str, pd.DataFrame]]
    facts: dict[str, dict]
    setting: Setting | None
    one_scale: Setting | None


def _pages(results: Results) -> Iterator[Callable[[], ChildPage]]:
    """Yield what makes the page of each child; what all of them share is prepared once."""
    note = "Grey: 3rd, 10th, 50th, 90th and 97th centile (cohort/centiles.tsv) of this cohort, no norm."
    curves = results.more.get("centiles", pd.DataFrame())
    if curves.empty or curves["volume_mm3"].isna().all():
        note = (
            "Grey: the other sessions (cohort/volumes.tsv) of this cohort, no norm; there were too few for "
            "centiles."
        )
    records = results.records.drop_duplicates("participant_id").to_dict("records")
    shared = _Shared(
        results,
        _backgrounds(results),
        note,
        by_structure(results.volumes, ["visit_id"]),
        visit_flags(results),
        {
            "growth": _by_child(_changes(results)),
            "centiles": _by_child(results.more.get("child_centiles", pd.DataFrame())),
            "change": _by_child(results.more.get("change", pd.DataFrame())),
            "used": _by_child(results.more.get("association_visits", pd.DataFrame())),
            "qc": _by_child(results.qc[results.qc["flag"] == 1] if len(results.qc) else results.qc),
        },
        {str(row["participant_id"]): row for row in records},
        fitting([*results.snapshots.values(), *results.templates.values()], share=PICTURE_BYTES),
        fitting([*results.to_scale.values()], share=TO_SCALE_BYTES),
    )
    for child, own in youngest_first(results.visits).groupby("participant_id", sort=True):
        yield partial(_page, str(child), own, shared)


def _page(child: str, own: pd.DataFrame, shared: _Shared) -> ChildPage:
    """Make the page of one child from its visits."""
    results, flags, facts = shared.results, shared.flags, shared.facts[child]
    mine = {name: of.get(child, pd.DataFrame()) for name, of in shared.tables.items()}
    whole = flagged_as_a_whole(mine["qc"])
    words = (f"{name} {facts[name]}" for name in ("sex", "site", "group") if isinstance(facts[name], str))
    return ChildPage(
        child,
        "; ".join(words),
        list(side_by_side(own, results, flags, whole=whole, setting=shared.one_scale)),
        swatches(),
        list(_cards(own, results, flags, shared.setting)),
        _growth(own, shared.matrix, shared.panels),
        shared.note,
        _numbers(own, shared.matrix),
        _change_table(mine["growth"]),
        _centile_table(mine["centiles"]),
        child_change(mine["change"]),
        _template_picture(results, child, shared.setting),
        list(_excluded(own, mine, whole)),
    )


def _by_child(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    if table.empty or "participant_id" not in table:
        return {}
    return {str(child): of for child, of in table.groupby("participant_id", sort=False)}


def _changes(results: Results) -> pd.DataFrame:
    table = results.growth
    if table.empty:
        return table
    known = table[(table["volume_source"] == "labels") & table["structure"].isin(PANELS)]
    return known.sort_values("structure", key=lambda names: names.map(PANELS.index), kind="stable")


def _cards(
    own: pd.DataFrame, results: Results, flags: dict[str, list[str]], setting: Setting | None
) -> Iterator[Card]:
    pictured = [visit for visit in own["visit_id"] if visit in results.snapshots]
    pictures = {visit: shrunk(results.snapshots[visit], setting) for visit in pictured}
    for row in own.to_dict("records"):
        picture = None
        if row["visit_id"] in pictures:
            content, mime = pictures[row["visit_id"]]
            alt = f"Slices through the brain at session {row['session_id']}, with outlines of the labels"
            picture = Picture(data_uri(content, mime), alt, *size_of(content))
        messages = tuple(dict.fromkeys([*row["reasons"], *flags.get(row["visit_id"], [])]))
        if picture is None:
            messages += ("There is no picture of this session.",)
        details = f"{age(row['age_days'], row['age_reference'])}; {row['scans']}"
        yield Card(f"Session {row['session_id']}", row["status"], details, messages, picture)


def _template_picture(results: Results, child: str, setting: Setting | None) -> Picture | None:
    path = results.templates.get(child)
    if path is None:
        return None
    content, mime = shrunk(path, setting)
    alt = "Slices through the mean of this child's visits in its template, with outlines of the labels"
    return Picture(data_uri(content, mime), alt, *size_of(content))


def _backgrounds(results: Results) -> dict[str, dict[str, vectors.Panel]]:
    """Draw the cohort behind each structure: its centiles, else its sessions; by age reference."""
    matrix = by_structure(results.volumes, ["visit_id"])
    if matrix.empty:
        return {}
    ages = results.visits.set_index("visit_id").loc[matrix.index, ["age_days", "age_reference"]].dropna()
    curves = results.more.get("centiles", pd.DataFrame())
    panels: dict[str, dict[str, vectors.Panel]] = {}
    for reference, of in ages.groupby("age_reference"):
        days = AXES[str(reference)][1]
        for name in matrix.columns:
            volumes = matrix.loc[of.index, name].dropna() / 1000
            if volumes.empty:
                continue
            x = of.loc[volumes.index, "age_days"].to_numpy(float) / days
            panel = vectors.frame(plain_name(str(name)), x, volumes.to_numpy(float))
            lines = _centile_lines(curves, str(reference), str(name), panel, days)
            step = -(-len(x) // BACKGROUND_POINTS)
            lines = lines or vectors.dots(panel, x[::step], volumes.to_numpy(float)[::step], "other")
            shared = vectors.Panel(panel.title, panel.x_range, panel.y_range, panel.background + lines)
            panels.setdefault(str(reference), {})[str(name)] = shared
    return panels


def _centile_lines(curves: pd.DataFrame, reference: str, name: str, panel: vectors.Panel, days: float) -> str:
    if curves.empty or "centile" not in curves:
        return ""
    of = curves[
        (curves["structure"] == name) & (curves["age_reference"] == reference) & curves["volume_mm3"].notna()
    ]
    drawn = []
    for centile in CENTILES:
        one = of[of["centile"] == centile].sort_values("age_days")
        if len(one):
            kind = "median" if centile == 50 else "centile"
            low, high = panel.y_range
            y = np.clip(one["volume_mm3"].to_numpy(float) / 1000, low, high)
            drawn.append(vectors.line(panel, one["age_days"].to_numpy(float) / days, y, kind))
    return "".join(drawn)


def _growth(
    own: pd.DataFrame, matrix: pd.DataFrame, panels: dict[str, dict[str, vectors.Panel]]
) -> dict[str, list[Markup]]:
    found: dict[str, list[Markup]] = {}
    for reference, of in own.dropna(subset=["age_days"]).groupby("age_reference"):
        label, days = AXES[str(reference)]
        for name, panel in panels.get(str(reference), {}).items():
            volumes = matrix[name].reindex(of["visit_id"]).to_numpy(float) / 1000
            known = np.isfinite(volumes)
            if not known.any():
                continue
            x, y = of["age_days"].to_numpy(float)[known] / days, volumes[known]
            mine = vectors.line(panel, x, y, "own") + vectors.dots(panel, x, y, "own")
            points = ", ".join(f"{number(b)} mL at {number(a, 1)}" for a, b in zip(x, y, strict=True))
            found.setdefault(label, []).append(vectors.picture(panel, mine, f"{panel.title}: {points}"))
    return found


def _numbers(own: pd.DataFrame, matrix: pd.DataFrame) -> pd.DataFrame:
    """Return the volumes and ages of the child's panels, a row per session and structure."""
    keys = ["participant_id", "session_id", "age_days", "age_reference"]
    known = own.dropna(subset=["age_days", "age_reference"]).set_index("visit_id")[keys]
    long = known.join(matrix).melt(keys, var_name="structure", value_name="volume_mm3")
    return long.dropna(subset=["volume_mm3"])


def _change_table(table: pd.DataFrame) -> Table | None:
    known = table[table["change_mm3_per_month"].notna()] if len(table) else table
    if known.empty:
        return None
    known = known.reindex(columns=list(dict.fromkeys([*known, "ci_low", "ci_high"])))
    rows = [
        (
            plain_name(row["structure"]), number(row["n_visits"], 0),
            number(row["change_mm3_per_month"] / 1000),
            interval(row["ci_low"] / 1000, row["ci_high"] / 1000),
            number(row["percent_per_month"], 1), text(row.get("notes"), ""),
        )
        for row in known.to_dict("records")
    ]  # fmt: skip
    columns = ("Structure", "Sessions", "Change (mL a month)", "95 % interval", "% a month", "Notes")
    return Table(columns, rows, frozenset({1, 2, 3, 4}))


def _centile_table(table: pd.DataFrame) -> Table | None:
    known = both_sides(table[table["centile"].notna()]) if len(table) else table
    known = known[known["structure"].isin(PANELS)] if len(known) else known
    if known.empty:
        return None
    rows = [
        (
            text(row["session_id"]), plain_name(row["structure"]), number(row["centile"], 0),
            interval(row["centile_ci_low"], row["centile_ci_high"], 0), text(row.get("crossing"), ""),
        )
        for row in known.to_dict("records")
    ]  # fmt: skip
    columns = ("Session", "Structure", "Centile", "95 % interval", "Crossing")
    return Table(columns, rows, frozenset({2, 3}), folded=f"Centiles, {count(len(rows), 'row')}")


def _excluded(own: pd.DataFrame, mine: dict[str, pd.DataFrame], whole: dict[str, str]) -> Iterator[str]:
    """Say which sessions, structures and scores of the child are not in the statistics."""
    for row in own[own["status"] == "failed"].to_dict("records"):
        yield f"Session {row['session_id']}: no volumes, because every scan failed."
    for session, words in whole.items():
        yield (
            f"Session {session}: flagged as a whole and left out of reliability, growth and "
            f"associations, unless the run was told to include it ({words})."
        )
    qc = mine["qc"]
    if len(qc):
        parts = qc[qc["scan"].isna() & qc["structure"].notna()]
        for part_of, of in parts.groupby("session_id", sort=False):
            names = ", ".join(plain_name(name) for name in dict.fromkeys(of["structure"]))
            yield f"Session {part_of}: these structures were left out: {names}."
    used = mine["used"]
    if len(used):
        for row in used[used["reason"].notna()].to_dict("records"):
            yield f"{sentence_case(text(row['score']))}: the child was not used ({row['reason']})."
