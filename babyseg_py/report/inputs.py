"""What went in and what fell out."""

import pandas as pd
from matplotlib.figure import Figure

from babyseg_py.report.figures import ACCENT, FLAG, PALE, WIDTH_IN, Shelf
from babyseg_py.report.parts import Absent, Part, Plot, Prose, Table
from babyseg_py.report.results import Results
from babyseg_py.report.words import MISSING, count, listing
from babyseg_py.statistics.visits import DAYS_PER_MONTH

AXES = {
    "birth": ("age from birth (months)", DAYS_PER_MONTH),
    "conception": ("postmenstrual age (weeks)", 7.0),
}
NAMED_CHILDREN = 40
NAMED_FAULTS = 60
LONGEST_LEDGER = 3000


def contents(results: Results, shelf: Shelf) -> Part:
    """Say how many children have how many visits, contrasts and repeats."""
    records, visits = results.records, results.visits
    if records.empty:
        return Absent("The samplesheet has no scans.")
    rows = []
    for suffix, scans in records.groupby("suffix"):
        repeats = scans.groupby("visit_id").size()
        rows.append(
            (str(suffix), f"{len(scans):,}", f"{scans['visit_id'].nunique():,}",
             f"{scans['participant_id'].nunique():,}", f"{int((repeats > 1).sum()):,}")
        )  # fmt: skip
    per_child = sorted(visits.groupby("participant_id").size().tolist())
    spread = [
        f"{count(per_child.count(k), 'child', 'children')} with {count(k, 'visit')}"
        for k in dict.fromkeys(per_child)
    ]
    facts = [
        f"{name.capitalize()}: {_shares(records, name)}."
        for name in ("sex", "site", "group")
        if records[name].notna().any()
    ]
    columns = ("Contrast", "Scans", "Visits", "Children", "Visits with repeat scans")
    return Table(columns, rows, frozenset({1, 2, 3, 4}), note=" ".join([f"{listing(spread)}.", *facts]))


def _shares(records: pd.DataFrame, name: str) -> str:
    children = records.drop_duplicates("participant_id")[name]
    counts = children.value_counts().sort_index()
    words = [f"{value} {n}" for value, n in counts.items()]
    missing = int(children.isna().sum())
    return ", ".join(words + ([f"not given {missing}"] if missing else []))


def ages(results: Results, shelf: Shelf) -> Part:
    """Draw each child's visits along the age axis, one figure per age reference."""
    visits = results.visits
    pictures = []
    for reference, known in visits.dropna(subset=["age_days"]).groupby("age_reference"):
        label, days = AXES[str(reference)]
        shown = known.assign(age=known["age_days"] / days)
        order = shown.groupby("participant_id")["age"].min().sort_values(kind="stable").index
        height = {child: row for row, child in enumerate(order)}
        figure = Figure(figsize=(WIDTH_IN, min(1.0 + 0.16 * len(order), 5.0)))
        axes = figure.subplots()
        for child, own in shown.sort_values("age").groupby("participant_id"):
            axes.plot(own["age"], [height[child]] * len(own), color=PALE, linewidth=1.2, zorder=1)
        for status, colour, marker in (("ok", ACCENT, "o"), ("flagged", FLAG, "^"), ("failed", FLAG, "x")):
            of = shown[shown["status"] == status]
            if len(of):
                axes.plot(
                    of["age"],
                    of["participant_id"].map(height),
                    marker,
                    color=colour,
                    markersize=4,
                    label=status,
                )
        axes.set_xlabel(label)
        axes.set_yticks(range(len(order)), order if len(order) <= NAMED_CHILDREN else [""] * len(order))
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(order) - 0.4, -0.6)
        axes.set_ylabel("child")
        figure.legend(loc="outside upper right", ncols=3)
        numbers = shown[["participant_id", "session_id", "age_days", "age_reference", "status"]]
        alt = f"{count(len(shown), 'visit')} of {count(len(order), 'child', 'children')} along the {label}."
        pictures.append(shelf.add(f"ages_{reference}", figure, numbers, table="figure_ages", alt=alt))
    if not pictures:
        return Absent("No figure of ages, because the samplesheet gives none.")
    missing = int(visits["age_days"].isna().sum())
    return Plot(
        tuple(pictures), note=f"{count(missing, 'visit')} without an age: not shown." if missing else ""
    )


def causes(results: Results, shelf: Shelf) -> Part:
    """Count what ended or marked a scan, by step and reason."""
    bad = results.ledger[results.ledger["status"].isin(["failed", "flagged"])]
    if bad.empty:
        return Absent("Every scan went through without failure or flag.")
    ordered = bad.sort_values("status", key=lambda s: s != "failed", kind="stable")
    more = len(ordered) - LONGEST_LEDGER
    note = f"{count(more, 'more row')} in ledger.tsv." if more > 0 else ""
    return Table(*_ledger_cells(ordered.head(LONGEST_LEDGER)), note=note)


def whole_ledger(results: Results, shelf: Shelf) -> Part:
    """Show every row of the samplesheet with its end."""
    if len(results.ledger) > LONGEST_LEDGER:
        return Absent(
            f"The ledger has {count(len(results.ledger), 'row')}, too many for a page: see ledger.tsv."
        )
    columns, rows, numeric = _ledger_cells(results.ledger)
    return Table(columns, rows, numeric, folded=f"The whole ledger, {count(len(rows), 'row')}")


def _ledger_cells(ledger: pd.DataFrame) -> tuple[tuple[str, ...], list[tuple[str, ...]], frozenset[int]]:
    names = {"row": "Row", "participant_id": "Child", "session_id": "Session", "scan": "Scan"}
    names |= {"status": "Status", "step": "Step", "reason": "Reason", "image": "Image"}
    table = ledger.assign(row=ledger["row"].map(lambda x: MISSING if pd.isna(x) else f"{x:.0f}"))
    cells = table[list(names)].astype(object).where(table[list(names)].notna(), MISSING)
    return tuple(names.values()), [tuple(map(str, row)) for row in cells.to_numpy()], frozenset({0})


def verdicts(results: Results, shelf: Shelf) -> Part:
    """Tabulate the verdicts by eye, and what each of them did."""
    if not results.verdicts:
        return Absent("No session was judged by eye (--qc_verdicts, or qc_verdicts.tsv among the results).")
    effects = {
        "pass": "used, whatever quality control flagged",
        "fail": "left out of the statistics",
        "correct": "left out of the statistics until it is corrected and passed",
    }
    rows = [
        (
            one["participant_id"],
            one["session_id"],
            one["verdict"],
            one["note"] or MISSING,
            effects[one["verdict"]],
        )
        for one in sorted(results.verdicts, key=lambda one: (one["verdict"], one["participant_id"]))
    ]
    return Table(("Child", "Session", "Verdict", "Note", "What it did"), rows)


def unmatched(results: Results, shelf: Shelf) -> Part:
    """List children without scores and scores without children."""
    phenotype = results.phenotype
    if not phenotype.get("file"):
        return Absent(
            "No score table was given (--phenotype), so that children and scores could not be compared."
        )
    without_scores = [str(x) for x in phenotype.get("without_scores") or []]
    without_scans = [str(x) for x in phenotype.get("without_scans") or []]
    return Prose(
        points=(
            _who(without_scores, "with scans but no scores", "Every child with scans has scores."),
            _who(without_scans, "with scores but no scans", "Every child with scores has scans."),
        )
    )


def score_faults(results: Results, shelf: Shelf) -> Part:
    """List what the check found odd about the score table."""
    if not results.phenotype.get("file"):
        return Absent("No score table was given (--phenotype).")
    notes = [str(note) for note in results.phenotype.get("notes") or []]
    return _faults(notes) if notes else Absent("No row and no column of the score table looked wrong.")


def sheet_faults(results: Results, shelf: Shelf) -> Part:
    """List what the check found odd about the samplesheet."""
    return _faults(results.notes) if results.notes else Absent("No row of the samplesheet looked wrong.")


def _faults(notes: list[str]) -> Prose:
    more = len(notes) - NAMED_FAULTS
    last = (f"{count(more, 'sentence')} more in the output of the run (babyseg check).",) if more > 0 else ()
    return Prose(points=(*notes[:NAMED_FAULTS], *last))


def _who(ids: list[str], what: str, none: str) -> str:
    return f"{count(len(ids), 'child', 'children')} {what}: {listing(ids, 60)}." if ids else none
