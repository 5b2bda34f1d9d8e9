"""Putting a back-up into an empty Redis, and making good what may not fit together in it.

The records are the truth. What is derived from them is completed from them: agendas, lines, the index of addresses, the
copies of what is known of an address. Every channel is paused before the first message is there.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from gateway.customer import Customer
from gateway.message import SCHEMA
from gateway.secret_box import SecretBox
from gateway.store import keys
from gateway.store.backup import pages
from gateway.store.backup_file import Backup, BadBackup, Entry
from gateway.store.clock import Clock
from gateway.store.customers import Customers
from gateway.store.messages import decode
from gateway.store.scripts import Scripts
from gateway.store.upkeep import Upkeep

_AT_ONCE: Final = 200
_OURS: Final = re.compile(r"\{(p\d+|meta)\}:.+|\{(i|a|x|n|uses|rate):[^}]+\}.*")
_PASSING: Final = frozenset((keys.META, keys.WORKERS, keys.CHANNELS, keys.THROTTLED, keys.KEEPER))
"""What a gateway that has only been started leaves in a Redis that is empty all the same."""
_CUSTOMER: Final = msgspec.msgpack.Decoder(Customer)


def fitting(backup: Backup, box: SecretBox) -> None:
    """Whether a back-up may be restored here. Raises BadBackup."""
    header = backup.header
    if header.partitions != keys.PARTITIONS:
        raise BadBackup(
            f"the back-up is of an installation of {header.partitions} partitions; this release uses {keys.PARTITIONS}"
        )
    if header.schema > SCHEMA:
        raise BadBackup(f"the back-up was made by a newer release ({header.gateway}); install that one first")
    if box.open(header.pepper) is None:
        raise BadBackup(
            "the back-up was made under another SECRET_KEY: without it no withdrawal would be found again and no API key "
            "would open. Set that key, or give it as SECRET_KEY_OLD"
        )


def when(at: int) -> str:
    """A time (ms) for people."""
    return dt.datetime.fromtimestamp(at / 1000, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


class Restore:
    """Puts one back-up in. All methods raise StoreUnavailable or RedisError."""

    def __init__(self, client: Redis, scripts: Scripts, backup: Backup) -> None:
        self._client = client
        self._scripts = scripts
        self._backup = backup

    async def held(self) -> str | None:
        """A key of a gateway that stands there already; None: nothing does."""
        async for page in pages(self._client, "{*"):
            for name in page:
                if _OURS.fullmatch(name) and name not in _PASSING and not name.startswith("{rate:"):
                    return name
        return None

    async def workers(self, now: int, silent: int) -> int:
        """How many workers have reported within the last `silent` ms."""
        return int(await self._scripts.urgent.send("ZCOUNT", keys.WORKERS, now - silent, "+inf"))

    async def clear(self) -> int:
        """Delete every key of a gateway; how many. What isn't ours stays."""
        gone = 0
        async for page in pages(self._client, "{*"):
            ours = [name for name in page if _OURS.fullmatch(name)]
            await self._all([("UNLINK", name) for name in ours])
            gone += len(ours)
        return gone

    async def install(self, box: SecretBox, lines: Collection[str], *, resume: bool) -> None:
        """What must stand before the first record: the installation, and that nothing is sent.

        `lines`: the channels. Raises BadBackup when this server can't read what the other one wrote.
        """
        header = self._backup.header
        await self._probe()
        await self._scripts.urgent.send("DEL", keys.META, keys.CHANNELS)
        await self._scripts.urgent.send(
            "HSET", keys.META, "partitions", header.partitions, "pepper", box.renew(header.pepper), durable=True
        )
        if not resume:
            await self._pause(lines)

    async def _pause(self, lines: Collection[str]) -> None:
        """An operator's own pause and its reason stay."""
        reason = f"restored from the backup of {when(self._backup.header.at)}; resume when you have looked"
        value = msgspec.msgpack.encode({"paused": reason, "paused_by": "restore"})
        for line in lines:
            field = f"{line}:pause"
            known = await self._scripts.urgent.send("HGET", keys.CHANNELS, field)
            if known is None or not msgspec.msgpack.decode(known).get("paused"):
                await self._scripts.urgent.send("HSET", keys.CHANNELS, field, value, durable=True)

    async def fill(
        self, now: Callable[[], int], lines: Collection[str], told: Callable[[int], None], *, resume: bool
    ) -> int:
        """Put the keys in; how many. What has ended meanwhile stays out. `told`: bytes of the file so far."""
        put = 0
        for entries in self._backup.entries(told):
            for start in range(0, len(entries), _AT_ONCE):
                part = [one for one in entries[start : start + _AT_ONCE] if not one[1] or one[1] > now()]
                await self._put([one for one in part if one[0] != keys.CHANNELS.encode()])
                put += len(part)
                for one in part:
                    if one[0] == keys.CHANNELS.encode():
                        await self._channels(one, lines, resume=resume)
        return put

    async def _channels(self, entry: Entry, lines: Collection[str], *, resume: bool) -> None:
        """Operators' pauses come back; what breakers knew does not. It is read under a name nobody looks at."""
        aside = f"{keys.CHANNELS}:restored"
        await self._put([(aside.encode(), 0, entry[2])])
        fields: dict[bytes, bytes] = await self._scripts.urgent.send("HGETALL", aside)
        for field, value in fields.items():
            paused = field.endswith(b":pause") and msgspec.msgpack.decode(value).get("paused")
            if paused or (resume and field.endswith(b":pause")):
                await self._scripts.urgent.send("HSET", keys.CHANNELS, field, value)
        await self._scripts.urgent.send("DEL", aside)
        if not resume:
            await self._pause(lines)

    async def _put(self, entries: Sequence[Entry]) -> None:
        # REPLACE: a page of SCAN may have named a key twice.
        await self._all([("RESTORE", name, ends, value, "REPLACE", "ABSTTL") for name, ends, value in entries])

    async def _probe(self) -> None:
        first = next((entries[0] for entries in self._backup.entries() if entries), None)
        if first is None:
            return
        place = f"{keys.META}:probe"
        try:
            await self._all([("RESTORE", place, 60_000, first[2], "REPLACE")])
        except ResponseError as refused:
            raise BadBackup(
                f"this server can't read what {self._backup.header.server} wrote ({refused}): restore into the same kind "
                "of server, of the same version or a newer one"
            ) from None
        await self._scripts.urgent.send("DEL", place)

    async def _all(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        answers = await self._scripts.pipe.send_all([(command, False) for command in commands])
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers


class Mending:
    """Completes what is derived from records; harmless to do again."""

    def __init__(self, client: Redis, scripts: Scripts, customers: Customers, clock: Clock) -> None:
        self._client = client
        self._scripts = scripts
        self._customers = customers
        self._upkeep = Upkeep(client, scripts)
        self._clock = clock
        self._places = {keys.partition(n).prefix: keys.partition(n) for n in range(keys.PARTITIONS)}

    async def messages(self, told: Callable[[int], None]) -> int:
        """Every live record stands on its agenda and in its lines; how many are live."""
        live = seen = 0
        for kind in ("m", "i", "e"):
            async for page in pages(self._client, f"{{p*}}:{kind}:*"):
                for name in page:
                    live += await self._record(name, kind)
                seen += len(page)
                told(seen)
        return live

    async def _record(self, name: str, kind: str) -> bool:
        prefix = name[: name.index(":") + 1]
        at, member = self._places[prefix], name.removeprefix(prefix)
        send = self._scripts.pipe.send
        state, lane, done = await send("HMGET", name, "s", "l", "d")
        if done:
            return False
        # Whoever had taken it is gone, and didn't die of it.
        await send("HDEL", name, "by", "t")
        await self._upkeep.mend(at, member)
        if kind == "m" and state is not None:
            try:
                message = decode(state, "", "")
            except msgspec.DecodeError:
                return True  # the worker that takes it buries it
            for channel in message.turns:
                line = at.line(keys.line_name(message.mode, channel), (lane or b"critical").decode())
                await send("ZADD", line, message.created_at, member)
        return True

    async def customers(self, told: Callable[[int], None]) -> int:
        """Everyone stands in the indexes and knows what is known of their addresses; how many there are."""
        seen = 0
        async for page in pages(self._client, "{p*}:c:*"):
            states = await self._scripts.pipe.send_all([(("HGET", name, "s"), False) for name in page])
            people = [_CUSTOMER.decode(state) for state in states if isinstance(state, bytes)]
            await self._customers.rehint(people)
            seen += len(page)
            told(seen)
        return seen
