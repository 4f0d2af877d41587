"""Parts of structures in the tables of the cohort, from the files of a run with the fuller label set."""

import json

import pandas as pd
import pytest

from babyseg_py.cli import main
from babyseg_py.labels.fuller import fuller_structures
from babyseg_py.labels.table import STRUCTURES
from babyseg_py.statistics.files import read_table
from babyseg_py.statistics.parts import without_flagged_wholes

PER_MONTH = {"Left-Putamen": 100.0, "Right-Putamen": 40.0, "Vermis": 25.0, "CSF": 0.0}


def _write_parts(files) -> None:
    """Write what the step segment writes: all 33 volumes, those of `PER_MONTH` growing by so many mm³."""
    for record in json.loads(files.records.read_text())["records"]:
        months = record["age_days"] / 30.4375
        volumes = {s: 3000.0 + PER_MONTH.get(s.name, 10.0) * months for s in fuller_structures() if s.id}
        rows = [(s.id, s.name, v, 1.01 * v, "n/a", "n/a") for s, v in volumes.items()]
        columns = ["label", "structure", "volume_mm3", "volume_posterior_mm3", "volume_ci_low",
                   "volume_ci_high"]  # fmt: skip
        name = f"sub-{record['participant_id']}_ses-{record['session_id']}_desc-fuller_morph.tsv"
        pd.DataFrame(rows, columns=columns).to_csv(files.folder / "anat" / name, sep="\t", index=False)


@pytest.fixture(scope="module")
def divided(tmp_path_factory, simulated):
    """Return a cohort of three children whose structures were divided, gathered and analysed."""
    files = simulated(tmp_path_factory.mktemp("parts"), children=3)
    _write_parts(files)
    assert main(files.tables("--parts", str(files.folder / "anat"))) == 0
    assert main(files.statistics()) == 0
    return files


def _numbers(files, name):
    table = read_table(files.folder / "cohort" / f"{name}.tsv")
    numbers = table.columns[table.columns.str.contains("mm3|^ran$")]
    return table.assign(**{column: pd.to_numeric(table[column]) for column in numbers})


def test_the_table_has_the_parts_and_what_they_belong_to(divided):
    table = _numbers(divided, "parts")
    assert len(table) == 9 * table["structure"].nunique()
    whole = table.drop_duplicates("structure").set_index("structure")["part_of"]
    assert whole["Left-Putamen"] == "Left-Basal-Ganglia"
    assert whole["Vermis"] == "Left-Cerebellum;Right-Cerebellum"
    assert pd.isna(whole["3rd-Ventricle"])
    assert whole["Right-Lateral-Ventricle"] == "Right-Lateral-Ventricle"
    assert not set(whole.index) & {"Left-Hippocampus", "Brain-Stem", "Left-Cerebral-Cortex"}
    assert set(whole.dropna().str.split(";").explode()) <= {s.name for s in STRUCTURES}


def test_parts_grow_as_planted(divided):
    growth = _numbers(divided, "parts_growth")
    own = growth[growth["volume_source"] == "labels"].set_index("structure")["change_mm3_per_month"]
    for name, change in (PER_MONTH | {"Putamen": 140.0}).items():
        assert own[name].tolist() == pytest.approx([change] * 3, abs=1e-6)


def test_every_column_is_described(divided):
    for name in ("parts", "parts_growth"):
        words = json.loads((divided.folder / "cohort" / f"{name}.json").read_text())
        assert list(words) == list(read_table(divided.folder / "cohort" / f"{name}.tsv").columns)
        assert all(column["Description"] for column in words.values())


def test_the_tables_of_the_22_labels_and_their_tests_have_no_parts(divided):
    for name in ("volumes", "growth", "associations"):
        structures = set(_numbers(divided, name)["structure"].dropna())
        assert not structures & {"Left-Putamen", "Putamen", "Vermis", "CSF"}
    analyses = _numbers(divided, "analyses").set_index("table")
    assert analyses.loc["parts_growth.tsv", "ran"] == 1


def test_a_flagged_structure_takes_its_parts_along(divided):
    parts = _numbers(divided, "parts").query("participant_id == '001'")
    flags = [["001", "A", None, "Left-Basal-Ganglia", 1], ["001", "B", None, "Right-Cerebellum", 1]]
    qc = pd.DataFrame(flags, columns=["participant_id", "session_id", "scan", "structure", "flag"])
    masked = without_flagged_wholes(parts, qc)
    lost = masked[masked["volume_mm3"].isna()].groupby("session_id")["structure"].agg(set).to_dict()
    assert lost == {
        "A": {"Left-Putamen", "Left-Pallidum", "Left-Accumbens-area"},
        "B": {"Right-Cerebellum-Cortex", "Right-Cerebellum-White-Matter", "Vermis"},
    }
    assert parts["volume_mm3"].notna().all()


def test_without_the_fuller_set_there_are_no_such_tables(simulated, tmp_path):
    files = simulated(tmp_path, children=2)
    assert main(files.tables()) == 0
    assert main(files.statistics()) == 0
    assert not list((files.folder / "cohort").glob("parts*"))
    assert "parts_growth.tsv" not in set(_numbers(files, "analyses")["table"])
