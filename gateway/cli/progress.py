"""How long work is shown: a bar with its rate and the time left on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from typing import Final, Protocol

from gateway.cli.common import err

LINE_EVERY_S: Final = 5.0
_REDRAW_S: Final = 0.1


class Told(Protocol):
    """Takes in how far the work is."""

    def __call__(self, count: int, done: float) -> None:
        """`count` things so far; `done`: the part of the whole, 0 to 1."""
        ...


@contextlib.contextmanager
def shown(what: str, things: str, clock: Callable[[], float] = time.monotonic) -> Generator[Told]:
    """Show one piece of work on standard error. `what`: its name; `things`: what is counted."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    began = last = clock()

    def rate(count: int, now: float) -> float:
        return count / max(now - began, 0.001)

    if not err.is_terminal:

        def lines(count: int, done: float) -> None:
            nonlocal last
            now = clock()
            if now - last >= LINE_EVERY_S:
                last = now
                left = f", {(now - began) * (1 - done) / done:.0f} s left" if done > 0 else ""
                err.print(f"{what}: {count:,} {things} ({done:.0%}), {rate(count, now):,.0f}/s{left}", highlight=False)

        yield lines
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[count]:,} " + things),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err) as progress:
        task = progress.add_task(what, total=1.0, count=0, rate=0.0)

        def bar(count: int, done: float) -> None:
            nonlocal last
            now = clock()
            if now - last >= _REDRAW_S or done >= 1:
                last = now
                progress.update(task, completed=done, count=count, rate=rate(count, now))

        yield bar
