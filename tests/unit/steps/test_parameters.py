"""Tests of the parameters: one source, types, suggestions."""

import json

import pytest

from babyseg_py.cli import main
from babyseg_py.errors import UsageError
from babyseg_py.steps.parameters import CHOICES, coerce, help_text, read_parameters

CONFIG = """
params {
    // What goes in
    input = null // samplesheet, one row per scan

    // How
    weights = "${projectDir}/weights/w.safetensors" // network weights
    tolerance = 1.0 // in mm
    fail_fast = false // stop at the first failure
}
params.outdir = params.outdir ?: 'results' // where it goes

process { cpus = 2 // not a parameter
}
"""


@pytest.fixture
def known():
    """Return the parameters of a small configuration."""
    return read_parameters(CONFIG)


def test_every_parameter_is_read_with_default_and_meaning(known):
    shown = {p.name: (p.section, p.shown, p.meaning) for p in known}
    assert shown == {
        "outdir": ("", "results", "where it goes"),
        "input": ("What goes in", "none", "samplesheet, one row per scan"),
        "weights": ("How", "weights/w.safetensors", "network weights"),
        "tolerance": ("How", "1.0", "in mm"),
        "fail_fast": ("How", "false", "stop at the first failure"),
    }


def test_the_help_has_a_line_for_each(known):
    text = help_text(known)
    for p in known:
        assert sum(line.strip().startswith(f"--{p.name} ") for line in text.splitlines()) == 1


def test_every_parameter_of_the_pipeline_is_explained(root):
    config = (root / "nextflow.config").read_text(encoding="utf-8")
    names = {p.name for p in read_parameters(config)}
    assert {"input", "bids", "phenotype", "outdir", "weights", "fail_fast", "help"} <= names
    assert "params.outdir" in config


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"fail_fast": "true"}, True),
        ({"fail_fast": False}, False),
        ({"tolerance": "2"}, 2.0),
        ({"tolerance": 0.5}, 0.5),
        ({"input": 7}, "7"),
        ({"input": None}, None),
    ],
)
def test_values_get_the_type_of_their_default(known, given, value):
    (name,) = given
    result = coerce(given, known)[name]
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"inptu": "x"}, "unknown parameter --inptu, did you mean --input"),
        ({"outDir": "x"}, "unknown parameter --outDir, did you mean --outdir"),
        ({"fail_fast": "maybe"}, "--fail_fast maybe: is neither true nor false"),
        ({"tolerance": "wide"}, "--tolerance wide: is not a number"),
        ({"input": True}, "--input True: needs a value"),
    ],
)
def test_wrong_ones_are_refused(known, given, message):
    with pytest.raises(UsageError, match=message):
        coerce(given, known)


def test_a_name_with_a_hyphen_is_one_problem_and_all_problems_are_said_at_once(known):
    with pytest.raises(UsageError) as caught:
        coerce({"fail-fast": True, "failFast": True, "tolerance": "x"}, known)
    assert str(caught.value).count("unknown parameter") == 1
    assert "--tolerance" in str(caught.value)


def test_the_command_writes_values_or_exits_with_2(tmp_path, capsys):
    config = tmp_path / "nextflow.config"
    config.write_text(CONFIG)
    words = ["parameters", "--config", str(config), "-o", str(tmp_path / "o.json"), "--given"]
    assert main([*words, '{"fail_fast": "false"}']) == 0
    assert json.loads((tmp_path / "o.json").read_text()) == {"fail_fast": False}
    assert main([*words, '{"nothing": 1}']) == 2
    assert "unknown parameter" in capsys.readouterr().err


def test_a_choice_that_is_none_is_refused_before_it_reaches_a_task(root):
    """Of the real configuration, whose defaults are choices themselves."""
    known = read_parameters((root / "nextflow.config").read_text(encoding="utf-8"))
    defaults = {p.name: p.shown for p in known if p.name in CHOICES}
    assert coerce(defaults, known) == defaults
    assert defaults.keys() == CHOICES.keys()
    with pytest.raises(UsageError, match="--labels fulller: is not one of babyseg, fuller"):
        coerce({"labels": "fulller"}, known)
    with pytest.raises(UsageError, match="--device cpu; touch x: is not one of auto, cpu, cuda"):
        coerce({"device": "cpu; touch x"}, known)


@pytest.mark.parametrize("value", ["1.2", "-0.1", "nan"])
def test_a_number_outside_its_range_is_refused(root, value):
    """Zero and one are still in it."""
    known = read_parameters((root / "nextflow.config").read_text(encoding="utf-8"))
    assert coerce({"template_strength": 1}, known) == {"template_strength": 1.0}
    with pytest.raises(UsageError, match=f"--template_strength {value}: is not from 0 to 1"):
        coerce({"template_strength": value}, known)


@pytest.mark.parametrize("given", ["notjson", "[1]", "3", '{"input": '])
def test_what_is_given_has_to_be_an_object(tmp_path, capsys, given):
    (tmp_path / "nextflow.config").write_text(CONFIG)
    assert main(["parameters", "--config", str(tmp_path / "nextflow.config"), "--given", given]) == 2
    assert f"--given {given}: is not a JSON object" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"{}", b"params {\n}\n", b"\xff\xfe"])
def test_another_file_than_the_configuration_is_unusable(tmp_path, capsys, content):
    (tmp_path / "a.config").write_bytes(content)
    assert main(["parameters", "--config", str(tmp_path / "a.config")]) == 65
    assert "a.config: has no block of params" in capsys.readouterr().err
