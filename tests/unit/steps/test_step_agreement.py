"""The step agreement, from the command line."""

import numpy as np
import pandas as pd
import pytest

from babyseg_py.cli import main
from babyseg_py.statistics.files import read_table


@pytest.fixture
def table(tmp_path, rng):
    """Write volumes of 10 children by three raters, of which the third measures 50 mm³ more."""
    size = rng.normal(3000, 300, 10)
    rows = [
        (f"{child:02d}", rater, "Hippocampus", size[child] + more + rng.normal(0, 10))
        for rater, more in (("Ann", 0), ("Ben", 0), ("Cid", 50))
        for child in range(10)
    ]
    path = tmp_path / "volumes.tsv"
    columns = ["participant_id", "method", "structure", "volume_mm3"]
    pd.DataFrame(rows, columns=columns).to_csv(path, sep="\t", index=False)
    return path


def test_the_planted_difference_of_a_rater_is_found(table, capsys):
    out, figures = table.with_name("agreement.tsv"), table.with_name("figures")
    assert main(["agreement", str(table), "-o", str(out), "--figures-dir", str(figures)]) == 0
    found = read_table(out).set_index("methods")
    assert found["comparison"].to_dict() == dict.fromkeys(["Ann, Ben", "Ann, Cid", "Ben, Cid"], "pair") | {
        "Ann, Ben, Cid": "all"
    }
    assert float(found.loc["Ann, Cid", "bias_mm3"]) == pytest.approx(50, abs=12)
    assert float(found.loc["Ann, Ben, Cid", "p_corrected"]) < 1e-4
    assert sorted(path.name for path in figures.glob("*.png"))[0] == "bland_altman_Ann__Ben.png"
    assert "Ann, Cid: Hippocampus: ICC(2,1)" in capsys.readouterr().out
    assert out.with_suffix(".json").is_file()


@pytest.mark.parametrize("structure", ["Left-Hippocampus", "fornix"])
def test_structures_of_one_side_and_unknown_ones_are_drawn(table, structure):
    content = pd.read_csv(table, sep="\t", dtype=str).assign(structure=structure)
    content.to_csv(table, sep="\t", index=False)
    out, figures = table.with_name("agreement.tsv"), table.with_name("figures")
    assert main(["agreement", str(table), "-o", str(out), "--figures-dir", str(figures)]) == 0
    drawn = read_table(figures / "bland_altman_Ann__Cid.tsv")
    assert set(drawn["structure"]) == {structure}
    assert len(drawn) == 10
    assert drawn["difference_ml"].astype(float).mean() == pytest.approx(0.05, abs=0.012)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns="method"), "has no column method"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "more than one row for 00 1 Ann Hippocampus"),
        (lambda t: t.assign(method=t["method"].where(t.index > 0)), "rows without child"),
        (lambda t: t.assign(method=np.where(t["participant_id"] < "02", t["method"], "Ann")).drop_duplicates(
            ["participant_id", "method"]), "no three children"),
        (lambda t: t.assign(volume_mm3=t["volume_mm3"].where(t.index != 2, "large")),
            "row 4, column volume_mm3: 'large' is not a number; write a number, or n/a"),
        (lambda t: t.assign(volume_mm3=t["volume_mm3"] + "\t1"), "row 2, column volume_mm3"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_compared(table, change, words, capsys):
    content = pd.read_csv(table, sep="\t", dtype=str)
    change(content).to_csv(table, sep="\t", index=False, na_rep="n/a")
    assert main(["agreement", str(table), "-o", str(table.with_name("a.tsv"))]) == 65
    assert words in capsys.readouterr().err


def test_words_for_a_missing_volume_and_columns_of_no_use_are_passed_over(table):
    content = pd.read_csv(table, sep="\t", dtype=str).assign(label="hippo", flag="no")
    content.loc[0, "volume_mm3"] = "NA"
    content.to_csv(table, sep="\t", index=False)
    out = table.with_name("agreement.tsv")
    assert main(["agreement", str(table), "-o", str(out)]) == 0
    assert read_table(out).set_index("methods")["n"].to_dict() == {
        "Ann, Ben": "9", "Ann, Cid": "9", "Ben, Cid": "10", "Ann, Ben, Cid": "9",
    }  # fmt: skip
    assert "" not in {cell for line in out.read_text().splitlines() for cell in line.split("\t")}
