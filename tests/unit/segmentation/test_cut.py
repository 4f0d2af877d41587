"""How much of each structure a plane cut left, on a crude brain of which a known part is taken away."""

import numpy as np
import pytest
from crude_brain import brain, scan, window

from babyseg_py.segmentation.cut import shares_left


def without_the_lowest(layers: int) -> np.ndarray:
    labels = brain()
    labels[:, :, :layers] = 0
    return labels


def left(labels: np.ndarray) -> dict[int, float]:
    return shares_left(labels, window(), [scan(labels)])


def test_nothing_is_missing_from_a_whole_brain() -> None:
    assert left(brain()) == {}


@pytest.mark.parametrize("end", [55, 58, 60])
def test_share_of_the_caudate_that_a_cut_left(end) -> None:
    """Caudates are of their usual size here, so that the share that is found is nearly the true one."""
    cut, whole = brain(), brain()
    cut[:, end:] = 0
    found = left(cut)
    for label in (11, 50):
        truth = np.count_nonzero(cut == label) / np.count_nonzero(whole == label)
        assert found[label] == pytest.approx(truth, abs=0.06)


def test_shares_follow_what_is_left() -> None:
    """The structures that both cuts spare are the same, so that only the volumes count."""
    less, more = without_the_lowest(10), without_the_lowest(14)
    ratio = np.count_nonzero(more == 8) / np.count_nonzero(less == 8)
    assert left(more)[8] / left(less)[8] == pytest.approx(ratio, rel=0.03)


def test_deep_structures_far_from_the_cut_are_whole() -> None:
    assert not {10, 49, 11, 50, 169, 176} & set(left(without_the_lowest(14)))


def test_where_another_scan_goes_on_nothing_is_cut() -> None:
    cut = without_the_lowest(14)
    assert shares_left(cut, window(), [scan(cut), scan(brain())]) == {}


def test_a_smooth_brain_of_too_few_structures_tells_nothing() -> None:
    """What is left of a cut through all of it gives no size to compare with."""
    labels = brain()
    labels[np.isin(labels, (2, 3, 41, 42), invert=True)] = 0
    labels[:, :, :30] = 0
    assert left(labels) == {}


def test_no_labels() -> None:
    nothing = np.zeros_like(brain())
    assert shares_left(nothing, window(), [scan(brain())]) == {}
