"""Learning the digital infant: alignment, mean, curves; on small phantoms."""

import numpy as np
import pytest
import torch

from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume, save_labels
from babyseg_py.registration.velocity import Box
from babyseg_py.synthesis.digital_infant import load_model
from babyseg_py.synthesis.digital_infant_align import align, positions, to_index
from babyseg_py.synthesis.digital_infant_build import fit_curves, main, read_maps, save, volumes
from babyseg_py.synthesis.digital_infant_mean import mean_anatomy

SPACING = 4.0


def phantom(size_mm, shift_mm=(0.0, 0.0, 0.0)):
    """Return a brain of nested ellipsoids: white matter in cortex, left and right, on a 4 mm grid."""
    shape = (40, 46, 40)
    affine = np.diag([-SPACING, SPACING, SPACING, 1.0])
    affine[:3, 3] = SPACING * np.array([19.5, -22.5, -19.5])
    world = np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3] - shift_mm
    away = np.linalg.norm(world / (np.array(size_mm) / 2), axis=-1)
    left = world[..., 0] < 0
    data = np.where(away < 0.6, np.where(left, 2, 41), np.where(away < 1, np.where(left, 3, 42), 0))
    return Volume(data.astype(np.uint8), affine)


@pytest.fixture(scope="module")
def aligned():
    torch.manual_seed(0)
    maps = [
        phantom((100, 120, 96), (6, -4, 3)),
        phantom((124, 150, 118)),
        phantom((112, 136, 108), (0, 5, 0)),
    ]
    velocity_box = Box.around((148, 176, 146), 8.0)
    found = align(
        maps,
        size_mm=(112, 136, 108),
        velocity_box=velocity_box,
        schedule=((8.0, 0.0, 2, 10), (8.0, 12.0, 1, 5)),
        say=lambda line: None,
    )
    return maps, found, velocity_box


def test_alignment_brings_every_map_to_the_mean(aligned):
    maps, found, velocity_box = aligned
    box = Box.around((124, 148, 120), 4.0)
    stack = []
    for labels, one in zip(maps, found, strict=True):
        index = to_index(positions(one, box, velocity_box), labels.affine).round().long()
        inside = torch.stack([index[..., a].clamp(0, n - 1) for a, n in enumerate(labels.shape)])
        stack.append(labels.data[tuple(inside.numpy())] == 2)
    for other in stack[1:]:
        assert 2 * (stack[0] & other).sum() / (stack[0].sum() + other.sum()) > 0.85
    assert torch.stack([one.velocity for one in found]).mean(0).abs().max() < 1e-4


def test_scales_of_the_transforms_are_those_of_the_maps(aligned):
    _, found, _ = aligned
    scale = [float(torch.linalg.det(one.affine[:3, :3])) ** (1 / 3) for one in found]
    assert scale[1] / scale[0] == pytest.approx(np.cbrt(124 * 150 * 118 / (100 * 120 * 96)), rel=0.05)


def test_the_mean_of_nested_ellipsoids_is_nested(aligned):
    maps, found, velocity_box = aligned
    box = Box.around((124, 148, 120), 4.0)
    mean = mean_anatomy(maps, found, box, velocity_box)
    middle = tuple(n // 2 for n in box.shape)
    assert mean[middle[0] - 4, middle[1], middle[2]] == 2
    assert mean[middle[0] + 4, middle[1], middle[2]] == 41
    assert mean[middle[0] - 11, middle[1], middle[2]] == 3
    assert mean[0, 0, 0] == 0


BOTH = np.repeat(np.array([3, 42], np.uint8), 500).reshape(10, 10, 10)


def test_curves_find_the_growth_they_were_made_with():
    ages = np.array([1.0, 2, 4, 6, 9, 12, 24, 36])
    brain = 380e3 + 700e3 * (1 - np.exp(-ages / 6))
    grids = [Volume(BOTH, np.diag([*[np.cbrt(v / 1000)] * 3, 1])) for v in brain]
    curves = fit_curves(ages, grids)
    assert curves.tau_months == pytest.approx(6, rel=0.01)
    assert curves.at(0.0)[0] == pytest.approx(380e3, rel=0.01)
    total, each = curves.at(12.0)
    assert each[3] == each[42] == pytest.approx(total / 2)


def test_volumes_are_in_cubic_millimetres():
    labels = Volume(np.array([[[0, 2, 2], [17, 0, 0]]], np.uint8), np.diag([2.0, 1, 1, 1]))
    assert volumes(labels) == {2: 4.0, 17: 2.0}


def test_maps_are_read_with_their_ages(tmp_path):
    for name in ("age-34-38mo", "age-1mo", "age-2mo", "age-3mo", "age-12mo"):
        save_labels(phantom((80, 100, 80)), tmp_path / f"{name}_dseg.nii.gz")
    ages, maps = read_maps(tmp_path)
    assert ages.tolist() == [1, 2, 3, 12, 36]
    assert len(maps) == 5


def test_a_folder_without_maps_is_named(tmp_path, capsys):
    with pytest.raises(UnusableData, match="0 label maps"):
        read_maps(tmp_path)
    assert main([str(tmp_path), "-o", str(tmp_path / "x.npz")]) == 65
    assert "at least five" in capsys.readouterr().err


def test_a_model_survives_being_saved(tmp_path):
    model = load_model()
    save(model, tmp_path / "again.npz")
    again = load_model(tmp_path / "again.npz")
    np.testing.assert_array_equal(model.labels, again.labels)
    np.testing.assert_allclose(model.modes, again.modes, atol=1e-6)
    np.testing.assert_allclose(model.growth, again.growth, atol=1e-6)
    np.testing.assert_array_equal(model.offsets_mm, again.offsets_mm)
    assert [path.name for path in tmp_path.iterdir()] == ["again.npz"]
