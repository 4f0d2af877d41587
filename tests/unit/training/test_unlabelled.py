"""Real scans without labels: what is shown of them, what is learned from them, and what is refused."""

import numpy as np
import pytest
import torch

from babyseg_py.cli import main
from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume
from babyseg_py.labels import LABELS
from babyseg_py.models.weights import ModelInfo, Networks, Preprocessing
from babyseg_py.synthesis.labelbank_build import describe_map, make_bank
from babyseg_py.training.finetune import Job, Mixture, finetune
from babyseg_py.training.loop import Trainer
from babyseg_py.training.losses import IGNORED, hard_dice
from babyseg_py.training.recipe import recipe_from_dict
from babyseg_py.training.samples import Samples, validation_visits
from babyseg_py.training.unlabelled import (
    MIRRORED,
    RealSamples,
    RealVisit,
    consistency,
    sample_linear,
    sample_nearest,
    set_apart,
    show,
)

STILL = {
    "rotation_deg": 0,
    "shear": 0,
    "stretch": 0,
    "shift_voxels": 0,
    "coarse_warp_mm": 0,
    "fine_warp_mm": 0,
}
CLEAN = {"noise": 0, "bias": 0, "gamma_sd": 0, "blur_voxels": [0.01, 0.01], "ghost": 0, "thick": 0}
SMALL = {"grid": [16, 16, 16], "brain_voxels": [12, 12]}
KNOWN, UNKNOWN = (0.45, 0.95), (0.95, 0.45)  # cortex, white matter


def spheres(side: int, radius: float, core: float) -> np.ndarray:
    """Draw two half balls of white matter within cortex."""
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1) - (side - 1) / 2
    distance, right = np.linalg.norm(grid, axis=-1), grid[..., 0] > 0
    labels = np.zeros((side,) * 3, dtype=np.int32)
    labels[distance < radius] = np.where(right, 42, 3)[distance < radius]
    labels[distance < core] = np.where(right, 41, 2)[distance < core]
    return labels


def visit(name: str, *contrasts: tuple[float, float], core: float = 4.5, seed: int = 0) -> RealVisit:
    """Return scans of a phantom on 16³ voxels, with its labels for those of a teacher."""
    labels = spheres(16, 7.2, core)
    generator = np.random.default_rng(seed)
    images = []
    for cortex, white in contrasts:
        image = np.where(np.isin(labels, (2, 41)), white, cortex) + generator.normal(0, 0.01, labels.shape)
        images.append(np.where(labels > 0, np.clip(255 * image, 1, 255), 0).astype(np.uint8))
    target = torch.from_numpy(np.searchsorted(LABELS, labels).astype(np.uint8))
    size = float(np.cbrt(np.count_nonzero(labels)))
    return RealVisit(name, torch.from_numpy(np.stack(images)), target, size, np.full(3, 7.5))


@pytest.fixture(scope="module")
def bank():
    """Return maps whose white matter takes more or less of the brain."""
    affine = np.eye(4)
    affine[:3, 3] = -19.5
    maps = [Volume(spheres(40, 16, core), affine) for core in (6.0, 8.5, 11.0, 13.0)]
    return make_bank([describe_map(v, name=f"map{n}", age_months=12.0) for n, v in enumerate(maps)])


def recipe_of(**changes):
    """Return a recipe of a network of two levels."""
    network = {"encoder": [6, 12], "decoder": [12, 12], "head": [6], "norm": True, "shared": True}
    plain = {"bank": "", "network": network, "precision": "fp32", "warmup": 5, "ema": 0.9, "workers": 1}
    plain |= {"validation_samples": 6, "tensorboard": False, "ease_in": 0, "learning_rate": 1e-2}
    return recipe_from_dict(plain | changes)


def test_a_visit_is_shown_as_it_is_where_nothing_moves_it() -> None:
    """Without movement the window shows the image on its own grid; mirrored, sides are exchanged."""
    one = visit("a", KNOWN)
    ranges = SMALL | STILL | CLEAN | {"brain_voxels": [one.size, one.size]}
    samples = RealSamples([one], recipe_of(steps=40, synthesis=ranges))
    seen = {}
    for number in range(20):
        params = samples.params(number)
        assert params == samples.params(number)
        seen[params["anatomy"]["flip"]] = (params, *show(one, params))
    assert set(seen) == {False, True}
    plain = one.target
    assert torch.equal(seen[False][2], plain)
    assert torch.equal(seen[True][2], MIRRORED.to(torch.uint8)[plain.flip(0).long()])
    white = plain == LABELS.index(2)
    image = seen[False][1][0]
    assert image[white].min() > image[plain == LABELS.index(3)].max()


def test_places_between_voxels_are_linear_and_those_beyond_are_empty() -> None:
    """A ramp is met exactly; labels come from the nearest voxel."""
    ramp = 10 + torch.arange(6.0)[:, None, None].expand(6, 5, 4) * 3
    places = torch.tensor([[1.25, 4.9, 7.0], [2.0, 1.5, 2.0], [1.0, 2.2, 1.0]])[:, :, None, None]
    assert sample_linear(ramp, places).flatten()[:2].tolist() == pytest.approx([13.75, 24.7], rel=1e-5)
    assert sample_linear(ramp, places).flatten()[2] == 0
    assert sample_nearest(ramp.to(torch.uint8), places).flatten().tolist() == [13, 25, 0]


def test_unsure_voxels_stay_unsure_and_both_kinds_take_turns(bank) -> None:
    """Even numbers are real visits, odd ones synthetic; what is not sure is not mirrored into a label."""
    one = visit("real", KNOWN)
    white = torch.tensor([LABELS.index(2), LABELS.index(41)], dtype=torch.uint8)
    one.target[torch.isin(one.target, white)] = IGNORED
    mixture = Mixture(Job(bank, unlabelled=(one,)), recipe_of(steps=20, synthesis=SMALL))
    names = [mixture.kept.named_params(n)[0] for n in range(4)]
    assert [mixture.named_params(n)[0] for n in range(4)] == ["real", names[1], "real", names[3]]
    for number in range(0, 8, 2):
        target = mixture[number][1]
        assert (target == IGNORED).any()
        assert not torch.isin(target, white).any()


def test_a_contrast_that_was_not_known_is_learned_from_the_scan_beside_it(bank, tmp_path, one_thread) -> None:
    """Labels of both scans teach the one whose contrast the network never saw; what it knew stays."""
    ranges = SMALL | CLEAN | {"brain_voxels": [11, 13], "bare_brain": 1.0, "rim_mm": [0, 0], "texture": 0.0}
    ranges |= {
        "realistic": 1.0,
        "follow_map_age": 1.0,
        "mean_jitter": 0.01,
        "inverted": 0.0,
        "polarised": True,
    }
    first = recipe_of(steps=300, synthesis=ranges, validate_every=300)
    others = [visit(f"sub-{n}_ses-A", KNOWN, UNKNOWN, core=core, seed=n) for n, core in ((8, 3.0), (9, 6.0))]
    validation = validation_visits(bank, first)
    trainer = Trainer(first, tmp_path / "first", samples=Samples(bank, first), validation=validation)
    trainer.run()
    job = Job(
        bank,
        unlabelled=tuple(visit(f"sub-{n}_ses-A", KNOWN, UNKNOWN, core=2.5 + 2 * n, seed=n) for n in range(3)),
    )
    info = ModelInfo(LABELS, first.network, Preprocessing(), {})
    second = recipe_of(steps=120, synthesis=ranges, validate_every=120, learning_rate=4e-3, decay=0.7)
    start = Networks(trainer.mean, trainer.mean)
    tuned, told, _ = finetune(job, second, (start, info), tmp_path / "second")
    assert told.provenance["finetuned_on"] == "3 unlabelled visits"

    def dice(network, scan: int) -> float:
        rows = []
        for other in others:
            with torch.inference_mode():
                found = network(other.images[None, scan : scan + 1].float() / 255)[0].argmax(dim=0)
            rows.append(hard_dice(found, other.target, len(LABELS))[1:].nanmean())
        return float(np.mean(rows))

    known, unknown = ([dice(n, scan) for n in (trainer.mean, tuned.segment)] for scan in (0, 1))
    assert unknown[1] > unknown[0] + 0.1, (known, unknown)
    assert known[1] > known[0] - 0.03
    before, after = (consistency(n, others) for n in (trainer.mean, tuned.segment))
    assert np.mean(list(after.scans.values())) > np.mean(list(before.scans.values())) + 0.05


def test_every_fourth_child_is_kept_to_measure_with() -> None:
    """No child is on both sides; of a single child it is every fourth visit; one visit is too few."""
    children = [visit(f"sub-{c}_ses-{s}", KNOWN) for c in "ABCDEF" for s in "12"]
    learned, apart = set_apart(children)
    assert {v.participant for v in apart} == {"sub-B", "sub-F"}
    assert len(learned) + len(apart) == len(children)
    assert not {v.participant for v in learned} & {v.participant for v in apart}
    _, apart = set_apart(children[:2])
    assert [v.name for v in apart] == ["sub-A_ses-2"]
    with pytest.raises(UnusableData, match="two visits or more"):
        set_apart(children[:1])


def test_consistency_of_a_symmetric_answer_is_whole() -> None:
    """A network that sees only where bright tissue is gives a mirror image the mirrored labels."""

    class Halves(torch.nn.Module):
        config = recipe_of(synthesis=SMALL).network

        def __init__(self) -> None:
            super().__init__()
            self.threshold = torch.nn.Parameter(torch.tensor(0.5))

        def forward(self, images):
            scores = torch.zeros(1, len(LABELS), *images.shape[2:])
            brain = images[:, 0] > self.threshold
            left = torch.arange(images.shape[2])[None, :, None, None] < images.shape[2] / 2
            scores[:, 0] = torch.where(brain, 0.0, 1.0)
            scores[:, LABELS.index(2)] = (brain & left).float() * 2
            scores[:, LABELS.index(41)] = (brain & ~left).float() * 2
            return scores

    found = consistency(Halves(), [visit("a", KNOWN, (0.9, 0.9))])
    assert found.mirrored == pytest.approx({2: 1.0, 41: 1.0})
    assert 0.2 < found.scans[2] < 0.9


def test_something_to_learn_from_is_asked_for(tmp_path, capsys) -> None:
    """Neither corrections nor scans: usage. A folder without sessions: the data."""
    words = [
        "finetune",
        "--keep",
        str(tmp_path),
        "-o",
        str(tmp_path / "run"),
        "--export",
        str(tmp_path / "w.safetensors"),
    ]
    assert main(words) == 2
    assert "--corrected, --unlabelled" in capsys.readouterr().err
