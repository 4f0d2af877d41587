"""Real Nextflow on a tiny cohort of digital infants: made once, run once, looked at by many tests."""

import csv
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest

from babyseg_py.cli import main

# Letters that a shell, a glob or Nextflow could take for code.
HOSTILE_FOLDER = "Zoë's $(touch pwned) {a,b} $HOME; `touch pwned` [x]"
CODE = ("main.nf", "nextflow.config", "conf", "workflows", "subworkflows", "modules", "bin", "babyseg_py")


@dataclass(frozen=True)
class Run:
    """One finished call of Nextflow.

    Parameters
    ----------
    code : int
        Exit code.
    text : str
        Standard output and standard error together.
    outdir : Path
    """

    code: int
    text: str
    outdir: Path

    def trace(self) -> pd.DataFrame:
        """Return the execution trace; ``process`` is the last part of the name."""
        frame = pd.read_csv(self.outdir / "pipeline_info" / "execution_trace.txt", sep="\t", dtype=str)
        frame["process"] = frame["process"].str.split(":").str[-1]
        return frame

    def computed(self) -> set[tuple[str, str]]:
        """Return the (process, tag) pairs of the tasks that ran and were not cached."""
        frame = self.trace()
        frame = frame[frame["status"] != "CACHED"]
        return set(zip(frame["process"], frame["tag"], strict=True))

    def ledger(self) -> pd.DataFrame:
        """Return the ledger, every value as text."""
        return pd.read_csv(self.outdir / "ledger.tsv", sep="\t", dtype=str, keep_default_na=False)

    def last_lines(self) -> str:
        """Return the last five lines with text."""
        return "\n".join([line for line in self.text.splitlines() if line.strip()][-5:])


@dataclass(frozen=True)
class Project:
    """A copy of the pipeline's code that a test may edit.

    Parameters
    ----------
    top : Path
        Folder with main.nf.
    environment : dict
        Variables that every run gets: tasks import the copy, and no thread pool is larger than one.
    """

    top: Path
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, folder: Path, words: Sequence[str], outdir: Path) -> list[str]:
        """Return the command line of a run."""
        nextflow = self.top / ".venv" / "bin" / "nextflow"
        return [
            str(nextflow), "-log", str(folder / "nextflow.log"), "run", str(self.top / "main.nf"),
            "-ansi-log", "false", "--outdir", str(outdir), *words,
        ]  # fmt: skip

    def run(self, folder: Path, *words: str, outdir: str = "results", parser: str = "v1") -> Run:
        """Run the pipeline in a folder and wait for its end."""
        outdir_path = folder / outdir
        done = subprocess.run(
            self.command(folder, words, outdir_path),
            cwd=folder,
            env=self.environment | {"NXF_SYNTAX_PARSER": parser},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
        )
        return Run(done.returncode, done.stdout, outdir_path)

    def interrupt(self, folder: Path, *words: str, after: str, outdir: str = "results") -> Run:
        """Run the pipeline until a line of its output holds a text; then stop it as Ctrl-C would."""
        outdir_path = folder / outdir
        with subprocess.Popen(
            self.command(folder, words, outdir_path),
            cwd=folder,
            env=self.environment | {"NXF_SYNTAX_PARSER": "v1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        ) as running:
            lines = []
            assert running.stdout is not None
            for line in running.stdout:
                lines.append(line)
                if after in line:
                    running.send_signal(signal.SIGTERM)
                    break
            lines += running.stdout.readlines()
        return Run(running.returncode, "".join(lines), outdir_path)


@pytest.fixture(scope="session")
def project(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a copy of the pipeline whose tasks import the copied package."""
    top = tmp_path_factory.mktemp("project")
    for name in CODE:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, top / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, top / name)
    for name in (".venv", "weights"):
        (top / name).symlink_to(root / name)
    environment = dict(os.environ) | {
        "PYTHONPATH": str(top),
        "OMP_NUM_THREADS": "1",
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1",
        "LC_ALL": "C.UTF-8",
    }
    return Project(top, environment)


@pytest.fixture(scope="session")
def infants(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a digital cohort of three children with two visits, small enough for tests."""
    folder = tmp_path_factory.mktemp("infants") / HOSTILE_FOLDER
    folder.parent.mkdir(exist_ok=True)
    assert main(["demo-data", str(folder), "--children", "3", "--spacing", "2.5", "--threads", "1"]) == 0
    return folder


@pytest.fixture(scope="session")
def sheet_rows(infants: Path) -> list[dict[str, str]]:
    """Return the rows of the cohort's samplesheet, with absolute paths."""
    with (infants / "samplesheet.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [
        row | {column: str(infants / row[column]) for column in ("image", "dseg") if row.get(column)}
        for row in rows
    ]


@pytest.fixture(scope="session")
def write_sheet() -> Callable[[Path, Sequence[dict[str, str]]], Path]:
    """Return a function that writes rows as a samplesheet."""

    def write(path: Path, rows: Sequence[dict[str, str]]) -> Path:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the shared real run is launched in, with a space in its name."""
    folder = tmp_path_factory.mktemp("launch") / "of the run"
    folder.mkdir()
    return folder


@dataclass(frozen=True)
class Cohort:
    """The shared real run: two children, interrupted once and resumed."""

    rows: list[dict[str, str]]
    words: list[str]
    interrupted: Run
    finished: set[tuple[str, str]]  # (process, tag) of the tasks that ended well before the interruption
    run: Run


@pytest.fixture(scope="session")
def cohort(project, infants, sheet_rows, write_sheet, workplace) -> Cohort:
    """Return the run of two children through every step, interrupted at its first segmentation."""
    rows = [row for row in sheet_rows if row["participant_id"] != "sub-03"]
    sheet = write_sheet(workplace / "samplesheet.csv", rows)
    words = ["--input", str(sheet), "--phenotype", str(infants / "scores.tsv"), "--truth", str(infants)]
    words += ["--labels", "fuller", "--raters", str(infants / "raters.tsv")]
    interrupted = project.interrupt(workplace, *words, after="REGISTER")
    done = interrupted.trace().query("status == 'COMPLETED'")
    finished = set(zip(done["process"], done["tag"], strict=True))
    return Cohort(rows, words, interrupted, finished, project.run(workplace, *words, "-resume"))


@pytest.fixture(scope="session")
def read_json() -> Callable[[Path], dict]:
    """Return a function that reads a JSON file."""
    return lambda path: json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Path]:
    """Return an empty folder to launch a run in; afterwards nothing may have been executed out of data."""
    yield tmp_path
    assert not list(tmp_path.rglob("pwned*"))
