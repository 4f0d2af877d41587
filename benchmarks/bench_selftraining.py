"""What weights learn from real scans without labels, measured on others: docs/training.md.

    python benchmarks/bench_selftraining.py [--only ARM ...] [--steps N] [--samples N] [--threads N]

The age templates (T1w and T2w of one brain at five ages) and the infant scans of ../shared/data are the
unlabelled visits. Two folds learn from some ages each and are measured on the others; ``synthetic`` takes as
many steps on synthetic visits alone, so that what is gained is not just that of training on; ``all`` learns
from every visit. T1w against T2w tells whether contrasts agree; as a network may agree with itself and be
wrong, both are also compared with the labels of an age that is easier to tell, brought there by registration.
Runs and figures are kept in ``runs/selftraining``.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import ants
import numpy as np
import torch
from bench_accuracy import AGES, HELD_OUT, PAIRS, adult, by_structure, dice, held_out_bank, segment, synthetic

from babyseg_py.images import Volume, load_image
from babyseg_py.models.default import default_weights
from babyseg_py.models.groupnet import GroupNet
from babyseg_py.models.memory import keep_freed_memory
from babyseg_py.segmentation.inference import Segmenter, load_segmenter
from babyseg_py.segmentation.teaching import teach
from babyseg_py.segmentation.window import Scan
from babyseg_py.training.finetune import Job, Mixture, finetune_recipe
from babyseg_py.training.loop import Trainer, split_bank
from babyseg_py.training.recipe import Recipe
from babyseg_py.training.samples import Samples, validation_visits
from babyseg_py.training.unlabelled import RealVisit
from babyseg_py.writing import appearing

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "runs" / "selftraining"
DATA = ROOT.parent / "shared" / "data"
TEMPLATES = DATA / "unc_bcp_templates"
FOLDS = {"first": ("00", "06", "24"), "second": ("03", "12")}  # ages of the templates that are learned from
SCANS = {"first": ("1", "9", "19"), "second": ("4", "23")}  # and of the scans, in months
EASIER = {"03": "12", "06": "12"}  # ages of whose labels the next ones can be told
BANK = ROOT / "runs" / "labelbank.npz"
Figures = dict[str, float]


def visits(segmenter: Segmenter, fold: str) -> list[RealVisit]:
    """Unlabelled visits that a fold learns from, all for ``all``."""
    folds = list(FOLDS) if fold == "all" else [fold]
    files = {
        f"template_ses-{age}": [TEMPLATES / f"age-{age}mo_{suffix}.nii.gz" for suffix in ("T1w", "T2w")]
        for one in folds
        for age in FOLDS[one]
    }
    for age in (age for one in folds for age in SCANS[one]):
        (path,) = (DATA / "real_t1w").glob(f"*_age-{age}mo_T1w.nii.gz")
        files[f"{path.name.split('_')[0]}_ses-one"] = [path]
    result = []
    for name, paths in files.items():
        scans = [Scan(path.name, load_image(path), np.eye(4)) for path in paths]
        result.append(teach(segmenter, name, scans, scans[0].volume.shape, scans[0].volume.affine))
        print(f"{name}: {len(paths)} scans", flush=True)
    return result


def train(segmenter: Segmenter, arm: str, recipe: Recipe) -> GroupNet:
    """Go on from the weights as an arm of the comparison does."""
    kept, held = split_bank(replace(recipe, bank=str(BANK), held_out=tuple(HELD_OUT)))
    samples = (
        Samples(kept, recipe)
        if arm == "synthetic"
        else Mixture(Job(kept, unlabelled=tuple(visits(segmenter, arm))), recipe)
    )
    trainer = Trainer(
        recipe,
        RUNS / f"{arm}_{recipe.steps}",
        samples=samples,
        validation=validation_visits(held, recipe),
        start=segmenter.networks.segment.state_dict(),
    )
    trainer.run()
    return trainer.mean


def brought(age: str, labels: np.ndarray, source: str) -> np.ndarray:
    """Labels of the template of one age on that of another, by diffeomorphic registration."""
    kept = RUNS / f"registered_{source}_to_{age}.npz"
    if kept.exists():
        return np.load(kept)["labels"]
    fixed, moving = (
        [ants.image_read(str(TEMPLATES / f"age-{a}mo_{s}.nii.gz")) for s in ("T1w", "T2w")]
        for a in (age, source)
    )
    first = ants.registration(fixed[0], moving[0], "Affine", random_seed=1)["fwdtransforms"]
    found = ants.registration(
        fixed[0],
        moving[0],
        "SyNOnly",
        initial_transform=first[0],
        syn_metric="CC",
        syn_sampling=2,
        reg_iterations=(40, 20, 0),
        multivariate_extras=[("CC", fixed[1], moving[1], 1, 2)],
        random_seed=1,
    )
    image = moving[0].new_image_like(labels.astype("float32"))
    warped = ants.apply_transforms(fixed[0], image, found["fwdtransforms"], interpolator="genericLabel")
    result = warped.numpy().astype(np.uint8)
    with appearing(kept) as partial, partial.open("wb") as file:
        np.savez_compressed(file, labels=result)
    return result


def measure(segmenter: Segmenter, samples: int) -> Figures:
    """Mean Dice, and that of white matter, by what is compared."""
    figures: Figures = {}

    def keep(name: str, rows: list[dict[int, float]]) -> None:
        structures = by_structure(rows)
        figures[name] = round(float(np.mean(list(structures.values()))), 4)
        figures[f"{name}, white matter"] = round(
            float(np.mean([structures[i] for i in PAIRS["white matter"]])), 4
        )

    for age in AGES:
        images: list[Volume] = [load_image(TEMPLATES / f"age-{age}mo_{s}.nii.gz") for s in ("T1w", "T2w")]
        found = [segment(segmenter, image) for image in images]
        keep(f"T1w against T2w {age}", [dice(*found)])
        if age in EASIER:
            reference = brought(age, easier_labels(EASIER[age]), EASIER[age])
            for suffix, labels in zip(("T1w", "T2w"), found, strict=True):
                keep(f"{suffix} against registered {age}", [dice(labels, reference)])
    keep("adult", [adult(segmenter, DATA)])
    bank = held_out_bank(DATA, HELD_OUT)
    keep("held-out synthetic", synthetic(segmenter, bank, samples))
    keep("random contrast", synthetic(segmenter, bank, samples, realistic=0.0))
    return figures


def easier_labels(age: str) -> np.ndarray:
    """Labels of the T1w template of an age by the default weights."""
    return segment(load_segmenter(default_weights()), load_image(TEMPLATES / f"age-{age}mo_T1w.nii.gz"))


def make(arm: str, steps: int, samples: int) -> Figures:
    """Train and measure an arm, unless that was done; ``before`` is the weights as they are."""
    kept = RUNS / f"{arm}_{steps}.json"
    if kept.exists():
        return json.loads(kept.read_text(encoding="utf-8"))
    segmenter = load_segmenter(default_weights())
    if arm != "before":
        recipe = replace(finetune_recipe(None, segmenter.info), steps=steps, validate_every=steps)
        network = train(segmenter, arm, recipe)
        network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        segmenter = replace(
            segmenter, networks=replace(segmenter.networks, segment=network), calibration=None
        )
    figures = measure(segmenter, samples)
    with appearing(kept) as partial:
        partial.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return figures


def main() -> None:
    """Make what is missing and print one table."""
    arms = ["before", "synthetic", *FOLDS, "all"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=arms, choices=arms, metavar="ARM", help=", ".join(arms))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--samples", type=int, default=6, help="synthetic visits of each kind")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_freed_memory()
    RUNS.mkdir(parents=True, exist_ok=True)
    made = {arm: make(arm, args.steps, args.samples) for arm in args.only}
    print(f"| Dice | {' | '.join(made)} |\n|{' --- |' * (len(made) + 1)}")
    for row in next(iter(made.values())):
        print(f"| {row} | {' | '.join(f'{figures[row]:.3f}' for figures in made.values())} |")


if __name__ == "__main__":
    main()
