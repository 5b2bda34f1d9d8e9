"""Commands that leave together.

A batch is what arrived while the previous one was under way: no timer, so a lone command waits for nothing and a crowd
shares one write. At most `MOST` commands or `MOST_BYTES` go at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final, cast

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

_FOR_NOW: Final = (BusyLoadingError, ClusterDownError, OutOfMemoryError, ReadOnlyError, TryAgainError)

Command = tuple[Any, ...]


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
        return await asyncio.shield(future)

    async def _flush(self) -> None:
        while self._waiting:
            batch: list[tuple[Command, int, asyncio.Future[Any]]] = []
            total = 0
            while self._waiting and len(batch) < self._most and total < MOST_BYTES:
                batch.append(self._waiting.popleft())
                total += batch[-1][1]
            try:
                answers = await self._execute([command for command, _, _ in batch])
            except (RedisConnectionError, RedisTimeoutError, OSError) as away:
                for _, _, future in batch:
                    _fail(future, StoreUnavailable(str(away)))
                continue
            except asyncio.CancelledError:
                for _, _, future in batch:
                    _fail(future, StoreUnavailable("the gateway is stopping"))
                raise
            except Exception as bug:  # nobody may wait for ever, whatever it is
                for _, _, future in batch:
                    _fail(future, bug)
                continue
            for (_, _, future), answer in zip(batch, answers, strict=True):
                if isinstance(answer, Exception):
                    _fail(future, _meaning(answer))
                elif not future.done():
                    future.set_result(answer)

    async def _execute(self, commands: list[Command]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipe:
            for command in commands:
                # Without this redis-py turns the answer of SET … GET into a boolean.
                options = {"get": True} if command[0] == "SET" and "GET" in command else {}
                pipe.execute_command(*command, **options)
            answers: list[Any] = await pipe.execute(raise_on_error=False)
        for i, answer in enumerate(answers):
            if isinstance(answer, NoScriptError):
                answers[i] = await self._evaluate(commands[i])
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
