"""Images from a label map: made again from their parameters, as a recipe has them, and refused in words."""

import json

import numpy as np
import pytest

from babyseg_py.cli import main
from babyseg_py.images import Volume, load_image, load_labels, save_image, save_labels
from babyseg_py.synthesis.labelbank_build import describe_map, make_bank
from babyseg_py.synthesis.plausible import implausible
from babyseg_py.synthesis.randomise import draw_params
from babyseg_py.synthesis.ranges import Ranges
from babyseg_py.training.recipe import read_recipe, shipped_recipes

NETWORK = "{classes: 22, encoder: [4], decoder: [4], head: [4]}"


def phantom(shrink=1.0) -> Volume:
    """Draw two hemispheres of 2 mm voxels, with white matter, ventricles and thalami."""
    shape = (30, 36, 28)
    centre = (np.array(shape) - 1) / 2
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1) - centre
    radius = np.linalg.norm(grid / (centre * 0.8 * shrink), axis=-1)
    labels = np.zeros(shape, dtype=np.int32)
    for limit, left, right in ((1, 3, 42), (0.75, 2, 41), (0.4, 10, 49), (0.2, 4, 43)):
        labels[radius < limit] = np.where(grid[..., 0] > 0, right, left)[radius < limit]
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -2 * centre
    return Volume(labels, affine)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Folder with a map, another one, and a recipe on a small window."""
    monkeypatch.chdir(tmp_path)
    save_labels(phantom(), "labels.nii.gz")
    save_labels(phantom(0.9), "other.nii.gz")
    synthesis = (
        "{grid: [32, 40, 32], brain_voxels: [20, 20], two_scans: 1, most_scans: 2, spikes: 1, growth: 1}"
    )
    recipe = f"bank: none.npz\nnetwork: {NETWORK}\nsynthesis: {synthesis}\n"
    (tmp_path / "mine.yaml").write_text(recipe)
    return tmp_path


def call(text):
    return main(["synthesize", *text.split()])


def changed(folder, change, **names):
    """Write parameters that were drawn, but for what a function or names change."""
    assert call("labels.nii.gz -o one.nii.gz --spacing 4 --params-out p.json") == 0
    params = json.loads((folder / "p.json").read_text()) | names
    change(params)
    (folder / "p.json").write_text(json.dumps(params))


def test_a_recipe_gives_all_scans_on_its_window_at_true_size(folder, capsys):
    words = "--labels-out l.nii.gz --params-out p.json"
    assert call(f"labels.nii.gz -o one.nii.gz --config mine.yaml {words}") == 0
    assert "growth of the recipe left out" in capsys.readouterr().err
    params = json.loads((folder / "p.json").read_text())
    assert [a["kind"] for a in params["scans"][0]["artefacts"]] == ["spikes"]
    first, second = load_image("one.nii.gz"), load_image("one_scan-2.nii.gz")
    assert first.shape == second.shape == (32, 40, 32)
    assert not np.array_equal(first.data, second.data)
    volumes = [
        np.count_nonzero(m.data) * m.voxel_volume_mm3 for m in map(load_labels, ("l.nii.gz", "labels.nii.gz"))
    ]
    assert volumes[0] == pytest.approx(volumes[1], rel=0.35)
    assert call("labels.nii.gz -o again.nii.gz --params p.json") == 0
    assert np.array_equal(second.data, load_image("again_scan-2.nii.gz").data)
    assert np.array_equal(first.affine, load_image("again.nii.gz").affine)


def test_a_recipe_on_other_voxels(folder):
    assert call("labels.nii.gz -o one.nii.gz --config mine.yaml --spacing 4") == 0
    assert load_image("one.nii.gz").spacing_mm == pytest.approx([4, 4, 4])


def test_a_further_scan_is_not_written_over_what_is_read(folder, capsys):
    save_labels(phantom(), "one_scan-2.nii.gz")
    assert call("one_scan-2.nii.gz -o one.nii.gz --config mine.yaml") == 2
    assert "is an input" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["--config mine.yaml", "--spacing 2"])
def test_parameters_have_all(folder, words, capsys):
    changed(folder, dict)
    assert call(f"labels.nii.gz -o new.nii.gz --params p.json {words}") == 2
    assert "does not go with --params" in capsys.readouterr().err


def test_parameters_of_another_map_are_refused_by_name(folder, capsys):
    changed(folder, dict)
    assert call("other.nii.gz -o new.nii.gz --params p.json") == 65
    assert "label map labels.nii.gz, which other.nii.gz is not" in capsys.readouterr().err
    changed(folder, lambda params: params.pop("maps"))
    assert call("other.nii.gz -o new.nii.gz --params p.json") == 0
    assert "does not tell its label map" in capsys.readouterr().err


def test_parameters_of_a_training_are_made_again_from_the_map_alone(folder, capsys):
    """Whatever place the map has in the bank, and whatever else is in it; several maps are named."""
    maps = {"adult": phantom(0.9), "age-3mo": phantom(), "age-9mo": phantom(0.8)}
    bank = make_bank([describe_map(m, name=name, age_months=None) for name, m in maps.items()])
    ranges = Ranges.from_dict({"grid": [32, 40, 32], "brain_voxels": [20, 20]})
    drawn = (draw_params(np.random.default_rng(seed), bank, ranges) for seed in range(100))
    params = next(params for params in drawn if params["map"] == 1)
    (folder / "p.json").write_text(json.dumps(params))
    assert call("labels.nii.gz -o one.nii.gz --params p.json --params-out q.json") == 0
    assert call("labels.nii.gz -o two.nii.gz --params q.json") == 0
    assert np.array_equal(load_image("one.nii.gz").data, load_image("two.nii.gz").data)
    assert load_image("one.nii.gz").spacing_mm[0] == pytest.approx(bank.maps[1].size_mm / 20)
    graft = {"graft": {"map": 2, "gap_mm": 1.0, "thinner": 1.0}}
    params["maps"]["2"] = {"name": bank.maps[2].name, "checksum": bank.checksum(2)}
    (folder / "p.json").write_text(json.dumps(params | graft))
    assert call("labels.nii.gz -o new.nii.gz --params p.json") == 65
    assert "a bank with the label maps age-3mo, age-9mo" in capsys.readouterr().err


FAULTS = [
    (("anatomy", "brain_voxels"), 0),
    (("scans", 0, "thickness"), 0),
    (("scans", 0, "bias_voxels"), 0),
    (("scans", 0, "bias_voxels"), 1e-9),
    (("scans", 0, "noise"), float("nan")),
    (("scans", 0, "gamma"), -1),
    (("scans", 0, "means"), [0.5, "bright"]),
    (("grid",), [0, 0, 0]),
    (("grid",), [4.5, 8, 8]),
    (("map",), -1),
    (("scans",), []),
    (("anatomy",), None),
    (("scans", 0, "means"), [0.5]),
]


@pytest.mark.parametrize(("place", "value"), FAULTS)
def test_parameters_that_describe_nothing(folder, place, value, capsys):
    def change(params):
        for name in place[:-1]:
            params = params[name]
        params[place[-1]] = value

    changed(folder, change)
    capsys.readouterr()
    assert call("labels.nii.gz -o new.nii.gz --params p.json") == 65
    assert "give a file of --params-out" in capsys.readouterr().err
    assert not (folder / "new.nii.gz").exists()


def test_what_recipes_draw_is_plausible():
    """No limit is narrower than what the package's recipes draw."""
    bank = make_bank([describe_map(phantom(), name=name, age_months=6.0) for name in "ab"])
    everything = {"two_scans": 1, "lesions": 1, "split": 1, "shared": 1, "gibbs": 1, "spikes": 1, "lines": 1}
    everything |= {
        "dropout": 1,
        "bitten": 1,
        "hair": 1,
        "misregistered": 1,
        "low_resolution": 1,
        "white_gain": 1,
    }
    for ranges in [
        Ranges.from_dict(everything),
        *(read_recipe(name).synthesis for name in shipped_recipes()),
    ]:
        for seed in range(20):
            assert implausible(draw_params(np.random.default_rng(seed), bank, ranges), 2) is None


def test_too_many_voxels_are_told_as_memory(folder, capsys):
    changed(folder, dict, grid=[4096, 4096, 4096])
    assert call("labels.nii.gz -o new.nii.gz --params p.json") == 65
    assert "GB of memory" in capsys.readouterr().err
    save_labels(Volume(phantom().data, np.diag([3.0, 3.0, 3.0, 1.0]) @ phantom().affine), "large.nii.gz")
    assert call("large.nii.gz -o new.nii.gz --spacing .1") == 65
    assert "give a larger --spacing" in capsys.readouterr().err


def test_maps_are_checked_as_for_training(folder, capsys):
    image = Volume((phantom().data * 37 % 1999).astype(np.int16), phantom().affine)
    save_image(image, "t1w.nii.gz")
    save_labels(Volume(phantom().data[::-1].copy(), phantom().affine), "mirrored.nii.gz")
    odd = phantom().data.copy()
    odd[odd == 10] = 1234567
    save_labels(Volume(odd, phantom().affine), "odd.nii.gz")
    for name, words in {
        "t1w": "known labels|are unknown",
        "mirrored": "left and right are exchanged",
        "odd": "labels 1234567 are unknown",
    }.items():
        assert call(f"{name}.nii.gz -o new.nii.gz") == 65
        told = capsys.readouterr().err
        assert any(word in told for word in words.split("|"))
    assert not (folder / "new.nii.gz").exists()
