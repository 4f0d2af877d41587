"""Run `babyseg segment` in this fresh process; print seconds and CPU seconds of each stage, as JSON."""

# ruff: noqa: E402  # the imports that follow are part of what is timed
import time

BEGIN = time.perf_counter()

import json
import sys
from contextlib import contextmanager
from itertools import pairwise

from babyseg_py import terminal
from babyseg_py.cli import main


def run() -> None:
    """Note when each stage begins; the words are those that the command tells its user."""
    marks: list[tuple[str, float, float]] = [("start", BEGIN, 0)]

    @contextmanager
    def noting(title: str, stages: int):
        yield lambda stage: marks.append((stage, time.perf_counter(), time.process_time()))

    terminal.progress_bar = noting
    code = main(sys.argv[1:])
    marks.append(("end", time.perf_counter(), time.process_time()))
    if code:
        raise SystemExit(code)
    stages: dict[str, list[float]] = {}
    for (stage, at, cpu), (_, until, cpu_until) in pairwise(marks):
        old = stages.get(stage, [0, 0])
        stages[stage] = [old[0] + until - at, old[1] + cpu_until - cpu]
    print(json.dumps(stages))


if __name__ == "__main__":
    run()
