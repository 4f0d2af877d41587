import json
import re

import pandas as pd
import pytest

from babyseg_py.cli import main
from babyseg_py.statistics.files import read_table

TABLES = (
    "reliability",
    "growth",
    "growth_models",
    "centiles",
    "child_centiles",
    "site_effects",
    "harmonised_volumes",
    "associations",
    "association_visits",
    "specifications",
    "behaviour_models",
    "analyses",
)


def read(files, name):
    table = read_table(files.folder / "cohort" / f"{name}.tsv")
    numbers = {name: pd.to_numeric(table[name], errors="coerce") for name in table.columns}
    return table.assign(**{name: column for name, column in numbers.items() if column.notna().any()})


def test_every_result_has_its_dictionary(cohort):
    for name in TABLES:
        table = read_table(cohort.folder / "cohort" / f"{name}.tsv")
        assert len(table)
        assert list(json.loads((cohort.folder / "cohort" / f"{name}.json").read_text())) == list(
            table.columns
        )


def test_no_cell_is_empty_or_longer_than_ten_digits(cohort):
    for path in (cohort.folder / "cohort").glob("*.tsv"):
        cells = {cell for line in path.read_text().splitlines() for cell in line.split("\t")}
        assert not cells & {"", "inf", "-inf", "nan"}, path.name
        numbers = [cell for cell in cells if re.fullmatch(r"-?\d+\.\d+", cell)]
        assert all(len(number.strip("-0.").replace(".", "")) <= 10 for number in numbers), path.name


def test_the_planted_association_is_the_clearest(cohort):
    table = read(cohort, "associations")
    best = table.loc[table["p"].idxmin()]
    assert (best["score"], best["structure"]) == ("planted", "Left-Hippocampus")
    assert best["p_fdr"] < 0.001
    assert (best["ci_low"], best["n"]) > (0.5, 39)
    null = table[(table["score"] == "noise")]
    assert (null["p_fdr"] > 0.05).all()


def test_growth_and_reliability_are_those_of_the_simulation(cohort):
    growth = read(cohort, "growth")
    stem = growth[(growth["structure"] == "Brain-Stem") & (growth["volume_source"] == "labels")]
    assert len(stem) == 40
    # 2 % of the volume at birth per month, over the volume at the mean age of about 12.3 months
    assert stem["percent_per_month"].median() == pytest.approx(100 * 0.02 / (1 + 0.02 * 12.3), abs=0.02)
    reliability = read(cohort, "reliability")
    repeat = reliability[(reliability["kind"] == "repeat") & (reliability["structure"] == "Brain-Stem")]
    assert repeat["cv_within_percent"].tolist() == pytest.approx([1, 1], abs=0.3)
    assert (repeat["icc_2_1"] > 0.9).all()
    assert repeat["n_visits_cv"].tolist() == [40, 40]


def test_without_scores_associations_are_empty(simulated, tmp_path, capsys):
    files = simulated(tmp_path, children=2)
    assert main(files.tables()) == main(files.statistics()) == 0
    assert read(files, "associations").empty
    assert "associations: did not run: there is no score table (--phenotype)" in capsys.readouterr().out


def test_without_anything_no_table_has_an_estimate(tmp_path):
    (tmp_path / "records.json").write_text('{"records": [], "phenotype": {}}')
    records = ["--records", str(tmp_path / "records.json")]
    assert main(["tables", *records, "--out-dir", str(tmp_path / "cohort")]) == 0
    assert (
        main(["statistics", *records, "--tables", str(tmp_path / "cohort"), "--out-dir", str(tmp_path)]) == 0
    )
    for name in set(TABLES) - {"analyses", "site_effects"}:
        assert read_table(tmp_path / f"{name}.tsv").empty
    assert (read_table(tmp_path / "analyses.tsv")["ran"] == "0").all()
    assert read_table(tmp_path / "site_effects.tsv")["f"].isna().all()


def test_scores_may_be_called_like_columns_of_the_visits(simulated, tmp_path):
    files = simulated(tmp_path, children=12)
    rows = [line.split("\t") for line in files.scores.read_text().splitlines()]
    names = ["age", "score", "later_age", "age_days"]
    for place, row in enumerate(rows):
        row.extend(names if place == 0 else [str(place * k % 7 + place) for k in (1, 2, 3, 5)])
    files.scores.write_text("\n".join("\t".join(row) for row in rows) + "\n")
    assert main(files.tables()) == 0
    options = ["--phenotype", str(files.scores), "--scores", "age,score,planted", "--covariates", "age_days"]
    assert main(files.statistics(*options)) == 0
    table = read(files, "associations")
    assert set(table["score"]) == {"age (score table)", "score (score table)", "planted"}
    assert table["covariates"].str.contains("age_days (score table)", regex=False).all()


def test_a_column_that_comes_twice_is_refused(simulated, tmp_path, capsys):
    files = simulated(tmp_path, children=12)
    rows = [line.split("\t") for line in files.scores.read_text().splitlines()]
    files.scores.write_text("\n".join("\t".join([*row, row[-1]]) for row in rows) + "\n")
    assert main(files.tables()) == 0
    assert main(files.statistics("--phenotype", str(files.scores))) == 65
    assert "the column comes twice" in capsys.readouterr().err


def test_every_scan_has_failed(simulated, tmp_path):
    files = simulated(tmp_path, children=12)
    assert main(["tables", "--records", str(files.records), "--out-dir", str(files.folder / "cohort")]) == 0
    assert main(files.statistics("--phenotype", str(files.scores), "--scores", "planted")) == 0
    growth = read(files, "growth")
    assert (growth["notes"] == "no usable visit").all()
    assert len(growth) == 24
    assert read(files, "associations")["notes"].str.contains("12 without a segmented visit").all()


def test_flagged_sessions_are_left_out_unless_asked_for(simulated, tmp_path):
    files = simulated(tmp_path, children=12)
    for session in "ABC":
        path = files.folder / "anat" / f"sub-000_ses-{session}_desc-segmentation_qc.tsv"
        path.write_text(path.read_text().replace("\t0\tn/a", "\t1\thalf a brain"))
    path = files.folder / "anat" / "sub-001_ses-A_desc-segmentation_qc.tsv"
    path.write_text(path.read_text() + "n/a\tBrain-Stem\tscore\t0.2\t0.5\tn/a\t1\tunsure\n")
    assert main(files.tables()) == 0
    options = ["--phenotype", str(files.scores), "--scores", "planted"]
    assert main(files.statistics(*options)) == 0
    assert (read(files, "associations")["n"] == 11).all()
    stem = read(files, "growth").query("participant_id == 1 and structure == 'Brain-Stem'")
    assert stem["sessions"].tolist() == ["B;C", "B;C"]
    assert (stem["notes"] == "1 visits without this structure, or flagged; two visits: no interval").all()
    assert read(files, "growth")["notes"].iloc[0] == "no usable visit; 3 flagged visits left out"
    assert main(files.statistics(*options, "--include-flagged")) == 0
    assert (read(files, "associations")["n"] == 12).all()


def test_scores_and_covariates_are_those_that_were_checked(simulated, tmp_path, capsys):
    files = simulated(tmp_path, children=12)
    content = json.loads(files.records.read_text())
    covariates = ["epds", "site", "age", "constant"]
    content["phenotype"] = {"scores": ["noise"], "covariates": covariates, "categories": ["constant"]}
    rows = files.scores.read_text().splitlines()
    files.scores.write_text("\n".join([f"{rows[0]}\tconstant", *(f"{row}\t1" for row in rows[1:])]) + "\n")
    files.records.write_text(json.dumps(content))
    assert main(files.tables()) == main(files.statistics("--phenotype", str(files.scores))) == 0
    table = read(files, "associations")
    assert set(table["score"]) == {"noise"}
    assert table["covariates"].iloc[0] == "age (days after birth); epds; site (B; reference A)"
    assert "note: not adjusted for constant: all 12 values are 1\n" in capsys.readouterr().out


def test_posteriors_may_be_asked_for(simulated, tmp_path):
    files = simulated(tmp_path, children=12)
    options = ["--phenotype", str(files.scores), "--scores", "planted"]
    assert main(files.tables()) == main(files.statistics(*options, "--volume-source", "posteriors")) == 0
    assert set(read(files, "associations")["volume_source"]) == {"posteriors"}


@pytest.mark.parametrize("option", ["--scores", "--covariates"])
def test_an_unknown_column_is_named_with_the_nearest(simulated, tmp_path, capsys, option):
    files = simulated(tmp_path, children=1)
    assert main(files.tables()) == 0
    assert main(files.statistics("--phenotype", str(files.scores), option, "plantet")) == 65
    message = capsys.readouterr().err
    assert "there is no column plantet; did you mean 'planted'?" in message


def test_the_same_input_gives_the_same_bytes(simulated, tmp_path):
    files = simulated(tmp_path, children=12)
    options = ["--phenotype", str(files.scores), "--covariates", "education"]
    assert main(files.tables()) == main(files.statistics(*options)) == 0
    first = {path: path.read_bytes() for path in (files.folder / "cohort").iterdir()}
    assert main(files.statistics(*options)) == 0
    assert {path: path.read_bytes() for path in (files.folder / "cohort").iterdir()} == first


@pytest.mark.parametrize(
    ("name", "column"), [("scanvolumes", "suffix"), ("volumes", "label"), ("qc", "flag")]
)
def test_a_table_without_a_column_is_named(simulated, tmp_path, capsys, name, column):
    files = simulated(tmp_path, children=2)
    assert main(files.tables()) == 0
    path = files.folder / "cohort" / f"{name}.tsv"
    pd.read_csv(path, sep="\t", dtype=str).drop(columns=column).to_csv(path, sep="\t", index=False)
    assert main(files.statistics()) == 65
    assert f"{name}.tsv: has no column {column}" in capsys.readouterr().err
