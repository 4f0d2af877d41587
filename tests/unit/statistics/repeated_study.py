"""Children with scores at every visit, for tests and benchmarks."""

import numpy as np
import pandas as pd

from babyseg_py.statistics.study import Study, gather_cohort
from babyseg_py.statistics.visits import visit_facts


def repeated_study(rng, n=40, *, between=0.0, within=0.0, visits=(1, 2, 3, 4)):
    """Return facts, long volumes and scores; both follow age, by curves of unlike form.

    Between children the score rises by ``between`` for each cm³ of the left amygdala's child mean, within by
    ``within`` for each cm³ above it.
    """
    count = rng.choice(visits, n)
    child = np.repeat(np.arange(n), count)
    session = np.concatenate([np.arange(k) for k in count])
    days = 30 * np.array([1, 6, 14, 27])[session] + rng.uniform(-10, 10, len(child))
    growth = np.log1p(days / 30)
    volume = 1 + 0.5 * growth + 0.3 * rng.normal(size=n)[child] + 0.2 * rng.normal(size=len(child))
    mean = pd.Series(volume).groupby(child).transform("mean").to_numpy()
    score = 20 + 6 * growth**1.3 + rng.normal(size=n)[child] + rng.normal(size=len(child))
    score += between * mean + within * (volume - mean)
    ids = [f"{i:03d}" for i in child]
    sessions = [f"v{k + 1}" for k in session]
    keys = {"participant_id": ids, "session_id": sessions}
    facts = visit_facts(
        pd.DataFrame(
            keys | {"age_days": days, "age_reference": "birth", "sex": np.array(["F", "M"])[child % 2]}
        )
        .assign(site=None, group=None)
        .to_dict("records")
    )
    values = {
        "Left-Amygdala": 1000 * volume,
        "Right-Amygdala": 1000 + 300 * growth + 100 * rng.normal(size=len(child)),
        "Total-Brain-Volume": 4e5 + 2e5 * growth + 2e4 * rng.normal(size=len(child)),
    }
    frames = [
        pd.DataFrame(keys).assign(structure=name, volume_mm3=v, volume_posterior_mm3=v)
        for name, v in values.items()
    ]
    phenotype = pd.DataFrame(
        keys | {"score": score.astype(str), "epds": rng.integers(0, 9, len(child)).astype(str)}
    )
    return facts, pd.concat(frames, ignore_index=True).merge(facts), phenotype.astype(object)


def repeated_cohort(rng, n=40, *, covariates=(), **options):
    """Return a cohort as the models of repeated visits take it."""
    facts, volumes, phenotype = repeated_study(rng, n, **options)
    return gather_cohort(Study(volumes, facts, phenotype, ["score"], list(covariates), set(), "labels"))
