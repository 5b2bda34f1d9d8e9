"""Commands that leave together.

A batch is what arrived while the previous one was under way: no timer, so a lone command waits for nothing and a crowd
shares one write. At most `MOST` commands or `MOST_BYTES` go at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

import hiredis
from redis.asyncio import Redis
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

MOST: Final = 64
MOST_BYTES: Final = 256 * 1024
WAITING_MOST: Final = 20_000
ANSWER_SECONDS: Final = 5.0
"""How long a server may take to answer before it counts as away."""

_FOR_NOW: Final = (BusyLoadingError, ClusterDownError, OutOfMemoryError, ReadOnlyError, TryAgainError)

Command = tuple[Any, ...]
_pack: Final = cast("Callable[[Command], bytes]", cast("Any", hiredis).pack_command)


class StoreUnavailable(Exception):
    """Redis could not take a command; nothing may be assumed about what it did. Ask again later."""


class Pipe:
    """One ordered stream of commands over one connection at a time."""

    def __init__(self, client: Redis, most: int = MOST) -> None:
        self._client: Any = client  # redis-py's own types are partly unknown
        self._most = most
        self._waiting: deque[tuple[Command, int, asyncio.Future[Any]]] = deque()
        self._flusher: asyncio.Task[None] | None = None
        self._sources: dict[str, str] = {}

    def remember(self, sha: str, source: str) -> None:
        """Keep a script's source, to send it when the server has forgotten it."""
        self._sources[sha] = source

    async def send(self, *command: Any, size: int = 200) -> Any:
        """The answer to one command. Raises StoreUnavailable when Redis is away, RedisError when it refuses, TypeError.

        The command goes on even if the caller is cancelled meanwhile: it may already be on its way.
        """
        _check(command)
        if len(self._waiting) >= WAITING_MOST:
            raise StoreUnavailable("too many commands are waiting for Redis")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, size, future))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.get_running_loop().create_task(self._flush())
        # Not shielded: a caller who is cancelled loses the answer, and the command is in the queue all the same.
        return await future

    async def _flush(self) -> None:
        while self._waiting:
            batch: list[tuple[Command, int, asyncio.Future[Any]]] = []
            total = 0
            while self._waiting and len(batch) < self._most and total < MOST_BYTES:
                batch.append(self._waiting.popleft())
                total += batch[-1][1]
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    answers = await self._execute([command for command, _, _ in batch])
            except (RedisConnectionError, RedisTimeoutError, OSError, TimeoutError) as away:
                for _, _, future in batch:
                    _fail(future, StoreUnavailable(str(away) or "Redis does not answer"))
                continue
            except asyncio.CancelledError:
                for _, _, future in batch:
                    _fail(future, StoreUnavailable("the gateway is stopping"))
                raise
            except Exception as bug:  # noqa: BLE001 - nobody may wait for ever, whatever it is
                for _, _, future in batch:
                    _fail(future, bug)
                continue
            for (_, _, future), answer in zip(batch, answers, strict=True):
                if isinstance(answer, Exception):
                    _fail(future, _meaning(answer))
                elif not future.done():
                    future.set_result(answer)

    async def _execute(self, commands: list[Command]) -> list[Any]:
        pool = getattr(self._client, "connection_pool", None)
        # A cluster's client has a pool for each node, and finds the node of each command itself.
        answers = await (self._pipelined(commands) if pool is None else self._over_one(pool, commands))
        for i, answer in enumerate(answers):
            if isinstance(answer, NoScriptError):
                answers[i] = await self._evaluate(commands[i])
        return answers

    async def _over_one(self, pool: Any, commands: list[Command]) -> list[Any]:
        """What redis-py's pipeline does, at a third of its cost: that packs in Python and retries around each call."""
        connection = await pool.get_connection()
        try:
            await connection.send_packed_command(b"".join([_pack(command) for command in commands]))
            return [await self._answer(connection, command) for command in commands]
        except BaseException:
            # Whatever was not read would be taken for the answers to the next commands.
            await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)

    async def _answer(self, connection: Any, command: Command) -> Any:
        try:
            return await self._client.parse_response(connection, command[0], **_options(command))
        except ResponseError as refused:
            return refused

    async def _pipelined(self, commands: list[Command]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command, **_options(command))
            answers: list[Any] = await pipe.execute(raise_on_error=False)
            return answers

    async def _evaluate(self, command: Command) -> Any:
        try:
            return await self._client.execute_command("EVAL", self._sources[command[1]], *command[2:])
        except RedisError as refused:
            return refused

    async def close(self) -> None:
        """Wait for what is under way."""
        if self._flusher is not None and not self._flusher.done():
            await asyncio.shield(self._flusher)


def _check(command: Command) -> None:
    """What can't be sent must fail its own caller, not a whole batch. Raises TypeError, UnicodeEncodeError."""
    for part in command:
        if isinstance(part, str):
            part.encode()
        elif isinstance(part, bool) or not isinstance(part, bytes | int | float):
            raise TypeError(f"{type(part).__name__} can't be sent to Redis")


def _meaning(refused: Exception) -> Exception:
    """What a refusal means to the caller: a server that can't take it for now is away, all else is a bug."""
    text = str(refused)
    no_room = isinstance(refused, ResponseError) and ("MISCONF" in text or "OOM" in text or "used memory" in text)
    return StoreUnavailable(text) if no_room or isinstance(refused, _FOR_NOW) else refused


def _options(command: Command) -> dict[str, Any]:
    # Without this redis-py turns the answer of SET … GET into a boolean.
    return {"get": True} if command[0] == "SET" and "GET" in command else {}


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()


def scored(answer: list[Any]) -> list[tuple[str, float]]:
    """Members and scores of a sorted set, whichever protocol version they came by (pairs in RESP3, flat in RESP2)."""
    flat: list[Any] = []
    for part in answer:
        flat += cast("list[Any]", part) if isinstance(part, list) else [part]
    return [(member.decode(), float(score)) for member, score in zip(flat[::2], flat[1::2], strict=True)]
