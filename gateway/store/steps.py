"""Work on the store as steps: a generator that yields what to ask next and is sent the answers, in order.

The same work then runs alone, or in step with many of its kind, whose commands leave together: one round trip for each
step of all of them. What one of them meets (an error, a lost swap) is its own affair.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar, cast

import msgspec

from gateway.store.customer_scripts import put_answer
from gateway.store.keys import Partition
from gateway.store.pipe import Pipe
from gateway.store.scripts import Scripts
from gateway.store.stream import Command

T = TypeVar("T")


class Put(msgspec.Struct, frozen=True):
    """Swap a customer's record (`Scripts.put_customer`); the answer is its outcome and the version."""

    scripts: Scripts
    at: Partition
    customer: str
    expected: int
    state: bytes
    ledger: Sequence[bytes]
    told: Sequence[bytes] = ()
    keep_told: int = 0

    @property
    def what(self) -> tuple[Partition, str, int, bytes, Sequence[bytes], Sequence[bytes], int]:
        """The arguments of the script."""
        return self.at, self.customer, self.expected, self.state, self.ledger, self.told, self.keep_told


class Confirm(msgspec.Struct, frozen=True):
    """Wait until the replicas have what was written to a partition (`Scripts.confirm`)."""

    scripts: Scripts
    at: Partition


Asked = Sequence[Command | Put | Confirm]
Steps = Generator[Asked, Sequence[Any], T]


async def alone(pipe: Pipe, steps: Steps[T]) -> T:
    """Carry one piece of work out. Raises what it raises."""
    try:
        asked = next(steps)
        while True:
            answers = await asyncio.gather(*(_one(pipe, one) for one in asked), return_exceptions=True)
            asked = _told(steps, answers)
    except StopIteration as end:
        return cast("T", end.value)


async def together(pipe: Pipe, many: Sequence[Steps[T]]) -> list[T | Exception]:
    """Carry many out in step; of each what it returned, or the error it ended with. They must not build on each other."""
    results: dict[int, T | Exception] = {}
    asked: dict[int, Asked] = {}

    def go(number: int, on: Callable[[], Asked]) -> None:
        try:
            asked[number] = on()
        except StopIteration as end:
            results[number] = cast("T", end.value)
        except Exception as bad:  # noqa: BLE001 - one's own error, handed to whoever asked; the others go on
            results[number] = bad

    for number, steps in enumerate(many):
        go(number, steps.__next__)
    while asked:
        now, asked = asked, {}
        commands = [_command(one) for step in now.values() for one in step]
        answers = await pipe.send_all(commands)
        place = 0
        for number, step in now.items():
            mine = [_read(one, answer) for one, answer in zip(step, answers[place:], strict=False)]
            place += len(step)
            go(number, lambda steps=many[number], mine=mine: _told(steps, mine))
    return [results[number] for number in range(len(many))]


def _told(steps: Steps[Any], answers: Sequence[Any]) -> Asked:
    """Go on with the answers: what is asked next. All are there before the first error is raised."""
    for answer in answers:
        if isinstance(answer, BaseException):
            return steps.throw(answer)
    return steps.send(answers)


async def _one(pipe: Pipe, asked: Command | Put | Confirm) -> Any:
    if isinstance(asked, Put):
        return await asked.scripts.put_customer(*asked.what)
    if isinstance(asked, Confirm):
        return await asked.scripts.confirm(asked.at)
    return await pipe.send(*asked)


def _command(asked: Command | Put | Confirm) -> tuple[Command, bool]:
    """The command, and whether it must survive a fail-over."""
    if isinstance(asked, Put):
        return asked.scripts.put_command(*asked.what), True
    return (asked.scripts.proof(asked.at), True) if isinstance(asked, Confirm) else (asked, False)


def _read(asked: Command | Put | Confirm, answer: Any) -> Any:
    return answer if not isinstance(asked, Put) or isinstance(answer, BaseException) else put_answer(answer)
