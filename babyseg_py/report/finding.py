"""The main finding on the first page: what it is, whether it holds, and what else could have been seen."""

import pandas as pd

from babyseg_py.report.figures import Shelf
from babyseg_py.report.parts import Absent, Part, Prose
from babyseg_py.report.results import Results
from babyseg_py.report.specifications import draw_curve, ways_of
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
from babyseg_py.statistics.finding import MainFamily, main_family
from babyseg_py.statistics.partial import detectable_among
from babyseg_py.statistics.specifications import MAIN_ADJUSTMENT

SIGNIFICANT = 0.05


def main_association(results: Results) -> dict | None:
    """Return the clearest row in the declared way of adjusting, with p_all; None if nothing was estimated."""
    rows = main_family(results.associations).tests.head(1).to_dict("records")
    return rows[0] if rows else None


def finding(results: Results, shelf: Shelf) -> Part:
    """Say the main association with its interval, whether it holds, and draw every other way to adjust it."""
    family, row = main_family(results.associations), main_association(results)
    if row is None:
        return Absent(why_no_association(results))
    tested = len(family.tests)
    larger = "higher" if row["rho"] > 0 else "lower"
    words = (
        f"Of {count(tested, 'association')} tested, the clearest is that of the "
        f"{plain_name(row['structure']).lower()} with {row['score']}: "
        f"children with a larger volume had {larger} scores, partial Spearman ρ = {number(row['rho'])} "
        f"(95 % interval {interval(row['ci_low'], row['ci_high'])}; n = {number(row['n'], 0)}; "
        f"{p_equals(row['p'])}; adjusted for multiplicity {p_equals(row['p_all'])})."
    )
    ways = ways_of(results, row["score"], row["structure"])
    estimated = ways[ways["rho"].notna()] if len(ways) else ways
    paragraphs = [words, _verdict(row, family), _power(row, tested), _other_ways(row, estimated)]
    pictures = (draw_curve(ways, shelf),) if len(estimated) else ()
    return Prose(tuple(filter(None, paragraphs)), pictures=pictures)


def _verdict(row: dict, family: MainFamily) -> str:
    """Say whether the finding holds after a correction over all that it was picked from."""
    tests = family.tests
    holds = row["p_all"] < SIGNIFICANT
    because = "" if holds else ", so that chance alone can explain it"
    scores, structures = tests["score"].nunique(), tests["structure"].nunique()
    what = f"{count(len(tests), 'test')} of {count(scores, 'score')} and {count(structures, 'structure')}"
    main = brain_words(MAIN_ADJUSTMENT)
    if family.declared:
        over, how = "", f"{sentence_case(main)} is the way that was declared before anything was seen"
    else:
        over = " and every way to take brain volume into account"
        how = (
            f"{sentence_case(main)}, the way that was declared before anything was seen, could not be "
            f"estimated; this is another way: {brain_words(row['brain_volume_adjustment'])}"
        )
    return (
        f"It {'holds' if holds else 'does not hold'} after correction over all {what}{over} (Benjamini and "
        f"Hochberg){because}. {how}. Covariates: {text(row['covariates'], 'none')}."
    )


def _power(row: dict, tested: int) -> str:
    """Say what was the smallest correlation to be seen, alone and among all tests."""
    alone = float(row.get("rho_detectable", float("nan")))
    among = detectable_among(alone, tested)
    if pd.isna(alone):
        return ""
    words = (
        f"The smallest correlation that these {number(row['n'], 0)} children would have shown in 80 % of "
        f"samples is {number(alone)} in one test"
    )
    more = f" and {number(among)} in one of {tested}" if pd.notna(among) and tested > 1 else ""
    return f"{words}{more}; a weaker one may be there and was not to be seen."


def _other_ways(row: dict, ways: pd.DataFrame) -> str:
    """Say what becomes of the finding in every other way of adjusting."""
    if ways.empty:
        return ""
    same = int((ways["rho"] * row["rho"] > 0).sum())
    low, high = number(ways["rho"].min()), number(ways["rho"].max())
    return (
        f"Over {count(len(ways), 'way')} of adjusting the same structure and score ρ runs from {low} to "
        f"{high}, in {same} of them with the same sign. Each is a mark below, the main one coloured; the "
        "table is Other ways in numbers."
    )


def why_no_association(results: Results) -> str:
    """Say why there is no association with behaviour."""
    if not results.phenotype.get("file"):
        return "No association with behaviour was computed, because no score table was given (--phenotype)."
    if results.associations.empty:
        return "No association with behaviour was computed: the statistics left no table, see the ledger."
    notes = results.associations["notes"].dropna().unique().tolist()
    because = f" The notes in the table say: {listing(notes, 3)}." if notes else ""
    return f"No association with behaviour could be estimated.{because}"
