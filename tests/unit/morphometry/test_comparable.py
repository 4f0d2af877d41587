"""Label maps brought to one numbering and one grid."""

import numpy as np
import pytest

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume
from babyseg_py.images.geometry import reorient
from babyseg_py.morphometry.comparable import on_one_grid, standard_labels


def _blob(oblique_affine, label=2):
    data = np.zeros((14, 13, 12), dtype=np.int32)
    data[4:10, 3:9, 4:8] = label
    data[4:6, 3:5, 4:6] = 3
    return Volume(data, oblique_affine)


def test_merged_map_is_left_alone(oblique_affine):
    blob = _blob(oblique_affine)
    assert standard_labels(blob, "f") == (blob, [])


def test_fuller_map_is_merged_and_what_is_unknown_is_named(oblique_affine):
    blob = _blob(oblique_affine)
    blob.data[0, 0, :3] = 5, 999, 251
    found, unknown = standard_labels(blob, "f")
    assert unknown == [999]
    assert found.data[0, 0, :3].tolist() == [4, 0, 2]


@pytest.mark.parametrize("numbers", [range(6000, 6050), [999]])
def test_maps_of_another_kind(numbers):
    data = np.resize(list(numbers), (5, 5, 5))
    with pytest.raises(UnusableData, match="FreeSurfer"):
        standard_labels(Volume(data, np.eye(4)), "f")


def test_same_grid_is_kept(oblique_affine):
    blob = _blob(oblique_affine)
    pair = on_one_grid(blob, _blob(oblique_affine), "f")
    assert not pair.resampled
    np.testing.assert_array_equal(pair.candidate.data, blob.data)


def test_other_axes_of_the_same_voxels(oblique_affine):
    blob = _blob(oblique_affine)
    pair = on_one_grid(blob, reorient(blob, "LIA"), "f")
    assert pair.resampled
    np.testing.assert_array_equal(pair.candidate.data, pair.reference.data)


def test_labels_outside_of_a_tight_reference_are_not_lost(oblique_affine):
    blob = _blob(oblique_affine)
    affine = oblique_affine.copy()
    affine[:3, 3] += affine[:3, :3] @ (4, 3, 4)
    tight = Volume(blob.data[4:10, 3:9, 4:8], affine)
    larger = Volume(blob.data.copy(), oblique_affine)
    larger.data[11, 3:6, 4:8] = 41
    pair = on_one_grid(tight, larger, "f")
    assert np.count_nonzero(pair.reference.data) == np.count_nonzero(tight.data)
    assert np.count_nonzero(pair.candidate.data == 41) == 12
    inside = pair.reference.data > 0
    np.testing.assert_array_equal(pair.candidate.data[inside], pair.reference.data[inside])


def test_matrix_between_the_worlds(oblique_affine):
    blob = _blob(oblique_affine)
    matrix = np.eye(4)
    matrix[:3, 3] = (30.0, -20.0, 50.0)
    away = Volume(blob.data, matrix @ oblique_affine)
    pair = on_one_grid(blob, away, "f", world_matrix=matrix)
    assert (pair.candidate.data != 0).sum() == (blob.data != 0).sum()
    same = pair.reference.data == pair.candidate.data
    assert same.all()


@pytest.mark.parametrize("empty", [0, 1])
def test_empty_map_is_compared_like_any_other(oblique_affine, empty):
    blob = _blob(oblique_affine)
    nothing = reorient(Volume(np.zeros_like(blob.data), oblique_affine), "LIA")
    pair = (blob, nothing)
    found = on_one_grid(pair[empty], pair[1 - empty], "f")
    assert found.reference.shape == found.candidate.shape
    assert found.reference.data.any() != found.candidate.data.any()


def test_different_parts_of_the_world(oblique_affine):
    blob = _blob(oblique_affine)
    affine = oblique_affine.copy()
    affine[0, 3] += 100
    with pytest.raises(UnusableData, match="same part of the world"):
        on_one_grid(blob, Volume(blob.data, affine), "f")
