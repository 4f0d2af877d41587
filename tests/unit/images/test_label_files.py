"""Reading and writing of label maps."""

import nibabel as nib
import numpy as np
import pytest
from written_image import write

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume, load_labels, save_labels


def test_labels_round_trip_in_the_smallest_type(tmp_path, rng, oblique_affine):
    for top, dtype in ((60, np.uint8), (1003, np.uint16), (70_000, np.uint32)):
        labels = rng.integers(0, top + 1, (7, 8, 9))
        labels[0, 0, 0] = top
        save_labels(Volume(labels, oblique_affine), tmp_path / "a.nii.gz")
        assert nib.load(tmp_path / "a.nii.gz").get_data_dtype() == dtype
        result = load_labels(tmp_path / "a.nii.gz")
        assert np.array_equal(result.data, labels)
        assert result.data.dtype == np.int32


def test_labels_stored_as_floats(tmp_path, oblique_affine):
    labels = np.zeros((3, 4, 5), np.float32)
    labels[1], labels[2] = 17, np.nan
    result = load_labels(write(tmp_path / "a.nii.gz", labels, oblique_affine))
    assert set(np.unique(result.data)) == {0, 17}


def test_empty_labels_are_fine(tmp_path, oblique_affine):
    save_labels(Volume(np.zeros((3, 4, 5), np.uint8), oblique_affine), tmp_path / "a.nii.gz")
    assert not load_labels(tmp_path / "a.nii.gz").data.any()


@pytest.mark.parametrize(
    ("value", "message"), [(0.5, "fractions"), (-2, "label numbers"), (np.inf, "label numbers")]
)
def test_what_is_no_label_map(tmp_path, data, oblique_affine, value, message):
    data[0, 0, 0] = value
    with pytest.raises(UnusableData, match=message):
        load_labels(write(tmp_path / "a.nii.gz", data, oblique_affine))


@pytest.mark.parametrize("value", [-1, 0.5])
def test_illegal_labels_are_not_written(tmp_path, oblique_affine, value):
    with pytest.raises(ValueError, match="label numbers"):
        save_labels(Volume(np.full((3, 4, 5), value), oblique_affine), tmp_path / "a.nii.gz")
