"""Cohorts that grow along known centiles, for tests and benchmarks."""

import numpy as np
import pandas as pd

from babyseg_py.statistics.growthmodels import Visits
from babyseg_py.statistics.visits import visit_facts

SHAPE = 0.4


def true_volume(days, z):
    """Return the volume in mm³ with this z, of a structure that follows L, M and S exactly."""
    median, spread = _median_and_spread(days)
    return median * (1 + SHAPE * spread * np.asarray(z)) ** (1 / SHAPE)


def true_z(days, volumes):
    """Return the z of volumes; the inverse of `true_volume`."""
    median, spread = _median_and_spread(days)
    return ((volumes / median) ** SHAPE - 1) / (SHAPE * spread)


def _median_and_spread(days):
    months = np.asarray(days) / 30.4375
    return 22000 * (1 - 0.7 * np.exp(-months / 8)), 0.1 + 0.02 * np.exp(-months / 6)


def growing_visits(rng, n=200, *, visits=(1, 2, 3, 4), shared=0.8):
    """Draw visits between 1 and 27 months; z of two visits of one child correlate by ``shared``."""
    count = rng.choice(visits, n)
    child = np.repeat(np.arange(n), count)
    days = 30.4375 * rng.uniform(1, 27, len(child))
    own, new = rng.normal(size=n)[child], rng.normal(size=len(child))
    z = np.sqrt(shared) * own + np.sqrt(1 - shared) * new
    return Visits(days, true_volume(days, z), np.char.mod("%04d", child))


def growing_study(rng, n=60, *, reference="birth", **options):
    """Return facts and long volumes of such children, sessions in order of age."""
    data = growing_visits(rng, n, **options)
    table = pd.DataFrame({"participant_id": data.children, "age_days": data.days, "volume_mm3": data.volumes})
    table = table.sort_values(["participant_id", "age_days"], ignore_index=True)
    table["session_id"] = "v" + (table.groupby("participant_id").cumcount() + 1).astype(str)
    table = table.assign(age_reference=reference, sex=None, site=None, group=None)
    facts = visit_facts(table.to_dict("records"))
    long = table[["participant_id", "session_id", "volume_mm3"]].assign(structure="Brain-Stem")
    return facts, long.assign(volume_posterior_mm3=long["volume_mm3"])
