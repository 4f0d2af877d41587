"""What a user sees on a terminal: a bar with the stage while something runs, and a table at the end."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from babyseg_py.labels import STRUCTURES, Structure


@contextmanager
def progress_bar(title: str, stages: int) -> Iterator[Callable[[str], None]]:
    """Show the running stage and a bar over all of them on standard error; nothing if it is not a terminal.

    Parameters
    ----------
    title : str
        What is being worked on.
    stages : int
        Number of stages to come.

    Yields
    ------
    callable
        To be told each stage in words when it begins.
    """
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (
        SpinnerColumn(),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    # Standard output may be a file although standard error is a terminal: it is left alone.
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task(title, total=stages)
        begun = 0

        def begin(stage: str) -> None:
            nonlocal begun
            bar.update(task, description=f"{title}: {stage}", completed=begun, refresh=True)
            begun += 1

        yield begin


def print_volumes(
    volumes_mm3: Mapping[int, float], *, title: str, structures: Sequence[Structure] = STRUCTURES
) -> None:
    """Print volumes in ml on standard output, left beside right; nothing if it is not a terminal.

    Parameters
    ----------
    volumes_mm3 : mapping of int to float
        Volume of each label in mm³.
    title : str
        Line above the table.
    structures : sequence of Structure
        Their table, background first.
    """
    if not sys.stdout.isatty():
        return
    table = Table()
    table.add_column("structure")
    for name in ("left ml", "right ml"):
        table.add_column(name, justify="right")
    by_name = {s.name: s.id for s in structures}
    for s in structures[1:]:
        name = s.name.removeprefix("Left-")
        if s.side == "left":
            pair = (volumes_mm3[s.id], volumes_mm3[by_name[f"Right-{name}"]])
            table.add_row(name, *(f"{v / 1000:.2f}" for v in pair))
        elif s.side == "none":
            table.add_row(s.name, f"{volumes_mm3[s.id] / 1000:.2f}", "")
    table.add_section()
    table.add_row("all", f"{sum(volumes_mm3.values()) / 1000:.1f}", "")
    screen = Console()
    screen.print(Text(title))
    screen.print(table)
