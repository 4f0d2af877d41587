"""The first page: how much there is, what was found, and what to worry about."""

import pandas as pd

from babyseg_py.report.figures import Shelf
from babyseg_py.report.parts import Absent, Facts, Part, Prose
from babyseg_py.report.results import Results
from babyseg_py.report.structures import both_sides
from babyseg_py.report.words import (
    brain_words,
    count,
    interval,
    listing,
    number,
    p_equals,
    plain_name,
    sentence_case,
    text,
)

SIGNIFICANT = 0.05
SMALL_N = 30
GOOD_ICC = 0.75


def headline(results: Results, shelf: Shelf) -> Part:
    """Count children, visits and scans, and how the scans ended."""
    records, status = results.records, results.ledger["status"]
    sizes = (
        (records["participant_id"].nunique(), "child", "children"),
        (records["visit_id"].nunique(), "visit", "visits"),
        (len(records), "scan", "scans"),
    )
    items = [(f"{n:,}", one if n == 1 else many, "") for n, one, many in sizes]
    for name in ("ok", "flagged", "failed"):
        n = int((status == name).sum())
        items.append((f"{n:,}", f"{'scan' if n == 1 else 'scans'} {name}", name if n else ""))
    return Facts(tuple(items))


def main_association(results: Results) -> dict | None:
    """Return the row with the smallest adjusted p, then p; None when nothing was estimated."""
    table = results.associations
    if table.empty:
        return None
    estimated = table[table["rho"].notna() & table["p"].notna()]
    ranked = estimated.sort_values(["p_fdr", "p"], kind="stable", na_position="last")
    return ranked.to_dict("records")[0] if len(ranked) else None


def finding(results: Results, shelf: Shelf) -> Part:
    """Say the main association with its interval."""
    row = main_association(results)
    if row is None:
        return Absent(why_no_association(results))
    tested = int(results.associations["p"].notna().sum())
    larger = "higher" if row["rho"] > 0 else "lower"
    words = (
        f"Of {count(tested, 'association')} tested, the clearest is that of the "
        f"{plain_name(row['structure']).lower()} with {row['score']}: "
        f"children with a larger volume had {larger} scores, partial Spearman ρ = {number(row['rho'])} "
        f"(95 % interval {interval(row['ci_low'], row['ci_high'])}; n = {number(row['n'], 0)}; "
        f"{p_equals(row['p'])}; adjusted for multiplicity {p_equals(row['p_fdr'])})."
    )
    holds = "holds" if row["p_fdr"] < SIGNIFICANT else "does not hold"
    because = "" if holds == "holds" else ", so that chance alone can explain it"
    within = f" within {row['family']}" if isinstance(row.get("family"), str) else ""
    verdict = f"It {holds} after correction for the number of tests{within}{because}."
    way = brain_words(row["brain_volume_adjustment"])
    return Prose((words, f"{verdict} Covariates: {text(row['covariates'], 'none')}. {sentence_case(way)}."))


def why_no_association(results: Results) -> str:
    """Say why there is no association with behaviour."""
    if not results.phenotype.get("file"):
        return "No association with behaviour was computed, because no score table was given (--phenotype)."
    if results.associations.empty:
        return "No association with behaviour was computed: the statistics left no table, see the ledger."
    notes = results.associations["notes"].dropna().unique().tolist()
    because = f" The notes in the table say: {listing(notes, 3)}." if notes else ""
    return f"No association with behaviour could be estimated.{because}"


def worries(results: Results, shelf: Shelf) -> Part:
    """List what a reader has to bear in mind before believing any number."""
    found = [
        *_lost(results),
        *_doubtful(results),
        *_implausible(results),
        *_judged(results),
        *_odd_input(results),
        *_ages(results),
        *_thin_evidence(results),
        *_unreliable(results),
    ]
    return Prose(points=tuple(found)) if found else Absent("Nothing in the tables gave rise to a warning.")


def _lost(results: Results) -> list[str]:
    records, ledger = results.records, results.ledger
    failed = int((ledger["status"] == "failed").sum())
    points = []
    if failed:
        what = f"{count(failed, 'scan')} of {len(records)} could not be used"
        points.append(f"{what}; the ledger below names the cause of each.")
    if len(ledger) < len(records):
        points.append(f"The ledger lacks {count(len(records) - len(ledger), 'row')} of the samplesheet.")
    measured = set() if results.volumes.empty else set(results.volumes["participant_id"])
    lost = sorted(set(records["participant_id"]) - measured)
    if lost:
        points.append(f"Without any volumes: {count(len(lost), 'child', 'children')} ({listing(lost)}).")
    return points


def _doubtful(results: Results) -> list[str]:
    visits = results.visits
    flagged = visits.loc[visits["status"] == "flagged", "visit_id"].tolist()
    if not flagged:
        return []
    which = f"{count(len(flagged), 'session')} ({listing(flagged, 6)})"
    return [
        f"Flagged, or with a scan that failed: {which}. A session flagged as a whole is left out of "
        "reliability, growth and associations, unless the run was told to include it; look at it before you "
        "use its volumes."
    ]


def _implausible(results: Results) -> list[str]:
    table = results.more.get("growth_plausibility", pd.DataFrame())
    outside = table[table["outside"] == 1] if "outside" in table else table
    if outside.empty:
        return []
    which = f"{count(len(outside), 'session')} ({listing(outside['visit_id'].tolist(), 6)})"
    return [f"Brain volume more than 30 % from the mean of published growth: {which}."]


def _judged(results: Results) -> list[str]:
    out = [one for one in results.verdicts if one["verdict"] != "pass"]
    back = len(results.verdicts) - len(out)
    words = [f"{count(len(out), 'session')} left out by a verdict"] if out else []
    words += [f"{count(back, 'session')} passed by eye, whatever was flagged"] if back else []
    return [f"Verdicts by eye were obeyed: {listing(words)}."] if words else []


def _odd_input(results: Results) -> list[str]:
    tables = (("samplesheet", results.notes), ("score table", results.phenotype.get("notes") or []))
    return [
        f"The {name} gave rise to {count(len(notes), 'note')}, listed below; the first: {notes[0]}."
        for name, notes in tables
        if notes
    ]


def _ages(results: Results) -> list[str]:
    visits = results.visits
    points = []
    missing = int(visits["age_days"].isna().sum())
    if missing:
        what = f"{count(missing, 'visit')} of {len(visits)} without an age"
        points.append(f"{what}: no growth from them, and no adjustment for age.")
    if len(visits["age_reference"].dropna().unique()) > 1:
        points.append(
            "Ages from birth and from conception occur together; they are never converted into each other."
        )
    return points


def _thin_evidence(results: Results) -> list[str]:
    row = main_association(results)
    if row is None:
        return []
    points = []
    if row["n"] < SMALL_N:
        points.append(
            f"The clearest association rests on {count(int(row['n']), 'child', 'children')}. The largest of "
            "many estimates from a small sample is too large on average; expect less in another cohort."
        )
    if row["ci_low"] <= 0 <= row["ci_high"]:
        points.append("The interval of the clearest association includes zero.")
    return points + _ways(row, results.associations)


def _ways(row: dict, table: pd.DataFrame) -> list[str]:
    """Say what becomes of an association when brain volume is taken into account in other ways."""
    same = table[
        (table["score"] == row["score"]) & (table["structure"] == row["structure"]) & table["rho"].notna()
    ]
    others = same[same["brain_volume_adjustment"] != row["brain_volume_adjustment"]].to_dict("records")
    if not others:
        return []
    words = [
        f"ρ = {number(o['rho'])}, {p_equals(o['p_fdr'])} ({brain_words(o['brain_volume_adjustment'])})"
        for o in others
    ]
    return [
        "The clearest association was sought among several ways to take brain volume into account, and the "
        "correction is within each way. The same structure and score otherwise, with adjusted p: "
        f"{'; '.join(words)}."
    ]


def _unreliable(results: Results) -> list[str]:
    table = results.reliability
    if table.empty or table["icc_2_1"].isna().all():
        return [
            "How far a repeat scan would change the volumes is not known here: no reliability was estimated."
        ]
    weak = both_sides(table[(table["volume_source"] == "labels") & (table["icc_2_1"] < GOOD_ICC)])
    names = list(dict.fromkeys(plain_name(name).lower() for name in weak["structure"]))
    return (
        [f"Agreement between scans of a visit below ICC(2,1) {GOOD_ICC}: {listing(names, 8)}."]
        if names
        else []
    )
