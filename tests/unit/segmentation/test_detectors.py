"""Each fault is planted in a crude brain, and its detector finds it; the brain as it is has no flag."""

import numpy as np
import pytest
import torch
from crude_brain import CENTRE, SHAPE, VOXEL_MM, brain, scan, window
from nibabel.affines import from_matvec
from nibabel.eulerangles import euler2mat
from scipy import ndimage

from babyseg_py.cohort.ledger import closing_lines, make_ledger, read_outcomes
from babyseg_py.images import Volume
from babyseg_py.images.geometry import reorient
from babyseg_py.segmentation.cut import flat_face
from babyseg_py.segmentation.detectors import LIMITS, MESSAGES, detect, detect_visit
from babyseg_py.segmentation.outputs import write_quality
from babyseg_py.segmentation.posteriors import Posteriors
from babyseg_py.segmentation.sampling import Segmentation
from babyseg_py.segmentation.visit import VisitResult
from babyseg_py.segmentation.window import Scan, Window


def flagged(labels, scans=None, place=None) -> set[str]:
    rows = detect(labels, place or window(), [scan(labels)] if scans is None else scans)
    assert {row.metric for row in rows} == set(LIMITS)
    assert all((row.scan, row.structure) == ("n/a", "n/a") for row in rows)
    return {row.metric for row in rows if row.flag}


def test_a_sound_brain_has_no_flag() -> None:
    assert flagged(brain()) == set()


def test_a_correction_is_measured_in_place_of_what_the_network_made() -> None:
    """Noise of the network under a sound brain is not held against it; nor does a sound one excuse noise."""
    truth = brain()
    noise = np.random.default_rng(4).permutation(truth.ravel()).reshape(SHAPE)
    numbers = sorted(map(int, np.unique(truth)))
    for network, corrected in ((noise, truth), (truth, noise)):
        channels = torch.from_numpy(np.stack([network == n for n in numbers])).float()
        volume = reorient(Volume(corrected, window().affine), "LPI")
        made = Segmentation(volume, volume.with_data(np.zeros(volume.shape, np.float32)), {})
        result = VisitResult(made, window(), Posteriors(channels), [scan(truth)])
        assert detect_visit(result, numbers) == detect(network.astype(np.int32), window(), [scan(truth)])
        measured = detect_visit(result, numbers, volume)
        assert measured == detect(corrected.astype(np.int32), window(), [scan(truth)])
        assert any(one.flag for one in measured) == (corrected is noise)


def test_resolution_of_the_window_changes_nothing() -> None:
    """A window of half the voxel size, as the published recipe has it, is judged alike."""
    fine = brain().repeat(2, 0).repeat(2, 1).repeat(2, 2)
    place = Window(fine.shape, np.eye(3), VOXEL_MM / 2, window().centre_mm)
    before = {row.metric: row.value for row in detect(brain(), window(), [scan(brain())])}
    after = {row.metric: row.value for row in detect(fine, place, [scan(brain())])}
    assert after == pytest.approx(before, rel=0.1, abs=0.01)


@pytest.mark.parametrize("side", ["left", "right"])
def test_half_a_brain(side) -> None:
    labels = brain()
    half = slice(None, 37) if side == "left" else slice(38, None)
    labels[half] = 0
    assert {"length_to_width", "flat_face"} <= flagged(labels)


@pytest.mark.parametrize(
    ("axis", "factor", "metric"),
    [(2, 1.5, "height_to_width"), (1, 0.65, "length_to_width"), (0, 1.6, "height_to_width")],
)
def test_wrong_voxel_size_along_one_axis(axis, factor, metric) -> None:
    factors = np.ones(3)
    factors[axis] = factor
    assert metric in flagged(ndimage.zoom(brain(), factors, order=0))


@pytest.mark.parametrize("thickness_mm", [8, 12])
def test_skull_taken_for_cortex(thickness_mm) -> None:
    """A cap of skull and scalp over the vertex is labelled cortex."""
    labels = brain()
    distance = ndimage.distance_transform_edt(labels == 0, sampling=VOXEL_MM)
    upper = np.indices(SHAPE)[2] > CENTRE[2] + 12
    labels[(labels == 0) & (distance < thickness_mm) & upper] = 3
    assert "far_cortex_share" in flagged(labels)


def test_eyes_taken_for_cortex() -> None:
    """Two balls of 24 mm below the frontal lobes."""
    labels = brain()
    for label, x in ((3, 25), (42, 49)):
        place = np.array([x, 68, 24])
        near = ((np.indices(SHAPE) - place[:, None, None, None]) ** 2).sum(axis=0) <= (12 / VOXEL_MM) ** 2
        labels[near & (labels == 0)] = label
    assert "far_cortex_share" in flagged(labels)


@pytest.mark.parametrize(("axis", "keep"), [(2, slice(0, 52)), (0, slice(22, None)), (1, slice(0, 62))])
@pytest.mark.parametrize("by", ["mask", "mask within noise", "view"])
def test_cut_off(axis, keep, by, rng) -> None:
    """The image ends in zeros within its field of view, with or without noise around, or the view ends."""
    labels = brain()
    outside = np.ones(SHAPE, dtype=bool)
    part = [slice(None)] * 3
    part[axis] = keep
    outside[tuple(part)] = False
    labels[outside] = 0
    whole = scan(labels)
    if by == "mask within noise":
        noise = rng.uniform(1, 5, SHAPE).astype(np.float32)
        image = np.where(outside, 0, np.maximum(whole.volume.data, noise))
        whole = Scan("T1w", whole.volume.with_data(image), np.eye(4))
    if by == "view":
        start = np.zeros(3)
        start[axis] = keep.start or 0
        affine = whole.volume.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ start
        whole = Scan("T1w", Volume(whole.volume.data[tuple(part)] + 1, affine), np.eye(4))
    assert "flat_face" in flagged(labels, [whole])


def test_labels_that_end_in_a_plane_within_the_head_are_not_cut_off() -> None:
    """The image goes on beyond the plane: a smaller fault than a cut, and another one."""
    labels = brain()
    head = scan(labels)
    labels[:, :, 52:] = 0
    assert "flat_face" not in flagged(labels, [head])


def test_a_whole_scan_beside_a_cut_one_shows_what_is_missing() -> None:
    labels = brain()
    cut = labels.copy()
    cut[:, :, 52:] = 0
    assert flat_face(cut > 0, window(), [scan(cut)]) > 0.5
    assert flat_face(cut > 0, window(), [scan(cut), scan(labels)]) < 0.35


def test_a_cut_along_the_axes_of_an_oblique_scan() -> None:
    """The plane is one of the scan's grid, which lies askew in the window and is moved against it."""
    turn = euler2mat(0.3, -0.2, 0.25)
    middle = window().affine[:3, :3] @ CENTRE + window().affine[:3, 3]
    grid = from_matvec(turn * 1.2, middle - turn @ np.full(3, 60) * 1.2)
    moved = from_matvec(euler2mat(0, 0, 0.4), [5, -3, 2])
    to_window = np.linalg.inv(window().affine) @ grid
    image = ndimage.affine_transform(
        brain(), to_window[:3, :3], to_window[:3, 3], output_shape=(120, 120, 120), order=0
    )
    for keep, least, most in ((120, 0, 0.35), (72, 0.6, 2)):
        image[:, :, keep:] = 0
        back = np.linalg.inv(to_window)
        labels = ndimage.affine_transform(image, back[:3, :3], back[:3, 3], output_shape=SHAPE, order=0)
        one = Scan("T1w", Volume(image.astype(np.float32), moved @ grid), moved)
        assert least <= flat_face(labels > 0, window(), [one]) <= most


def ball(radius: float) -> np.ndarray:
    return ((np.indices(SHAPE) - CENTRE[:, None, None, None]) ** 2).sum(axis=0) <= radius**2


def test_a_phantom_with_structures_in_layers_is_no_brain() -> None:
    """All structures are there and of their sizes, but lie in slices one upon the other."""
    labels = np.zeros(SHAPE, dtype=np.uint16)
    inside = ball(30)
    order = np.sort(brain()[brain() > 0])
    labels[inside] = order[np.linspace(0, len(order) - 1, np.count_nonzero(inside)).astype(int)]
    assert "layout_misfit" in flagged(labels)


def test_a_uniform_ball_is_no_brain() -> None:
    """White matter within a thick layer of cortex, and nothing else."""
    labels = ball(30) * np.uint16(3)
    labels[ball(14)] = 2
    assert {"layout_misfit", "share_misfit", "far_cortex_share"} <= flagged(labels)


def test_noise_is_no_brain(rng) -> None:
    """Every voxel of a ball has a label drawn from those of a brain."""
    labels = np.zeros(SHAPE, dtype=np.uint16)
    labels[ball(30)] = rng.choice(brain()[brain() > 0], np.count_nonzero(ball(30)))
    assert "layout_misfit" in flagged(labels)


def test_a_knee_is_no_brain() -> None:
    """Two cylinders end to end, cortex without, white matter within, each with half of the structures."""
    x, y, z = (index - c for index, c in zip(np.indices(SHAPE), CENTRE, strict=True))
    leg = (x**2 + y**2 <= 20**2) & (np.abs(z) < 36)
    labels = np.where(leg, np.where(z < 0, 3, 42), 0).astype(np.uint16)
    labels[(x**2 + y**2 <= 15**2) & leg] = 2
    for number, label in enumerate((4, 10, 11, 17, 43, 49, 50, 53)):
        labels[leg & (x**2 + y**2 <= 49) & (np.abs(z + 28 - 8 * number) < 3)] = label
    assert {"layout_misfit", "height_to_width"} <= flagged(labels)


def test_hardly_any_label_is_flagged_and_no_crash() -> None:
    labels = np.zeros(SHAPE, dtype=np.uint16)
    assert flagged(labels) == set(LIMITS)
    labels[30, 30, 30] = 2
    assert "layout_misfit" in flagged(labels)


def test_a_flag_reaches_the_ledger_and_its_last_lines(tmp_path) -> None:
    labels = brain()
    labels[:, :, 52:] = 0
    table = tmp_path / "sub-1_ses-A_desc-segmentation_qc.tsv"
    write_quality(detect(labels, window(), [scan(labels)]), table)
    maps = [tmp_path / f"sub-1_ses-A_space-{space}_desc-babyseg_dseg.nii.gz" for space in ("session", "T1w")]
    record = {"visit_id": "sub-1_ses-A", "scan_id": "sub-1_ses-A_T1w", "suffix": "T1w", "run": None}
    record |= {"participant_id": "1", "session_id": "A"}
    entries = make_ledger([record], read_outcomes([], [table], maps))
    assert (entries[0].status, entries[0].step) == ("flagged", "segment")
    assert MESSAGES["flat_face"] in entries[0].reason
    assert closing_lines(entries) == ["1 rows: 0 ok, 1 flagged, 0 failed", "flagged at step: segment 1"]
