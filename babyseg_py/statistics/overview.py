"""Which parts of the analysis ran, on how many children, and why or why not."""

from dataclasses import dataclass

import pandas as pd

from babyseg_py.statistics.later import CHANGE, EARLIER, GIVEN
from babyseg_py.statistics.repeated import MODEL
from babyseg_py.statistics.visits import VISIT

COLUMNS = ["analysis", "table", "ran", "n_children", "n_estimates", "reason"]
NO_SCORES = "there is no score table (--phenotype)"


@dataclass(frozen=True)
class Part:
    """One part of the analysis.

    Parameters
    ----------
    name, table : str
        What it is called, and the table that it fills.
    estimate : str
        The column that holds its estimates.
    n : str
        The column that counts its children; empty if a row is a child.
    needs : str
        What switches it on, in words.
    model : str
        Value of the column ``model`` that its rows have; empty if the table is its own.
    scores : bool
        Whether it needs a score table.
    absent : str
        Why it did not run where its table was not made; empty if the part is not worth a word then.
    """

    name: str
    table: str
    estimate: str
    n: str
    needs: str
    model: str = ""
    scores: bool = False
    absent: str = ""


PARTS = (
    Part("reliability", "reliability", "cv_within_percent", "n", "two scans in one visit"),
    Part("agreement of methods", "method_agreement", "icc_2_1", "n", "two ways of measuring at 3 children"),
    Part(
        "raters",
        "rater_agreement",
        "icc_2_1",
        "n",
        "label maps of two raters at 3 children",
        absent="no session has label maps of two raters (--raters)",
    ),
    Part("change of each child", "growth", "change_mm3_per_month", "", "two visits with volumes and ages"),
    Part(
        "change in the child's own template",
        "change",
        "change_mm3_per_month",
        "",
        "two usable visits with ages",
    ),
    Part(
        "change of parts of structures",
        "parts_growth",
        "change_mm3_per_month",
        "",
        "two visits with volumes of parts and ages",
    ),
    Part("published growth", "growth_plausibility", "ratio", "", "ages from birth of at most two years"),
    Part("growth of the cohort", "growth_models", "volume_mm3", "n", "ages at 10 children or more"),
    Part("centiles", "centiles", "volume_mm3", "n", "ages at 15 children or more"),
    Part("centiles of children", "child_centiles", "centile", "", "centiles"),
    Part("groups", "groups", "p", "n", "two groups of 5 children or more"),
    Part("cases matched to controls", "matched_pairs", "pair", "", "two groups of 5 children or more"),
    Part("harmonisation of sites", "site_effects", "f", "n", "two sites of 5 children or more"),
    Part("shape", "shape", "p_max", "n", "surfaces of 10 children or more"),
    Part("associations", "associations", "rho", "n", "scores", scores=True),
    Part(MODEL, "behaviour_models", "estimate", "n", "scores of two visits or more", MODEL, True),
    Part(EARLIER, "behaviour_models", "estimate", "n", "scores after a visit", EARLIER, True),
    Part(GIVEN, "behaviour_models", "estimate", "n", "scores at a visit and after it", GIVEN, True),
    Part(CHANGE, "behaviour_models", "estimate", "n", "scores of two visits or more", CHANGE, True),
    Part(
        "error of the volumes in associations",
        "measurement_error",
        "rho_corrected",
        "n",
        "scores, and volumes with intervals",
        scores=True,
    ),
    Part("specifications", "specifications", "rho", "n", "volumes and scores", scores=True),
)


def overview(
    tables: dict[str, pd.DataFrame], facts: pd.DataFrame, *, has_scores: bool, failures: dict[str, str]
) -> pd.DataFrame:
    """Say of every part whether it ran, on how many children, and why or why not.

    Parameters
    ----------
    tables : dict of str to pandas.DataFrame
        Results by name.
    facts : pandas.DataFrame
        All visits of the samplesheet.
    has_scores : bool
        Whether there is a score table.
    failures : dict of str to str
        What ended the analysis of a table, in words, by its name.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`, a row for each of `PARTS` that has a table or says why there is none.
    """
    rows = []
    for part in PARTS:
        if part.table in tables:
            row = _row(part, tables[part.table], facts, has_scores)
            failed = failures.get(part.table)
            rows.append(row | {"reason": f"failed: {failed}"} if failed else row)
        elif part.absent:
            rows.append(_unrun(part) | {"reason": f"did not run: {part.absent}"})
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(part: Part, table: pd.DataFrame, facts: pd.DataFrame, has_scores: bool) -> dict:
    of = table[table["model"] == part.model] if part.model else table
    known = of[of[part.estimate].notna()]
    n = _children(known) if not part.n else _largest(known[part.n])
    if len(known):
        total = facts["participant_id"].nunique()
        reason = f"ran on {n} of {total} children, as there are {part.needs}"
    elif part.scores and not has_scores:
        reason = f"did not run: {NO_SCORES}"
    else:
        reason = f"did not run: {_why(part, of, facts)}"
    ran = {"ran": int(len(known) > 0), "n_children": n, "n_estimates": len(known), "reason": reason}
    return _unrun(part) | ran


def _unrun(part: Part) -> dict:
    return {"analysis": part.name, "table": f"{part.table}.tsv", "ran": 0, "n_children": 0, "n_estimates": 0}


def _children(known: pd.DataFrame) -> int:
    """Count the children of a table in which a row is a child, or a pair of children."""
    columns = known.columns.intersection(["participant_id", "case_id", "control_id"])
    return len(set(known[columns].to_numpy().ravel()))


def _why(part: Part, of: pd.DataFrame, facts: pd.DataFrame) -> str:
    """Return the reason that most rows of a part give, else what it needs and what there is."""
    notes = of["notes"].dropna()
    notes = notes[notes != ""]
    if len(notes):
        return str(notes.mode().iloc[0])
    seen = facts.drop_duplicates(VISIT)["participant_id"].value_counts()
    there = f"{len(seen)} children, {int((seen > 1).sum())} of them with two visits or more"
    return f"it needs {part.needs}; the samplesheet has {there}"


def _largest(counts: pd.Series) -> int:
    return int(pd.to_numeric(counts).max()) if len(counts) else 0
