"""The ``babyseg`` command: argument parsing, messages and exit codes."""

import argparse
import errno
import io
import os
import re
import signal
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module

from babyseg_py import __version__
from babyseg_py.errors import EXIT_UNUSABLE, UnusableData, UsageError

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_OUT_OF_MEMORY = 137  # as of a process that was killed for it, which the pipeline runs again
EXIT_NO_READER = 141
EXIT_ENDED = 143

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE)
OUT_OF_MEMORY = re.compile("can.t allocate memory|out of memory", re.IGNORECASE)
OPERANDS_ANYWHERE = ("view",)
STEPS = {
    "segment": "segment one or more scans of one visit",
    "n4": "correct the bias field of a scan",
    "register": "register the scans of a visit into one session space",
    "evaluate": "compare a segmentation with a reference: Dice, ASSD, HD95, NSD",
    "agreement": "compare raters or methods by the volumes that each of them measured",
    "consensus": "join the label maps of several raters into one",
    "raters": "what the raters of a visit agree on, how each did, and their volumes",
    "surface-distance": "compare the segmentations of a visit with each other",
    "volumes": "volumes of a segmentation in mm³",
    "morphometry": "volumes of a visit, from labels and from posteriors",
    "template": "bring the visits of a child to their mean and sharpen them by one another",
    "shape": "surfaces of a visit's structures, and their spherical harmonics",
    "check": "check a samplesheet, a BIDS dataset and a score table",
    "ledger": "join every row of the samplesheet with what came out",
    "tables": "gather the tables of all visits",
    "statistics": "reliability, growth and associations with behaviour",
    "report": "write the report of a cohort",
    "snapshot": "draw the label contours of a visit",
    "view": "look at the sessions of a results folder in the browser, and judge them",
    "synthesize": "make an image from a label map",
    "train": "train a network from a recipe",
    "finetune": "go on training from weights with corrected label maps",
    "suggest": "list sessions and slices that are most worth correcting by hand",
    "convert": "turn a checkpoint in the published BabySeg format into weights of ours",
    "demo-data": "write the demo cohort",
    "parameters": "explain and check the parameters of the pipeline",
    "fingerprints": "fingerprint the source of every step",
    "provenance": "describe the dataset and the software that made it",
}


class _OperandsAnywhere(argparse.ArgumentParser):
    """Parser of a step whose last operands may be left out, and may stand behind options all the same."""

    _is_inside = False

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def,override]
        """Parse as a parser of a step does."""
        if self._is_inside:
            return super().parse_known_args(args, namespace)
        self._is_inside = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_inside = False


def _module(step: str):
    return import_module(f"babyseg_py.steps.{step.replace('-', '_')}")


def _parser(step: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="babyseg", description="Infant brain MRI, one step at a time.")
    parser.add_argument("--version", action="version", version=f"babyseg {__version__}")
    kind = _OperandsAnywhere if step in OPERANDS_ANYWHERE else argparse.ArgumentParser
    commands = parser.add_subparsers(dest="step", metavar="STEP", required=True, parser_class=kind)
    for name, summary in STEPS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == step:
            _module(name).add_arguments(command)
            command.add_argument("--failure", metavar="F.json", help=argparse.SUPPRESS)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one step and return the exit code.

    Codes: 0 done, 2 usage, 65 the data is unusable, 137 out of memory, and those of signals. With
    ``--failure F.json`` (used by the pipeline) unusable data is written to that file and the code is 0.
    """
    if "_ARGCOMPLETE" in os.environ:  # Set by the shell that asks for completions.
        _complete(os.environ.get("COMP_LINE", ""))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name may hold bytes that are no text
    words = list(sys.argv[1:] if argv is None else argv)
    step = next((word for word in words if word in STEPS), None)
    args = _parser(step).parse_args(words)
    if argv is None:
        signal.signal(signal.SIGTERM, partial(_end, os.getpid()))
    try:
        code = _module(args.step).run(args) or 0
        sys.stdout.flush()
        return code
    except OSError as problem:
        return _unwritten(args.step, problem)
    except (UnusableData, UsageError, MemoryError, RuntimeError, KeyboardInterrupt, Ended) as problem:
        return _told(problem, args)


class Ended(BaseException):
    """The process was asked to end, as a scheduler does at its time limit."""


ENDS = (
    (UnusableData, "", EXIT_UNUSABLE),
    (UsageError, "", EXIT_USAGE),
    (MemoryError, "there is not enough memory; give it more", EXIT_OUT_OF_MEMORY),
    (KeyboardInterrupt, "interrupted; no unfinished file was left", EXIT_INTERRUPTED),
    (Ended, "ended from outside; no unfinished file was left", EXIT_ENDED),
)


def _end(step: int, *_: object) -> None:
    """End the process of a step by `Ended`, and what it forked as if there were no handler."""
    if os.getpid() == step:
        raise Ended
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


def _told(problem: BaseException, args: argparse.Namespace) -> int:
    """Say why a step ended, and return its exit code; a fault of the program is raised again."""
    if isinstance(problem, RuntimeError):
        if not OUT_OF_MEMORY.search(str(problem)):
            raise problem
        problem = MemoryError()
    words, code = next((words, code) for kind, words, code in ENDS if isinstance(problem, kind))
    print(f"babyseg {args.step}: {words or problem}", file=sys.stderr)
    if isinstance(problem, UnusableData) and args.failure:
        problem.write(args.failure, step=args.step)
        return 0
    return code


def _unwritten(step: str, problem: OSError) -> int:
    """Say which file failed; a stream that takes no more is not tried again at exit.

    Only a write that failed for want of space or of a reader comes without the name of a file.
    """
    if problem.filename is None and problem.errno not in NO_ROOM:
        raise problem
    if problem.filename is None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(problem, BrokenPipeError):
        return EXIT_NO_READER
    name = problem.filename or "an output"
    what = f"could not be read or written ({problem.strerror or problem})"
    print(f"babyseg {step}: {name}: {what}; check its permissions and the free space", file=sys.stderr)
    return EXIT_UNUSABLE


def _complete(line: str) -> None:
    """Answer a shell that asks how a line may go on."""
    import argcomplete  # noqa: PLC0415  # needed by nothing else

    step = next((word for word in line.split() if word in STEPS), None)
    argcomplete.autocomplete(_parser(step))
