"""Each analysis by itself: one that fails does not take the others with it."""

import sys
import traceback
from collections.abc import Callable
from typing import TypeVar

from babyseg_py.errors import UnusableData

Data = TypeVar("Data")
Made = TypeVar("Made")


def attempt(make: Callable[[Data], Made], data: Data, nothing: Data) -> tuple[Made, str]:
    """Make an analysis; where that fails, make it of nothing, which gives its tables without rows.

    Parameters
    ----------
    make : callable
        The analysis.
    data, nothing : object
        What it is made of, and the same without any visit.

    Returns
    -------
    made : object
        What came of it.
    failure : str
        What went wrong, in words; empty if nothing did. The traceback goes to standard error.

    Raises
    ------
    UnusableData
        If a file is at fault.
    Exception
        The first one, if the analysis fails with nothing too.
    """
    try:
        return make(data), ""
    except UnusableData:
        raise
    except Exception as problem:  # nobody foresaw it: the other analyses are worth having
        try:
            empty = make(nothing)
        except Exception:
            raise problem from None
        traceback.print_exception(problem, file=sys.stderr)
        what = " ".join(f"{type(problem).__name__}: {problem}".split())
        return empty, f"an error in the program ended it ({what}); please report it with the log of this step"
