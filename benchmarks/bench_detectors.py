"""How often each flag of a segmentation is wrong on clean scans, and right where a fault was planted.

    python benchmarks/bench_detectors.py [DATA] [--infants DIR] [--cache DIR] [--only TEXT]

DATA is the folder of shared label maps and scans (default ../shared/data); the infants are written by
``babyseg demo-data`` if they are not there. What was segmented is kept in the cache, by the content of the
weights and of the code that applies them, so that the run can be interrupted, and limits can be tried without
a network. Prints Markdown.
"""

import argparse
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from _detector_cases import Case, all_cases, planted_in_labels
from _kept import inference_digest

from babyseg_py.cli import main as babyseg
from babyseg_py.errors import UnusableData
from babyseg_py.images import Volume
from babyseg_py.models.default import default_weights
from babyseg_py.segmentation.detectors import LIMITS, detect
from babyseg_py.segmentation.inference import Segmenter, load_segmenter
from babyseg_py.segmentation.quality import Measure, measure_quality, orientation
from babyseg_py.segmentation.sampling import Segmentation
from babyseg_py.segmentation.visit import segment_visit
from babyseg_py.segmentation.window import Scan

ROOT = Path(__file__).parents[1]
GROUPS = ("half a brain", "voxel size", "skull or eye", "missing structure", "cut off", "not a brain")
FAILURE = "refused"


def rows_of(segmenter: Segmenter, case: Case) -> dict[str, list[dict]]:
    """Measures of a case, and of the faults planted in its labels if it is clean; by group and name."""
    image = case.make()
    try:
        result = segment_visit(segmenter, [Scan(case.name, image, np.eye(4))], image.shape, image.affine)
    except UnusableData as problem:
        return {
            f"{case.group}|{case.name}": [_as_row(Measure("n/a", "n/a", FAILURE, 1.0, 0, 0, str(problem)))]
        }
    labels = np.array(segmenter.info.labels)[result.posteriors.on_window.argmax(dim=0).numpy()]
    measures = [orientation(result.facing), *detect(labels, result.window, result.scans)]
    measures += measure_quality(result.together, scan="n/a", age_months=case.age_months)
    rows = {f"{case.group}|{case.name}": [_as_row(m) for m in measures]}
    if case.group == "clean":
        certain = np.full(labels.shape, 0.1, dtype=np.float32)  # what a network finds it is sure of
        for (group, name), faulty in planted_in_labels(labels, result.window.voxel_mm).items():
            volume = Volume(faulty.astype(np.uint16), result.window.affine)
            found = detect(faulty, result.window, result.scans)
            found += measure_quality(
                Segmentation(volume, volume.with_data(certain), {}), scan="n/a", age_months=case.age_months
            )
            rows[f"{group}|{case.name}-{name}"] = [_as_row(m) for m in found if m.metric != "edge_share"]
    return rows


def _as_row(measure: Measure) -> dict:
    return {key: getattr(measure, key) for key in ("metric", "structure", "value", "low", "high")}


def flagged(rows: Iterable[dict]) -> set[str]:
    """Metrics that are flagged by the limits of now; those of single structures have a star."""
    found = set()
    for row in rows:
        low, high = LIMITS.get(row["metric"], (row["low"], row["high"]))
        if not low <= row["value"] <= high:
            found.add(row["metric"] if row["structure"] == "n/a" else f"{row['metric']}*")
    return found


def show(results: dict[str, list[dict]]) -> None:
    """Print how often each metric was flagged on clean cases and on those of each fault."""
    flags: dict[str, list[set[str]]] = {group: [] for group in ("clean", *GROUPS)}
    for name, rows in results.items():
        flags.setdefault(name.split("|")[0], []).append(flagged(rows))
    groups = [group for group in ("clean", *GROUPS) if flags[group]]
    metrics = sorted({metric for group in groups for one in flags[group] for metric in one} | set(LIMITS))
    print(f"| flag | {' | '.join(groups)} |\n|{' --- |' * (len(groups) + 1)}")
    for metric in metrics:
        counts = [sum(metric in one for one in flags[group]) for group in groups]
        print(f"| `{metric}` | {' | '.join(_of(n, flags[g]) for n, g in zip(counts, groups, strict=True))} |")
    whole = [[{m for m in one if not m.endswith("*")} for one in flags[group]] for group in groups]
    print(f"| any of the session | {' | '.join(_of(sum(map(bool, one)), one) for one in whole)} |")
    everything = [flags[group] for group in groups]
    print(f"| any | {' | '.join(_of(sum(map(bool, one)), one) for one in everything)} |")
    for group in groups:
        print(f"\n{group}: " + "; ".join(_exceptions(results, group)))


def _of(count: int, cases: list[set[str]]) -> str:
    return f"{count} of {len(cases)}"


def _exceptions(results: dict[str, list[dict]], group: str) -> list[str]:
    """Clean cases that are flagged, and faulty ones without a flag of the session."""
    lines = []
    for name, rows in results.items():
        if name.split("|")[0] == group:
            found = flagged(rows)
            if group == "clean" and found:
                lines.append(f"{name.split('|')[1]} flagged {', '.join(sorted(found))}")
            elif group != "clean" and not any(not metric.endswith("*") for metric in found):
                lines.append(f"{name.split('|')[1]} only {', '.join(sorted(found)) or 'nothing'}")
    return lines or ["nothing unexpected"]


def main() -> None:
    """Segment what is not yet in the cache, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--infants", type=Path, default=ROOT / "build" / "detectors" / "infants")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "detectors")
    parser.add_argument("--only", default="", help="only cases whose name holds this")
    args = parser.parse_args()
    if not (args.infants / "samplesheet.csv").is_file():
        babyseg(["demo-data", str(args.infants), "--children", "5", "--seed", "11"])
    weights = Path(default_weights())
    cache = args.cache / inference_digest(hashlib.sha256(weights.read_bytes()).hexdigest())
    cache.mkdir(parents=True, exist_ok=True)
    segmenter = None
    results: dict[str, list[dict]] = {}
    for case in all_cases(args.data, args.infants):
        if args.only not in case.name:
            continue
        path = cache / f"{case.name}.json"
        if not path.is_file():
            segmenter = segmenter or load_segmenter(weights)
            path.write_text(json.dumps(rows_of(segmenter, case)), encoding="utf-8")
            print(f"{case.name} done", flush=True)
        results |= json.loads(path.read_text(encoding="utf-8"))
    show(results)


if __name__ == "__main__":
    main()
