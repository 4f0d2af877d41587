"""Check the parameters of a pipeline run; their one source is nextflow.config.

Each line of its ``params`` block is ``name = default // meaning``; a parameter outside the block is written
``params.name = params.name ?: default // meaning``. The help text, the names that are known and the type that
each value must have are all read from those lines.
"""

import argparse
import difflib
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babyseg_py.errors import UnusableData, UsageError
from babyseg_py.labels.fuller import LABEL_SETS
from babyseg_py.segmentation.choices import DEVICES, PRECISIONS

LINE = re.compile(r"^(?:\s+|params\.)(?P<name>\w+)\s*=\s*(?P<default>.+?)\s+//\s*(?P<meaning>.+?)\s*$")
BLOCK = re.compile(r"params \{.*\n\}", re.DOTALL)
HEADING = re.compile(r"^\s+//\s*(?P<title>.+?)\s*$")
CHOICES = {
    "workflow": ("cohort", "train"),
    "device": DEVICES,
    "precision": PRECISIONS,
    "labels": LABEL_SETS,
    "publish_mode": ("copy", "link", "symlink", "rellink"),
}
RANGES = {"tolerance": (0.0, 100.0), "template_strength": (0.0, 1.0)}
TRUTH = {"true": True, "false": False}


@dataclass(frozen=True)
class Parameter:
    """One line of the ``params`` block.

    Parameters
    ----------
    section : str
        The comment line above the group that the parameter stands in.
    name : str
    default : str
        As written in nextflow.config, quotes included.
    meaning : str
    """

    section: str
    name: str
    default: str
    meaning: str

    @property
    def shown(self) -> str:
        """Default as a user reads it: no quotes, no variables."""
        return self.default.strip("'\"").replace("${projectDir}/", "").replace("null", "none")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``babyseg parameters``."""
    parser.add_argument("--config", required=True, metavar="F", help="nextflow.config of the pipeline")
    parser.add_argument("--given", metavar="JSON", help="parameters of the run, as a JSON object")
    parser.add_argument("-o", "--output", metavar="F.json", help="write the values there, each in its type")


def run(args: argparse.Namespace) -> int:
    """Print the help text, or check what was given and write it in the right types."""
    known = _known(args.config)
    if args.given is None:
        print(help_text(known))
        return 0
    values = coerce(_given(args.given), known)
    if args.output:
        Path(args.output).write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    return 0


def _known(path: str) -> list[Parameter]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        text = ""
    known = read_parameters(text) if BLOCK.search(text) else []
    if not known:
        raise UnusableData(path, "has no block of params", "give the nextflow.config of the pipeline")
    return known


def _given(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise UsageError(f"--given {text}: is not a JSON object")
    return given


def read_parameters(config: str, /) -> list[Parameter]:
    """Read every parameter from the text of nextflow.config.

    Parameters
    ----------
    config : str
        Text with one ``params { … }`` block, closed by ``}`` in the first column, and any number of
        single parameters after it.

    Returns
    -------
    list of Parameter
        In the order of the file.
    """
    block, rest = config.split("params {", 1)[1].split("\n}", 1)
    singles = [line for line in rest.splitlines() if line.startswith("params.")]
    section, parameters = "", []
    for line in [*singles, *block.splitlines()]:
        if heading := HEADING.match(line):
            section = heading["title"]
        elif entry := LINE.match(line):
            default = entry["default"].removeprefix(f"params.{entry['name']} ?: ")
            parameters.append(Parameter(section, entry["name"], default, entry["meaning"]))
    return parameters


def help_text(known: list[Parameter], /) -> str:
    """Write one line per parameter: name, meaning and default."""
    lines = ["usage: nextflow run main.nf --input samplesheet.csv --outdir results [-profile P] [-resume]"]
    width = max(len(p.name) for p in known)
    section = ""
    for p in known:
        if p.section != section:
            section = p.section
            lines += ["", section]
        lines.append(f"  --{p.name:<{width}}  {p.meaning} [{p.shown}]")
    return "\n".join(lines)


def coerce(given: dict[str, Any], known: list[Parameter], /) -> dict[str, Any]:
    """Return the given values in the types of their defaults.

    Raises
    ------
    UsageError
        All problems in one message: unknown names, each with the nearest known one, and wrong values.
    """
    defaults = {p.name: p.default for p in known}
    # Nextflow adds a camelCase twin of every name with a hyphen.
    twins = {re.sub(r"-(\w)", lambda m: m[1].upper(), name) for name in given if "-" in name}
    values, problems = {}, []
    for name, value in given.items():
        if name in twins - set(defaults):
            continue
        if name not in defaults:
            problems.append(f"unknown parameter --{name}{_suggestion(name, list(defaults))}")
            continue
        try:
            values[name] = _chosen(name, _typed(value, defaults[name]))
        except ValueError as problem:
            problems.append(f"--{name} {value}: {problem}")
    if problems:
        raise UsageError("; ".join(problems) + "; --help lists every parameter")
    return values


def _chosen(name: str, value: Any) -> Any:
    if name in CHOICES and value not in CHOICES[name]:
        raise ValueError(f"is not one of {', '.join(CHOICES[name])}")
    low, high = RANGES.get(name, (-math.inf, math.inf))
    if isinstance(value, float) and not low <= value <= high:
        raise ValueError(f"is not from {low:g} to {high:g}")
    return value


def _suggestion(name: str, names: list[str]) -> str:
    plain = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).replace("-", "_").lower()
    nearest = difflib.get_close_matches(plain, names, n=1, cutoff=0)
    return f", did you mean --{nearest[0]}?" if nearest else ""


def _typed(value: Any, default: str) -> Any:
    """Read a value as the kind of thing that its default is: true or false, a number, or text."""
    text = str(value).strip()
    if default in TRUTH:
        if text.lower() not in TRUTH:
            raise ValueError("is neither true nor false")
        return TRUTH[text.lower()]
    if re.fullmatch(r"[\d.]+", default):
        try:
            return float(text)
        except ValueError:
            raise ValueError("is not a number") from None
    if value is None or text == "":
        return None
    if isinstance(value, bool):
        raise ValueError("needs a value")
    return text
