"""With the weights that the package ships: one head is segmented alike however it lies in its image."""

import numpy as np
import pytest
from nibabel.affines import apply_affine
from nibabel.eulerangles import euler2mat

from babyseg_py.images import Volume
from babyseg_py.images.geometry import crop_or_pad, reorient, resample
from babyseg_py.labels import LABELS, LEFT_RIGHT_PAIRS
from babyseg_py.labels.merge import merge_labels
from babyseg_py.models.default import default_weights
from babyseg_py.segmentation.inference import load_segmenter
from babyseg_py.segmentation.sampling import sample_posteriors
from babyseg_py.segmentation.visit import segment_visit
from babyseg_py.segmentation.window import Scan
from babyseg_py.synthesis.digital_infant import grow, load_model, mean_child
from babyseg_py.synthesis.digital_infant_images import Scan as Plan
from babyseg_py.synthesis.digital_infant_images import label_scan, make_scene, take_scan


@pytest.fixture(scope="module")
def segment():
    segmenter = load_segmenter(default_weights(), device="cpu")

    def run(image: Volume):
        return segment_visit(segmenter, [Scan("T1w", image, np.eye(4))], image.shape, image.affine)

    return run


@pytest.fixture(scope="module")
def infant():
    """Return a scan of a digital infant of one year without its head, and the true labels."""
    anatomy = grow(load_model(), mean_child(load_model()), 12.0, spacing_mm=1.5)
    scene = make_scene(anatomy, 12.0, np.random.default_rng(0), with_head=False)
    plan = Plan("T1w", (1.5, 1.5, 1.5))
    image = take_scan(scene, plan)
    truth = label_scan(anatomy, plan, image)
    return image, merge_labels(truth.data, truth.affine)


@pytest.fixture(scope="module")
def first(segment, infant):
    return segment(infant[0])


def mean_dice(a: np.ndarray, b: np.ndarray) -> float:
    pairs = [(a == label, b == label) for label in LABELS[1:]]
    return float(np.mean([2 * (x & y).sum() / (x.sum() + y.sum()) for x, y in pairs]))


def test_labels_are_those_of_the_head_and_left_is_left(first, infant) -> None:
    """Otherwise agreement would say nothing; with sides exchanged the truth fits badly."""
    labels = first.together.labels.data
    assert mean_dice(labels, infant[1]) > 0.75
    exchanged = labels.copy()
    for left, right in LEFT_RIGHT_PAIRS:
        exchanged[labels == left], exchanged[labels == right] = right, left
    assert mean_dice(exchanged, infant[1]) < 0.1


@pytest.mark.parametrize("axcodes", ["LIA", "PSR"])
def test_order_of_axes_changes_nothing(segment, infant, first, axcodes) -> None:
    other = segment(reorient(infant[0], axcodes)).together.labels
    expected = reorient(first.together.labels, axcodes)
    np.testing.assert_array_equal(other.data, expected.data)


@pytest.mark.parametrize(
    ("degrees", "mm"), [((0, 0, 0), (4.3, -2.1, 0.7)), ((8, -6, 12), (2, 3, 1)), ((0, 22, 0), (0, 0, 0))]
)
def test_a_turned_and_moved_head_has_the_same_labels(segment, infant, first, degrees, mm) -> None:
    image = infant[0]
    middle = apply_affine(image.affine, (np.array(image.shape) - 1) / 2)
    back = np.eye(4)
    back[:3, :3] = euler2mat(*np.radians(degrees))
    back[:3, 3] = middle - back[:3, :3] @ middle + mm
    wide = crop_or_pad(image, (-15, -15, -15), [side + 30 for side in image.shape])
    data = np.clip(resample(image, wide.shape, wide.affine, order=3, world_matrix=back).data, 0, None)
    data[data < 1e-3 * data.max()] = 0
    result = segment(Volume(data, wide.affine))
    place = np.linalg.inv(back)
    labels = sample_posteriors(
        result.posteriors, result.window, LABELS, image.shape, image.affine, to_session=place
    )
    assert mean_dice(labels.labels.data, first.together.labels.data) >= 0.98
