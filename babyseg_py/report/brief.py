"""The first page, beside the main finding: how much there is, how good it is, and what to worry about."""

import pandas as pd

from babyseg_py.labels.table import BRAIN_VOLUME
from babyseg_py.report.figures import Shelf
from babyseg_py.report.finding import main_association
from babyseg_py.report.longitudinal import at_median_age, why_not
from babyseg_py.report.parts import Absent, Facts, Part, Prose
from babyseg_py.report.results import Results
from babyseg_py.report.structures import both_sides
from babyseg_py.report.words import age, brain_words, count, interval, listing, number, p_equals, plain_name

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


def quality_and_growth(results: Results, shelf: Shelf) -> Part:
    """Say how good the segmentations look and how the brains grew."""
    return Prose((_quality(results), _growth(results)))


def _quality(results: Results) -> str:
    visits, status = len(results.visits), results.visits["status"]
    bad, lost = int((status == "flagged").sum()), int((status == "failed").sum())
    share = number(100 * bad / max(visits, 1), 0)
    words = f"Quality: {bad} of {count(visits, 'session')} ({share} %) with a flag or a scan that failed"
    words += f", {lost} without a scan that could be used" if lost else ""
    qc = results.qc
    whole = qc[qc["scan"].isna() & qc["structure"].isna()] if len(qc) else qc
    dice = whole.loc[whole["metric"] == "predicted_dice", "value"].dropna() if len(qc) else pd.Series()
    if dice.empty:
        return f"{words}. How well the labels fit was not predicted."
    return (
        f"{words}. Dice that is to be expected of the labels: median {number(dice.median())}, the lowest "
        f"{number(dice.min())}."
    )


def _growth(results: Results) -> str:
    """Say the change of brain volume, of the children themselves and in the model of the cohort."""
    points = [words for words in (_change(results), *_modelled(results)) if words]
    if points:
        return f"Growth: {' '.join(points)}"
    why = why_not(results, "growth_models", "model of the cohort").reason
    return f"Growth: no child has two usable sessions at different ages. {why}"


def _change(results: Results) -> str:
    table = results.growth
    if table.empty:
        return ""
    known = table[(table["volume_source"] == "labels") & table["change_mm3_per_month"].notna()]
    children = known["participant_id"].nunique()
    if not children:
        return ""
    words = f"{count(children, 'child', 'children')} with two usable sessions or more"
    of = known.loc[known["structure"] == BRAIN_VOLUME, "change_mm3_per_month"] / 1000
    if of.empty:
        return f"{words}; none with a total brain volume."
    low, middle, high = of.quantile([0.25, 0.5, 0.75])
    return (
        f"{words}; their brain volume changed by {number(middle, 1)} mL a month (median; middle half "
        f"{interval(low, high, 1)})."
    )


def _modelled(results: Results) -> list[str]:
    known = at_median_age(results)
    if known.empty:
        return []
    return [
        f"In the model of the cohort ({count(int(row['n']), 'child', 'children')}, "
        f"{count(int(row['n_observations']), 'session')}) brain volume at "
        f"{age(row['age_days'], row['age_reference'])} is {number(row['volume_mm3'] / 1000, 0)} mL and "
        f"changes by {number(row['change_mm3_per_month'] / 1000, 1)} mL a month (95 % interval "
        f"{interval(row['change_ci_low'] / 1000, row['change_ci_high'] / 1000, 1)})."
        for row in known[known["structure"] == BRAIN_VOLUME].to_dict("records")
    ]


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
        f"ρ = {number(o['rho'])}, {p_equals(o['p'])} ({brain_words(o['brain_volume_adjustment'])})"
        for o in others
    ]
    return [f"The same structure and score with p not adjusted: {'; '.join(words)}. No way is to be picked."]


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
