"""What commands show: tables, steps and progress bars. Tables go to stdout, the rest to stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from rich import markup
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.status import Status
from rich.table import Table
from rich.text import Text

from features.times import clock_text, elapsed_text

__all__ = ["Steps", "err", "escape", "json", "out", "progress", "sending", "steps", "table"]

CONTROLS = dict.fromkeys((*range(32), *range(127, 160)), "\N{REPLACEMENT CHARACTER}") | {ord(one): " " for one in "\n\r\t"}
"""What a text may hold and a line must not: ends of lines, and what a screen obeys."""

FOLDED, GAP = 24, 2
"""The most letters of a cell that are never folded, and those between two columns."""

out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)
err = Console(stderr=True, highlight=False)


def escape(text: str) -> str:
    """A text of anybody's as part of a line: as it is, without what a screen or rich obeys."""
    return markup.escape(text.translate(CONTROLS))


def json(value: Any) -> None:
    """``value`` as indented JSON on stdout."""
    out.out(msgspec.json.format(msgspec.json.encode(value)).decode())


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], right: Sequence[str] = ()) -> None:
    """A table on stdout; the columns named in ``right`` are numbers.

    What is short is on one line, however narrow the screen is; of what is long, `FOLDED` letters stay together.
    """
    if title:
        out.print(title, style="bold")  # rich's own title breaks at the width of the table
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    widest = [max(cell_len(markup.render(cell).plain) for cell in column) for column in zip(columns, *cells, strict=True)]
    least = [min(width, FOLDED) for width in widest]
    made = Table(header_style="dim", box=None, pad_edge=False)
    for name, width in zip(columns, least, strict=True):
        made.add_column(name, justify="right" if name in right else "left", overflow="fold", min_width=width)
    for row in cells:
        made.add_row(*row)
    needed = sum(least) + GAP * (len(least) - 1)
    if needed > out.width:
        made.width = needed
    out.print(made, soft_wrap=False, crop=False)


class Steps:
    """To be called with what is done next; each step is shown with its seconds once it is over."""

    def __init__(self, spinner: Status) -> None:
        self._spinner = spinner
        self._current: tuple[str, float] | None = None

    def __call__(self, step: str) -> None:
        """The step before is over, and ``step`` begins."""
        self.over("[green]✓[/]")
        self._current = step, time.monotonic()
        self._spinner.update(escape(step))

    def look(self, picture: RenderableType) -> None:
        """Show ``picture`` in place of the step's name."""
        self._spinner.update(picture)

    def over(self, mark: str) -> None:
        """The step has ended."""
        if self._current:
            step, began = self._current
            err.print(f"{mark} {escape(step)} [dim]{elapsed_text(time.monotonic() - began)}[/]")
        self._current = None


@contextmanager
def steps() -> Iterator[Steps]:
    """Steps that are shown as they are done."""
    with err.status("starting") as spinner:
        made = Steps(spinner)
        try:
            yield made
        except BaseException:
            made.over("[red]✗[/]")
            raise
        made.over("[green]✓[/]")


class _Elapsed(ProgressColumn):
    """How long a bar has been there. Not rich's own, which says "1 day, 0:00:00"."""

    def render(self, task: Task) -> Text:
        """The time as a clock."""
        return Text(clock_text(task.elapsed or 0), style="progress.elapsed")


def _bars(*columns: ProgressColumn) -> Progress:
    """Bars that are gone once all is done; none where nobody looks: a log would have an empty line for each."""
    return Progress(*columns, console=err, transient=True, disable=not err.file.isatty())


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A function to be told what is done now, and how many steps of how many are over. One bar shows them all."""
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), _Elapsed()
    with _bars(*columns) as bars:
        task = bars.add_task("", total=None, visible=False)

        def on_progress(step: str, done: int, total: int) -> None:
            bars.update(task, description=step, completed=done, total=total, visible=True)

        yield on_progress


@contextmanager
def sending(total: int | None) -> Iterator[Callable[[int], None]]:
    """A function to be told how many events have been sent, of ``total``; None: nobody knows."""
    rate = TextColumn("{task.fields[rate]} events/s")
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate, _Elapsed()
    with _bars(*columns) as bars:
        task = bars.add_task("publishing", total=total, rate="")
        began = time.monotonic()

        def on_progress(count: int) -> None:
            bars.update(task, completed=count, rate=f"{count / max(time.monotonic() - began, 1e-3):,.0f}")

        yield on_progress
