"""Tests of the fingerprints: they change with what a step imports, and with nothing else."""

import pytest

from babyseg_py.steps.fingerprints import PACKAGE, fingerprints


@pytest.fixture
def package(tmp_path):
    """Return a package in which ``deep`` reaches ``low`` through ``high``, and ``flat`` reaches neither."""
    top = tmp_path / "pack"
    files = {
        "__init__.py": "",
        "steps/__init__.py": "",
        "steps/deep.py": "def run():\n    from pack.high import work\n",
        "steps/flat.py": "import os\n",
        "high/__init__.py": "from .work import work\n",
        "high/work.py": "from pack.low import table\n",
        "low/__init__.py": "",
        "low/table.py": "",
        "low/table.json": "{}",
    }
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return top


@pytest.mark.parametrize(
    ("edited", "touched"),
    [
        ("steps/deep.py", {"deep"}),
        ("steps/flat.py", {"flat"}),
        ("high/work.py", {"deep"}),
        ("low/table.py", {"deep"}),
        ("low/table.json", {"deep"}),
        ("__init__.py", {"deep"}),
    ],
)
def test_an_edit_changes_the_steps_that_reach_it(package, edited, touched):
    before = fingerprints(package)
    with (package / edited).open("a") as stream:
        stream.write("\n# edited\n")
    after = fingerprints(package)
    assert {step for step in before if before[step] != after[step]} == touched


def test_every_step_of_the_command_line_has_one():
    found = fingerprints(PACKAGE)
    assert {"n4", "register", "segment", "surface-distance", "report"} <= set(found)
    assert len(set(found.values())) == len(found)


def test_steps_reach_the_modules_that_they_import_late():
    """Heavy imports stand inside functions; they count all the same."""
    assert fingerprints(PACKAGE)["n4"] != fingerprints(PACKAGE)["check"]
