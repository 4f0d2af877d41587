"""Volumes, scores and covariates of a cohort, gathered as every analysis of them begins."""

from dataclasses import dataclass

import pandas as pd

from babyseg_py.statistics.sample import Cohort
from babyseg_py.statistics.scales import unlike_scales
from babyseg_py.statistics.scores import UNDECLARED, Declared, fill_constant, one_row_each, plain_ids
from babyseg_py.statistics.structures import volume_matrix
from babyseg_py.statistics.visits import VISIT, counted_as_asked

AGE_NAMES = {"age", "age_days", "age_months", "age_weeks_pma"}


@dataclass(frozen=True)
class Study:
    """What volumes are related to scores from.

    Parameters
    ----------
    volumes : pandas.DataFrame
        Long table of volumes of all visits.
    facts : pandas.DataFrame
        All visits of the samplesheet, from `babyseg_py.statistics.visits.visit_facts`.
    phenotype : pandas.DataFrame
        participant_id, session_id if the scores have one, scores and covariates; text.
    scores, covariates : list of str
        Columns of ``phenotype``; a covariate may also be sex, site or group of the samplesheet. Age at the
        visit is always a covariate where there are ages.
    flagged : set of (participant_id, session_id)
        Visits that are not used.
    source : str
        ``labels`` or ``posteriors``.
    declared : Declared
        What is said of columns of ``phenotype``.
    """

    volumes: pd.DataFrame
    facts: pd.DataFrame
    phenotype: pd.DataFrame
    scores: list[str]
    covariates: list[str]
    flagged: set[tuple[str, str]]
    source: str
    declared: Declared = UNDECLARED


@dataclass(frozen=True)
class Gathered:
    """A study as its analyses take it.

    Parameters
    ----------
    cohort : Cohort
        Visits, and scores and covariates with one row per child and session.
    matrix : pandas.DataFrame
        Volumes (mm³), a row per visit.
    scores, covariates : list of str
        Their names; age is not among the covariates unless the score table has it.
    source : str
        ``labels`` or ``posteriors``.
    """

    cohort: Cohort
    matrix: pd.DataFrame
    scores: list[str]
    covariates: list[str]
    source: str


def gather_cohort(study: Study) -> Gathered:
    """Bring volumes, scores and covariates together, ages counted from what a covariate asks for."""
    phenotype = study.phenotype
    matrix = volume_matrix(study.volumes, study.source)
    elsewhere = [name for name in study.covariates if name not in phenotype]
    facts, age_note = counted_as_asked(study.facts, elsewhere)
    covariates = [name for name in study.covariates if name in phenotype or name not in AGE_NAMES]
    own = [name for name in covariates if name in phenotype]
    wanted = list(dict.fromkeys([*VISIT, *study.scores, *own]))
    answers, contradicted = one_row_each(plain_ids(phenotype)[wanted])
    doubted = [name for name in study.scores if name not in study.declared.one_scale]
    found = {name: unlike_scales(answers, name) for name in doubted}
    cohort = Cohort(
        facts,
        matrix.index,
        study.flagged,
        fill_constant(answers, own),
        contradicted,
        categories=study.declared.categories,
        unlike_scales={name: one for name, one in found.items() if one},
        age_note=age_note,
    )
    return Gathered(cohort, matrix, study.scores, covariates, study.source)
