"""Children with both hippocampi as the step ``shape`` leaves them, in memory and on disk."""

import json

import numpy as np
import pandas as pd
from shape_study import body

from babyseg_py.statistics.shape import compare_shapes
from babyseg_py.statistics.study import Study
from babyseg_py.statistics.visits import visit_facts


def write_study(
    folder, *, bump_mm, children=24, seed=11, missing_right=(), brains=None, power=1 / 3, sd_mm=0.2, digits=2
):
    """Write the coefficients of children of groups A and B, in turn; return folder, facts and volumes.

    ``bump_mm`` is the height of the bump on the left of a child of group A and of group B, ``brains`` what
    the brain volumes are, in mm³, to whose ``power`` lengths of structures grow; ``sd_mm`` how much shapes
    vary beside, ``digits`` how long the names are.
    """
    rng = np.random.default_rng(seed)
    records, volumes = [], []
    for child in range(children):
        group = child % 2
        ids = {"participant_id": f"{child:0{digits}d}", "session_id": "A"}
        records.append(ids | {"age_days": 100.0 + child, "age_reference": "birth", "group": "AB"[group]})
        brain = 6e5 * rng.normal(1, 0.08) if brains is None else brains[child]
        volumes.append(ids | {"structure": "Total-Brain-Volume", "volume_mm3": brain})
        size = (brain / 6e5) ** power
        left = body(rng, "Hippocampus", bump_mm=bump_mm[group], sd_mm=sd_mm).terms() * size
        right = body(rng, "Hippocampus", right=True, sd_mm=sd_mm).terms() * size
        terms = {"Left-Hippocampus": left, "Right-Hippocampus": right}
        content = {name: {"terms": one.tolist(), "degree": 10} for name, one in terms.items()}
        if child in missing_right:
            content["Right-Hippocampus"] = {"problem": "has 2 handles that could not be mended"}
        content["Left-Caudate"] = {"problem": "is not in the segmentation"}
        path = folder / f"sub-{ids['participant_id']}_ses-A_space-session_desc-spharm_shape.json"
        path.write_text(json.dumps(ids | {"structures": content}))
    return folder, visit_facts(records), pd.DataFrame(volumes)


def shapes_of(study, **changes):
    """Compare the shapes of a study."""
    folder, facts, volumes = study
    nobody = pd.DataFrame({"participant_id": [], "session_id": []}, dtype=object)
    chosen = {"phenotype": nobody, "scores": [], "shapes": folder} | changes
    phenotype, shapes, scores = chosen["phenotype"], chosen["shapes"], chosen["scores"]
    return compare_shapes(Study(volumes, facts, phenotype, scores, [], set(), "labels"), shapes)


def scores_of(**columns):
    """Make a score table of children 00, 01, … from lists of numbers."""
    count = len(next(iter(columns.values())))
    table = pd.DataFrame({"participant_id": [f"{n:02d}" for n in range(count)], "session_id": None})
    return table.astype(object).assign(**{name: [str(v) for v in one] for name, one in columns.items()})
