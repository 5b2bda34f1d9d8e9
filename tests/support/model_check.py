"""What a server holds, beside what the model says it should hold."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar, cast

from redis.asyncio import Redis

from gateway.store.connect import connect
from gateway.store.keys import BELL
from gateway.store.scripts import Scripts
from tests.support.model import Model

SLACK_MS: Final = 5_000
"""How far the server's reading of its clock in a script may be from ours before it; tests use times much further apart."""

Contents = dict[str, Any]
T = TypeVar("T")


async def contents_of(client: Redis) -> tuple[Contents, dict[str, int]]:
    """Every key with what it holds, and how long (ms) each of those that lapse still lives."""
    plain: Any = client
    keys = [key.decode() for key in await plain.keys("*")]
    async with plain.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.type(key)
            pipe.pttl(key)
        facts = await pipe.execute()
        kinds, lives = facts[::2], facts[1::2]
        for key, kind in zip(keys, kinds, strict=True):
            match kind:
                case b"hash":
                    pipe.hgetall(key)
                case b"zset":
                    pipe.zrange(key, 0, -1, withscores=True)
                case b"stream":
                    pipe.xrange(key)
                case b"list":
                    pipe.lrange(key, 0, -1)
                case _:
                    pipe.get(key)
        values = await pipe.execute()
    held = {key: _plain(kind, value) for key, kind, value in zip(keys, kinds, values, strict=True)}
    return held, {key: ms for key, ms in zip(keys, lives, strict=True) if ms >= 0}


def _plain(kind: bytes, value: Any) -> Any:
    if kind == b"hash":
        return {field.decode(): text for field, text in value.items()}
    if kind == b"zset":
        return {member.decode(): float(score) for member, score in value}
    if kind == b"stream":
        return [{field.decode(): text for field, text in fields.items()} for _, fields in value]
    return value


def contents_wanted(model: Model) -> Contents:
    """Every key of the model with what it holds."""
    return {**model.hashes, **model.strings, **model.zsets, **model.lists, **model.streams}


def differences(model: Model, held: Contents, lives: dict[str, int]) -> list[str]:
    """Where server and model differ. Moments that the server read from its own clock are taken over into the model."""
    wanted = contents_wanted(model)
    found = [f"{key}: only on the server" for key in held.keys() - wanted.keys()]
    found += [f"{key}: only in the model" for key in wanted.keys() - held.keys()]
    for key in sorted(held.keys() & wanted.keys()):
        _take_over(held[key], wanted[key])
        if held[key] != wanted[key]:
            found.append(f"{key}: {held[key]} on the server, {wanted[key]} in the model")
        ours = model.pttl(key)
        if (key in lives) != (ours >= 0) or abs(lives.get(key, ours) - ours) > SLACK_MS:
            found.append(f"{key}: lives {lives.get(key)} ms on the server, {ours} in the model")
    return found


def _take_over(held: Any, wanted: Any) -> None:
    if not isinstance(held, dict) or not isinstance(wanted, dict):
        return
    ours = cast("dict[str, Any]", wanted)
    for name, value in cast("dict[str, Any]", held).items():
        slack = SLACK_MS if isinstance(value, float) or name.startswith("w:") or name == "at" else 0.01 * (name == "n")
        if name in ours and slack and abs(float(value) - float(ours[name])) < slack:
            ours[name] = value


class Server:
    """A server with its scripts, driven step by step, and the bells it rang."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self.client: Any = self.run(connect(url, max_connections=4))
        self.scripts = Scripts(self.client)
        self._bells = self.client.pubsub()
        self.run(self._bells.subscribe(BELL))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def now(self) -> int:
        seconds, micros = self.run(self.client.time())
        return seconds * 1000 + micros // 1000

    async def rung(self) -> list[str]:
        """The bells since the last look. The answer to a PING comes behind them all."""
        await self._bells.ping()
        heard: list[str] = []
        while True:
            note = await self._bells.get_message(timeout=5)
            if note is not None and note["type"] == "message":
                heard.append(note["data"].decode())
            if note is None or note["type"] == "pong":
                return heard

    def close(self) -> None:
        self.run(self._bells.aclose())
        self.run(self.scripts.close())
        self.run(self.client.aclose())
        self._runner.close()
