"""Values of options that more than one step takes."""

import argparse
import math
from collections.abc import Callable

from babyseg_py.errors import UsageError
from babyseg_py.names import visit_id, visit_of

MOST_THREADS = 1024
OLDEST_MONTHS = 1500.0


def add_declarations(parser: argparse.ArgumentParser) -> None:
    """Declare the options by which a user says what columns of the score table are."""
    words = "covariates whose numbers are categories, such as levels of education"
    parser.add_argument("--categories", metavar="E,F", default="", help=words)
    words = (
        "scores of one scale at all sessions, though they look like raw scores at one and T scores at another"
    )
    parser.add_argument("--one-scale", "--one_scale", metavar="G,H", default="", help=words)


def visit_ids(visit: str) -> tuple[str, str]:
    """Return participant and session of the id of a visit, as --visit has it."""
    try:
        ids = visit_of(f"{visit}_dseg")
    except ValueError:
        ids = None
    if ids is None or visit != visit_id(*ids):
        raise UsageError(f"--visit {visit}: write it as sub-X_ses-Y, with letters and digits only")
    return ids


def names_in(text: str | None) -> tuple[str, ...]:
    """Return the names in a list with commas."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def thread_count(least: int) -> Callable[[str], int]:
    """Return a parser of numbers of threads, from the least one that makes sense."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= MOST_THREADS:
            raise argparse.ArgumentTypeError(
                f"{text} is not a number of threads from {least} to {MOST_THREADS}"
            )
        return int(text)

    return parse


def age_months(text: str) -> float:
    """Parse a chronological age in months."""
    return _number(text, 0.0, OLDEST_MONTHS, "an age in months")


def tolerance_mm(text: str) -> float:
    """Parse a distance in mm that is finite and not negative."""
    return _number(text, 0.0, math.inf, "a distance in mm")


def voxel_mm(text: str) -> float:
    """Parse the size of a voxel in mm."""
    return _number(text, 0.1, 20.0, "a voxel size in mm from 0.1 to 20")


def seed(text: str) -> int:
    """Parse a seed of random numbers."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 on")
    return int(text)


def _number(text: str, low: float, high: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (low <= value <= high and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"{text} is not {what}")
    return value
