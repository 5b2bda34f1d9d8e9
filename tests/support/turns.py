"""Every order in which the commands of two tasks can reach Redis, tried one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Sequence
from typing import Any

from redis.asyncio import Redis

from gateway.store.pipe import Pipe
from gateway.store.scripts import Scripts

Start = Callable[[int, Scripts, Scripts], Awaitable[Sequence[Coroutine[Any, Any, Any]]]]


class _Gate(Pipe):
    """The real pipe, whose commands wait until they are let through one by one."""

    def __init__(self, client: Redis, inner: Pipe) -> None:
        super().__init__(client)
        self._inner = inner
        self.waiting: deque[asyncio.Event] = deque()
        self.stirred = asyncio.Event()
        self.answered = asyncio.Event()

    async def send(self, *command: Any, size: int = 200, durable: bool = False) -> Any:
        turn = asyncio.Event()
        self.waiting.append(turn)
        self.stirred.set()
        await turn.wait()
        try:
            return await self._inner.send(*command, size=size, durable=durable)
        finally:
            self.answered.set()

    def remember(self, source: str) -> str:
        return self._inner.remember(source)

    async def send_all(self, commands: Sequence[tuple[tuple[Any, ...], bool]]) -> list[Any]:
        # Together or not: others may come between any two of them.
        sends = (self.send(*command, durable=durable) for command, durable in commands)
        return await asyncio.gather(*sends, return_exceptions=True)

    async def close(self) -> None:
        await self._inner.close()


def gated(client: Redis) -> tuple[Scripts, _Gate]:
    """Scripts whose every command passes a gate."""
    scripts = Scripts(client)
    gate = _Gate(client, scripts.pipe)
    scripts.pipe = gate
    return scripts, gate


async def _play(gates: Sequence[_Gate], tasks: Sequence[asyncio.Task[Any]], path: Sequence[int]) -> list[int]:
    """Run the tasks to their ends; where both could go on, `path` says who, else the first. The choices there were."""
    choices: list[int] = []
    while True:
        for gate, task in zip(gates, tasks, strict=True):
            while not gate.waiting and not task.done():
                gate.stirred.clear()
                await gate.stirred.wait()
        ready = [gate for gate in gates if gate.waiting]
        if not ready:
            return choices
        place = len(choices)
        chosen = 0
        if len(ready) > 1:
            chosen = path[place] if place < len(path) else 0
            choices.append(chosen)
        gate = ready[chosen]
        gate.answered.clear()
        gate.waiting.popleft().set()
        await gate.answered.wait()


async def interleavings(
    client: Redis, start: Start, *, sample: int | None = None
) -> AsyncIterator[tuple[int, list[Any]]]:
    """Play every interleaving of two coroutines; `start(run, first, second)` makes both anew for each run.

    Yields the run's number and what the two returned (exceptions included). `sample`: only so many, drawn at random
    (always the same), where there are too many of them.
    """
    dice = random.Random(1)
    path: list[int] = []
    run = 0
    while True:
        if sample is not None:
            path = [dice.randrange(2) for _ in range(64)]
        (first, one), (second, two) = gated(client), gated(client)
        gates = (one, two)
        tasks: list[asyncio.Task[Any]] = []
        for gate, coroutine in zip(gates, await start(run, first, second), strict=True):
            task = asyncio.create_task(coroutine)
            task.add_done_callback(lambda _, gate=gate: gate.stirred.set())
            tasks.append(task)
        choices = await _play(gates, tasks, path)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for scripts in (first, second):
            await scripts.close()
        yield run, results
        run += 1
        if sample is not None:
            if run == sample:
                return
            continue
        # The next path: the last choice that was the first of two becomes the second, what follows is open again.
        while choices and choices[-1] == 1:
            choices.pop()
        if not choices:
            return
        path = [*choices[:-1], 1]


@contextlib.contextmanager
def before_command(scripts: Scripts, number: int, act: Callable[[], Awaitable[object]]) -> Generator[list[int]]:
    """Something else happens just before a process sends its `number`-th command (from 0); the list says that it did."""
    sent = 0
    done: list[int] = []
    pipes = (scripts.pipe, scripts.urgent)

    def listening(send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def sends(*command: Any, **more: Any) -> Any:
            nonlocal sent
            mine, sent = sent, sent + 1
            if mine == number:
                done.append(mine)
                await act()
            return await send(*command, **more)

        return sends

    for pipe in pipes:
        pipe.send = listening(pipe.send)  # pyright: ignore[reportAttributeAccessIssue] - for this block alone
    try:
        yield done
    finally:
        for pipe in pipes:
            del pipe.send
