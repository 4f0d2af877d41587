"""What goes into each analysis of the cohort: without what quality control flagged, and saying so."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from babyseg_py.statistics.associations import association_tables, gather_cohort
from babyseg_py.statistics.centiles import centile_tables
from babyseg_py.statistics.change import change_table
from babyseg_py.statistics.flags import flagged_scans, flagged_visits, without_flagged_structures
from babyseg_py.statistics.groups import group_table
from babyseg_py.statistics.growth import growth_table
from babyseg_py.statistics.growthmodels import growth_models
from babyseg_py.statistics.harmonised import USED, harmonised_volumes
from babyseg_py.statistics.later import later_tables
from babyseg_py.statistics.matching import matching_tables
from babyseg_py.statistics.measurement import measurement_table
from babyseg_py.statistics.methods import MANUAL, method_tables
from babyseg_py.statistics.overview import overview
from babyseg_py.statistics.parts import without_flagged_wholes
from babyseg_py.statistics.published import plausibility_table
from babyseg_py.statistics.reliability import reliability_table
from babyseg_py.statistics.repeated import repeated_table
from babyseg_py.statistics.scorechecks import score_notes, with_notes
from babyseg_py.statistics.shape import Shapes, compare_shapes
from babyseg_py.statistics.sites import site_tables
from babyseg_py.statistics.specifications import specification_table
from babyseg_py.statistics.structures import SOURCES
from babyseg_py.statistics.surface_maps import SurfaceMap
from babyseg_py.statistics.visits import VISIT

NOT_HARMONISED = (
    "reliability.tsv",
    "method_agreement.tsv",
    "site_effects.tsv",
    "growth_plausibility.tsv",
    "change.tsv",
    "parts_growth.tsv",
    "shape.tsv",
)


@dataclass(frozen=True)
class Inputs:
    """What the cohort is analysed from.

    Parameters
    ----------
    facts : pandas.DataFrame
        All visits of the samplesheet, from `babyseg_py.statistics.visits.visit_facts`.
    volumes, scans, qc : pandas.DataFrame
        Tables volumes, scanvolumes and qc of the cohort; no row in qc where flags do not count.
    phenotype : pandas.DataFrame or None
        The score table as text; None if there is none.
    scores, covariates : list of str
        Names of its columns.
    source : str
        ``labels`` or ``posteriors``, which associations and models use.
    harmonise : bool
        Whether all but reliability, the agreement of methods, change in templates, growth of parts and shape
        use volumes harmonised between sites.
    longitudinal : pandas.DataFrame or None
        Table longitudinal of the cohort: volumes of the visits that are in their child's template.
    parts : pandas.DataFrame or None
        Table parts of the cohort; None without the fuller label set.
    shapes : Path or None
        Folder of the coefficients of the surfaces; None if there are none.
    """

    facts: pd.DataFrame
    volumes: pd.DataFrame
    scans: pd.DataFrame
    qc: pd.DataFrame
    phenotype: pd.DataFrame | None
    scores: list[str]
    covariates: list[str]
    source: str
    harmonise: bool = False
    longitudinal: pd.DataFrame | None = None
    parts: pd.DataFrame | None = None
    shapes: Path | None = None


@dataclass(frozen=True)
class Results:
    """What came of the analyses.

    Parameters
    ----------
    tables : dict of str to pandas.DataFrame
        By the name of their file; ``analyses`` says of each part whether it ran, and why or why not.
    left_out : str
        What was left out because of flags, in words.
    surfaces : tuple of SurfaceMap
        Comparisons of shape, to be seen on the mean surfaces.
    """

    tables: dict[str, pd.DataFrame]
    left_out: str
    surfaces: tuple[SurfaceMap, ...]


def analyse(inputs: Inputs) -> Results:
    """Make every table of results, and the maps on surfaces."""
    visits_out, scans_out = flagged_visits(inputs.qc), flagged_scans(inputs.qc)
    volumes, structures_out = without_flagged_structures(inputs.volumes, inputs.qc)
    scans, _ = without_flagged_structures(inputs.scans, inputs.qc)
    flagged = pd.MultiIndex.from_frame(volumes[VISIT]).isin(list(visits_out))
    clean = volumes[~flagged]
    effects, harmonised = site_tables(clean, inputs.facts, source=inputs.source)
    agreement, measured = methods_of(clean, scans, inputs.facts, visits_out, scans_out)
    shape = shape_of(inputs, clean, visits_out)
    refused = ""
    if inputs.harmonise:
        clean, refused = harmonised_volumes(clean, inputs.facts)
        volumes = pd.concat([clean, volumes[flagged]])
    tables = {
        "reliability": reliability_of(scans, visits_out, scans_out),
        "growth": growth_of(volumes, inputs.facts, visits_out),
        "change": change_of(inputs, visits_out),
    }
    if inputs.parts is not None:
        parts = without_flagged_wholes(inputs.parts, inputs.qc)
        tables["parts_growth"] = growth_of(parts, inputs.facts, visits_out)
    tables |= growth_of_cohort(clean, inputs)
    tables |= {
        "groups": group_table(clean, inputs.facts, source=inputs.source),
        "site_effects": effects,
        "harmonised_volumes": harmonised,
    }
    measured_volumes = inputs.volumes[~flagged]
    tables["growth_plausibility"] = plausibility_table(measured_volumes, inputs.facts, source=inputs.source)
    tables |= {"method_agreement": agreement, "method_volumes": measured}
    tables |= matching_tables(clean, inputs.facts, source=inputs.source)
    tables |= behaviour_of(inputs, volumes, visits_out)
    tables |= shape.tables
    tables["analyses"] = overview(tables, inputs.facts, has_scores=inputs.phenotype is not None)
    if inputs.harmonise:
        tables["analyses"] = _told_harmonised(tables["analyses"], refused, inputs.covariates)
    words = f"{len(visits_out)} visits, {structures_out} structures of other visits"
    return Results(tables, f"left out because flagged: {words}", shape.maps)


def _told_harmonised(table: pd.DataFrame, refused: str, covariates: list[str]) -> pd.DataFrame:
    """Say in the reason of each part that ran whether its volumes were harmonised."""
    words = USED if not refused else f"on volumes as measured, as harmonisation was not possible ({refused})"
    if not refused and "site" in covariates:
        words += "; site is a covariate too, which adjusts for it twice"
    concerned = (table["ran"] == 1) & ~table["table"].isin(NOT_HARMONISED)
    return table.assign(reason=table["reason"].where(~concerned, table["reason"] + f"; {words}"))


def change_of(inputs: Inputs, flagged: set[tuple[str, str]]) -> pd.DataFrame:
    """Change in the children's templates, without flagged visits and structures."""
    if inputs.longitudinal is None or inputs.longitudinal.empty:
        return change_table(pd.DataFrame(), inputs.volumes)
    used = inputs.longitudinal[~pd.MultiIndex.from_frame(inputs.longitudinal[VISIT]).isin(list(flagged))]
    used, _ = without_flagged_structures(used, inputs.qc)
    known = used["volume_posterior_mm3"].notna()
    used = used.assign(volume_jacobian_mm3=used["volume_jacobian_mm3"].where(known))
    return change_table(used, without_flagged_structures(inputs.volumes, inputs.qc)[0])


def growth_of_cohort(volumes: pd.DataFrame, inputs: Inputs) -> dict[str, pd.DataFrame]:
    """Growth models, centile curves, and the centiles of the children, from visits that are not flagged."""
    curves, children = centile_tables(volumes, inputs.facts, source=inputs.source)
    return {
        "growth_models": growth_models(volumes, inputs.facts, source=inputs.source),
        "centiles": curves,
        "child_centiles": children,
    }


def behaviour_of(
    inputs: Inputs, volumes: pd.DataFrame, flagged: set[tuple[str, str]]
) -> dict[str, pd.DataFrame]:
    """Associations, models of repeated visits and the specification table; without scores their headers."""
    nobody = pd.DataFrame({"participant_id": [], "session_id": []}, dtype=object)
    phenotype = nobody if inputs.phenotype is None else inputs.phenotype
    scores, covariates = ([], []) if inputs.phenotype is None else (inputs.scores, inputs.covariates)
    chosen: Any = {"scores": scores, "covariates": covariates, "flagged": flagged, "source": inputs.source}
    associations, used = association_tables(volumes, inputs.facts, phenotype, **chosen)
    cohort, matrix, covariates = gather_cohort(volumes, inputs.facts, phenotype, **chosen)
    parts = [
        make(scores, covariates, cohort, matrix, inputs.source) for make in (repeated_table, later_tables)
    ]
    errors = measurement_table(
        volumes, cohort, matrix, scores=scores, covariates=covariates, source=inputs.source
    )
    noted = {
        "behaviour_models": pd.concat([table.astype(object) for table in parts], ignore_index=True),
        "measurement_error": errors,
        "specifications": specification_table(volumes, inputs.facts, phenotype, **chosen),
    }
    scanned = cohort.facts["participant_id"]
    notes = score_notes(scores, cohort.answers, scanned, covariates=covariates)
    tables = {"associations": associations, "association_visits": used}
    return tables | {name: with_notes(table, notes) for name, table in noted.items()}


def shape_of(inputs: Inputs, volumes: pd.DataFrame, flagged: set[tuple[str, str]]) -> Shapes:
    """Compare surfaces between groups and along scores, scaled by the brain volumes as measured."""
    nobody = pd.DataFrame({"participant_id": [], "session_id": []}, dtype=object)
    scored = inputs.phenotype is not None
    return compare_shapes(
        volumes,
        inputs.facts,
        inputs.phenotype if inputs.phenotype is not None else nobody,
        inputs.shapes,
        scores=inputs.scores if scored else [],
        covariates=inputs.covariates if scored else [],
        flagged=flagged,
        source=inputs.source,
    )


def methods_of(
    volumes: pd.DataFrame,
    scans: pd.DataFrame,
    facts: pd.DataFrame,
    flagged_visits: set[tuple[str, str]],
    flagged_scans: set[tuple[str, str, str]],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Agreement of all scans, single contrasts and reference segmentations, without what is flagged."""
    keys = pd.MultiIndex.from_frame(scans[[*VISIT, "scan"]])
    bad = keys.isin(list(flagged_scans)) | keys.droplevel("scan").isin(list(flagged_visits))
    return method_tables(volumes, scans[~bad & scans["suffix"].notna()], facts)


def reliability_of(
    scans: pd.DataFrame, flagged_visits: set[tuple[str, str]], flagged_scans: set[tuple[str, str, str]]
) -> pd.DataFrame:
    """Reliability from the scans that are not flagged, in visits that are not flagged.

    Parameters
    ----------
    scans : pandas.DataFrame
        The table scanvolumes of the cohort.
    flagged_visits : set of (participant_id, session_id)
    flagged_scans : set of (participant_id, session_id, scan)

    Returns
    -------
    pandas.DataFrame
        As `babyseg_py.statistics.reliability.reliability_table` makes it.
    """
    scans = scans[scans["scan"] != MANUAL]
    keys = pd.MultiIndex.from_frame(scans[[*VISIT, "scan"]])
    bad = keys.isin(list(flagged_scans)) | keys.droplevel("scan").isin(list(flagged_visits))
    n = keys[bad].nunique()
    words = f"{n} flagged scans, or scans of flagged visits, left out" if n else ""
    return reliability_table(scans[~bad & scans["suffix"].notna()], left_out=words)


def growth_of(volumes: pd.DataFrame, facts: pd.DataFrame, flagged: set[tuple[str, str]]) -> pd.DataFrame:
    """Growth of every child of the samplesheet, from both kinds of volumes, without flagged visits.

    Parameters
    ----------
    volumes : pandas.DataFrame
        The table volumes of the cohort.
    facts : pandas.DataFrame
        All visits of the samplesheet.
    flagged : set of (participant_id, session_id)

    Returns
    -------
    pandas.DataFrame
        As `babyseg_py.statistics.growth.growth_table` makes it; a child without any volume has a row too.
    """
    keys = pd.MultiIndex.from_frame(volumes[VISIT])
    bad = keys.isin(list(flagged))
    sentences = dict.fromkeys(facts["participant_id"].unique(), "")
    counts: dict[str, int] = {}
    for child, _ in keys[bad].unique():
        counts[child] = counts.get(child, 0) + 1
    for child, n in counts.items():
        sentences[child] = f"{n} flagged visit{'s' if n > 1 else ''} left out"
    tables = [growth_table(volumes[~bad], source=source, left_out=sentences) for source in SOURCES]
    return pd.concat(tables, ignore_index=True)
