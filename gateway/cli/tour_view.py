"""What the tour shows: live pictures in a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Generator, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gateway.cli import tour_words as words
from gateway.message import Message, RouteStep
from gateway.sandbox.people import Sample

WIDTH: Final = 98
"""Columns of a picture, where the terminal has them."""
LATEST: Final = 9
DOORS: Final = 12


class Stage:
    """Where the tour plays: pictures that change in place on a terminal, a line for each piece of news elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._aside = contextlib.ExitStack()
        self._said = ""

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._aside.enter_context(_log_aside())
            self._live = Live(console=self._console, refresh_per_second=8)
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)
        self._aside.close()

    def show(self, picture: RenderableType, line: str) -> None:
        """The present picture, and the same in a line, which is printed when it says something new."""
        if self._live is not None:
            self._live.update(picture)
        elif line and line != self._said:
            self._said = line
            self._console.print(Text.from_markup(line), soft_wrap=True)


@contextlib.contextmanager
def _log_aside() -> Generator[None]:
    """Keeps the log from being written across a live picture; it is shown afterwards."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            aside.seek(0)
            sys.stderr.write(aside.read().decode(errors="replace"))


def headline(title: str, text: str) -> RenderableType:
    """What comes next."""
    return Panel(text, title=f"[bold]{title}[/]", title_align="left", width=WIDTH, border_style="cyan", padding=(0, 1))


class Scene(msgspec.Struct):
    """One person's message as it stands. `heard`: what she hears on the phone. Times in ms."""

    message: Message
    route: Sequence[RouteStep]
    heard: str
    now: int

    def picture(self) -> RenderableType:
        """The route, step by step."""
        message = self.message
        table = Table.grid(padding=(0, 1))
        for width in (7, 1, 7):
            table.add_column(width=width)
        table.add_column(width=WIDTH - 26)
        for place, one in enumerate(message.attempts, 1):
            last = place == len(message.attempts)
            since = f"[dim]{(one.started_at - message.created_at) / 1000:5.1f} s[/]"
            table.add_row(
                since, words.MARKS[one.status], f"[bold]{words.channel(one.channel)}[/]", words.fate(one, last=last)
            )
        for step in self.route:
            when = "now" if step.after == 0 else f"in {step.after} s"
            soon = f"[dim]{when}, if nothing proves that she knows[/]"
            table.add_row("", "[dim]·[/]", f"[dim]{words.channel(step.channel)}[/]", soon)
        said = Text(self.heard, style="italic")
        ended = f"[bold green]{_sentence(words.verdict(message))} Nothing further is sent.[/]"
        end = Text.from_markup(ended if message.done else "[dim]under way[/]")
        seconds = (self.now - message.created_at) / 1000
        title = f"[bold]Ana[/]  [dim]WeChat, then SMS, then a call · {seconds:.1f} s[/]"
        return Panel(Group(table, Text(""), said, end), title=title, title_align="left", width=WIDTH, padding=(0, 1))

    def line(self) -> str:
        """The newest step in words."""
        if self.message.done:
            return f"Ana: {words.verdict(self.message)}."
        if not self.message.attempts:
            return ""
        one = self.message.attempts[-1]
        return f"Ana: {words.channel(one.channel)}: {words.fate(one, last=True)}."


class Board(msgspec.Struct):
    """The storm as it stands. `names` by customer, `states` of the channels, times in ms."""

    messages: Mapping[str, Message]
    names: Mapping[str, str]
    states: Mapping[str, str]
    started: int
    now: int
    news: str = ""

    def ends(self) -> Counter[str]:
        """How many messages ended how."""
        return Counter(one.verdict.state for one in self.messages.values())

    def picture(self) -> RenderableType:
        """Counts, channels, and the routes that changed last."""
        total, ends = len(self.names), self.ends()
        done = total - ends["pending"] - (total - len(self.messages))
        head = Table.grid(padding=(0, 2))
        head.add_row(
            f"[bold green]{ends['reached']:3}[/] reached",
            f"[bold red]{ends['unreached'] + ends['suppressed'] + ends['expired']:3}[/] not reached",
            f"[bold yellow]{total - done:3}[/] under way",
            f"[dim]{(self.now - self.started) / 1000:.0f} s[/]",
            ProgressBar(total=total, completed=done, width=34),
        )
        return Panel(
            Group(head, Text(""), self._channels(), Text(""), self._latest(), Text.from_markup(self.news)),
            title=f"[bold]The storm[/]  [dim]{total} customers, one call to the API[/]",
            title_align="left",
            width=WIDTH,
            padding=(0, 1),
        )

    def _channels(self) -> Table:
        table = Table(box=None, padding=(0, 2), header_style="dim")
        for name in ("channel", "now"):
            table.add_column(name)
        for name in ("tries", "delivered", "failed", "answer lost", "open"):
            table.add_column(name, justify="right")
        for name, counts in self.tallies().items():
            up = self.states.get(name) == "up"
            table.add_row(
                words.channel(name),
                "[green]up[/]" if up else "[bold red]down[/]",
                str(sum(counts.values())),
                *(str(counts[status] or "·") for status in ("delivered", "failed", "unknown", "open")),
            )
        return table

    def tallies(self) -> dict[str, Counter[str]]:
        """Tries by channel and by what became of them."""
        found: dict[str, Counter[str]] = {name: Counter() for name in words.CHANNELS}
        for message in self.messages.values():
            for one in message.attempts:
                status = one.status if one.status in ("delivered", "failed", "unknown") else "open"
                found.setdefault(one.channel, Counter())[status] += 1
        return found

    def _latest(self) -> Table:
        table = Table(box=None, padding=(0, 1), show_header=False)
        table.add_column(width=28, no_wrap=True)
        table.add_column(width=WIDTH - 40, no_wrap=True)
        tried = [one for one in self.messages.values() if one.attempts]
        newest = sorted(tried, key=lambda one: max(one.attempts[-1].times.values()), reverse=True)[:LATEST]
        for one in newest:
            colour = {"reached": "green", "pending": "yellow"}.get(one.verdict.state, "red")
            state = "" if one.verdict.state == "pending" else f"  [{colour}]{one.verdict.state}[/]"
            table.add_row(self.names[one.customer], words.route(one) + state)
        for _ in range(LATEST - len(newest)):
            table.add_row("", "")
        return table

    def line(self) -> str:
        """The counts, and what the channels are up to."""
        ends = self.ends()
        down = [words.channel(name) for name, state in self.states.items() if state != "up"]
        lost = ends["unreached"] + ends["suppressed"] + ends["expired"]
        text = f"{ends['reached']} reached, {lost} not reached, {len(self.names) - ends['reached'] - lost} under way"
        return text + (f"; {', '.join(down)} is down" if down else "")


def tell(console: Console, what: RenderableType) -> None:
    """Print a table or a panel; where there is no terminal, as wide as it needs to be."""
    target = console if console.is_terminal else Console(file=console.file, width=WIDTH)
    target.print(what)


def reached_table(messages: Sequence[Message]) -> Table:
    """By which channel after how many tries, and how soon."""
    table = Table(title="Reached", title_justify="left", title_style="bold", width=WIDTH)
    table.add_column("by")
    for name in ("1 try", "2 tries", "3 or more", "people", "half of them within"):
        table.add_column(name, justify="right")
    tries: dict[str, Counter[int]] = defaultdict(Counter)
    waits: dict[str, list[float]] = defaultdict(list)
    for one in messages:
        name = one.verdict.channel or ""
        tries[name][min(3, len(one.attempts))] += 1
        waits[name].append(((one.verdict.at or one.created_at) - one.created_at) / 1000)
    for name in sorted(tries, key=lambda each: -sum(tries[each].values())):
        counts = [str(tries[name][n] or "·") for n in (1, 2, 3)]
        table.add_row(
            words.channel(name), *counts, str(sum(tries[name].values())), f"{statistics.median(waits[name]):.1f} s"
        )
    return table


def doors_table(lost: Sequence[tuple[Sample, Message]]) -> Table:
    """Who was not reached and why; medical priority on top, for people to knock on doors."""
    table = Table(title="Not reached: doors to knock at", title_justify="left", title_style="bold", width=WIDTH)
    for name in ("", "who", "where", "why"):
        table.add_column(name)
    ordered = sorted(lost, key=lambda pair: (not is_medical(pair[0]), pair[0].id))
    for sample, message in ordered[:DOORS]:
        mark = "[bold red]medical[/]" if is_medical(sample) else ""
        table.add_row(mark, sample.customer["name"], sample.customer["attributes"]["area"], words.why_not(message))
    if len(ordered) > DOORS:
        table.add_row("", f"[dim]and {len(ordered) - DOORS} more[/]", "", "")
    return table


def is_medical(sample: Sample) -> bool:
    """Whether somebody depends on power for their health."""
    return sample.customer["attributes"].get("medical_priority") is True


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."
