"""A results folder as the steps before the report leave it, made from random numbers with known answers."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from babyseg_py.images import Volume
from babyseg_py.labels.table import STRUCTURES
from babyseg_py.report.snapshot import draw_snapshot
from babyseg_py.report.to_scale import draw_to_scale

BRAIN = [s for s in STRUCTURES if s.id]
SHARES = {"white matter": 0.18, "cortical grey matter": 0.24, "cerebellum": 0.05, "brain stem": 0.012,
          "cerebrospinal fluid": 0.01, "deep grey matter": 0.006}  # fmt: skip
CONTRASTS = ("T1w", "T2w")
PLANTED = {"score": "language", "structure": "Hippocampus", "rho": 0.6}


@dataclass(frozen=True)
class Folder:
    """Where a simulated cohort lies."""

    root: Path
    snapshots: list[Path]

    def arguments(self, output: Path, *more: str) -> list[str]:
        """Command line of the step ``report`` for this folder."""
        return [
            "report", "--records", str(self.root / "records.json"), "--ledger", str(self.root / "ledger.tsv"),
            "--cohort", str(self.root / "cohort"), "--snapshots", *map(str, self.snapshots),
            "--versions", str(self.root / "versions.yml"), "-o", str(output), *more,
        ]  # fmt: skip


def simulate(
    root: Path,
    *,
    children: int = 12,
    visits: int = 2,
    seed: int = 1,
    reference: str = "birth",
    fail: int = 1,
    repeats: bool = True,
    snapshots: bool = True,
) -> Folder:
    """Write records, ledger, cohort tables, pictures, versions and truth of a cohort; child 02 has a flag."""
    rng = np.random.default_rng(seed)
    records = _records(children, visits, reference, repeats, rng)
    (root / "cohort").mkdir(parents=True)
    phenotype = {"file": "scores.tsv", "scores": ["language", "motor"], "covariates": ["mother_education"],
                 "without_scores": ["07"], "without_scans": ["99"]}  # fmt: skip
    (root / "records.json").write_text(
        json.dumps({"records": records, "phenotype": phenotype}), encoding="utf-8"
    )
    failed = {record["scan_id"] for record in records[len(records) - fail :]}
    scans = pd.DataFrame([r for r in records if r["scan_id"] not in failed])
    truth = _true_volumes(scans, rng)
    write(root / "ledger.tsv", _ledger(records, failed))
    cohort_tables(root / "cohort", scans, truth, rng)
    _write_truth(root / "truth", truth)
    versions = "N4:\n  antspyx: 0.5.4\nSEGMENT:\n  babyseg: 0.1.0\n  torch: 2.9.1\n"
    (root / "versions.yml").write_text(versions, encoding="utf-8")
    pictures = _pictures(root / "snapshots", sorted(set(scans["visit_id"])), rng) if snapshots else []
    return Folder(root, pictures)


def _records(
    children: int, visits: int, reference: str, repeats: bool, rng: np.random.Generator
) -> list[dict]:
    records = []
    for child in range(1, children + 1):
        for visit in range(visits):
            age_days = (20 if reference == "birth" else 280) + 180 * visit + rng.uniform(0, 60)
            runs = (
                [("T1w", 1), ("T1w", 2), ("T2w", None)]
                if repeats and child % 3 == 0
                else [("T1w", None), ("T2w", None)]
            )
            for suffix, run in runs:
                entity = f"_run-{run}" if run else ""
                visit_id = f"sub-{child:02d}_ses-{'ABCDEF'[visit]}"
                records.append({
                    "row": len(records) + 2, "participant_id": f"{child:02d}", "session_id": "ABCDEF"[visit],
                    "run": run, "suffix": suffix, "image": f"/scans/{visit_id}{entity}_{suffix}.nii.gz",
                    "age_value": age_days, "age_unit": "days", "age_reference": reference,
                    "age_days": age_days,
                    "sex": "FM"[child % 2], "site": None, "group": None, "dseg": None,
                    "scan_id": f"{visit_id}{entity}_{suffix}", "visit_id": visit_id,
                })  # fmt: skip
    return records


def _true_volumes(scans: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    size = {child: rng.normal(1, 0.08) for child in scans["participant_id"].unique()}
    rows = []
    for record in scans.drop_duplicates("visit_id").itertuples():
        brain = 420e3 * size[record.participant_id] * (1 + 0.35 * np.log1p(record.age_days / 60))
        for s in BRAIN:
            volume = brain * SHARES[s.tissue] * rng.normal(1, 0.04)
            rows.append((record.participant_id, record.session_id, s.id, s.name, s.side, volume))
    columns = ["participant_id", "session_id", "label", "structure", "side", "volume_mm3"]
    return pd.DataFrame(rows, columns=columns)


def cohort_tables(folder: Path, scans: pd.DataFrame, truth: pd.DataFrame, rng: np.random.Generator) -> None:
    """Write the tables of ``cohort/``."""
    facts = scans.drop_duplicates("visit_id")[["participant_id", "session_id", "age_days", "age_reference"]]
    measured = truth.assign(volume_mm3=truth["volume_mm3"] * rng.normal(1.02, 0.03, len(truth)))
    measured["volume_posterior_mm3"] = measured["volume_mm3"] * 1.01
    keys = ["participant_id", "session_id"]
    total = measured.groupby(keys, as_index=False)[["volume_mm3", "volume_posterior_mm3"]].sum()
    total = total.assign(label=np.nan, structure="Total-Brain-Volume", side="n/a")
    volumes = pd.concat([measured, total]).merge(facts, on=keys)
    write(folder / "volumes.tsv", volumes)
    names = scans.assign(scan=[_scan(r.run, r.suffix) for r in scans.itertuples()])[[*keys, "scan"]]
    by_scan = names.merge(measured, on=keys)
    by_scan["volume_mm3"] *= rng.normal(1, 0.03, len(by_scan))
    write(folder / "scanvolumes.tsv", by_scan)
    write(folder / "qc.tsv", _qc(facts, rng))
    write(folder / "surfacedistance.tsv", _distances(names, rng))
    write(folder / "reliability.tsv", _reliability(rng))
    write(folder / "growth.tsv", _growth(volumes))
    write(folder / "associations.tsv", _associations(rng, facts["participant_id"].nunique()))


def _scan(run: object, suffix: str) -> str:
    return suffix if pd.isna(run) else f"run-{int(run)}_{suffix}"


def _qc(facts: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for child, session in facts[["participant_id", "session_id"]].to_numpy():
        for s in BRAIN:
            rows.append((child, session, "n/a", s.name, "score", rng.uniform(0.8, 0.97), 0.7, 1, 0, "n/a"))
        rows.append((child, session, "n/a", "n/a", "foreground_ml", rng.normal(600, 60), 250, 1800, 0, "n/a"))
    rows.append(("02", "A", "n/a", "n/a", "left_right_ratio", 2.4, 0.8, 1.25, 1,
                 "the left half is 2.4 times the right half: half a brain?"))  # fmt: skip
    columns = [
        "participant_id",
        "session_id",
        "scan",
        "structure",
        "metric",
        "value",
        "low",
        "high",
        "flag",
        "message",
    ]
    return pd.DataFrame(rows, columns=columns)


def _distances(names: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for (child, session), of in names.groupby(["participant_id", "session_id"]):
        scans = of["scan"].tolist()
        pairs = [(a, b) for i, a in enumerate(scans) for b in scans[i + 1 :]] + [
            ("session", a) for a in scans
        ]
        for reference, candidate in pairs:
            base = 0.35 if "session" in (reference, candidate) else 0.6
            for s in BRAIN:
                distance = abs(rng.normal(base, 0.12))
                rows.append((child, session, reference, candidate, s.id, s.name, 1 - distance / 5, distance,
                             3 * distance, 0.9, 1.0))  # fmt: skip
    columns = ["participant_id", "session_id", "reference", "candidate", "label", "structure", "dice",
               "assd_mm", "hd95_mm", "nsd", "tolerance_mm"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _reliability(rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for kind, contrast in (("repeat", "T1w"), ("across contrasts", "T1w, T2w")):
        for structure in dict.fromkeys(s.name.removeprefix("Left-").removeprefix("Right-") for s in BRAIN):
            icc = rng.uniform(0.6, 0.98)
            row = {"kind": kind, "contrasts": contrast, "structure": structure, "side": "both", "n": 8}
            for name in ("icc_2_1", "icc_3_1"):
                row |= {name: icc, f"{name}_ci_low": icc - 0.3, f"{name}_ci_high": icc + 0.02}
            row |= {"cv_within_percent": 2.1, "n_visits_cv": 8, "difference_percent": 0.4}
            row |= {"visit_rule": "visit nearest to 40 days after birth", "notes": "n = 8 is below 10"}
            rows += [row | {"volume_source": source} for source in ("labels", "posteriors")]
    return pd.DataFrame(rows)


def _growth(volumes: pd.DataFrame) -> pd.DataFrame:
    table = volumes.assign(structure=volumes["structure"].str.replace(r"^(Left|Right)-", "", regex=True))
    table = table.groupby(["participant_id", "session_id", "age_days", "structure"], as_index=False)[
        "volume_mm3"
    ].sum()
    rows = []
    for (child, structure), of in table.sort_values("age_days").groupby(["participant_id", "structure"]):
        months = (of["age_days"].iloc[-1] - of["age_days"].iloc[0]) / 30.4375
        if len(of) < 2:
            rows.append((child, "n/a", "n/a", "labels", 1, np.nan, np.nan, "one visit: no change"))
            continue
        slope = (of["volume_mm3"].iloc[-1] - of["volume_mm3"].iloc[0]) / months
        rows.append(
            (child, structure, "both", "labels", len(of), slope, 100 * slope / of["volume_mm3"].mean(), "n/a")
        )
    columns = ["participant_id", "structure", "side", "volume_source", "n_visits", "change_mm3_per_month",
               "percent_per_month", "notes"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _associations(rng: np.random.Generator, n: int) -> pd.DataFrame:
    rows = []
    structures = list(dict.fromkeys(s.name.removeprefix("Left-").removeprefix("Right-") for s in BRAIN))
    for score in ("language", "motor"):
        for structure in structures:
            for way in ("none", "covariate"):
                rho = rng.normal(0, 0.2)
                p, q = rng.uniform(0.05, 1), 0.8
                if (score, structure) == (PLANTED["score"], PLANTED["structure"]):
                    rho, p, q = 0.62, 0.0004, 0.012
                rows.append((score, structure, n - 1, rho, max(rho - 0.45, -1), min(rho + 0.3, 1), p, q,
                             "age_days;mother_education", way, "n/a", 2 * p, 0.71))  # fmt: skip
    words = "n = 4 is below 10: not estimated"
    rows.append(("motor", "Brain-Stem", 4, *[np.nan] * 5, "age_days", "none", words, *[np.nan] * 2))
    columns = ["score", "structure", "n", "rho", "ci_low", "ci_high", "p", "p_fdr", "covariates",
               "brain_volume_adjustment", "notes", "p_maxt", "rho_detectable"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _ledger(records: list[dict], failed: set[str]) -> pd.DataFrame:
    rows = []
    for record in records:
        end = ("ok", "n/a", "n/a")
        if record["scan_id"] in failed:
            end = ("failed", "n4", "every voxel is NaN; export the scan again")
        elif record["visit_id"] == "sub-02_ses-A":
            end = ("flagged", "segment", "the left half is 2.4 times the right half: half a brain?")
        rows.append((record["row"], record["participant_id"], record["session_id"],
                     "n/a" if record["run"] is None else record["run"], record["suffix"], record["image"],
                     *end))  # fmt: skip
    columns = ["row", "participant_id", "session_id", "run", "suffix", "image", "status", "step", "reason"]
    return pd.DataFrame(rows, columns=columns)


def _write_truth(folder: Path, truth: pd.DataFrame) -> None:
    folder.mkdir()
    columns = ["participant_id", "session_id", "label", "structure", "volume_mm3"]
    write(folder / "reference_volumes.tsv", truth[columns])
    (folder / "planted.json").write_text(
        json.dumps({"associations": [PLANTED], "null_scores": ["motor"]}), encoding="utf-8"
    )


def _pictures(folder: Path, visits: list[str], rng: np.random.Generator) -> list[Path]:
    folder.mkdir()
    image, dseg = phantom(rng)
    drawn = {"contours": draw_snapshot(image, dseg, title="x"), "toscale": draw_to_scale(image, dseg)}
    paths = []
    for visit in visits:
        for description, content in drawn.items():
            paths.append(folder / f"{visit}_desc-{description}_snapshot.png")
            paths[-1].write_bytes(content)
    return paths


def phantom(rng: np.random.Generator, affine: np.ndarray | None = None) -> tuple[Volume, Volume]:
    """Return an image and labels: an ellipsoid, left half 2 and right half 41, with a small 17 left in front.

    World coordinates decide, so that any affine gives the same anatomy: half axes 24, 36, 28 mm about zero.
    """
    if affine is None:
        affine = np.diag([2.0, 2.0, 2.5, 1.0])
        affine[:3, 3] = (-30, -42, -35)
    shape = (31, 43, 29)
    world = np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    x, y, z = np.moveaxis(world, -1, 0)
    inside = (x / 24) ** 2 + (y / 36) ** 2 + (z / 28) ** 2 < 1
    data = np.where(inside, np.where(x < 0, 2, 41), 0)
    data[(x + 12) ** 2 + (y - 18) ** 2 + z**2 < 6**2] = 17
    image = 100.0 * inside + rng.normal(0, 4, shape)
    return Volume(image.astype(np.float32), affine), Volume(data.astype(np.int32), affine)


def write(path: Path, table: pd.DataFrame) -> None:
    """Write a table as every step does."""
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")
