"""Tests of what a run says about itself."""

import json

import nibabel as nib

from babyseg_py.cli import main


def test_everything_is_written(tmp_path):
    parameters = tmp_path / "given.json"
    parameters.write_text('{"tolerance": 1.5, "input": "Zoë.csv"}', encoding="utf-8")
    out = tmp_path / "out"
    words = ["--parameters", str(parameters), "--nextflow", "25.04.4", "--out-dir", str(out)]
    assert main(["provenance", *words]) == 0
    versions = json.loads((out / "pipeline_info/software_versions.json").read_text())
    assert versions["nextflow"] == "25.04.4"
    assert versions["nibabel"] == nib.__version__
    kept = json.loads((out / "pipeline_info/parameters.json").read_text(encoding="utf-8"))
    assert kept == {"tolerance": 1.5, "input": "Zoë.csv"}
    description = json.loads((out / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Version"] == versions["babyseg"]
    assert "pipeline_info\n" in (out / ".bidsignore").read_text()
