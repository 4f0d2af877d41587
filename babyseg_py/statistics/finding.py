"""The main finding: the clearest association in the way that is declared before anything is seen."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from babyseg_py.statistics.partial import false_discovery_rate
from babyseg_py.statistics.specifications import MAIN_ADJUSTMENT, main_adjustment


@dataclass(frozen=True)
class MainFamily:
    """The associations that the main finding is sought among.

    Parameters
    ----------
    tests : pandas.DataFrame
        Rows of the associations with an estimate, the clearest first, with p_all: p adjusted by Benjamini and
        Hochberg over all of them.
    declared : bool
        Whether they are those of the declared way of adjusting. If not, they are those of every way.
    """

    tests: pd.DataFrame
    declared: bool


def main_family(associations: pd.DataFrame, /) -> MainFamily:
    """Adjust p over all scores and structures in the declared way of adjusting for brain volume.

    That way is brain volume as a covariate (none for brain volume itself). Where no structure could be
    estimated in it, the family is all scores, structures and ways, so that the correction covers the choice.

    Parameters
    ----------
    associations : pandas.DataFrame
        From `babyseg_py.statistics.associations.association_tables`; it may be empty.
    """
    if associations.empty:
        return MainFamily(associations.assign(p_all=np.nan), declared=True)
    known = associations[associations["rho"].notna() & associations["p"].notna()]
    way = known["brain_volume_adjustment"]
    declared = bool((way == MAIN_ADJUSTMENT).any())
    tests = known[way == known["structure"].map(main_adjustment)] if declared else known
    adjusted = false_discovery_rate(tests["p"].to_numpy(float))
    return MainFamily(tests.assign(p_all=adjusted).sort_values("p", kind="stable"), declared)
