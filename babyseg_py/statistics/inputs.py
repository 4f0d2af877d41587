"""What the cohort is analysed from, and what of it is used."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from babyseg_py.statistics.flags import flagged_scans, flagged_visits, without_flagged_structures
from babyseg_py.statistics.scorechecks import score_notes
from babyseg_py.statistics.scores import UNDECLARED, Declared, unusable
from babyseg_py.statistics.study import Gathered, Study, gather_cohort
from babyseg_py.statistics.visits import VISIT

NO_SCORES = pd.DataFrame({"participant_id": [], "session_id": []}, dtype=object)


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
    raters : pandas.DataFrame or None
        Table rater_volumes of the cohort; None where no session has two raters.
    shapes : Path or None
        Folder of the coefficients of the surfaces; None if there are none.
    declared : Declared
        What is said of columns of the score table.
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
    raters: pd.DataFrame | None = None
    shapes: Path | None = None
    declared: Declared = UNDECLARED

    @property
    def of_nobody(self) -> "Inputs":
        """The same without any visit, score or surface."""
        return replace(
            self,
            facts=self.facts.iloc[:0],
            volumes=self.volumes.iloc[:0],
            scans=self.scans.iloc[:0],
            phenotype=None,
            longitudinal=None if self.longitudinal is None else self.longitudinal.iloc[:0],
            parts=None if self.parts is None else self.parts.iloc[:0],
            raters=None if self.raters is None else self.raters.iloc[:0],
            shapes=None,
        )


@dataclass(frozen=True)
class Usable:
    """What of the inputs is used.

    Parameters
    ----------
    inputs : Inputs
        All that there is.
    volumes : pandas.DataFrame
        Volumes of all visits, without flagged structures.
    scans : pandas.DataFrame
        The same of single scans.
    visits_out : set of (participant_id, session_id)
        Flagged visits.
    scans_out : set of (participant_id, session_id, scan)
        Flagged scans.
    structures_out : int
        How many flagged structures of volumes there are.
    """

    inputs: Inputs
    volumes: pd.DataFrame
    scans: pd.DataFrame
    visits_out: set[tuple[str, str]]
    scans_out: set[tuple[str, str, str]]
    structures_out: int

    @cached_property
    def clean(self) -> pd.DataFrame:
        """Volumes of the visits that are not flagged."""
        return self.unflagged(self.volumes)

    @property
    def clean_scans(self) -> pd.DataFrame:
        """Volumes of the scans that are not flagged, in visits that are not flagged."""
        return self.scans[~self.flagged(self.scans)]

    def study(self, volumes: pd.DataFrame) -> Study:
        """Return these volumes with the scores and covariates; without a score table there are none."""
        of = self.inputs
        phenotype, scores, covariates = of.phenotype, of.scores, of.covariates
        if phenotype is None:
            phenotype, scores, covariates = NO_SCORES, [], []
        flagged = self.visits_out
        return Study(volumes, of.facts, phenotype, scores, covariates, flagged, of.source, of.declared)

    @cached_property
    def gathered(self) -> Gathered:
        """The volumes of all visits with scores and covariates, as most analyses of both begin."""
        return gather_cohort(self.study(self.volumes))

    @cached_property
    def notes(self) -> dict[str, list[str]]:
        """What looks wrong with each score and its covariates."""
        return score_notes(self.gathered.scores, self.gathered.covariates, self.gathered.cohort)

    @property
    def useless(self) -> list[str]:
        """Which covariates nothing can be adjusted for, and why."""
        cohort, covariates = self.gathered.cohort, self.gathered.covariates
        tables = {name: cohort.answers if name in cohort.answers else cohort.facts for name in covariates}
        why = {name: unusable(of[name], cohort.categories) for name, of in tables.items() if len(of)}
        return [f"not adjusted for {name}: {words}" for name, words in why.items() if words]

    @cached_property
    def of_nobody(self) -> "Usable":
        """The same without any visit: analyses of it have tables without rows."""
        return usable_of(self.inputs.of_nobody)

    def unflagged(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of visits that are not flagged."""
        return table[~pd.MultiIndex.from_frame(table[VISIT]).isin(list(self.visits_out))]

    def flagged(self, scans: pd.DataFrame) -> pd.Series:
        """Say of each row of a table of scans whether its scan or its visit is flagged."""
        keys = pd.MultiIndex.from_frame(scans[[*VISIT, "scan"]])
        bad = keys.isin(list(self.scans_out)) | keys.droplevel("scan").isin(list(self.visits_out))
        return pd.Series(bad, index=scans.index)


def usable_of(inputs: Inputs) -> Usable:
    """Leave out what is flagged."""
    volumes, structures_out = without_flagged_structures(inputs.volumes, inputs.qc)
    scans, _ = without_flagged_structures(inputs.scans, inputs.qc)
    flagged = flagged_visits(inputs.qc), flagged_scans(inputs.qc)
    return Usable(inputs, volumes, scans, *flagged, structures_out)
