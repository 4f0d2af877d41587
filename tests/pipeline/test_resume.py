"""What a second run computes again, and what not. The tests share a work folder and run in this order."""

import pytest

WHOLE_COHORT = {("TABLES", "-"), ("STATISTICS", "-"), ("LEDGER", "-"), ("REPORT", "-")}


@pytest.fixture(scope="module")
def again(project, workplace, cohort):
    """Return a function that runs the same cohort once more."""

    def run(*words):
        result = project.run(workplace, *(words or cohort.words), "-resume")
        assert result.code == 0, result.text
        return result

    return run


def test_unchanged(again):
    assert again().computed() == set()


def test_an_edit_of_the_source_repeats_the_steps_it_touches(project, again):
    module = project.top / "babyseg_py" / "report" / "words.py"
    module.write_text(module.read_text(encoding="utf-8") + "\n# edited\n", encoding="utf-8")
    computed = {process for process, _tag in again().computed()}
    assert "REPORT" in computed
    assert not computed & {"N4", "REGISTER", "SEGMENT", "SURFACE_DISTANCE", "MORPHOMETRY", "SHAPE"}


def test_an_edit_of_one_step_repeats_it_and_what_follows(project, again):
    module = project.top / "babyseg_py" / "steps" / "snapshot.py"
    module.write_text(module.read_text(encoding="utf-8") + "\n# edited\n", encoding="utf-8")
    computed = {process for process, _tag in again().computed()}
    assert computed == {"SNAPSHOT", "REPORT"}


def test_another_covariate_repeats_no_scan(workplace, write_sheet, cohort, again):
    rows = [row | {"site": "C"} for row in cohort.rows]
    write_sheet(workplace / "samplesheet.csv", rows)
    assert again().computed() <= WHOLE_COHORT


def test_an_added_child_leaves_the_others_alone(workplace, write_sheet, sheet_rows, cohort, again):
    """The new child stands first in the sheet, so every other row moves."""
    visit = [row for row in sheet_rows if (row["participant_id"], row["session_id"]) == ("sub-03", "ses-A")]
    write_sheet(workplace / "samplesheet.csv", [*visit, *cohort.rows])
    run = again()
    mine = {(process, tag) for process, tag in run.computed() if tag.startswith("sub-03_ses-A")}
    assert {process for process, _tag in mine} == {
        "N4", "REGISTER", "SEGMENT", "SURFACE_DISTANCE", "MORPHOMETRY", "SNAPSHOT", "SHAPE",
    }  # fmt: skip
    assert run.computed() - mine <= WHOLE_COHORT | {("PROVENANCE", "-")}
    assert len(run.ledger()) == len(cohort.rows) + len(visit)
