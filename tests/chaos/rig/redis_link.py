"""A link to Redis that knows which script passes, so that a process can be ended at each named step."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, Literal, cast

import hiredis
import msgspec

from gateway.store import idempotency
from gateway.store.lua_source import NAMES, load, sha_of
from tests.chaos.rig.links import Act, Address, Link, Talk

Phase = Literal["request", "answer"]


def _names() -> dict[bytes, str]:
    """Digest of every script's source to its name."""
    found = {sha_of(load(name)).encode(): name for name in NAMES}
    for name, source in vars(idempotency).items():
        if isinstance(source, str) and source.startswith("#!lua"):
            found[_digest(source.encode())] = name.strip("_").lower()
    return found


def _digest(source: bytes) -> bytes:
    return hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()


class Passing(msgspec.Struct):
    """A command on its way to Redis, or its answer on the way back.

    `name`: of the script (`accept take begin commit …`, and `claim finish forget` of an Idempotency-Key), else the
    command. `batch`: how many commands came in the same piece.
    """

    name: str
    phase: Phase
    command: Sequence[bytes]
    batch: int
    answer: Any = None

    def holds(self, needle: bytes) -> bool:
        """Whether the needle, say a message's reference, stands anywhere in what passes."""
        return any(needle in part for part in _parts(self.command if self.phase == "request" else self.answer))

    def asked(self, needle: bytes) -> bool:
        """Whether it stands in the command, also where its answer passes."""
        return any(needle in part for part in self.command)

    @property
    def refused(self) -> bool:
        """True for an answer that is an error."""
        return isinstance(self.answer, Exception)


def _parts(value: Any) -> Iterable[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, list | tuple):
        for one in cast("Sequence[Any]", value):
            yield from _parts(one)


Watch = Callable[[Passing], Act | Awaitable[Act]]


class _RedisTalk(Talk):
    def __init__(self) -> None:
        super().__init__()
        self.requests: Any = hiredis.Reader()
        self.answers: Any = hiredis.Reader()
        self.pending: deque[list[bytes]] = deque()


class RedisLink(Link):
    """A link of one process to Redis. `watches` see every command and every answer; the first act but PASS counts."""

    _SCRIPTS: Final = _names()

    def __init__(self, targets: Callable[[], Sequence[Address]]) -> None:
        super().__init__(targets)
        self.watches: list[Watch] = []
        self.commands = 0

    @property
    def redis_url(self) -> str:
        """What a gateway is given as REDIS_URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    def talk(self) -> Talk:
        """A connection whose commands and answers are told apart."""
        return _RedisTalk()

    async def asked(self, talk: Talk, chunk: bytes) -> Act:
        """Show the watches every command that is complete with this piece."""
        assert isinstance(talk, _RedisTalk)
        found = _whole(talk.requests, chunk)
        self.commands += len(found)
        # The answer to a subscription is a push.
        talk.pending.extend(one for one in found if one[0].upper() not in (b"SUBSCRIBE", b"UNSUBSCRIBE"))
        for one in found if self.watches else ():
            act = await self._shown(Passing(self.name(one), "request", one, len(found)))
            if act is not Act.PASS:
                return act
        return await super().asked(talk, chunk)

    async def answered(self, talk: Talk, chunk: bytes) -> Act:
        """Show the watches every answer that is complete with this piece."""
        assert isinstance(talk, _RedisTalk)
        for answer in _whole(talk.answers, chunk):
            if isinstance(answer, hiredis.PushNotification) or not talk.pending:
                continue
            command = talk.pending.popleft()
            if self.watches:
                act = await self._shown(Passing(self.name(command), "answer", command, 1, answer))
                if act is not Act.PASS:
                    return Act.CUT
        return await super().answered(talk, chunk)

    async def _shown(self, passing: Passing) -> Act:
        for watch in tuple(self.watches):
            said = watch(passing)
            act = await said if isinstance(said, Awaitable) else said
            if act is not Act.PASS:
                return act
        return Act.PASS

    def name(self, command: Sequence[bytes]) -> str:
        """The script a command runs, else the command itself."""
        verb = command[0].upper()
        if verb == b"EVALSHA":
            return self._SCRIPTS.get(command[1], "script")
        if verb == b"EVAL":
            return self._SCRIPTS.get(_digest(command[1]), "script")
        return verb.decode()


def _whole(reader: Any, chunk: bytes) -> list[Any]:
    reader.feed(chunk)
    found: list[Any] = []
    while (one := reader.gets()) is not False:
        found.append(one)
    return found
