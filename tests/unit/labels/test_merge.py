"""Merging of fuller label maps."""

import nibabel as nib
import numpy as np
import pytest

from babyseg_py.labels import LABELS
from babyseg_py.labels.merge import is_merged, merge_labels, unknown_labels

ROW = np.diag([-2.0, 1.0, 1.0, 1.0])  # the first axis runs to the left: low indices are on the right


def _merge(*numbers, affine=None):
    data = np.array(numbers).reshape(-1, 1, 1)
    return merge_labels(data, np.eye(4) if affine is None else affine).ravel().tolist()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        *[(label, label) for label in LABELS],
        *[(5, 4), (44, 43), (7, 8), (46, 47), (12, 169), (13, 169), (26, 169), (51, 176), (52, 176)],
        *[(58, 176), (170, 16), (9, 10), (48, 49), (173, 16), (174, 16), (175, 16), (19, 3), (20, 3)],
        *[(14, 0), (15, 0), (24, 0), (31, 0), (63, 0), (72, 0), (85, 0), (136, 0), (137, 0), (163, 0)],
        *[(164, 0), (165, 0), (258, 0), (259, 0), (502, 0), (530, 0)],
        *[(1000, 3), (1035, 3), (2000, 42), (2035, 42), (3012, 2), (4012, 41), (5001, 2), (5002, 41)],
        *[(11101, 3), (12175, 42)],
    ],
)
def test_numbers_that_are_renamed(before, after):
    assert _merge(before) == [after]
    assert unknown_labels(np.array(before).reshape(1, 1, 1)) == []


@pytest.mark.parametrize("label", [77, 80])
def test_abnormal_signal_goes_to_the_nearest_matter_of_either_side(label):
    assert _merge(42, label, 0, 41, label, 2, label, 3) == [42, 42, 0, 41, 41, 2, 2, 3]


@pytest.mark.parametrize(("label", "white", "cortex"), [(30, 2, 3), (25, 2, 3), (62, 41, 42), (57, 41, 42)])
def test_sided_numbers_stay_on_their_side(label, white, cortex):
    other = {2: 41, 41: 2}[white]
    assert _merge(white, 0, 0, label, other, cortex)[3] == cortex
    assert _merge(white, label, other, 0, 0, cortex)[1] == white
    assert _merge(other, label, other, other, 0, white)[1] == white


@pytest.mark.parametrize("label", [251, 252, 253, 254, 255])
def test_corpus_callosum_is_white_matter_of_the_nearer_side(label):
    assert _merge(3, label, 2, 0, label, 41) == [3, 2, 2, 0, 41, 41]


def test_vermis_goes_to_the_nearer_cerebellum():
    assert _merge(8, 172, 172, 172, 172, 46) == [8, 8, 8, 47, 47, 47]


def test_side_of_the_world_decides_at_equal_distance():
    affine = np.eye(4)
    affine[0, 3] = -1.5
    assert _merge(8, 172, 47, affine=affine)[1] == 8
    affine[0, 3] = -0.5
    assert _merge(8, 172, 47, affine=affine)[1] == 47


def test_side_of_the_world_decides_where_no_candidate_is():
    affine = ROW.copy()
    affine[0, 3] = 3.0  # world x = 3, 1, -1, -3
    assert _merge(172, 172, 172, 77, affine=affine) == [47, 47, 8, 2]
    assert _merge(62, 62, 30, 30) == [41, 41, 2, 2]


def test_distance_is_measured_in_the_world():
    data = np.zeros((3, 3, 1), dtype=int)
    data[1, 1] = 172
    data[0, 1] = 8  # one voxel away along a long axis
    data[2, 2] = 47  # further in voxels, nearer in mm
    affine = np.array([[0.2, 0, 0, 0], [3.0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert merge_labels(data, affine)[1, 1] == 8
    affine = np.array([[2.0, 0, 0, 0], [-1.0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert merge_labels(data, affine)[1, 1] == 47


def test_voxels_that_were_moved_attract_no_others():
    assert _merge(8, 172, 172, 172, 47, 47)[1:4] in ([8, 8, 47], [8, 47, 47])
    assert _merge(41, 251, 77, 0, 0, 0, 3)[2] == 41


def test_mirrored_map_gives_mirrored_labels(rng, oblique_affine):
    pairs = {2: 41, 3: 42, 8: 47, 25: 57, 30: 62, 77: 77, 172: 172, 251: 251, 0: 0}
    swap = np.zeros(256, dtype=int)
    for left, right in pairs.items():
        swap[[left, right]] = right, left
    data = rng.choice([*pairs, 41, 42, 47, 57, 62], size=(7, 8, 9))
    mirror = np.diag([-1.0, 1, 1, 1])
    there = merge_labels(data, oblique_affine)
    mirrored = merge_labels(swap[data], mirror @ oblique_affine)
    np.testing.assert_array_equal(swap[there], mirrored)


def test_unknown_numbers_become_background_and_are_named():
    data = np.array([2, 83, -7, 70000, 172, 1500]).reshape(1, 2, 3)
    assert unknown_labels(data) == [-7, 83, 70000]
    assert merge_labels(data, np.eye(4)).ravel().tolist()[:4] == [2, 0, 0, 0]


def test_a_number_beyond_all_conventions_leaves_the_others_alone():
    """65538 is 2 more than 16 bits hold."""
    data = np.array([2, 3, 65538, 65536 + 17, -65534, 17]).reshape(1, 2, 3)
    assert merge_labels(data, np.eye(4)).ravel().tolist() == [2, 3, 0, 0, 0, 17]


def test_merging_twice_changes_nothing_and_the_input_is_kept(rng, oblique_affine):
    data = rng.choice([0, 2, 3, 41, 42, 77, 172, 8, 47, 251], size=(7, 8, 9)).astype(np.uint16)
    before = data.copy()
    once = merge_labels(data, oblique_affine)
    np.testing.assert_array_equal(merge_labels(once, oblique_affine), once)
    np.testing.assert_array_equal(data, before)
    assert is_merged(once)
    assert not is_merged(data)
    assert once.dtype == np.int32


def test_whole_numbers_stored_as_floats_are_accepted():
    assert merge_labels(np.full((1, 1, 2), 170.0), np.eye(4)).ravel().tolist() == [16, 16]


@pytest.mark.parametrize("value", [1.5, np.nan, np.inf])
def test_illegal_values(value):
    with pytest.raises(ValueError, match="whole numbers"):
        merge_labels(np.full((1, 1, 1), value), np.eye(4))


@pytest.mark.parametrize(
    "name",
    [
        "labelmaps/infant/age-1mo_dseg.nii.gz",
        "labelmaps/infant/age-24mo_dseg.nii.gz",
        "labelmaps/adult_whole_head/adult-11_dseg.nii.gz",
        "adult_t1w/adult_dseg.nii.gz",
    ],
)
def test_real_maps(shared_data, name):
    image = nib.load(shared_data / name)
    data = np.asarray(image.dataobj)
    merged = merge_labels(data, image.affine)
    assert unknown_labels(data) == []
    assert is_merged(merged)
    assert set(np.unique(merged)) == set(LABELS)

    # Left structures lie on the left, and what is renamed keeps its number of voxels.
    for left, right in ((4, 43), (8, 47), (169, 176)):
        middles = [np.argwhere(merged == label).mean(axis=0) for label in (left, right)]
        x = [(image.affine @ [*middle, 1])[0] for middle in middles]
        assert x[0] + 5 < x[1]
    assert (merged == 169).sum() == np.isin(data, (12, 13, 26)).sum()
    cerebellum = np.isin(data, (7, 8, 46, 47, 172))
    assert np.isin(merged, (8, 47)).sum() == cerebellum.sum()
    if 172 in data:
        halves = [(merged[data == 172] == label).mean() for label in (8, 47)]
        assert min(halves) > 0.25
