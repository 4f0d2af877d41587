"""Every analysis of the cohort: without what quality control flagged, and saying so."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd

from babyseg_py.statistics.associations import association_tables
from babyseg_py.statistics.attempts import attempt
from babyseg_py.statistics.centiles import centile_tables
from babyseg_py.statistics.change import change_table
from babyseg_py.statistics.flags import flagged_visits, without_flagged_structures
from babyseg_py.statistics.groups import group_table
from babyseg_py.statistics.growth import growth_table
from babyseg_py.statistics.growthmodels import growth_models
from babyseg_py.statistics.harmonised import USED, harmonised_volumes
from babyseg_py.statistics.inputs import Inputs, Usable, usable_of
from babyseg_py.statistics.later import later_table
from babyseg_py.statistics.matching import matching_tables
from babyseg_py.statistics.measurement import measurement_table
from babyseg_py.statistics.methods import MANUAL, method_tables
from babyseg_py.statistics.overview import overview
from babyseg_py.statistics.parts import without_flagged_wholes
from babyseg_py.statistics.published import plausibility_table
from babyseg_py.statistics.raters import rater_tables
from babyseg_py.statistics.reliability import reliability_table
from babyseg_py.statistics.repeated import repeated_table
from babyseg_py.statistics.scorechecks import with_notes
from babyseg_py.statistics.shape import Shapes, compare_shapes
from babyseg_py.statistics.sites import site_tables
from babyseg_py.statistics.specifications import specification_table
from babyseg_py.statistics.structures import SOURCES
from babyseg_py.statistics.surface_maps import SurfaceMap
from babyseg_py.statistics.verdicts import METRIC as VERDICT
from babyseg_py.statistics.visits import VISIT

Tables = dict[str, pd.DataFrame]


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
    notes : tuple of str
        What looks wrong with the scores and covariates.
    """

    tables: dict[str, pd.DataFrame]
    left_out: str
    surfaces: tuple[SurfaceMap, ...]
    notes: tuple[str, ...] = ()


def analyse(inputs: Inputs) -> Results:
    """Make every table of results, and the maps on surfaces.

    An analysis that fails in a way that nobody foresaw leaves its tables without rows, and ``analyses`` says
    what happened; the others go on.
    """
    usable = usable_of(inputs)
    failures: dict[str, str] = {}

    def emptied(tables: Tables, failure: str) -> Tables:
        failures.update(dict.fromkeys(tables, failure))
        return {name: table.iloc[:0] for name, table in tables.items()}

    def made(analyses: tuple[Callable[[Usable], Tables], ...], usable: Usable) -> Tables:
        tables: Tables = {}
        for make in analyses:
            found, failure = attempt(make, usable, usable.of_nobody)
            tables |= emptied(found, failure) if failure else found
        return tables

    shapes, failure = attempt(shape_of, usable, usable.of_nobody)
    measured = made(AS_MEASURED, usable)
    measured |= emptied(shapes.tables, failure) if failure else shapes.tables
    refused = ""
    if inputs.harmonise:
        (clean, refused), failure = attempt(
            lambda of: harmonised_volumes(of.clean, of.inputs.facts), usable, usable.of_nobody
        )
        if failure:
            clean, refused = usable.clean, failure
        flagged = usable.volumes.drop(usable.clean.index)
        usable = replace(usable, volumes=pd.concat([clean, flagged]))
    tables = measured | made(HARMONISED_IF_ASKED, usable)
    analyses = overview(tables, inputs.facts, has_scores=inputs.phenotype is not None, failures=failures)
    if inputs.harmonise:
        concerned = ~analyses["table"].isin([f"{name}.tsv" for name in measured])
        analyses = _told_harmonised(analyses, concerned, refused, inputs.covariates)
    notes, _ = attempt(notes_of, usable, usable.of_nobody)
    words = f"{len(usable.visits_out)} visits, {usable.structures_out} structures of other visits"
    return Results(tables | {"analyses": analyses}, f"left out because flagged: {words}", shapes.maps, notes)


def _told_harmonised(
    table: pd.DataFrame, concerned: pd.Series, refused: str, covariates: list[str]
) -> pd.DataFrame:
    """Say in the reason of each part that is concerned and ran whether its volumes were harmonised."""
    words = USED if not refused else f"on volumes as measured, as harmonisation was not possible ({refused})"
    if not refused and "site" in covariates:
        words += "; site is a covariate too, which adjusts for it twice"
    told = concerned & (table["ran"] == 1)
    return table.assign(reason=table["reason"].where(~told, table["reason"] + f"; {words}"))


def notes_of(usable: Usable) -> tuple[str, ...]:
    """Return what looks wrong with scores and covariates, each sentence once."""
    of = (note for notes in usable.notes.values() for note in notes)
    return tuple(dict.fromkeys([*of, *usable.useless]))


def shape_of(usable: Usable) -> Shapes:
    """Compare surfaces between groups and along scores, scaled by the brain volumes as measured."""
    return compare_shapes(usable.study(usable.clean), usable.inputs.shapes)


def sites_of(usable: Usable) -> Tables:
    """Effects of sites, and volumes without them."""
    effects, harmonised = site_tables(usable.clean, usable.inputs.facts, source=usable.inputs.source)
    return {"site_effects": effects, "harmonised_volumes": harmonised}


def methods_of(usable: Usable) -> Tables:
    """Agreement of all scans, single contrasts and reference segmentations."""
    scans = usable.clean_scans
    scans = scans[scans["suffix"].notna()]
    agreement, volumes = method_tables(usable.clean, scans, usable.inputs.facts)
    return {"method_agreement": agreement, "method_volumes": volumes}


def raters_of(usable: Usable) -> Tables:
    """Agreement of raters and automatic volumes; flags are about the latter alone, verdicts about both."""
    of = usable.inputs
    if of.raters is None:
        return {}
    judged = flagged_visits(of.qc[of.qc["metric"] == VERDICT])
    left = ~pd.MultiIndex.from_frame(of.raters[VISIT]).isin(list(judged))
    agreement, used = rater_tables(of.raters[left], usable.clean, of.facts)
    return {"rater_agreement": agreement, "rater_agreement_volumes": used}


def reliability_of(usable: Usable) -> Tables:
    """Reliability from repeated scans, saying how many flagged ones were left out."""
    scans = usable.scans[usable.scans["scan"] != MANUAL]
    flagged = usable.flagged(scans)
    n = len(scans.loc[flagged, [*VISIT, "scan"]].drop_duplicates())
    words = f"{n} flagged scans, or scans of flagged visits, left out" if n else ""
    return {"reliability": reliability_table(scans[~flagged & scans["suffix"].notna()], left_out=words)}


def change_of(usable: Usable) -> Tables:
    """Change in the children's templates."""
    table = usable.inputs.longitudinal
    if table is None or table.empty:
        return {"change": change_table(pd.DataFrame(), usable.volumes)}
    used, _ = without_flagged_structures(usable.unflagged(table), usable.inputs.qc)
    known = used["volume_posterior_mm3"].notna()
    used = used.assign(volume_jacobian_mm3=used["volume_jacobian_mm3"].where(known))
    return {"change": change_table(used, usable.volumes)}


def growth_of_parts(usable: Usable) -> Tables:
    """Growth of the parts of structures, where the fuller label set was asked for."""
    parts = usable.inputs.parts
    if parts is None:
        return {}
    return {"parts_growth": _growth(without_flagged_wholes(parts, usable.inputs.qc), usable)}


def plausibility_of(usable: Usable) -> Tables:
    """Volumes against published growth, those of flagged structures too."""
    volumes, source = usable.unflagged(usable.inputs.volumes), usable.inputs.source
    return {"growth_plausibility": plausibility_table(volumes, usable.inputs.facts, source=source)}


def growth_of(usable: Usable) -> Tables:
    """Growth of every child of the samplesheet; a child without any volume has a row too."""
    return {"growth": _growth(usable.volumes, usable)}


def _growth(volumes: pd.DataFrame, usable: Usable) -> pd.DataFrame:
    """Growth from both kinds of volumes, saying how many flagged visits of a child were left out."""
    sentences = dict.fromkeys(usable.inputs.facts["participant_id"].unique(), "")
    visits = set(map(tuple, volumes[VISIT].drop_duplicates().to_numpy().tolist())) & usable.visits_out
    for child in {child for child, _ in visits}:
        n = sum(one == child for one, _ in visits)
        sentences[child] = f"{n} flagged visit{'s' if n > 1 else ''} left out"
    used = usable.unflagged(volumes)
    tables = [growth_table(used, source=source, left_out=sentences) for source in SOURCES]
    return pd.concat(tables, ignore_index=True)


def growth_models_of(usable: Usable) -> Tables:
    """Growth models of the cohort."""
    of = usable.inputs
    return {"growth_models": growth_models(usable.clean, of.facts, source=of.source)}


def centiles_of(usable: Usable) -> Tables:
    """Centile curves, and the centiles of the children."""
    curves, children = centile_tables(usable.clean, usable.inputs.facts, source=usable.inputs.source)
    return {"centiles": curves, "child_centiles": children}


def groups_of(usable: Usable) -> Tables:
    """Comparison of groups."""
    return {"groups": group_table(usable.clean, usable.inputs.facts, source=usable.inputs.source)}


def matched_of(usable: Usable) -> Tables:
    """Cases matched to controls."""
    return matching_tables(usable.clean, usable.inputs.facts, source=usable.inputs.source)


def associations_of(usable: Usable) -> Tables:
    """Associations with scores, and the visits that they use."""
    rows, used = association_tables(usable.gathered)
    return {"associations": rows, "association_visits": used}


def models_of(usable: Usable) -> Tables:
    """Models of repeated visits."""
    parts = [repeated_table(usable.gathered), later_table(usable.gathered)]
    models = pd.concat([table.astype(object) for table in parts], ignore_index=True)
    return {"behaviour_models": with_notes(models, usable.notes)}


def measurement_of(usable: Usable) -> Tables:
    """Associations with the error of the volumes reckoned with."""
    table = measurement_table(usable.volumes, usable.gathered)
    return {"measurement_error": with_notes(table, usable.notes)}


def specifications_of(usable: Usable) -> Tables:
    """Every reasonable way of adjusting."""
    table = specification_table(usable.study(usable.volumes))
    return {"specifications": with_notes(table, usable.notes)}


AS_MEASURED = (sites_of, methods_of, raters_of, reliability_of, change_of, growth_of_parts, plausibility_of)
HARMONISED_IF_ASKED = (
    growth_of,
    growth_models_of,
    centiles_of,
    groups_of,
    matched_of,
    associations_of,
    models_of,
    measurement_of,
    specifications_of,
)
