"""One ordered stream of commands to one server.

A batch is what arrived while the previous one was under way: no timer, so a lone command waits for nothing and a crowd
shares one write. At most `MOST` commands or `MOST_BYTES` go at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import hiredis
import msgspec
from redis.asyncio import ConnectionPool
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

MOST: Final = 64
MOST_BYTES: Final = 256 * 1024
WAITING_MOST: Final = 20_000
ANSWER_SECONDS: Final = 5.0
"""How long a server may take to answer before it counts as away; what stood in line for longer is not sent at all."""

_FOR_NOW: Final = (BusyLoadingError, ClusterDownError, ReadOnlyError, TryAgainError)
_FOR_NOW_WORDS: Final = ("MISCONF", "NOREPLICAS", "BUSY")
_FULL: Final = ("OOM", "used memory")

Command = tuple[Any, ...]
Callbacks = Mapping[str, Callable[..., Any]]
_pack: Final = cast("Callable[[Command], bytes]", cast("Any", hiredis).pack_command)


class StoreUnavailable(Exception):
    """Redis could not take a command; nothing may be assumed about what it did. Ask again later."""


class StoreFull(StoreUnavailable):
    """Redis refused a command for want of memory; what scripts that may exceed it write goes on."""


class NotReplicated(StoreUnavailable):
    """The command was carried out, but too few replicas acknowledged it in time: a fail-over may undo it."""


class Replication(msgspec.Struct, frozen=True):
    """How many replicas must have acknowledged what is durable, within how many seconds. 0: nobody waits for any."""

    replicas: int = 0
    seconds: float = 1.0


class _Entry(msgspec.Struct, gc=False):
    command: Command
    size: int
    at: float
    future: asyncio.Future[Any]


class Stream:
    """Commands that leave in the order in which they came, over one connection at a time.

    With `replication` every batch ends with a WAIT on the connection that wrote it (https://valkey.io/commands/wait/).
    `sources`: scripts by their SHA1, to send one when the server has forgotten it.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        callbacks: Callbacks,
        sources: Mapping[str, str],
        most: int,
        replication: Replication | None = None,
    ) -> None:
        self._pool: Any = pool  # redis-py's own types are partly unknown
        self._callbacks = callbacks
        self._sources = sources
        self._most = most
        self._replication = replication
        self._patience = ANSWER_SECONDS + (0.0 if replication is None else replication.seconds)
        self._waiting: deque[_Entry] = deque()
        self._flusher: asyncio.Task[None] | None = None
        self._closed = False

    def put(self, command: Command, size: int) -> asyncio.Future[Any]:
        """Queue a command; its answer. Raises StoreUnavailable when too many are waiting, or after `close`."""
        if self._closed:
            # A connection made now would never be given back.
            raise StoreUnavailable("the gateway is stopping")
        if len(self._waiting) >= WAITING_MOST:
            raise StoreUnavailable("too many commands are waiting for Redis")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append(_Entry(command, size, loop.time(), future))
        if self._flusher is None or self._flusher.done():
            self._flusher = loop.create_task(self._flush())
        return future

    async def close(self) -> None:
        """Take nothing more, and wait for what is under way."""
        self._closed = True
        if self._flusher is not None and not self._flusher.done():
            await asyncio.shield(self._flusher)

    async def _flush(self) -> None:
        """Send batch after batch over one connection, and give it back as soon as nothing waits."""
        connection: Any = None
        try:
            while True:
                batch = self._next()
                if batch:
                    connection = await self._deliver(batch, connection)
                elif connection is None:
                    return
                else:
                    given, connection = connection, None
                    await self._pool.release(given)
        except asyncio.CancelledError:
            while self._waiting:
                _fail(self._waiting.popleft().future, StoreUnavailable("the gateway is stopping"))
            raise

    def _next(self) -> list[_Entry]:
        batch: list[_Entry] = []
        total = 0
        oldest = asyncio.get_running_loop().time() - ANSWER_SECONDS
        while self._waiting and len(batch) < self._most and total < MOST_BYTES:
            entry = self._waiting.popleft()
            if entry.at < oldest:
                _fail(entry.future, StoreUnavailable("Redis does not keep up"))
                continue
            batch.append(entry)
            total += entry.size
        return batch

    async def _deliver(self, batch: list[_Entry], connection: Any) -> Any:
        """Send a batch and hand out the answers; the connection, or None when it had to be dropped."""
        try:
            async with asyncio.timeout(self._patience):
                if connection is None:
                    connection = await self._pool.get_connection()
                answers, short = await self._answers(connection, [entry.command for entry in batch])
        except BaseException as error:  # nobody may wait for ever, whatever it is
            # Whatever was not read would be taken for the answers to the next commands.
            await self._drop(connection)
            for entry in batch:
                _fail(entry.future, _outage(error))
            # A server that was silent for so long is waited for by nobody who was there meanwhile.
            while isinstance(error, TimeoutError) and self._waiting:
                _fail(self._waiting.popleft().future, StoreUnavailable("Redis does not answer"))
            if not isinstance(error, Exception):
                raise
            return None
        demoted = False
        for entry, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Exception):
                demoted = demoted or isinstance(answer, ReadOnlyError)
                _fail(entry.future, _meaning(answer))
            elif short is not None:
                _fail(entry.future, NotReplicated(short))
            elif not entry.future.done():
                entry.future.set_result(answer)
        if demoted:
            # The address may lead to another server by now.
            await self._drop(connection)
            return None
        return connection

    async def _drop(self, connection: Any) -> None:
        if connection is not None:
            with contextlib.suppress(OSError, RedisConnectionError, RedisTimeoutError):
                await connection.disconnect(nowait=True)
            await self._pool.release(connection)

    async def _answers(self, connection: Any, commands: list[Command]) -> tuple[list[Any], str | None]:
        """The answers, and why they don't count as replicated (None: they do, or need not)."""
        answers, short = await self._exchange(connection, commands)
        forgotten = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if forgotten:
            # This second WAIT speaks for the first batch too.
            again, short = await self._exchange(connection, [self.spelt(commands[i]) for i in forgotten])
            for i, answer in zip(forgotten, again, strict=True):
                answers[i] = answer
        return answers, short

    def spelt(self, command: Command) -> Command:
        """A script's call with its source instead of its hash; any other command as it is."""
        return ("EVAL", self._sources[command[1]], *command[2:]) if command[0] == "EVALSHA" else command

    async def _exchange(self, connection: Any, commands: list[Command]) -> tuple[list[Any], str | None]:
        """What redis-py's pipeline does, at a third of its cost: that packs in Python and retries around each call."""
        packed = [_pack(command) for command in commands]
        wait = self._replication
        if wait is not None:
            packed.append(_pack(("WAIT", wait.replicas, max(1, round(wait.seconds * 1000)))))
        await connection.send_packed_command(b"".join(packed))
        answers = [await self._answer(connection, command) for command in commands]
        if wait is None:
            return answers, None
        copies = await self._answer(connection, ("WAIT",))
        if isinstance(copies, int) and copies >= wait.replicas:
            return answers, None
        return answers, f"{copies} instead of {wait.replicas} replicas within {wait.seconds:g} s"

    async def _answer(self, connection: Any, command: Command) -> Any:
        try:
            response = await connection.read_response()
        except ResponseError as refused:
            return refused
        callback = self._callbacks.get(command[0])
        return response if callback is None else callback(response, **_options(command))


def size_of(command: Command) -> int:
    """About how many bytes a command takes."""
    return sum(len(part) for part in command if isinstance(part, bytes)) + 300


def check(command: Command) -> None:
    """What can't be sent must fail its own caller, not a whole batch. Raises TypeError, UnicodeEncodeError."""
    for part in command:
        kind = cast("object", type(part))
        if kind is bytes or kind is int:
            continue
        if isinstance(part, str):
            part.encode()
        elif isinstance(part, bool) or not isinstance(part, bytes | int | float):
            raise TypeError(f"{type(part).__name__} can't be sent to Redis")


def _outage(error: BaseException) -> BaseException:
    """What the breaking of a batch means to each caller in it."""
    if isinstance(error, RedisConnectionError | RedisTimeoutError | OSError):  # TimeoutError is an OSError
        return StoreUnavailable(str(error) or "Redis does not answer")
    if isinstance(error, Exception):
        return error
    return StoreUnavailable("the gateway is stopping")


def _meaning(refused: Exception) -> Exception:
    """What a refusal means to the caller: a server that can't take it for now is away, all else is a bug."""
    text = str(refused)
    if isinstance(refused, OutOfMemoryError) or any(word in text for word in _FULL):
        return StoreFull(text)
    for_now = isinstance(refused, ResponseError) and any(word in text for word in _FOR_NOW_WORDS)
    return StoreUnavailable(text) if for_now or isinstance(refused, _FOR_NOW) else refused


def _options(command: Command) -> dict[str, Any]:
    # Without this redis-py turns the answer of SET … GET into a boolean.
    return {"get": True} if command[0] == "SET" and "GET" in command else {}


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()
