"""What was answered to an Idempotency-Key, for 24 hours.

The first request with a key claims it with a digest of its body and a random seed, before anything else is done. Ids are
made from the seed, so a repeat that finds no answer yet simply runs again and makes only what is missing.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Any, Final

import msgspec

from gateway.message import Mode
from gateway.store import keys
from gateway.store.clock import Clock
from gateway.store.scripts import Scripts

KEEP_MS: Final = 86_400_000

# A replay counts itself: with replicas only a real write makes WAIT mean something.
_CLAIM: Final = """#!lua
-- KEYS: 1 record   ARGV: 1 body 2 seed 3 now 4 lifetime ms
local f = redis.call('HMGET', KEYS[1], 'h', 'seed', 'at', 'st', 'b')
if not f[1] then
  redis.call('HSET', KEYS[1], 'h', ARGV[1], 'seed', ARGV[2], 'at', ARGV[3])
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  return {'fresh', ARGV[2], ARGV[3]}
end
if f[1] ~= ARGV[1] then return {'mismatch'} end
redis.call('HINCRBY', KEYS[1], 'n', 1)
if f[4] then return {'replay', f[4], f[5]} end
return {'resume', f[2], f[3]}
"""
_FINISH: Final = """#!lua flags=allow-oom
-- KEYS: 1 record   ARGV: 1 body 2 seed 3 at 4 lifetime ms 5 status 6 answer
local f = redis.call('HMGET', KEYS[1], 'h', 'st', 'b')
if f[1] and f[1] ~= ARGV[1] then return {'other'} end
if f[2] then return {'replay', f[2], f[3]} end
redis.call('HSET', KEYS[1], 'h', ARGV[1], 'seed', ARGV[2], 'at', ARGV[3], 'st', ARGV[5], 'b', ARGV[6])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
return {'ok'}
"""
_FORGET: Final = """#!lua flags=allow-oom
-- KEYS: 1 record   ARGV: 1 seed
local f = redis.call('HMGET', KEYS[1], 'seed', 'st')
if f[1] == ARGV[1] and not f[2] then redis.call('DEL', KEYS[1]) end
return {'ok'}
"""


class Fresh(msgspec.Struct, frozen=True):
    """The first of its kind. Ids follow from `seed` and `at` (ms)."""

    seed: bytes
    at: int


class Resume(msgspec.Struct, frozen=True):
    """Asked before with the same body, not answered yet: run again with the same seed and time."""

    seed: bytes
    at: int


class Replay(msgspec.Struct, frozen=True):
    """Answered before: this was the answer."""

    status: int
    body: bytes


class Mismatch(msgspec.Struct, frozen=True):
    """The key was used for another body."""


def body_digest(tree: Any) -> bytes:
    """The same for two bodies that parse to the same JSON, whatever the order of keys or the blanks between them."""
    return hashlib.blake2b(msgspec.json.encode(tree, order="deterministic"), digest_size=20).digest()


class Idempotency:
    """The key space of each mode. `seeds` makes 32 random bytes."""

    def __init__(self, scripts: Scripts, clock: Clock, seeds: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._scripts = scripts
        self._clock = clock
        self._seeds = seeds
        self._shas = {source: scripts.urgent.remember(source) for source in (_CLAIM, _FINISH, _FORGET)}

    def unkeyed(self) -> Fresh:
        """A seed for a request without a key: nothing is kept."""
        return Fresh(self._seeds(32), self._clock.now())

    async def claim(self, mode: Mode, key: str, digest: bytes) -> Fresh | Resume | Replay | Mismatch:
        """Take a key for a body. Raises StoreUnavailable, also when memory is full; NotReplicated."""
        arguments = [digest, self._seeds(32), self._clock.now(), KEEP_MS]
        answer = await self._run(_CLAIM, mode, key, arguments, durable=True)
        match answer[0]:
            case b"fresh":
                return Fresh(answer[1], int(answer[2]))
            case b"resume":
                return Resume(answer[1], int(answer[2]))
            case b"replay":
                return Replay(int(answer[1]), answer[2])
            case _:
                return Mismatch()

    async def finish(
        self, mode: Mode, key: str, digest: bytes, claim: Fresh | Resume, status: int, body: bytes
    ) -> Replay | None:
        """Keep the first answer. Of two requests at once the second is given the first one's answer instead."""
        arguments = [digest, claim.seed, claim.at, KEEP_MS, status, body]
        answer = await self._run(_FINISH, mode, key, arguments, size=len(body) + 300)
        return Replay(int(answer[1]), answer[2]) if answer[0] == b"replay" else None

    async def concerns(self, mode: Mode, key: str, customer: str) -> None:
        """Note that the answer to a key speaks of a customer, for their erasure; to be sent before `finish`."""
        asked = keys.of_customer(customer).asked(customer)
        await self._scripts.urgent.send("SADD", asked, keys.idempotency(mode, key))
        await self._scripts.urgent.send("PEXPIRE", asked, KEEP_MS)

    async def redact(self, record: str, redacted: Callable[[bytes], bytes]) -> bool:
        """Put other words in the place of a kept answer; `record` as `concerns` noted it. False when there is none."""
        body: bytes | None = await self._scripts.urgent.send("HGET", record, "b")
        return body is not None and (await self._scripts.swap(record, "b", body, redacted(body)))[0]

    async def forget(self, mode: Mode, key: str, claim: Fresh | Resume) -> None:
        """A refusal is not kept: the key is free again, unless an answer has been kept meanwhile."""
        await self._run(_FORGET, mode, key, [claim.seed])

    async def _run(
        self, source: str, mode: Mode, key: str, arguments: list[Any], size: int = 300, *, durable: bool = False
    ) -> list[Any]:
        command = ("EVALSHA", self._shas[source], 1, keys.idempotency(mode, key), *arguments)
        return await self._scripts.urgent.send(*command, size=size, durable=durable)
