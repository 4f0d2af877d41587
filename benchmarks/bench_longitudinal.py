"""What the template of a child does to the noise of repeat scans and to growth.

    python benchmarks/bench_longitudinal.py [FOLDER] [--first N] [--children N] [--syn]

Digital children are seen at two ages and scanned twice at each, with another pose, blur, bias and noise; the
network segments every scan (half an hour; kept in FOLDER, runs/longitudinal if not given, for the next
time). Noise is the root mean square over structures of the within-pair standard deviation of the log volume.
"Rescan" has the two scans of one age as visits of one template, in which no change is true. For "volume" and
"change" one scan of each age makes a template, and the other two make another. Slopes are those through the
origin, over structures, of the log change on that of the visits segmented one by one, and on the true one.
``--syn`` compares the Jacobian of the template with that of antspyx's SyN of the later image to the earlier.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import ants
import numpy as np
import torch
from _longitudinal_series import REPEATS, Taken, take_series

from babyseg_py.images import load_image
from babyseg_py.labels import BRAIN_LABELS
from babyseg_py.registration.child_template import STEPS, make_template
from babyseg_py.segmentation.longitudinal import jacobian_volumes, pooled
from babyseg_py.segmentation.probseg import read_probabilities

ROOT = Path(__file__).resolve().parents[1]
STRENGTHS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Volumes:
    """Volumes of the visits of one template in mm³, (visits, structures): one by one, and by the Jacobian."""

    single: np.ndarray
    jacobian: np.ndarray
    seconds: float

    def at(self, strength: float) -> np.ndarray:
        """Volumes from posteriors that were sharpened: these are linear in the strength."""
        return (1 - strength) * self.single + strength * self.jacobian


def in_template(taken: list[Taken]) -> Volumes:
    """Make a template of some scans."""
    start = time.process_time()
    seen = [read_probabilities(one.posteriors).seen for one in taken]
    template = make_template(seen)
    probabilities, voxel_mm3 = pooled(template, seen), template.box.spacing_mm**3
    carried = [
        jacobian_volumes(probabilities, template.jacobian(place), voxel_mm3) for place in range(len(seen))
    ]
    seconds = time.process_time() - start
    single = []
    for one in seen:
        voxel = abs(np.linalg.det(one.affine[:3, :3])) / STEPS
        single.append([float(channel.sum(dtype=np.int64)) * voxel for channel in one.steps[1:]])
    jacobian = [[volumes[label] for label in BRAIN_LABELS] for volumes in carried]
    return Volumes(np.array(single), np.array(jacobian), seconds)


def noise(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Within-pair variance of the logarithms."""
    return (np.log(a) - np.log(b)) ** 2 / 2


def slope(found: np.ndarray, true: np.ndarray) -> float:
    """Slope through the origin."""
    return float((found * true).sum() / (true**2).sum())


def measure(taken: list[Taken]) -> dict:
    """Templates of one child: of two series, and of scan and rescan at each age."""
    ages = sorted({one.age_months for one in taken})
    place = {(one.age_months, one.repeat): one for one in taken}
    series = [in_template([place[age, repeat] for age in ages]) for repeat in REPEATS]
    pairs = [in_template([place[age, repeat] for repeat in REPEATS]) for age in ages]
    true = np.array([[place[age, "a"].volumes_mm3[label] for label in BRAIN_LABELS] for age in ages])
    return {"ages": ages, "series": series, "pairs": pairs, "true": true}


def rows(children: list[dict]) -> list[tuple[float, ...]]:
    """One row of the table for each strength."""
    table: list[tuple[float, ...]] = []
    for strength in STRENGTHS:
        rescan, volumes, changes = [], [], []
        found, single, true = [], [], []
        for child in children:
            one, other = (of.at(strength) for of in child["series"])
            rescan += [noise(*of.at(strength)) for of in child["pairs"]]
            volumes += [noise(one, other)]
            changes += [noise(one[-1] / one[0], other[-1] / other[0])]
            for of in child["series"]:
                log = np.log(of.at(strength)[-1] / of.at(strength)[0])
                found.append(log)
                single.append(np.log(of.single[-1] / of.single[0]))
                true.append(np.log(child["true"][-1] / child["true"][0]))
        rms = [100 * float(np.sqrt(np.mean(np.concatenate([np.ravel(v) for v in of]))))
               for of in (rescan, volumes, changes)]  # fmt: skip
        middle = 100 * float(np.median(np.sqrt(np.concatenate([np.ravel(v) for v in rescan]))))
        slopes = slope(np.ravel(found), np.ravel(single)), slope(np.ravel(found), np.ravel(true))
        table.append((strength, rms[0], middle, rms[1], rms[2], *slopes))
    return table


def change_by_syn(earlier: Taken, later: Taken) -> np.ndarray:
    """Log change of the structures by SyN, (structures,): the posteriors of the earlier visit, carried."""
    fixed, moving = (ants.image_read(str(one.image)) for one in (earlier, later))
    found = ants.registration(fixed, moving, type_of_transform="SyN")["fwdtransforms"]
    (warp,), (affine,) = ([f for f in found if f.endswith(end)] for end in (".nii.gz", ".mat"))
    linear = np.array(ants.read_transform(affine).parameters[:9]).reshape(3, 3)
    jacobian = ants.create_jacobian_determinant_image(fixed, warp).numpy() * np.linalg.det(linear)
    seen = read_probabilities(earlier.posteriors).seen
    start = np.round(np.linalg.solve(load_image(earlier.image).affine, seen.affine)[:3, 3]).astype(int)
    box = tuple(slice(a, a + n) for a, n in zip(start, seen.steps.shape[1:], strict=True))
    posteriors = seen.steps[1:].astype(float)
    return np.log((posteriors * jacobian[box]).sum(axis=(1, 2, 3)) / posteriors.sum(axis=(1, 2, 3)))


def beside_syn(taken: list[Taken]) -> None:
    """Print slope and error of the log change by the Jacobian of the template and of SyN."""
    true: list[list[float]] = []
    changes: dict[str, list[np.ndarray]] = {"template": [], "SyN": []}
    for number in sorted({one.child for one in taken}):
        visits = [one for one in taken if one.child == number and one.repeat == REPEATS[0]]
        first, *_, last = sorted(visits, key=lambda one: one.age_months)
        of = in_template([first, last])
        true.append([np.log(last.volumes_mm3[n] / first.volumes_mm3[n]) for n in BRAIN_LABELS])
        changes["template"].append(np.log(of.jacobian[-1] / of.jacobian[0]))
        changes["SyN"].append(change_by_syn(first, last))
    print("\n| Jacobian of | slope on true | rms error of the log change % |\n| --- | ---: | ---: |")
    for name, found in changes.items():
        error = 100 * np.sqrt(np.mean((np.array(found) - true) ** 2))
        print(f"| {name} | {slope(np.ravel(found), np.ravel(true)):.3f} | {error:.1f} |")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "runs" / "longitudinal")
    parser.add_argument("--first", type=int, default=0, help="number of the first child")
    parser.add_argument("--children", type=int, default=4)
    parser.add_argument("--syn", action="store_true", help="compare with antspyx's SyN")
    args = parser.parse_args()
    torch.set_num_threads(2)
    args.folder.mkdir(parents=True, exist_ok=True)
    taken = take_series(args.folder, first=args.first, children=args.children)
    if args.syn:
        beside_syn(taken)
        return
    children = []
    for number in sorted({one.child for one in taken}):
        children.append(measure([one for one in taken if one.child == number]))
        show(children)
    seconds = [of.seconds for child in children for of in child["series"]]
    print(f"\nCPU seconds of a template of two visits: median {np.median(seconds):.0f}")


def show(children: list[dict]) -> None:
    """Print the table of the children so far."""
    print(f"\n{len(children)} children, {sum(len(c['ages']) for c in children)} visits, two scans of each")
    print(
        "| strength | rescan % | rescan, median % | volume % | change % | slope on single | slope on true |"
    )
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in rows(children):
        cells = [f"{row[0]:.2f}", *(f"{v:.2f}" for v in row[1:5]), *(f"{v:.3f}" for v in row[5:])]
        print(f"| {' | '.join(cells)} |", flush=True)
    agreement = [
        100 * (np.log(of.jacobian[-1] / of.jacobian[0]) - np.log(of.single[-1] / of.single[0]))
        for child in children
        for of in child["series"]
    ]
    print(f"Jacobian less single, log change in %: median {np.median(agreement):.1f}, "
          f"90 % within {np.percentile(np.abs(agreement), 90):.1f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
