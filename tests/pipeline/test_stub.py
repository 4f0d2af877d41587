"""The whole graph without computing, under both parsers and from awkward samplesheets."""

import shutil
from pathlib import Path

import pytest

STEPS = {
    "N4": 4,
    "REGISTER": 2,
    "SEGMENT": 2,
    "SURFACE_DISTANCE": 2,
    "MORPHOMETRY": 2,
    "SNAPSHOT": 2,
    "TEMPLATE": 1,
    "SHAPE": 2,
} | dict.fromkeys(("PROVENANCE", "TABLES", "STATISTICS", "LEDGER", "REPORT"), 1)


@pytest.fixture(scope="session")
def two_visits(sheet_rows):
    """Return the four rows of the first child."""
    return [row for row in sheet_rows if row["participant_id"] == "sub-01"]


def two_raters(folder, row):
    """Write a table of two raters of a visit; their maps have one name, in folders with odd names."""
    lines = ["participant_id\tsession_id\trater\tdseg"]
    for rater, place in (("Ann", "$(touch pwned) a"), ("Ben", "b")):
        (folder / place).mkdir()
        shutil.copy(Path(row["dseg"]), folder / place / "my labels.nii.gz")
        lines.append(
            "\t".join([row["participant_id"], row["session_id"], rater, f"{place}/my labels.nii.gz"])
        )
    table = folder / "raters.tsv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return table


@pytest.mark.parametrize("parser", ["v1", "v2"])
def test_whole_graph(project, launch, write_sheet, two_visits, parser):
    sheet = write_sheet(launch / "sheet.csv", two_visits)
    words = ["--input", str(sheet), "--raters", str(two_raters(launch, two_visits[0])), "-stub-run"]
    run = project.run(launch, *words, outdir="out put", parser=parser)
    assert run.code == 0, run.text
    assert run.trace()["process"].value_counts().to_dict() == STEPS | {"RATERS": 1}
    assert [*(run.outdir / "sub-01" / "ses-A").rglob("*_desc-raters_qc.tsv")]
    maps = sorted(path.resolve() for path in (launch / "work").glob("*/*/maps/*/*"))
    assert len(set(maps)) == 2
    for name in ("report.html", "ledger.tsv", "participants.tsv", "dataset_description.json", ".bidsignore"):
        assert (run.outdir / name).is_file()
    assert [*(run.outdir / "cohort" / "surfaces").glob("*_mesh.surf.gii")]
    assert not (launch / "results").exists()


def test_a_bids_dataset_instead_of_a_sheet(project, launch, infants):
    dataset = launch / "bids"
    shutil.copytree(infants / "sub-01", dataset / "sub-01")
    (dataset / "dataset_description.json").write_text('{"Name": "infants", "BIDSVersion": "1.10.0"}')
    run = project.run(launch, "--bids", str(dataset), "-stub-run")
    assert run.code == 0, run.text
    assert run.trace()["process"].value_counts().to_dict() == STEPS


@pytest.mark.parametrize(
    "name", ["new\nline; touch pwned\n.nii.gz", "tab\t{x}.nii.gz", "-n $HOME ${IFS}.nii.gz"]
)
def test_paths_are_data(project, launch, write_sheet, two_visits, name):
    """A path with letters that a shell reads as code is served or refused, and never run."""
    image = launch / name
    shutil.copy(Path(two_visits[0]["image"]), image)
    sheet = write_sheet(launch / "sheet.csv", [two_visits[0] | {"image": str(image)}])
    run = project.run(launch, "--input", str(sheet), "-stub-run")
    refused = run.code != 0 and "row 2" in run.text and "Submitted process" not in run.text
    served = run.code == 0 and (run.outdir / "report.html").is_file()
    assert refused or served, run.text


def test_an_address_that_this_nextflow_cannot_read_costs_its_own_row_alone(
    project, launch, write_sheet, two_visits
):
    """A Nextflow with the plugin finds no such bucket, one without it has no way to look."""
    far = {"participant_id": "far", "image": "s3://no-such-bucket/a.nii.gz", "dseg": ""}
    rows = [two_visits[0], two_visits[0] | far]
    run = project.run(launch, "--input", str(write_sheet(launch / "sheet.csv", rows)), "-stub-run")
    assert run.code == 0, run.text
    assert run.trace()["process"].value_counts()["N4"] == 1
    assert "s3://no-such-bucket/a.nii.gz: cannot be reached" in run.text
    (failure,) = (launch / "work" / "kept").glob("*/sub-far_ses-A_*.n4.failure.json")
    assert "plugin" in failure.read_text(encoding="utf-8")


def test_identifiers_with_code_are_refused(project, launch, write_sheet, two_visits):
    """Every cell is named, none is run."""
    columns = ("participant_id", "session_id", "suffix", "run")
    values = ("$(touch pwned)", "; touch pwned", "../../pwned", "a'b\"c")
    rows = [two_visits[0] | {column: value} for column in columns for value in values]
    run = project.run(launch, "--input", str(write_sheet(launch / "sheet.csv", rows)), "-stub-run")
    assert run.code != 0
    assert "Submitted process" not in run.text
    for number in range(2, len(rows) + 2):
        assert f"row {number}" in run.text


def test_a_corrected_dseg_is_handed_to_segmentation(project, launch, write_sheet, two_visits):
    """By its own name, not that of its folder; any other is a reference, and compared with."""
    visits = {row["session_id"]: row for row in two_visits}  # one scan of each of two visits
    kinds = dict(zip(visits, ("corrected", "manual"), strict=True))
    rows = []
    for session, kind in kinds.items():
        folder = launch / "old_desc-corrected_maps"
        folder.mkdir(exist_ok=True)
        labels = folder / f"sub-01_ses-{session}_space-session_desc-{kind}_dseg.nii.gz"
        shutil.copy(visits[session]["dseg"], labels)
        rows.append(visits[session] | {"dseg": str(labels)})
    sheet = write_sheet(launch / "sheet.csv", rows)
    run = project.run(launch, "--input", str(sheet), "-stub-run")
    assert run.code == 0, run.text
    tasks = {
        folder: sorted(path.name for path in (launch / "work").glob(f"*/*/{folder}/*"))
        for folder in ("corrected", "reference")
    }
    assert [len(names) for names in tasks.values()] == [1, 2]  # surface distances and volumes of a reference
    assert "_desc-corrected_" in tasks["corrected"][0]
    assert all("_desc-manual_" in name for name in tasks["reference"])
