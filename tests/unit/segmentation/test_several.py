"""Several scans of one visit: order, agreement, and what each counts."""

import numpy as np
import pytest
import torch

from babyseg_py.images import Volume
from babyseg_py.segmentation.inference import Alone, certainty_of
from babyseg_py.segmentation.several import (
    SMALLEST_AGREEMENT,
    disagreeing,
    fingerprint,
    in_order_of_content,
    mean_dice,
)
from babyseg_py.segmentation.window import Scan


def scan(name: str, *, x: float = 0.0, value: float = 1.0) -> Scan:
    matrix = np.eye(4)
    matrix[0, 3] = x
    return Scan(name, Volume(np.full((2, 3, 4), value, dtype=np.float32), np.eye(4)), matrix)


def labels(shift: int = 0, seed: int = 3) -> np.ndarray:
    """Blocks of 21 structures, moved by some voxels."""
    blocks = np.random.default_rng(seed).integers(0, 22, (4, 5, 4)).astype(np.uint8)
    return np.roll(blocks.repeat(6, 0).repeat(6, 1).repeat(6, 2), shift, axis=1)


def alone_with(channels: np.ndarray, certainty: float) -> Alone:
    return Alone(*(torch.empty(0),) * 3, channels, certainty)


def test_order_is_that_of_content_and_place_whatever_the_names() -> None:
    scans = [scan("a", value=1), scan("b", value=2), scan("c", value=1, x=3)]
    places = [(one.volume.data.max(), one.matrix[0, 3]) for one in in_order_of_content(scans)]
    renamed = [scan("z", value=1, x=3), scan("y", value=2), scan("x", value=1)]
    assert [(one.volume.data.max(), one.matrix[0, 3]) for one in in_order_of_content(renamed)] == places


def test_fingerprint_follows_values_grid_and_place() -> None:
    base = scan("a").volume
    moved = Volume(base.data, np.diag([1.0, 1.0, 2.0, 1.0]))
    turned = Volume(base.data.reshape(4, 3, 2), base.affine)
    prints = {fingerprint(v) for v in (base, moved, turned, base.with_data(base.data + 1))}
    assert len(prints | {fingerprint(base, np.eye(4))}) == 5
    assert fingerprint(base) == fingerprint(Volume(np.asfortranarray(base.data), base.affine))


def test_mean_dice_is_that_of_each_structure() -> None:
    a, b = np.array([0, 1, 1, 2, 0], dtype=np.uint8), np.array([0, 1, 0, 2, 3], dtype=np.uint8)
    assert mean_dice(a, b) == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert mean_dice(a, a) == 1
    assert mean_dice(np.zeros(3, np.uint8), np.zeros(3, np.uint8)) == 0


def test_the_scan_that_lies_elsewhere_is_found_whichever_it_is() -> None:
    for bad in range(4):
        scans = [scan(str(i)) for i in range(4)]
        alone = [alone_with(labels(3 * (i == bad)), 0.9 if i == bad else 0.8) for i in range(4)]
        odd = disagreeing(scans, alone)
        assert odd is not None
        assert odd.name == str(bad)
        assert "do not agree" in odd.reason


def test_scans_that_agree_are_kept() -> None:
    alone = [alone_with(labels(), 0.9), alone_with(labels(1), 0.5)]
    assert mean_dice(alone[0].channels, alone[1].channels) > SMALLEST_AGREEMENT
    assert disagreeing([scan("a"), scan("b")], alone) is None
    assert disagreeing([scan("a")], alone[:1]) is None


@pytest.mark.parametrize(("certainty", "out"), [((0.9, 0.7), "b"), ((0.7, 0.9), "a"), ((0.88, 0.9), "b")])
def test_of_two_that_disagree_the_less_certain_goes(certainty, out) -> None:
    """With little between them the one along which the session is laid stays."""
    alone = [alone_with(labels(4 * i), c) for i, c in enumerate(certainty)]
    for scans in ([scan("a"), scan("b", x=2)], [scan("b", x=2), scan("a")]):
        odd = disagreeing(scans, alone if scans[0].name == "a" else alone[::-1])
        assert odd is not None
        assert odd.name == out


def test_a_scan_that_lacks_a_part_of_the_brain_is_found() -> None:
    """Its structures agree; of two scans the one that shows less goes, however certain the network is."""
    whole, part = np.ones((10, 10, 10), np.uint8), np.ones((10, 10, 10), np.uint8)
    part[7:] = 0
    assert mean_dice(whole, part) > SMALLEST_AGREEMENT
    for scans in ([scan("part"), scan("whole", x=2)], [scan("whole"), scan("part", x=2)]):
        alone = [alone_with(part, 0.9) if one.name == "part" else alone_with(whole, 0.7) for one in scans]
        odd = disagreeing(scans, alone)
        assert odd is not None
        assert odd.name == "part"


def test_certainty_is_that_of_what_is_labelled() -> None:
    posteriors = torch.tensor([[0.9, 0.2, 0.4], [0.1, 0.8, 0.6]])
    assert certainty_of(posteriors) == pytest.approx(0.7)
    assert certainty_of(posteriors[:, :1]) == 0
