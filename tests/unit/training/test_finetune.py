"""Corrected maps mend what is wrong, and nothing else gets worse."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from scipy.ndimage import binary_erosion

from babyseg_py.cli import main
from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume, save_labels
from babyseg_py.labels import LABELS
from babyseg_py.models.default import default_weights
from babyseg_py.models.groupnet import GroupNetConfig
from babyseg_py.models.weights import ModelInfo, Preprocessing, load_weights
from babyseg_py.synthesis.labelbank import LabelBank
from babyseg_py.synthesis.labelbank_build import describe_map, make_bank
from babyseg_py.training.export import export_weights
from babyseg_py.training.finetune import Job, Mixture, finetune_recipe, forgotten
from babyseg_py.training.loop import Trainer
from babyseg_py.training.losses import IGNORED, LOSSES, loss_where_known
from babyseg_py.training.pack import pack_label_maps
from babyseg_py.training.recipe import recipe_from_dict
from babyseg_py.training.samples import validation_visits

WHITE = (2, 41)
SETTINGS = {
    "steps": 60,
    "learning_rate": 5e-3,
    "warmup": 5,
    "ema": 0.9,
    "precision": "fp32",
    "validate_every": 60,
    "validation_samples": 6,
    "tensorboard": False,
    "ease_in": 2000,
    "decay": 0.25,
    "synthesis": {
        **{"grid": [16, 16, 16], "brain_voxels": [10, 12], "shift_voxels": 1, "polarised": False},
        **dict.fromkeys(("cerebrum_only", "two_scans", "grafted", "myelination"), 0),
        **dict.fromkeys(("open_sulci", "white_gain", "between", "growth"), 0),
    },
}


def biased(ball: Volume) -> Volume:
    """White matter too small by two voxels, the rest of it called cortex."""
    data = ball.data.copy()
    for white, cortex in zip(WHITE, (3, 42), strict=True):
        core = binary_erosion(np.isin(data, WHITE), iterations=3) & (data == white)
        data[(data == white) & ~core] = cortex
    return Volume(data, ball.affine)


def bank(volume: Volume, name: str) -> LabelBank:
    return make_bank([describe_map(volume, name=name, age_months=2.0)])


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump(SETTINGS))
    return path


def dice(weights, true_bank, recipe, labels) -> float:
    """Mean Dice of some labels on synthetic visits of the true map."""
    networks, _ = load_weights(weights)
    rows = []
    for _, images, target in validation_visits(true_bank, recipe):
        with torch.inference_mode():
            found = networks.segment(images[None])[0].argmax(dim=0)
        for channel in (LABELS.index(label) for label in labels):
            a, b = found == channel, target == channel
            rows.append(float(2 * (a & b).sum() / (a.sum() + b.sum())))
    return float(np.mean(rows))


def test_corrections_mend_their_structure_alone(ball, settings, tmp_path, one_thread, capsys) -> None:
    """A network that learned too little white matter: two corrected maps raise it, cortex stays."""
    maps = {"wrong": biased(ball), "corrected": ball}
    for kind, volume in maps.items():
        for name in ("sub-1_ses-A", "sub-2_ses-A"):
            save_labels(volume, tmp_path / kind / f"{name}_space-session_desc-{kind}_dseg.nii.gz")
    pack_label_maps([tmp_path / "wrong"], tmp_path / "wrong.npz")
    plain = {**SETTINGS, "steps": 140, "learning_rate": 1e-2, "bank": str(tmp_path / "wrong.npz")}
    plain["network"] = {"encoder": [6, 12], "decoder": [12, 12], "head": [6], "norm": True, "shared": True}
    first = recipe_from_dict(plain)
    trainer = Trainer(first, tmp_path / "first")
    trainer.run()
    old, new = tmp_path / "first.safetensors", tmp_path / "next.safetensors"
    export_weights(tmp_path / "first", old)

    words = ["--corrected", str(tmp_path / "corrected"), "--keep", str(tmp_path / "wrong.npz")]
    words += ["--structures", "Left-Cerebral-White-Matter,41", "--weights", str(old)]
    words += ["--config", str(settings), "-o", str(tmp_path / "run"), "--threads", "1"]
    assert main(["finetune", *words, "--export", str(new)]) == 0
    assert "Left-Cerebral-White-Matter" in capsys.readouterr().out
    true = bank(ball, "true")
    white, cortex = ([dice(path, true, first, labels) for path in (old, new)] for labels in (WHITE, (3, 42)))
    print(white, cortex)
    assert white[1] > white[0] + 0.1
    assert cortex[1] > cortex[0] - 0.01
    networks, info = load_weights(new)
    assert info.provenance["finetuned_on"] == "2 corrected label maps"
    for name, tensor in trainer.mean.half().float().state_dict().items():
        assert torch.equal(networks.locate.state_dict()[name], tensor)


def test_kept_maps_teach_nothing_of_corrected_structures(ball, settings) -> None:
    """Voxels of the structure and around it are not learned from; visits of corrected maps are whole."""
    network = GroupNetConfig(encoder=(2,), decoder=(2,))
    info = ModelInfo(LABELS, network, Preprocessing(), {})
    recipe = finetune_recipe(settings, info)
    mixture = Mixture(Job(bank(ball, "k"), bank(ball, "c"), WHITE), recipe)
    white = [LABELS.index(label) for label in WHITE]
    corrected, kept = mixture[0][1], mixture[1][1]
    assert np.isin(corrected, white).any()
    assert IGNORED not in corrected
    assert not np.isin(kept, white).any()
    assert (kept == IGNORED).sum() > np.isin(mixture.kept[1][1], white).sum()
    assert mixture.named_params(0)[0] == "c"
    assert mixture.named_params(1)[0] == "k"


def test_brains_are_as_large_as_those_that_the_weights_are_shown(settings, tmp_path) -> None:
    """Without a range of its own the settings of the package follow the weights."""
    _, info = load_weights(default_weights())
    shown = info.preprocessing.brain_voxels
    low, high = finetune_recipe(None, info).synthesis.brain_voxels
    assert low < shown < high
    assert high / low == pytest.approx(1.47, abs=0.01)
    assert finetune_recipe(settings, info).synthesis.brain_voxels == (10, 12)


def test_settings_that_are_not_named_are_those_of_the_package(tmp_path) -> None:
    """A file with more steps and one effect changes these alone."""
    _, info = load_weights(default_weights())
    usual = finetune_recipe(None, info)
    path = tmp_path / "more.yaml"
    path.write_text("steps: 800\nsynthesis: {growth: 0}")
    expected = replace(usual, steps=800, synthesis=replace(usual.synthesis, growth=0))
    assert finetune_recipe(path, info) == expected
    path.write_text("steps: 800\nsynthesis:\n")
    assert finetune_recipe(path, info) == replace(usual, steps=800)


def test_kept_maps_of_nobody_knows_what_age_are_not_adults(ball, settings) -> None:
    """If some have an age those without one are adults'; if none has, any maturity is as likely."""
    _, info = load_weights(default_weights())
    recipe = finetune_recipe(settings, info)
    maps = [describe_map(ball, name=name, age_months=age) for name, age in (("a", None), ("b", 4.0))]
    for kept, follows in ((make_bank(maps), 0.7), (make_bank(maps[:1]), 0.0)):
        mixture = Mixture(Job(kept, corrected=kept), recipe)
        assert mixture.kept.recipe.synthesis.follow_map_age == follows
        assert mixture.new[0].recipe.synthesis.follow_map_age == 0


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_voxels_have_no_gradient(name, rng) -> None:
    """The loss is that of the other voxels."""
    logits = torch.from_numpy(rng.normal(size=(1, 4, 3, 4, 5))).float().requires_grad_()
    target = torch.from_numpy(rng.integers(0, 4, size=(1, 3, 4, 5)))
    target[0, 1] = IGNORED
    loss = loss_where_known(name, logits, target)
    loss.backward()
    assert not logits.grad[0, :, 1].any()
    assert logits.grad[0, :, 0].any()
    rest = LOSSES[name](logits[:, :, [0, 2]], target[:, [0, 2]])
    assert loss.item() == pytest.approx(rest.item(), rel=1e-6)


def test_what_was_forgotten_is_named() -> None:
    """A fall of two hundredths counts, of half a hundredth or in a corrected structure does not."""
    changes = {3: (0.9, 0.88), 17: (0.9, 0.5), 42: (0.9, 0.895), 53: (0.5, 0.9), 8: (float("nan"), 0.5)}
    assert forgotten(changes, [17]) == [3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bank: b\nheld_out: [age-4mo]", "has bank, held_out, which the weights and the maps decide"),
        ("inference: fixed-grid", "has inference"),
        ("synthesis: [1]", "is not a list of settings"),
        ("steeps: 3", "unknown settings steeps"),
        ("[", "cannot be read"),
    ],
)
def test_bad_settings_are_explained(text, message, tmp_path) -> None:
    """Every mistake is named with the file."""
    (tmp_path / "s.yaml").write_text(text)
    config = GroupNetConfig(encoder=(2,), decoder=(2,))
    with pytest.raises(UnusableData, match=message):
        finetune_recipe(tmp_path / "s.yaml", ModelInfo(LABELS, config, Preprocessing(), {}))


def test_unknown_structures_are_named(tmp_path, capsys) -> None:
    """A misspelt structure is a usage error."""
    words = ["--corrected", "c", "--keep", "k", "--structures", "Hippo", "-o", str(tmp_path)]
    assert main(["finetune", *words, "--export", "w.safetensors"]) == 2
    assert "Hippo: known are" in capsys.readouterr().err


def call(tmp_path, *words: str) -> int:
    """Call the command with corrected maps in ``cor``."""
    usual = [
        "--corrected",
        str(tmp_path / "cor"),
        "--keep",
        str(tmp_path / "cor"),
        "-o",
        str(tmp_path / "run"),
    ]
    return main(["finetune", *usual, "--threads", "1", *words])


@pytest.mark.parametrize("name", ["cor/sub-1_ses-A_dseg.nii.gz", "cor/new.nii.gz", "weights"])
def test_weights_replace_no_correction(name, ball, tmp_path, capsys) -> None:
    """Whatever lies in a folder that was given is an input, and weights have a name of their own."""
    map_ = tmp_path / "cor" / "sub-1_ses-A_dseg.nii.gz"
    save_labels(ball, map_)
    before = map_.read_bytes()
    assert call(tmp_path, "--export", str(tmp_path / name)) == 2
    assert "ends in .safetensors" in capsys.readouterr().err
    assert map_.read_bytes() == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told_in_one_line(ball, plain_recipe, tmp_path, capsys) -> None:
    save_labels(ball, tmp_path / "cor" / "sub-1_ses-A_dseg.nii.gz")
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(plain_recipe))
    assert main(["train", str(tmp_path / "r.yaml"), "-o", str(tmp_path / "t"), "--device", "cuda"]) == 2
    assert call(tmp_path, "--export", str(tmp_path / "w.safetensors"), "--device", "cuda") == 2
    for line in capsys.readouterr().err.splitlines():
        assert line.endswith("no CUDA device is available: use --device cpu or auto")


def test_a_sheet_without_its_columns_is_an_error(ball, tmp_path, capsys) -> None:
    """Nobody is to believe that ages were read."""
    save_labels(ball, tmp_path / "cor" / "sub-1_ses-A_dseg.nii.gz")
    (tmp_path / "s.csv").write_text("subject,age\n1,4\n")
    words = ["--export", str(tmp_path / "w.safetensors"), "--sheet", str(tmp_path / "s.csv")]
    assert call(tmp_path, *words) == 65
    assert "names no visit" in capsys.readouterr().err


def test_a_sheet_of_other_visits_is_told(ball, tmp_path, capsys) -> None:
    """Ages of none of the maps: a note, before anything is trained (the scans are not there)."""
    save_labels(ball, tmp_path / "cor" / "sub-1_ses-A_dseg.nii.gz")
    columns = "participant_id,session_id,suffix,image,age_value,age_unit,age_reference"
    words = ["--export", str(tmp_path / "w.safetensors"), "--sheet", str(tmp_path / "s.csv")]
    for participant, noted in (("1", False), ("2", True)):
        (tmp_path / "s.csv").write_text(f"{columns}\n{participant},A,T1w,a.nii.gz,4,months,birth\n")
        assert call(tmp_path, *words, "--unlabelled", str(tmp_path / "nowhere")) == 65
        assert ("tells the age of none of the maps" in capsys.readouterr().err) == noted
