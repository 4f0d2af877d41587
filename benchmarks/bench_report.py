"""Time and memory of statistics and report on simulated tables; size and loading time of the page.

The figures of docs/report.md: ``python benchmarks/bench_report.py [CHILDREN [VISITS]] [--browser]`` (200 and
4). The tables have the columns and rows of a pipeline run with two scans a visit, scores at every visit, two
sites, two groups, one visit in twenty missing and one in fifty flagged. ``--browser`` opens the page in
Chromium.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from babyseg_py.labels.table import STRUCTURES
from babyseg_py.statistics.files import write_table
from babyseg_py.statistics.gather import COLUMNS
from babyseg_py.statistics.structures import asymmetry, wide
from babyseg_py.statistics.visits import FACTS, VISIT, visit_facts

ROOT = Path(__file__).resolve().parent.parent
SCANS = ("T1w", "T2w")
BRAIN = [s for s in STRUCTURES if s.id]
WHOLE = ("brain_ml", "left_right_ratio", "cerebellum_share", "brain_stem_ml", "largest_part", "edge_share",
         "layout_misfit", "share_misfit", "length_to_width", "far_cortex_share", "flat_face")  # fmt: skip
TOTALS = ("Total-Brain-Volume", "Cerebral-White-Matter", "Cerebral-Cortex", "Intracranial-Estimate")


@dataclass(frozen=True)
class Cost:
    """What a command took: seconds on the clock, seconds of processors, largest memory in GiB."""

    wall_s: float
    processor_s: float
    memory_gib: float


def simulate(folder: Path, *, children: int, visits: int, seed: int = 1) -> list[str]:
    """Write records, ledger, scores and the tables of the cohort; return the ids of the visits."""
    rng = np.random.default_rng(seed)
    records = _records(children, visits, rng)
    (folder / "records.json").write_text(json.dumps({"records": records, "phenotype": {}}), encoding="utf-8")
    facts = visit_facts(records)
    tables = _tables(facts, rng)
    for name, table in tables.items():
        write_table(table, folder / "cohort" / f"{name}.tsv")
    flagged = set(tables["qc"].loc[tables["qc"]["flag"] == 1, VISIT].itertuples(index=False, name=None))
    _ledger(folder, records, flagged)
    scores = facts[VISIT].assign(language=0.0, motor=0.0, education=rng.integers(1, 4, len(facts)))
    hippocampus = tables["volumes"].loc[tables["volumes"]["structure"] == "Left-Hippocampus", "volume_mm3"]
    scores["language"] = 100 + 15 * _scaled(hippocampus.to_numpy()) + rng.normal(0, 10, len(facts))
    scores["motor"] = rng.normal(100, 15, len(facts))
    scores.to_csv(folder / "scores.tsv", sep="\t", index=False, float_format="%.1f")
    return [f"sub-{child}_ses-{session}" for child, session in facts[VISIT].to_numpy()]


def _records(children: int, visits: int, rng: np.random.Generator) -> list[dict]:
    records: list[dict] = []
    for child in range(1, children + 1):
        facts = {"participant_id": f"{child:04d}", "sex": "FM"[child % 2], "site": "AB"[child % 3 == 0],
                 "group": ("control", "preterm")[child % 4 == 0], "age_reference": "birth"}  # fmt: skip
        for visit in range(visits):
            if visit and rng.random() < 0.05:
                continue
            age, session = float(30 + 180 * visit + rng.uniform(0, 60)), "ABCDEFGH"[visit]
            visit_id = f"sub-{child:04d}_ses-{session}"
            records += [
                facts
                | {"row": len(records) + 2 + n, "session_id": session, "run": None, "suffix": suffix,
                   "image": f"/scans/{visit_id}_{suffix}.nii.gz", "age_value": age, "age_unit": "days",
                   "age_days": age, "dseg": None, "scan_id": f"{visit_id}_{suffix}", "visit_id": visit_id}
                for n, suffix in enumerate(SCANS)
            ]  # fmt: skip
    return records


def _tables(facts: pd.DataFrame, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    volumes = _volumes(facts, rng)
    scans = pd.concat([volumes.assign(scan=name, run=np.nan, suffix=name) for name in SCANS])
    scans["volume_mm3"] *= rng.normal(1, 0.02, len(scans))
    scans["volume_posterior_mm3"] = scans["volume_mm3"] * 1.01
    scans = scans.sort_values([*VISIT, "scan"], kind="stable", ignore_index=True)
    plain = volumes.drop(columns=["volume_ci_low", "volume_ci_high"])
    order = COLUMNS["scanvolumes"][1:]
    return {
        "volumes": volumes,
        "scanvolumes": scans[[*VISIT, *FACTS, "scan", "run", "suffix", *order]],
        "qc": _qc(facts, rng),
        "surfacedistance": _distances(facts, rng),
        "volumes_wide": wide(plain),
        "asymmetry": asymmetry(plain),
    }


def _volumes(facts: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Draw a size for each child, growth with age, 4 % of variation of each structure of each visit."""
    size = dict(zip(facts["participant_id"].unique(), rng.normal(1, 0.08, len(facts)), strict=False))
    scale = facts["participant_id"].map(size).to_numpy() * (1 + 0.3 * np.log1p(facts["age_days"] / 60))
    parts = []
    for s in BRAIN:
        volume = (500.0 + 900 * s.index) * scale * rng.normal(1, 0.04, len(facts))
        parts.append(facts.assign(label=s.id, structure=s.name, side=s.side, volume_mm3=volume))
    single = pd.concat(parts)
    total = single.groupby(VISIT, sort=True)["volume_mm3"].sum().to_numpy()
    parts += [
        facts.assign(label=np.nan, structure=name, side="none", volume_mm3=total * share)
        for name, share in zip(TOTALS, (0.95, 0.3, 0.4, 1.1), strict=True)
    ]
    table = pd.concat(parts).sort_values(VISIT, kind="stable", ignore_index=True)
    table["volume_posterior_mm3"] = table["volume_mm3"] * 1.01
    measured = table["label"].notna()
    table["volume_ci_low"] = (0.93 * table["volume_mm3"]).where(measured)
    table["volume_ci_high"] = (1.07 * table["volume_mm3"]).where(measured)
    return table[[*VISIT, *FACTS, *COLUMNS["volumes"]]]


def _qc(facts: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    kinds: list[tuple[str | None, str | None, str]] = [
        (None, None, name) for name in (*WHOLE, "score", "predicted_dice")
    ]
    for scan in (None, *SCANS):
        kinds += [(scan, s.name, name) for s in BRAIN for name in ("score", "predicted_dice", "volume_mm3")]
        kinds += [(scan, None, name) for name in WHOLE[:6]] if scan else []
    rows = pd.DataFrame(kinds, columns=["scan", "structure", "metric"]).astype(object)
    table = facts.merge(rows, how="cross")
    table = table.assign(value=rng.uniform(0.8, 0.97, len(table)), low=0.5, high=1.0, flag=0.0, message=None)
    first = np.flatnonzero((table["metric"] == "left_right_ratio") & table["scan"].isna())
    bad = first[rng.random(len(first)) < 0.02]
    for column, value in (
        ("value", 2.4),
        ("flag", 1.0),
        ("message", "the left half is 2.4 times the right half"),
    ):
        table.loc[bad, column] = value
    return table[[*VISIT, *FACTS, *COLUMNS["qc"]]]


def _distances(facts: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    pairs = [("session", "T1w"), ("session", "T2w"), ("T1w", "T2w")]
    rows = pd.DataFrame([(*pair, s.id, s.name) for pair in pairs for s in BRAIN],
                        columns=["reference", "candidate", "label", "structure"])  # fmt: skip
    table = facts.merge(rows, how="cross")
    distance = np.abs(rng.normal(0.4, 0.12, len(table)))
    table = table.assign(dice=1 - distance / 5, assd_mm=distance, hd95_mm=3 * distance, nsd=0.9,
                         tolerance_mm=1.0)  # fmt: skip
    return table[[*VISIT, *FACTS, *COLUMNS["surfacedistance"]]]


def _ledger(folder: Path, records: list[dict], flagged: set) -> None:
    columns = ["row", "participant_id", "session_id", "run", "suffix", "image"]
    table = pd.DataFrame(records)[columns]
    bad = [key in flagged for key in table[VISIT].itertuples(index=False, name=None)]
    table["status"] = np.where(bad, "flagged", "ok")
    table["step"] = np.where(bad, "segment", "n/a")
    table["reason"] = np.where(bad, "the left half is 2.4 times the right half", "n/a")
    table.to_csv(folder / "ledger.tsv", sep="\t", index=False, na_rep="n/a")


def _scaled(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


def draw(folder: Path, visits: list[str]) -> Path:
    """Write the two pictures of noise within an ellipsoid, and links to them for every visit."""
    from babyseg_py.images import Volume  # noqa: PLC0415  # only with pictures
    from babyseg_py.report.snapshot import draw_snapshot  # noqa: PLC0415
    from babyseg_py.report.to_scale import draw_to_scale  # noqa: PLC0415

    folder.mkdir()
    axes = np.moveaxis(np.indices((62, 86, 58)), 0, -1) * 1.5 - (46, 64, 43)
    inside = ((axes / (40, 56, 38)) ** 2).sum(axis=-1) < 1
    labels = np.where(inside, np.where(axes[..., 0] < 0, 2, 41), 0).astype(np.int32)
    image = 100.0 * inside + np.random.default_rng(0).normal(0, 12, inside.shape)
    affine = np.diag([1.5, 1.5, 1.5, 1.0])
    affine[:3, 3] = (-46, -64, -43)
    pair = Volume(image.astype(np.float32), affine), Volume(labels, affine)
    drawn = {"contours": draw_snapshot(*pair, title="x"), "toscale": draw_to_scale(*pair, title="x")}
    shots = folder / "shots"
    shots.mkdir()
    for description, content in drawn.items():
        picture = folder / f"{description}.png"
        picture.write_bytes(content)
        for visit in visits:
            (shots / f"{visit}_desc-{description}_snapshot.png").symlink_to(picture)
    return shots


def measured(words: list[str]) -> Cost:
    """Run ``babyseg`` in a process of its own."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "babyseg_py", *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"babyseg {words[0]} ended with {process.returncode}")
    wall = time.perf_counter() - start
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20)


def opened(page: Path, profile: Path) -> tuple[float, float, list[str]]:
    """Seconds until the page has loaded and until it is painted and idle, and what it complained of."""
    sys.path.insert(0, str(ROOT / "tests"))
    from chromium import browser  # noqa: PLC0415  # the tests' own way to a browser

    with browser(profile) as tab:
        start = time.perf_counter()
        tab.open(page)
        tab.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))).then(() => 1)")
        shown = time.perf_counter() - start
        timing = "performance.getEntriesByType('navigation')[0].loadEventEnd / 1000"
        return tab.run(timing), shown, tab.complaints()


def main() -> None:
    """Print a markdown table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("children", nargs="?", type=int, default=200)
    parser.add_argument("visits", nargs="?", type=int, default=4)
    parser.add_argument("--browser", action="store_true", help="open the page in headless Chromium")
    parser.add_argument("--keep", type=Path, help="folder to work in, kept")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.keep or Path(scratch)
        visits = simulate(folder, children=args.children, visits=args.visits)
        records, cohort = ["--records", str(folder / "records.json")], str(folder / "cohort")
        scores = ["--phenotype", str(folder / "scores.tsv"), "--scores", "language,motor"]
        scores += ["--covariates", "education"]
        costs = {"statistics": measured(["statistics", *records, "--tables", cohort, *scores,
                                         "--out-dir", cohort])}  # fmt: skip
        page, shots = folder / "report.html", draw(folder / "pictures", visits)
        pictures = [str(path) for path in sorted(shots.iterdir())]
        costs["report"] = measured(
            ["report", *records, "--ledger", str(folder / "ledger.tsv"), "--cohort", cohort, "--snapshots",
             *pictures, "--figures-dir", str(folder / "figures"), "--children-dir", str(folder / "children"),
             "-o", str(page)]
        )  # fmt: skip
        print(f"{args.children} children, {len(visits)} visits\n")
        print("| step | seconds | processor seconds | GiB |\n| --- | --- | --- | --- |")
        for name, cost in costs.items():
            print(f"| {name} | {cost.wall_s:.0f} | {cost.processor_s:.0f} | {cost.memory_gib:.2f} |")
        print(f"\npage: {page.stat().st_size / 1e6:.1f} MB", end="")
        if args.browser:
            loaded, shown, complaints = opened(page, Path(scratch) / "profile")
            print(f", loaded in {loaded:.2f} s, painted after {shown:.2f} s, {len(complaints)} complaints")
        print()


if __name__ == "__main__":
    main()
