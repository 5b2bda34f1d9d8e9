"""What is held against addresses, and the lists of those in doubt or no longer used.

Evidence stands with the address as a set that only grows (`routing.health.weigh` makes health of it), so writers need no
lock and may repeat themselves. From it follow, in this order, the copies with everybody who has the address, then the
lists. An address is put on the list of those to look at *before* anything is written, and stays on it until its last
piece of evidence has lapsed: whatever a crash left undone, housekeeping does.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import heapq
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from gateway.customer import AddressHealth, Evidence
from gateway.routing.health import ALIVE, weigh
from gateway.store import keys
from gateway.store.clock import Clock
from gateway.store.lua_source import ALLOW_OOM
from gateway.store.pipe import Pipe, scored

Listed = Literal["suspect", "suppressed"]
STATES: Final[tuple[Listed, ...]] = ("suspect", "suppressed")
DAY_MS: Final = 86_400_000
SETTLED_WITHIN_MS: Final = 60_000
"""After so long a change that is still not carried through belongs to somebody who died."""
KEPT_MS: Final = 360 * DAY_MS
"""Evidence can count for so long: twice the half year that the gravest is held against an address."""
MOST: Final = 64
"""Pieces of evidence kept of one channel of an address: the newest."""
_PAGE: Final = 200

_EVIDENCE: Final = msgspec.msgpack.Decoder(Evidence)
_HEALTH: Final = msgspec.msgpack.Decoder(AddressHealth)
_TEACH: Final = (
    ALLOW_OOM
    + """
-- KEYS: 1 facts of an address   ARGV: field, value, …; a time ("l:…") only ever grows
for i = 1, #ARGV, 2 do
  local known = string.sub(ARGV[i], 1, 2) == 'l:' and tonumber(redis.call('HGET', KEYS[1], ARGV[i]))
  if not known or known < tonumber(ARGV[i + 1]) then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
return 1
"""
)
_LIST: Final = (
    ALLOW_OOM
    + """
-- KEYS: 1 suspect 2 suppressed 3 to be looked at   ARGV: 1 member 2 state 3 since 4 when to look ("": never)
for i, state in ipairs({'suspect', 'suppressed'}) do
  if state == ARGV[2] then redis.call('ZADD', KEYS[i], ARGV[3], ARGV[1])
  elseif ARGV[2] ~= '?' then redis.call('ZREM', KEYS[i], ARGV[1]) end
end
if ARGV[4] == '' then redis.call('ZREM', KEYS[3], ARGV[1]) else redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1]) end
return 1
"""
)


class Entry(msgspec.Struct, frozen=True):
    """One address on a list, known by its keyed hash."""

    channel: str
    key: str
    health: AddressHealth


class Healths:
    """Records evidence and keeps the lists. `copy` copies an address's facts to everyone who has it.

    All methods raise StoreUnavailable; `key` is the keyed hash of a normalised address (`Customers.address_key`).
    """

    def __init__(self, pipe: Pipe, clock: Clock, copy: Callable[[str], Awaitable[object]]) -> None:
        self._pipe = pipe
        self._clock = clock
        self._copy = copy
        self._teach = pipe.remember(_TEACH)
        self._list = pipe.remember(_LIST)

    async def learn(self, channel: str, key: str, evidence: Evidence) -> AddressHealth | None:
        """Hold something against an address, once however often it is told; its health after that.

        Evidence with the fault ALIVE voids what the same attempt has said before, and is a proof of life.
        """
        fields = [f"e:{channel}:{evidence.fault}:{evidence.ref}", msgspec.msgpack.encode(evidence)]
        if evidence.fault == ALIVE:
            fields += [f"l:{channel}:proved", evidence.at]
        return await self._change(channel, key, fields)

    async def proved(self, channel: str, key: str, at: int) -> AddressHealth | None:
        """A sign of life from an address at `at` (ms): doubts up to then are taken away; its health after that.

        Writes nothing when nothing is held against the address.
        """
        if await self._read(channel, key) is None:
            return None
        return await self._change(channel, key, [f"l:{channel}:proved", at])

    async def lift(self, channel: str, key: str) -> None:
        """Use an address again: nothing that happened until now is held against it."""
        place = keys.address_facts(key)
        # As an earlier release kept it: not as evidence.
        await self._pipe.send("HDEL", place, *(f"h:{channel}:{state}" for state in STATES))
        await self._change(channel, key, [f"l:{channel}:lifted", self._clock.now()])

    async def forget(self, key: str) -> None:
        """Erase all that is held against an address, on every channel."""
        fields: dict[bytes, bytes] = await self._pipe.send("HGETALL", keys.address_facts(key))
        names = [name.decode() for name in fields if name[:2] in (b"e:", b"l:", b"h:")]
        if names:
            await self._pipe.send("HDEL", keys.address_facts(key), *names)
        for channel in {name.split(":")[1] for name in names}:
            await self._put_on_list(channel, key, "", 0, None)

    async def tend(self, at: keys.Partition, most: int = _PAGE) -> int:
        """Look at the addresses of a partition whose time has come; how many."""
        due = await self._pipe.send(
            "ZRANGE", at.health("due"), "-inf", self._clock.now(), "BYSCORE", "LIMIT", 0, most
        )  # fmt: skip - one command
        for member in due:
            channel, _, key = member.decode().rpartition(":")
            await self._settle(channel, key)
        return len(due)

    async def page(
        self, states: Sequence[Listed], channel: str | None, limit: int, cursor: str | None
    ) -> tuple[list[Entry], str | None]:
        """At most `limit` addresses, the newest in doubt first, and the cursor of the next page (None: no more).

        Raises ValueError for a cursor that isn't one.
        """
        last = None if cursor is None else _read_cursor(cursor)
        found: list[Entry] = []
        while True:
            batch = await self._after(states, last)
            entries = await asyncio.gather(*(self._entry(member, channel) for _, member in batch))
            for last, entry in zip(batch, entries, strict=True):
                if entry is not None and entry.health.state in states:
                    found.append(entry)
                    if len(found) == limit:
                        return found, _cursor(last)
            if not batch:
                return found, None

    async def _entry(self, member: str, wanted: str | None) -> Entry | None:
        """A member of a list with its health as it is now; None when it is healthy, or of another channel."""
        channel, _, key = member.rpartition(":")
        health = await self._read(channel, key) if wanted in (None, channel) else None
        return None if health is None else Entry(channel, key, health)

    async def _change(self, channel: str, key: str, fields: Sequence[Any]) -> AddressHealth | None:
        """Write facts; then what follows from them."""
        await self._put_on_list(channel, key, "?", 0, self._clock.now() + SETTLED_WITHIN_MS)
        await self._pipe.send("EVALSHA", self._teach, 1, keys.address_facts(key), *fields)
        return await self._settle(channel, key)

    async def _settle(self, channel: str, key: str) -> AddressHealth | None:
        """Carry the facts through to copies and lists; whoever comes last reads what the others wrote."""
        await self._copy(key)
        while True:
            now = self._clock.now()
            fields = await self._tidied(channel, key, now)
            health = health_in(fields, channel, now)
            state = health.state if health is not None and health.state != "good" else ""
            look = health.until if health is not None else _forgotten_at(fields, channel)
            await self._put_on_list(channel, key, state, health.at if health else 0, look)
            if health_in(await self._fields(key), channel, now) == health:
                return health

    async def _tidied(self, channel: str, key: str, now: int) -> Mapping[bytes, bytes]:
        """The facts of an address, without what can't count any more."""
        fields = await self._fields(key)
        evidence = {
            name: _EVIDENCE.decode(fields[name]) for name in fields if name.startswith(b"e:%s:" % channel.encode())
        }
        newest = sorted(evidence, key=lambda name: (evidence[name].at, name), reverse=True)
        old = [name for place, name in enumerate(newest) if place >= MOST or evidence[name].at + KEPT_MS <= now]
        times = _times(fields, channel)
        if len(old) == len(evidence) and times and max(times.values()) + KEPT_MS <= now:
            old += [f"l:{channel}:{name}".encode() for name in times]
        if old:
            await self._pipe.send("HDEL", keys.address_facts(key), *old)
        return {name: value for name, value in fields.items() if name not in old}

    async def _put_on_list(self, channel: str, key: str, state: str, since: int, look: int | None) -> None:
        """Put an address on the list of a state ("": none, "?": as it was), to be looked at again at `look` (ms)."""
        at = keys.of_customer(key)
        places = [at.health("suspect"), at.health("suppressed"), at.health("due")]
        args = [f"{channel}:{key}", state, since, "" if look is None else look]
        await self._pipe.send("EVALSHA", self._list, 3, *places, *args)

    async def _read(self, channel: str, key: str) -> AddressHealth | None:
        return health_in(await self._fields(key), channel, self._clock.now())

    async def _fields(self, key: str) -> dict[bytes, bytes]:
        return await self._pipe.send("HGETALL", keys.address_facts(key))

    async def _after(self, states: Sequence[Listed], last: tuple[int, str] | None) -> list[tuple[int, str]]:
        """The next entries of all partitions, the newest first."""
        places = [keys.partition(n).health(state) for n in range(keys.PARTITIONS) for state in states]
        pages = await asyncio.gather(*(self._older(place, last) for place in places))
        merged = heapq.merge(*pages, reverse=True)
        return [one for one, _ in zip(merged, range(_PAGE), strict=False)]

    async def _older(self, place: str, last: tuple[int, str] | None) -> list[tuple[int, str]]:
        """The next entries of one list."""
        high, offset = ("+inf" if last is None else last[0]), 0
        while True:
            answer = await self._pipe.send(
                "ZRANGE", place, high, "-inf", "BYSCORE", "REV", "LIMIT", offset, _PAGE, "WITHSCORES"
            )
            page = [(int(at), member) for member, at in scored(answer)]
            fresh = [one for one in page if last is None or one < last]
            if fresh or len(page) < _PAGE:
                return fresh
            offset += _PAGE


def health_in(fields: Mapping[bytes, bytes], channel: str, now: int) -> AddressHealth | None:
    """The health of an address on a channel, of all that is known of the address."""
    mine = b"e:%s:" % channel.encode()
    evidence = [_EVIDENCE.decode(blob) for name, blob in fields.items() if name.startswith(mine)]
    times = _times(fields, channel)
    found = weigh(evidence, now, proved_at=times.get("proved"), lifted_at=times.get("lifted"))
    return found or _of_earlier_release(fields, channel, now)


def channels_in(fields: Collection[bytes]) -> set[str]:
    """The channels on which something is held against an address."""
    return {name.split(b":")[1].decode() for name in fields if name[:2] in (b"e:", b"h:")}


def _of_earlier_release(fields: Mapping[bytes, bytes], channel: str, now: int) -> AddressHealth | None:
    """Health as it was kept before there was evidence."""
    for state in reversed(STATES):
        blob = fields.get(f"h:{channel}:{state}".encode())
        found = None if blob is None else _HEALTH.decode(blob)
        if found is not None and (found.until is None or found.until > now):
            return found
    return None


def _times(fields: Mapping[bytes, bytes], channel: str) -> dict[str, int]:
    names = {name: f"l:{channel}:{name}".encode() for name in ("proved", "lifted")}
    return {name: int(fields[field]) for name, field in names.items() if field in fields}


def _forgotten_at(fields: Mapping[bytes, bytes], channel: str) -> int | None:
    """When nothing of a healthy address need be known any more; None: now."""
    mine = b"e:%s:" % channel.encode()
    known = [_EVIDENCE.decode(blob).at for name, blob in fields.items() if name.startswith(mine)]
    known += _times(fields, channel).values()
    return max(known) + KEPT_MS if known else None


def _cursor(last: tuple[int, str]) -> str:
    return base64.urlsafe_b64encode(f"{last[0]}:{last[1]}".encode()).decode().rstrip("=")


def _read_cursor(text: str) -> tuple[int, str]:
    try:
        plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeError) as bad:
        raise ValueError("not a cursor") from bad
    since, _, member = plain.partition(":")
    if not (since.isascii() and since.isdigit() and len(since) < 16 and member):
        raise ValueError("not a cursor")
    return int(since), member
