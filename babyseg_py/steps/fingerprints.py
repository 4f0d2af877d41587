"""Fingerprint the source that each pipeline step runs, so that a resumed run repeats what an edit touches."""

import argparse
import ast
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``babyseg fingerprints``."""
    parser.add_argument("-o", "--output", required=True, metavar="F.json", help="step → fingerprint")


def run(args: argparse.Namespace) -> None:
    """Write the fingerprint of every step."""
    Path(args.output).write_text(json.dumps(fingerprints(PACKAGE), indent=2) + "\n", encoding="utf-8")


def fingerprints(package: Path, /) -> dict[str, str]:
    """Compute a fingerprint for every module in ``steps/``.

    Parameters
    ----------
    package : Path
        Folder of a Python package that has a ``steps`` folder.

    Returns
    -------
    dict
        Step name, with hyphens, → 32 hexadecimal digits that depend on the text of the step's module, of all
        modules of the package that it imports, directly or not, and of the data files in their folders.
    """
    steps = sorted((package / "steps").glob("[a-z]*.py"))
    imports = cache(lambda path: tuple(_imports(path, package)))
    return {step.stem.replace("_", "-"): _digest(_reached(step, imports), package) for step in steps}


def _reached(step: Path, imports) -> set[Path]:
    reached, waiting = set(), [step]
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            waiting.extend(imports(path))
    return reached


def _imports(path: Path, package: Path) -> Iterator[Path]:
    """Yield the files of the package that a module imports, at its top or inside its functions."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, path, package)
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            yield from _files(name, package)


def _absolute(node: ast.ImportFrom, path: Path, package: Path) -> str:
    if not node.level:
        return node.module or ""
    parents = path.relative_to(package.parent).parts[: -node.level]
    return ".".join([*parents, *([node.module] if node.module else [])])


def _files(name: str, package: Path) -> Iterator[Path]:
    """Yield the module of a dotted name and the packages around it, where they are files of this package."""
    parts = name.split(".")
    if parts[0] != package.name:
        return
    for depth in range(1, len(parts) + 1):
        place = package.parent.joinpath(*parts[:depth])
        for file in (place / "__init__.py", place.with_suffix(".py")):
            if file.is_file():
                yield file


def _digest(modules: set[Path], package: Path) -> str:
    folders = {module.parent for module in modules} - {package, package / "steps"}
    data = {
        file for folder in folders for file in folder.iterdir() if file.is_file() and file.suffix != ".py"
    }
    digest = hashlib.sha256()
    for file in sorted(modules | data):
        digest.update(file.relative_to(package).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:32]
