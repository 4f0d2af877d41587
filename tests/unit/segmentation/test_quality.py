"""Fragments and quality measures: planted faults are found, sound anatomy is left alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from babyseg_py.images import Volume
from babyseg_py.labels import LABELS, STRUCTURES
from babyseg_py.segmentation.calibration import Trust
from babyseg_py.segmentation.outputs import quality_frame
from babyseg_py.segmentation.postprocess import drop_fragments
from babyseg_py.segmentation.quality import measure_quality
from babyseg_py.segmentation.sampling import Segmentation


def certain(labels: np.ndarray) -> torch.Tensor:
    """Return posteriors of .9 for the given channels and the rest for the next channel."""
    posteriors = torch.full((len(LABELS), *labels.shape), 0.0)
    index = torch.from_numpy(labels).long()[None]
    posteriors.scatter_(0, index, 0.9)
    posteriors.scatter_(0, (index + 1) % len(LABELS), 0.1)
    return posteriors


def test_stray_island_becomes_background() -> None:
    """A blob far from the brain is removed, the brain stays."""
    labels = np.zeros((30, 30, 30), dtype=int)
    labels[5:15, 5:15, 5:15] = 2
    labels[25:27, 25:27, 25:27] = 2
    cleaned = drop_fragments(certain(labels), LABELS)
    best = cleaned.argmax(dim=0).numpy()
    assert np.all(best[25:27, 25:27, 25:27] == 0)
    assert np.all(best[5:15, 5:15, 5:15] == 2)
    assert torch.allclose(cleaned.sum(dim=0), torch.ones(30, 30, 30))


def test_fragment_within_the_brain_takes_the_next_label() -> None:
    """A crumb of thalamus within white matter takes its second most probable label."""
    thalamus = LABELS.index(10)
    labels = np.full((20, 20, 20), 1)
    labels[3:9, 3:9, 3:9] = thalamus
    labels[15, 15, 15] = thalamus
    best = drop_fragments(certain(labels), LABELS).argmax(dim=0).numpy()
    assert best[15, 15, 15] == thalamus + 1
    assert np.all(best[3:9, 3:9, 3:9] == thalamus)


def test_both_halves_of_a_broken_ventricle_stay() -> None:
    """A ventricle in two unequal parts is anatomy."""
    ventricle = LABELS.index(4)
    labels = np.full((24, 24, 24), 1)
    labels[2:12, 5:8, 5:8] = ventricle
    labels[15:18, 5:8, 5:7] = ventricle
    best = drop_fragments(certain(labels), LABELS).argmax(dim=0).numpy()
    assert np.array_equal(best == ventricle, labels == ventricle)


def infant(*, scale: float = 1.0, uncertainty: float = 0.1) -> Segmentation:
    """Return a crude brain of 22 boxes with the volumes of an infant of some months."""
    shares = {
        2: 0.17,
        3: 0.23,
        8: 0.05,
        10: 0.012,
        17: 0.006,
        18: 0.002,
        28: 0.006,
        11: 0.006,
        4: 0.008,
        169: 0.01,
    }
    pairs = {2: 41, 3: 42, 8: 47, 10: 49, 17: 53, 18: 54, 28: 60, 11: 50, 4: 43, 169: 176}
    data = np.zeros((100, 120, 100), dtype=np.uint16)
    total = 560_000
    flat = data[10:90, 10:110, 10:90].reshape(-1)
    cursor = 0
    for left, share in shares.items():
        for label in (left, pairs[left]):
            count = int(share * total)
            flat[cursor : cursor + count] = label
            cursor += count
    flat[cursor : cursor + 12_000] = 16
    data[10:90, 10:110, 10:90] = flat.reshape(80, 100, 80)
    affine = np.diag([scale, scale, scale, 1.0])
    volume = Volume(data, affine)
    return Segmentation(volume, volume.with_data(np.full(data.shape, uncertainty, dtype=np.float32)), {})


def flagged(result: Segmentation, **options) -> set[str]:
    return {m.metric for m in measure_quality(result, scan="n/a", **options) if m.flag}


def test_sound_brain_has_no_flag() -> None:
    """Nothing is flagged in a plausible segmentation, with and without its age."""
    assert flagged(infant()) == set()
    assert flagged(infant(), age_months=6) == set()


def test_a_limit_that_there_is_not_is_missing_in_the_table() -> None:
    """The volume of a structure is limited from below alone; infinity is no number of a table."""
    table = quality_frame(measure_quality(infant(), scan="n/a"))
    of = table[table["metric"] == "volume_mm3"]
    assert of["high"].isna().all()
    assert np.isfinite(of["low"]).all()
    assert not np.isinf(table[["value", "low", "high"]].to_numpy(float)).any()


def test_what_the_network_is_unsure_of_says_nothing_of_labels_drawn_by_hand() -> None:
    """Scores are n/a with the reason, and not flagged; what is wrong with the labels themselves is."""
    unsure = infant(uncertainty=0.5)
    assert flagged(unsure) == {"score"}
    assert flagged(unsure, manual=True) == set()
    table = quality_frame(measure_quality(unsure, scan="n/a", manual=True))
    scores = table[table["metric"] == "score"]
    assert len(scores) == 22
    assert scores["value"].isna().all()
    assert scores["message"].str.startswith("labels were corrected by hand").all()
    others = table[table["metric"] != "score"]
    assert others["value"].notna().all()
    assert (others["message"] == "n/a").all()
    assert "brain_ml" in flagged(infant(scale=0.5), manual=True)


def test_wrong_voxel_size_is_flagged() -> None:
    """Half and double the voxel size give impossible volumes."""
    assert "brain_ml" in flagged(infant(scale=0.5))
    assert "brain_ml" in flagged(infant(scale=2.0))


def test_age_narrows_what_is_plausible() -> None:
    """A volume that some child could have is flagged at birth."""
    assert "brain_ml" in flagged(infant(scale=1.1), age_months=0)
    assert "brain_ml" not in flagged(infant(scale=1.1))


def without(result: Segmentation, labels: set[int]) -> Segmentation:
    data = result.labels.data.copy()
    data[np.isin(data, list(labels))] = 0
    return Segmentation(result.labels.with_data(data), result.uncertainty, {})


def test_half_a_brain_is_flagged() -> None:
    """One hemisphere missing shows in the ratio of the sides."""
    right = {s.id for s in STRUCTURES if s.side == "right"}
    assert "left_right_ratio" in flagged(without(infant(), right))


def test_missing_cerebellum_and_stem_are_flagged() -> None:
    """A cerebrum-only mask shows in cerebellum and brain stem."""
    assert {"cerebellum_share", "brain_stem_ml", "volume_mm3"} <= flagged(without(infant(), {8, 47, 16}))


def test_uncertain_network_is_flagged() -> None:
    """A probability of .6 that labels are wrong everywhere shows in the scores."""
    assert "score" in flagged(infant(uncertainty=0.6))


def trust(*, hippocampus: float = 0.9, others: float = 0.9) -> Trust:
    """Return what a calibration might say: limits of .7 for a structure and .8 for the mean."""
    numbers = [s.id for s in STRUCTURES[1:]]
    dice = dict.fromkeys(numbers, others) | {17: hippocampus}
    ones = dict.fromkeys(numbers, 1.0)
    limits = dict.fromkeys(numbers, 0.7)
    return Trust(dice, ones, ones, np.zeros(len(LABELS)), np.ones(len(LABELS)), limits, 0.8)


def test_dice_is_predicted_of_the_brain_and_every_structure() -> None:
    rows = measure_quality(replace(infant(), trust=trust()), scan="T1w")
    predicted = {m.structure: m for m in rows if m.metric == "predicted_dice"}
    assert len(predicted) == len(STRUCTURES)
    assert predicted["n/a"].value == pytest.approx(0.9)
    assert (predicted["n/a"].low, predicted["Brain-Stem"].low) == (0.8, 0.7)
    assert not any(m.flag for m in rows)


def test_low_predicted_dice_is_flagged_where_it_is() -> None:
    one = measure_quality(replace(infant(), trust=trust(hippocampus=0.6)), scan="n/a")
    assert [(m.metric, m.structure) for m in one if m.flag] == [("predicted_dice", "Left-Hippocampus")]
    whole = measure_quality(replace(infant(), trust=trust(others=0.75)), scan="n/a")
    assert [(m.metric, m.structure) for m in whole if m.flag] == [("predicted_dice", "n/a")]
    unknown = measure_quality(replace(infant(), trust=trust(others=float("nan"))), scan="n/a")
    assert sum(m.flag for m in unknown) == len(STRUCTURES) - 1


def test_without_calibration_no_dice_is_predicted() -> None:
    assert "predicted_dice" not in {m.metric for m in measure_quality(infant(), scan="n/a")}


def test_brain_cut_by_the_image_is_flagged() -> None:
    """A brain that ends at the edge of the image is cut off."""
    result = infant()
    data = result.labels.data[:, :, 40:]
    cut = Segmentation(
        result.labels.with_data(data), result.uncertainty.with_data(result.uncertainty.data[:, :, 40:]), {}
    )
    assert "edge_share" in flagged(cut)


def test_empty_segmentation_is_flagged_not_a_crash() -> None:
    """No label at all: every measure of the whole brain is flagged."""
    volume = Volume(np.zeros((8, 9, 10), dtype=np.uint16), np.eye(4))
    rows = measure_quality(
        Segmentation(volume, volume.with_data(volume.data.astype(np.float32)), {}), scan="n/a"
    )
    assert {m.metric for m in rows if m.flag} >= {"brain_ml", "left_right_ratio", "score", "volume_mm3"}


@pytest.mark.parametrize("label", [17, 18])
def test_large_asymmetry_of_one_structure_is_flagged(label) -> None:
    """Left and right of one structure a factor of three apart."""
    result = infant()
    data = result.labels.data.copy()
    place = np.argwhere(data == label)
    drop = place[: len(place) * 2 // 3]
    data[tuple(drop.T)] = 2
    rows = measure_quality(Segmentation(result.labels.with_data(data), result.uncertainty, {}), scan="n/a")
    names = {m.structure for m in rows if m.flag and m.metric == "left_right_ratio"}
    assert names == {next(s.name for s in STRUCTURES if s.id == label)}


@pytest.mark.parametrize(("label", "keep"), [(17, 0.05), (49, 0.1), (16, 0.05), (8, 0.0)])
def test_structure_of_which_hardly_anything_is_left_is_missing(label, keep) -> None:
    """A few voxels of a large structure are more than 60 mm³, and it is missing all the same."""
    result = infant()
    place = np.argwhere(result.labels.data == label)
    data = result.labels.data.copy()
    data[tuple(place[int(keep * len(place)) :].T)] = 2
    rows = measure_quality(Segmentation(result.labels.with_data(data), result.uncertainty, {}), scan="n/a")
    missing = {m.structure for m in rows if m.flag and m.metric == "volume_mm3"}
    assert missing == {next(s.name for s in STRUCTURES if s.id == label)}
