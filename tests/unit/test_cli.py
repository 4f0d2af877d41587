"""The command and the package as a whole: quick to explain themselves, complete in a shell."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import babyseg_py as bs
from babyseg_py.cli import STEPS

HEAVY = ("torch", "numpy", "nibabel", "pandas", "matplotlib", "rich")


def loaded(code: str) -> set[str]:
    """Return the heavy packages that a fresh interpreter has loaded after some code."""
    ending = f"\nimport sys\nprint(*[name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code + ending], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize("words", [["--help"], ["segment", "--help"], ["convert", "--help"]])
def test_help_loads_nothing_heavy(words) -> None:
    code = f"from babyseg_py.cli import main\ntry:\n    main({words})\nexcept SystemExit:\n    pass"
    assert loaded(code) == set()


def test_import_loads_nothing_heavy_until_it_is_used() -> None:
    assert loaded("import babyseg_py as bs; bs.UnusableData; assert 'segment' in dir(bs)") == set()
    assert "torch" in loaded("import babyseg_py as bs; assert bs.segment.__doc__")


def test_unknown_attribute_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'segmint'"):
        bs.segmint  # noqa: B018


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("babyseg conv", {"convert"}),
        ("babyseg segment --prec", {"--precision"}),
        ("babyseg segment --device ", {"cpu"}),
    ],
)
def test_shell_completion(line, expected) -> None:
    pytest.importorskip("argcomplete")
    reading, writing = os.pipe()
    asked = {"COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n"}
    script = f"exec {shlex.quote(sys.executable)} -m babyseg_py 8>&{writing}"
    subprocess.run(["bash", "-c", script], env={**os.environ, **asked}, pass_fds=[writing], check=False)
    os.close(writing)
    with os.fdopen(reading) as stream:
        assert expected <= {word.strip() for word in stream.read().split()}


def ended(code: str, **options) -> subprocess.CompletedProcess:
    """Run a step with another body, as the command does."""
    script = f"""
import os, signal, sys
import babyseg_py.steps.volumes as step
from babyseg_py.cli import main
from babyseg_py.writing import appearing
def run(args):
    {code}
step.run = run
sys.argv = ["babyseg", "volumes", "a.nii.gz", "-o", "v.tsv"]
raise SystemExit(main())
"""
    words = [sys.executable, "-c", script]
    return subprocess.run(words, stderr=subprocess.PIPE, text=True, check=False, **options)


@pytest.mark.parametrize(
    ("code", "number", "message"),
    [
        ("raise MemoryError", 137, "not enough memory"),
        ("raise RuntimeError('DefaultCPUAllocator: can\\'t allocate memory')", 137, "not enough memory"),
        ("os.kill(os.getpid(), signal.SIGTERM); signal.pause()", 143, "ended from outside"),
        ("raise KeyboardInterrupt", 130, "interrupted"),
    ],
)
def test_ends_with_a_word_where_the_machine_ends_it(code, number, message) -> None:
    done = ended(code)
    assert done.returncode == number
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_what_a_step_forked_ends_as_without_a_handler() -> None:
    code = """ready, begun = os.pipe()
    child = os.fork()
    if not child:
        os.write(begun, b"1")
    while not child:
        pass
    os.read(ready, 1)
    os.kill(child, 15)
    print(os.waitpid(child, 0)[1])"""
    done = ended(code, stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "15", "")


def test_a_fault_of_the_program_is_not_taken_for_lack_of_memory() -> None:
    assert "RuntimeError: no" in ended("raise RuntimeError('no')").stderr
    assert "OSError: no" in ended("raise OSError('no')").stderr


def test_an_output_that_takes_no_more_is_no_traceback() -> None:
    """A full disk is named, a reader that has gone is not spoken to."""
    with Path("/dev/full").open("w") as full:
        done = ended("print('x' * 100)", stdout=full)
    assert (done.returncode, "Traceback" in done.stderr) == (65, False)
    assert "an output: could not be read or written (No space left on device)" in done.stderr
    reading, writing = os.pipe()
    os.close(reading)
    done = ended("print('x' * 100)", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_what_is_being_written_is_taken_away_when_it_is_ended(tmp_path) -> None:
    code = "with appearing('v.tsv') as part: part.write_text('x'); os.kill(os.getpid(), 15); signal.pause()"
    assert ended(code, cwd=tmp_path).returncode == 143
    assert list(tmp_path.iterdir()) == []


def test_every_step_has_its_executable(root) -> None:
    """`bin/<step>` runs the step of the same name."""
    for step in STEPS:
        script = root / "bin" / step
        assert os.access(script, os.X_OK), step
        assert f"babyseg {step} " in script.read_text()


def test_an_output_that_is_there_is_noticed_before_anything_is_loaded(tmp_path) -> None:
    (tmp_path / "d.nii.gz").touch()
    words = ["segment", "t1.nii.gz", "-o", str(tmp_path / "d.nii.gz")]
    assert not loaded(f"from babyseg_py.cli import main\nassert main({words}) == 2") & set(HEAVY)
