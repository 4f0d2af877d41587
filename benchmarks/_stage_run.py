"""Run `babyseg segment` in this fresh process and print the seconds of each stage as a line of JSON."""

import time

BEGIN = time.perf_counter()

import json  # noqa: E402
import sys  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from itertools import pairwise  # noqa: E402

from babyseg_py import terminal  # noqa: E402
from babyseg_py.cli import main  # noqa: E402


def run() -> None:
    """Note when each stage begins; the words are those that the command tells its user."""
    marks: list[tuple[str, float]] = [("start", BEGIN)]

    @contextmanager
    def noting(title: str, stages: int):
        yield lambda stage: marks.append((stage, time.perf_counter()))

    terminal.progress_bar = noting
    code = main(sys.argv[1:])
    marks.append(("end", time.perf_counter()))
    if code:
        raise SystemExit(code)
    seconds: dict[str, float] = {}
    for (stage, at), (_, until) in pairwise(marks):
        seconds[stage] = seconds.get(stage, 0) + until - at
    print(json.dumps(seconds))


if __name__ == "__main__":
    run()
