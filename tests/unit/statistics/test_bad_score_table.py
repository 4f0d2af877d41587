"""Every fault of a score table, from the check to the report: told in words, and the analyses go on."""

import html
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from repeated_study import repeated_study

from babyseg_py.cli import main
from babyseg_py.statistics.files import read_table, write_table

FAULTS = {
    "sub-000 is already in row 2 with other values": ("other", "with contradicting rows in the score table"),
    "'5' was not scanned; is '005' meant?": ("other", "not in the samplesheet: 5 (is 005 meant?)"),
    "'refused' is not a number and is taken as missing": ("text", "'refused' are no numbers and missing"),
    "999 is taken as a value": ("codes", "999 lie apart from all others"),
    "all 17 values are 4": ("constant", "the score is constant"),
    "column missing: the column has no value at all": ("missing", "without missing"),
    "the covariate has the same values as the score copied": (
        "copied",
        "covariates determine the ranks of the score",
    ),
    "ages in mixed units": ("age_test", None),
}
SCORES = "copied,other,text,codes,constant,missing,age_test"


def faulty(table):
    """Return the table with every fault planted, and the score ``other`` untouched by most."""
    first = table.index == table.index[3]
    months = table["age_test"].astype(float)
    table = table.assign(
        text=table["text"].mask(first, "refused"),
        codes=table["codes"].mask(first, "999"),
        constant="4",
        missing=None,
        same=table["copied"],
        age_test=np.where(first, months * 30.4375, months).round(2),
        participant_id=table["participant_id"].replace({"005": "5"}),
    )
    return pd.concat([table, table.iloc[[0]].assign(other="77")])


@pytest.fixture
def study(tmp_path_factory):
    """Return a folder with a samplesheet and tables of 16 children, and their scores."""
    root = tmp_path_factory.mktemp("study")
    facts, volumes, _ = repeated_study(np.random.default_rng(3), 16, visits=(2,))
    ages = facts["age_months"].round(3)
    sheet = facts[["participant_id", "session_id"]].assign(
        suffix="T1w", image=[str(root / f"{i}.nii.gz") for i in range(len(facts))],
        age_value=ages, age_unit="months", age_reference="birth",
    )  # fmt: skip
    for image in sheet["image"]:
        Path(image).touch()
    sheet.to_csv(root / "sheet.csv", index=False)
    few = volumes[volumes["structure"].isin(["Left-Amygdala", "Total-Brain-Volume"])]
    names = ["label", "side", "volume_mm3", "volume_posterior_mm3", *facts.columns]
    write_table(
        few.reindex(columns=[*dict.fromkeys([*few.columns, *names])]), root / "tables" / "volumes.tsv"
    )
    scans = pd.DataFrame(columns=[*few.columns, "scan", "run", "suffix", "label", "side"]).reindex(columns=[
        "participant_id", "session_id", "scan", "run", "suffix", "label", "structure", "side", "volume_mm3",
        "volume_posterior_mm3"])  # fmt: skip
    write_table(scans, root / "tables" / "scanvolumes.tsv")
    qc = [
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
    write_table(pd.DataFrame(columns=qc), root / "tables" / "qc.tsv")
    children = facts.drop_duplicates("participant_id").reset_index(drop=True)
    rng = np.random.default_rng(4)
    scores = pd.DataFrame({"participant_id": children["participant_id"]}).assign(
        **{
            name: rng.integers(60, 140, len(children)).astype(str)
            for name in ("copied", "other", "text", "codes")
        },
        age_test=children["age_months"].round(2).astype(str),
    )
    return root, scores


def test_every_fault_is_said_in_the_run_and_in_the_report(study, tmp_path, capsys):
    root, scores = study
    faulty(scores).to_csv(tmp_path / "scores.tsv", sep="\t", index=False, na_rep="n/a")
    records, ledger, out = tmp_path / "records.json", tmp_path / "ledger.tsv", tmp_path / "cohort"
    table = ["--phenotype", str(tmp_path / "scores.tsv")]
    sheet = pd.read_csv(root / "sheet.csv", dtype=str)
    months = sheet["participant_id"].eq("015") & sheet["session_id"].eq("v2")
    sheet.loc[months, "age_value"] = (
        (sheet.loc[months, "age_value"].astype(float) * 4.348).round(2).astype(str)
    )
    sheet.to_csv(tmp_path / "sheet.csv", index=False)
    words = ["check", str(tmp_path / "sheet.csv"), *table, "--scores", SCORES, "--covariates", "same"]
    assert main([*words, "-o", str(records)]) == 0
    printed = capsys.readouterr().err
    words = ["statistics", "--records", str(records), "--tables", str(root / "tables"), *table]
    assert main([*words, "--out-dir", str(out)]) == 0
    assert main(["ledger", "--records", str(records), "-o", str(ledger)]) == 0
    page = tmp_path / "report.html"
    words = ["report", "--records", str(records), "--ledger", str(ledger), "--cohort", str(out)]
    assert main([*words, "-o", str(page)]) == 0
    text = html.unescape(page.read_text(encoding="utf-8"))
    assert printed.count("are weeks meant?") == 1
    assert "at sub-015_ses-v2 is far from the other children at ses-v2" in text
    associations = read_table(out / "associations.tsv")
    for told, (score, in_notes) in FAULTS.items():
        assert told in printed
        assert told in text
        if in_notes:
            notes = associations.loc[associations["score"] == score, "notes"]
            assert notes.str.contains(in_notes, regex=False).any(), told
    other = associations.query("score == 'other' and structure == 'Left-Amygdala'")
    assert other["p"].notna().all()
    assert read_table(out / "growth_models.tsv")["volume_mm3"].notna().any()
