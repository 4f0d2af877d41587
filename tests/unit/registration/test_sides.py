"""Left and right exchanged between visits of a child."""

import numpy as np
import pytest

from babyseg_py.images import Volume
from babyseg_py.images.geometry import reorient
from babyseg_py.labels import LABELS
from babyseg_py.labels.merge import merge_labels
from babyseg_py.registration.sides import compare_sides, mirror_image, odd_ones
from babyseg_py.synthesis.digital_infant import draw_child, grow, load_model
from babyseg_py.synthesis.digital_infant_images import Scan as Plan
from babyseg_py.synthesis.digital_infant_images import label_scan, make_scene, take_scan


def labels_of(child: int, months: float) -> Volume:
    model = load_model()
    anatomy = grow(model, draw_child(model, np.random.default_rng(child)), months, spacing_mm=2.0)
    scene = make_scene(anatomy, months, np.random.default_rng(0), with_head=False)
    plan = Plan("T1w", (2.0, 2.0, 2.0))
    truth = label_scan(anatomy, plan, take_scan(scene, plan))
    return truth.with_data(merge_labels(truth.data, truth.affine))


def with_sides_exchanged(labels: Volume) -> Volume:
    """Return what a segmentation gives of a scan whose header calls left right."""
    upright = reorient(labels, "RAS")
    return upright.with_data(np.ascontiguousarray(mirror_image(upright.data)))


@pytest.fixture(scope="module")
def visits() -> tuple[Volume, Volume]:
    return labels_of(1, 5.0), labels_of(1, 14.0)


def test_visits_of_a_child_fit_as_they_are(visits) -> None:
    fit = compare_sides(*visits)
    assert not fit.exchanged
    assert fit.direct > fit.mirrored + 0.02


@pytest.mark.parametrize("place", [0, 1])
def test_a_flipped_header_is_found_in_either_visit(visits, place) -> None:
    pair = list(visits)
    pair[place] = with_sides_exchanged(pair[place])
    fit = compare_sides(*pair)
    assert fit.exchanged
    assert fit.mirrored > fit.direct + 0.02


def test_visits_of_different_children_say_nothing() -> None:
    assert not compare_sides(labels_of(1, 5.0), labels_of(2, 5.0)).exchanged


def test_mirror_image_twice_is_the_same() -> None:
    labels = np.random.default_rng(0).choice(LABELS, size=(5, 4, 3)).astype(np.int32)
    np.testing.assert_array_equal(mirror_image(mirror_image(labels)), labels)
    assert mirror_image(np.array([[[2]], [[0]]]))[1, 0, 0] == 41


@pytest.mark.parametrize(
    ("pairs", "visits", "odd"),
    [
        ([(0, 1, False), (1, 2, False)], 3, []),
        ([(0, 1, True), (1, 2, True)], 3, [1]),
        ([(0, 1, True), (1, 2, False)], 3, [0]),
        ([(0, 1, True)], 2, [0, 1]),
        ([(0, 1, False), (1, 2, True), (2, 3, True)], 4, [2]),
    ],
)
def test_the_smaller_party_is_odd(pairs, visits, odd) -> None:
    assert odd_ones(pairs, visits) == odd
