"""A simulated cohort in exactly the files that the steps before ``tables`` write."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from babyseg_py.cli import main
from babyseg_py.labels.table import STRUCTURES

HEAD = ["participant_id", "session_id"]
VOLUMES = [
    *("label", "structure", "side", "volume_mm3", "volume_posterior_mm3"),
    *("volume_ci_low", "volume_ci_high"),
]
QC = ["scan", "structure", "metric", "value", "low", "high", "flag", "message"]
DISTANCES = [
    "reference",
    "candidate",
    "label",
    "structure",
    "dice",
    "assd_mm",
    "hd95_mm",
    "nsd",
    "tolerance_mm",
]
TOTALS = ("Total-Brain-Volume", "Cerebral-White-Matter", "Cerebral-Cortex", "Intracranial-Estimate")
BASE_MM3 = {s.name: 500.0 + 900 * s.index for s in STRUCTURES if s.id}


@dataclass(frozen=True)
class Files:
    """Where a simulated cohort lies."""

    folder: Path
    records: Path
    scores: Path

    def tables(self, *more: str) -> list[str]:
        """Return the words of the command that gathers the tables."""
        options = ["--volumes", "--scan-volumes", "--qc", "--surface-distance"]
        words = [word for option in options for word in (option, str(self.folder / "anat"))]
        return [
            "tables",
            "--records",
            str(self.records),
            *words,
            "--out-dir",
            str(self.folder / "cohort"),
            *more,
        ]

    def statistics(self, *more: str) -> list[str]:
        """Return the words of the command that analyses the cohort."""
        cohort = str(self.folder / "cohort")
        return ["statistics", "--records", str(self.records), "--tables", cohort, "--out-dir", cohort, *more]


def write(path: Path, header: list[str], rows: list[list]) -> None:
    """Write a table as the pipeline does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join("n/a" if cell is None else str(cell) for cell in row) for row in [header, *rows]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def volume_rows(volumes: dict[str, float], lead: list) -> list[list]:
    """Rows of a table of volumes with its totals; posteriors are 1 % larger."""
    ids = {s.name: (s.id, s.name, s.side) for s in STRUCTURES}
    both = {name: volumes[f"Left-{name}"] + volumes[f"Right-{name}"] for name in TOTALS[1:3]}
    inside = sum(volumes[s.name] for s in STRUCTURES if s.in_brain_volume)
    totals = {TOTALS[0]: inside, **both, TOTALS[3]: 1.1 * sum(volumes.values())}
    rows = [
        [*lead, *ids[name], value, 1.01 * value, 0.9 * value, 1.1 * value] for name, value in volumes.items()
    ]
    rows += [[*lead, None, name, "none", value, 1.01 * value, None, None] for name, value in totals.items()]
    return rows


def write_visit(anat: Path, participant: str, session: str, truth: dict, measured: dict[str, dict]) -> None:
    """Write the four tables of a visit."""
    lead, stem = [participant, session], f"sub-{participant}_ses-{session}_desc-"
    first = next(iter(measured))
    write(anat / f"{stem}volumes_morph.tsv", HEAD + VOLUMES, volume_rows(truth, lead))
    rows = [row for scan, volumes in measured.items() for row in volume_rows(volumes, [*lead, scan])]
    write(anat / f"{stem}scanvolumes_morph.tsv", [*HEAD, "scan", *VOLUMES], rows)
    rows = [[None, None, "score", 0.9, 0.5, None, 0, None], [first, None, "entropy", 0.1, None, 0.3, 0, None]]
    write(anat / f"{stem}segmentation_qc.tsv", QC, rows)
    row = [first, "session", 17, "Left-Hippocampus", 0.9, 0.3, 1.0, 0.95, 1.0]
    write(anat / f"{stem}surfacedistance_qc.tsv", DISTANCES, [row])


def simulate(
    folder: Path, *, children: int = 40, noise: float = 0.01, effect: float = 0.9, seed: int = 0
) -> Files:
    """Write a cohort: three visits each, T1w twice at the first visit, T2w; scores per child.

    The left hippocampus of a child follows the score ``planted``; all volumes grow by 2 % of their size at
    birth per month. Site B is 3 % larger.
    """
    rng = np.random.default_rng(seed)
    anat = folder / "anat"
    records: list[dict] = []
    scores: list[list] = []
    for child in range(children):
        participant, site = f"{child:03d}", "AB"[child % 2]
        size, planted = rng.normal(1, 0.08) * (1.03 if site == "B" else 1), rng.normal()
        own = {name: rng.normal(1, 0.03) for name in BASE_MM3}
        own["Left-Hippocampus"] = 1 + 0.05 * (effect * planted + np.sqrt(1 - effect**2) * rng.normal())
        education = rng.choice(["low", "middle", "high"])
        scores.append(
            [f"sub-{participant}", round(50 + 10 * planted), rng.normal(), education, round(rng.normal(8, 3))]
        )
        for session, month in zip("ABC", (1, 12, 24), strict=True):
            age = 30.4375 * month + rng.uniform(-10, 10)
            truth = {n: base * size * own[n] * (1 + 0.02 * age / 30.4375) for n, base in BASE_MM3.items()}
            scans = ["run-1_T1w", "run-2_T1w", "run-1_T2w"] if session == "A" else ["T1w", "T2w"]
            facts = {"participant_id": participant, "session_id": session, "age_days": age, "site": site}
            facts |= {"age_reference": "birth", "sex": "FM"[child % 3 == 0], "group": None}
            records += [facts | {"row": len(records) + 2, "suffix": scan[-3:]} for scan in scans]
            measured = {s: {n: v * rng.normal(1, noise) for n, v in truth.items()} for s in scans}
            write_visit(anat, participant, session, truth, measured)
    path = folder / "records.json"
    path.write_text(
        json.dumps({"records": records, "phenotype": {"file": None, "scores": [], "covariates": []}})
    )
    write(folder / "scores.tsv", ["participant_id", "planted", "noise", "education", "epds"], scores)
    return Files(folder, path, folder / "scores.tsv")


@pytest.fixture(scope="session")
def simulated():
    """Return the function that writes a simulated cohort into a folder."""
    return simulate


@pytest.fixture(scope="session")
def cohort(tmp_path_factory) -> Files:
    """Return a cohort of 40 children whose tables are gathered and analysed; not to be changed."""
    files = simulate(tmp_path_factory.mktemp("cohort"))
    assert main(files.tables()) == 0
    scores = [
        "--phenotype",
        str(files.scores),
        "--scores",
        "planted,noise",
        "--covariates",
        "education,epds,sex",
    ]
    assert main(files.statistics(*scores)) == 0
    return files
