"""A channel as an outsider would write one, which does as told."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.channels.base import Absent, Accepted, Callback, Outbound, Reading, Refused, Unknown
from gateway.message import Attempt, Level
from gateway.routing.traits import Traits

Outcome = Accepted | Refused | Unknown
Reaction = Callable[[Outbound], Awaitable[Outcome]]
_LEVELS: Final[dict[int, tuple[Level, ...]]] = {1: ("accepted",), 2: ("accepted", "delivered")}


class Hang:
    """A provider that doesn't answer until `answer` is called."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self._answered = asyncio.Event()
        self._outcome: Outcome = Unknown()

    def answer(self, outcome: Outcome) -> None:
        """Let the provider answer at last."""
        self._outcome = outcome
        self._answered.set()

    async def __call__(self, _out: Outbound) -> Outcome:
        self.reached.set()
        await self._answered.wait()
        return self._outcome


class Scripted:
    """A channel as an outsider would write one. `script`: what comes of the next sends; when empty: `usual`, or taken."""

    def __init__(
        self,
        name: str,
        *script: Outcome | Reaction | BaseException,
        proves: int = 2,
        timeout: float = 1.0,
        finds: bool = False,
        recalls: bool = False,
        rings: int = 0,
        usual: Outcome | Reaction | BaseException | None = None,
    ) -> None:
        self.name = name
        self.traits = Traits(
            proves=frozenset((*_LEVELS[proves], "read", "acknowledged")),
            timeout=timeout,
            finds=finds,
            recalls=recalls,
            rings=rings,
        )
        self.script = deque(script)
        self.usual = usual
        self.handed: list[Outbound] = []
        self.found: deque[Accepted | Absent | Unknown | BaseException] = deque()
        self.asked: list[str] = []
        self.recalled: list[str] = []
        self.readings: dict[bytes, Reading] = {}

    async def send(self, out: Outbound) -> Outcome:
        """What a provider does."""
        self.handed.append(out)
        told = self.script.popleft() if self.script else self.usual
        if isinstance(told, BaseException):
            raise told
        if told is None:
            return Accepted(provider_id=f"{self.name}-{out.message}-{out.attempt}")
        return await told(out) if callable(told) else told

    async def find(self, out: Outbound, attempt: Attempt) -> Accepted | Absent | Unknown:
        """What it says when asked later."""
        self.asked.append(attempt.id)
        found = self.found.popleft() if self.found else Unknown()
        if isinstance(found, BaseException):
            raise found
        return found

    async def recall(self, attempt: Attempt) -> None:
        """It stops ringing."""
        self.recalled.append(attempt.id)

    def read(self, call: Callback) -> Reading:
        """Its callbacks say what a test put under their body."""
        return self.readings[call.body]

    async def close(self) -> None:
        """Nothing is open."""

    def to(self) -> list[str]:
        """The messages it was handed, in order."""
        return [out.message for out in self.handed]
