"""The long run: load, trouble and a live view side by side; then the reckoning and a table of figures."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.live import Live
from rich.table import Table

from tests.chaos.rig import CATEGORIES, Load, Reckoning, Spread, World, loaded, world
from tests.chaos.rig.processes import resident_mb
from tests.chaos.schedule import Fault, schedule
from tests.chaos.trouble import Trouble

GROUP: Final = "long"
REACH: Final = {"step": 6, "within": 120, "unproven": "settle"}
BOUND_S: Final = 30.0
VIEW_S: Final = 2.0
PLAIN_EVERY: Final = 5
"""Where there is no terminal, one line for so many views."""
SHOWN: Final = 50


class Plan(msgspec.Struct, frozen=True):
    """What was asked for on the command line."""

    minutes: float
    seed: int
    report: Path | None
    workers: int
    apis: int
    callers: int
    pause: float
    schedule: bool

    def faults(self) -> list[Fault]:
        """What goes wrong, and when."""
        return schedule(self.seed, self.minutes * 60, self.pause)


class Memory(msgspec.Struct):
    """What a process held: at its first look, at the most, and last, MB."""

    first: float = 0.0
    most: float = 0.0
    last: float = 0.0

    def look(self, megabytes: float) -> None:
        """Take in a sample; a process that is dead just now says nothing."""
        if megabytes:
            self.first = self.first or megabytes
            self.most = max(self.most, megabytes)
            self.last = megabytes


async def long_run(plan: Plan, folder: Path) -> int:
    """Run a plan; 1 when a promise was broken, else 0."""
    console = Console(soft_wrap=True)
    console.print(f"seed {plan.seed}, {plan.minutes:g} minutes, {len(plan.faults())} faults")
    memory: dict[str, Memory] = {}
    async with world(folder, workers=plan.workers, apis=plan.apis, seed=plan.seed, timeout=2.0, warm=False) as w:
        begun = time.monotonic()
        trouble = Trouble(w, plan.faults(), plan.seed, GROUP)
        load = Load(
            w, GROUP, callers=plan.callers, pause=0.3, categories=CATEGORIES, batches=True, reach=REACH, seed=plan.seed
        )
        view = asyncio.create_task(_watch(console, w, trouble, memory, begun))
        try:
            async with loaded(load):
                await trouble.run()
                await asyncio.sleep(max(0.0, begun + plan.minutes * 60 - time.monotonic()))
            loaded_s = time.monotonic() - begun
            await _whole(w)
            trouble.now.append("draining")
            found = await w.reckon(bound=BOUND_S)
        finally:
            view.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await view
        statuses = await w.fleet.end()
        bugs = w.fleet.bugs()
    if any(statuses):
        bugs.append(f"processes that did not end well when asked to: {statuses}")
    text = _report(plan, found, trouble, w, memory, bugs, loaded_s)
    console.print(text, markup=False, highlight=False)
    if plan.report is not None:
        plan.report.write_text(text)
    return 1 if found.faults or bugs else 0


async def _whole(w: World) -> None:
    """Everything runs again before the reckoning."""
    w.store.thaw()
    for member in w.fleet.members:
        member.thaw()
        await member.wait_ready()


async def _watch(console: Console, w: World, trouble: Trouble, memory: dict[str, Memory], begun: float) -> None:
    """Show how it goes, and sample memory."""
    looks = 0
    with (
        Live(console=console, auto_refresh=False, transient=True)
        if console.is_terminal
        else contextlib.nullcontext() as live
    ):
        while True:
            for member in w.fleet.members:
                memory.setdefault(member.name, Memory()).look(member.memory_mb())
            memory.setdefault("redis", Memory()).look(resident_mb(w.store.pid))
            rows = _view(w, trouble, memory, time.monotonic() - begun)
            if live is not None:
                live.update(_table("chaos", rows), refresh=True)
            elif looks % PLAIN_EVERY == 0:
                console.print(" · ".join(f"{name} {value}" for name, value in rows.items()), highlight=False)
            looks += 1
            await asyncio.sleep(VIEW_S)


def _view(w: World, trouble: Trouble, memory: Mapping[str, Memory], seconds: float) -> dict[str, object]:
    answered = sum(one.id is not None for one in w.callers.sent)
    return {
        "time": f"{seconds // 60:.0f}:{seconds % 60:02.0f}",
        "asked": len(w.callers.sent),
        "accepted": answered,
        "answers": dict(w.callers.answers.most_common(5)),
        "sms": len(w.carrier.copies),
        "mails": w.mailbox.taken,
        "faults": trouble.done.total(),
        "now": ", ".join(trouble.now) or "-",
        "recovery": Spread.of(trouble.recoveries),
        "MB": {name: round(one.last) for name, one in memory.items()},
    }


def _table(title: str, rows: Mapping[str, object]) -> Table:
    table = Table(title=title, show_header=False)
    for name, value in rows.items():
        table.add_row(name, str(value))
    return table


def _report(
    plan: Plan,
    found: Reckoning,
    trouble: Trouble,
    w: World,
    memory: Mapping[str, Memory],
    bugs: Sequence[str],
    seconds: float,
) -> str:
    """All figures, as Markdown."""
    figures: dict[str, object] = {
        "seed": plan.seed,
        "loaded for": f"{seconds / 60:.1f} minutes",
        "processes": f"{plan.workers} workers, {plan.apis} API, Redis",
        **found.figures(),
        "answers callers heard": dict(w.callers.answers.most_common()),
        "callbacks by answer": dict(w.carrier.callbacks.most_common()),
        "faults": trouble.done.total(),
        "kill to next send p50 / p99 / max": Spread.of(trouble.recoveries),
        "lines of a log that tell of a bug": len(bugs),
    }
    parts = [
        "# Chaos",
        _markdown("figure", figures),
        _markdown("what went wrong", {**dict(trouble.done.most_common())}),
        _markdown("killed at the step", {**dict(trouble.steps.most_common())}),
        _markdown(
            "memory, MB", {n: f"{m.first:.0f} first, {m.most:.0f} most, {m.last:.0f} last" for n, m in memory.items()}
        ),
    ]
    for title, lines in (("Promises broken", found.faults), ("Bugs by the logs", bugs)):
        if lines:
            parts.append(f"## {title}\n\n" + "\n".join(f"- {line[:600]}" for line in lines[:SHOWN]))
    return "\n\n".join(parts) + "\n"


def _markdown(title: str, rows: Mapping[str, object]) -> str:
    return f"| {title} | |\n| --- | --- |\n" + "\n".join(f"| {name} | {value} |" for name, value in rows.items())
