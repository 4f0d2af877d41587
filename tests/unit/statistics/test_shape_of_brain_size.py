"""Brain size is no difference of shape: it is scaled away, and its logarithm takes the rest."""

import numpy as np
import pytest
from cohort_of_shapes import scores_of, shapes_of, write_study

from babyseg_py.morphometry.alignment import align_all, icosphere
from babyseg_py.morphometry.spharm import basis
from babyseg_py.statistics.descriptions import read_descriptions
from babyseg_py.statistics.surfaces import ALIKE, LEVEL, vertex_map

GROUP = np.arange(24) % 2


@pytest.fixture(params=[1 / 3, 1 / 2], ids=["in proportion", "more than in proportion"])
def sized(request, tmp_path):
    """Write children of two groups, larger brains in group B, whose structures follow the brain's size."""
    rng = np.random.default_rng(4)
    brains = 6e5 * np.exp(0.15 * GROUP + rng.normal(0, 0.08, len(GROUP)))
    study = write_study(tmp_path, bump_mm=(0, 0), brains=brains, power=request.param, sd_mm=0.1, seed=1)
    return study, brains, request.param


def unadjusted(study):
    """Compare left hippocampi of the groups as they are, neither scaled nor with a covariate."""
    terms = [one.terms("Hippocampus", "left")[0] for one in read_descriptions(study[0]).values()]
    points = np.einsum("vk,nkc->nvc", basis(icosphere(LEVEL)[0], 10), align_all(terms))
    return vertex_map(points, GROUP.astype(float), np.zeros((len(GROUP), 0)))


def test_brains_of_other_size_have_no_other_shape(sized):
    study, brains, _ = sized
    iq = 100 * np.log(brains) + np.random.default_rng(5).normal(0, 4, len(brains))
    table = shapes_of(study, phenotype=scores_of(iq=iq), scores=["iq"]).tables["shape"]
    compared = table[table["p_max"].notna() & (table["kind"] != "asymmetry")]
    assert sorted(set(compared["contrast"])) == ["B - A", "iq"]
    assert len(compared) == 6
    assert (compared["p_max"] > 0.05).all()
    assert unadjusted(study).p.min() < 0.001


def test_nothing_is_compared_where_surfaces_differ_by_nothing_but_rounding(tmp_path):
    brains = 6e5 * np.exp(0.15 * GROUP + np.random.default_rng(4).normal(0, 0.08, len(GROUP)))
    table = shapes_of(write_study(tmp_path, bump_mm=(0, 0), brains=brains, sd_mm=0.0)).tables["shape"]
    hippocampi = table[table["structure"].str.endswith("Hippocampus")]
    assert len(hippocampi) == 4
    assert hippocampi["notes"].str.startswith(ALIKE).all()
    assert table["p_max"].isna().all()


def test_the_covariate_takes_out_what_scaling_leaves(sized):
    study, brains, power = sized
    aligned = {one.side: one for one in shapes_of(study).maps}["left"]
    assert aligned.contrast.design[:, -1] == pytest.approx(np.log(brains))
    terms = [
        one.terms("Hippocampus", "left")[0] * (brain / 6e5) ** (-1 / 3)
        for one, brain in zip(read_descriptions(study[0]).values(), brains, strict=True)
    ]
    points = np.einsum("vk,nkc->nvc", basis(icosphere(LEVEL)[0], 10), align_all(terms))
    left = vertex_map(points, GROUP.astype(float), np.zeros((len(GROUP), 0)))
    assert (left.p.min() < 0.01) == (power > 1 / 3)
